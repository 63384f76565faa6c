"""A strategy of your own in one file: write a class, give it a name, use it like any other.

`NoisyDeck` fills a hole with the embedding of a real row of the same class, as hot-deck does, but with noise of its own added to each copy,
as large as the class varies: where one or two images a class are left, hot-deck repeats them, and a model may learn them by heart. The
example registers it, trains with it and with hot-deck by name, and says with an interval whether it was worth it.

In a package of yours the same class becomes an entry point, and then needs no `register`:

    # pyproject.toml of your package
    [project.entry-points."gtimm.imputers"]
    noisy-deck = "your_package.noisy_deck:NoisyDeck"

After `pip install .`, `gtimm plugins` lists it, and `imputer: {name: noisy-deck, copies: 40}` works in configuration files.

    python examples/custom_imputer.py --missing 0.95 --seeds 5
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import folders
import numpy as np
from pydantic import Field

import gtimm
from gtimm import GtimmError, Missing, Pipeline
from gtimm.core.imputer import Imputer, State, View
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.seeding import stream
from gtimm.core.training import train
from gtimm.experiments.statistics import interval


class NoisyDeck(Imputer):
    """Real embeddings of the same class with noise: normal, and in each dimension a share of the spread over all present rows.

    Attributes:
        copies: candidates a class; training draws one of them for each hole, afresh each epoch.
        noise: standard deviation, in units of that of all present embeddings; 0 is hot-deck.
        seed: of the noise.
    """

    info: ClassVar[Info] = Info(items="feature", needs_label=True, licence="Apache-2.0")  # it is refused at test

    copies: int = Field(default=50, ge=1)
    noise: float = Field(default=0.5, ge=0)
    seed: int = 0

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return `copies` vectors of each class that has a row left; the others have no candidate."""
        there, values = view.present(target), view.features(target)  # NaN where absent: a hole cannot be read
        assert view.labels is not None  # info.needs_label asks for them
        found, random = [], stream(self.seed, "noisy-deck", target)
        for label in range(len(view.classes)):
            rows = np.flatnonzero(there & (view.labels == label))
            found.append(np.resize(rows, self.copies) if len(rows) else rows)
        chosen = np.concatenate(found)
        spread = values[there].std(0) if there.any() else np.zeros(view.dim(target), np.float32)
        items = values[chosen] + self.noise * spread * random.normal(size=(len(chosen), view.dim(target)))
        return Pool.by_class(Features(items.astype(np.float32)), view.labels[chosen], view.labels, len(view.classes))


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    args = parse(arguments)
    gtimm.register("imputers", "noisy-deck", NoisyDeck)
    data = folders.read(args)
    noisy = {"name": "noisy-deck", "noise": args.noise}
    imputers: dict[str, Any] = {"zero": "zero", "hot-deck": "hot-deck", "noisy-deck": noisy}
    pipes = {
        method: [
            Pipeline("imagebind-tiny", {"image": imputer}, seed=seed, store=args.store, train={"epochs": 40, "lr": 0.02})
            for seed in range(args.seeds)
        ]
        for method, imputer in imputers.items()
    }
    missing = Missing(image=args.missing, stratify=True)
    everyone = [pipe for some in pipes.values() for pipe in some]
    runs = [pipe.prepare(data.train, val=data.val, missing=missing) for pipe in everyone]
    train(runs)  # all seeds of all methods as one problem
    for pipe, run in zip(everyone, runs, strict=True):
        pipe.adopt(run)
    right = {
        method: np.array([pipe.predict_proba(data.test).argmax(1) == data.test.labels for pipe in some], float)
        for method, some in pipes.items()
    }
    print(
        f"{data.train.name}, {args.missing:.0%} of the training images missing, none at test; accuracy over {args.seeds} seeds:"
    )
    for method, values in right.items():
        found = interval(values)
        print(f"  {method:10} {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]")
    gain = interval(right["noisy-deck"] - right["hot-deck"], difference=True)
    verdict = "better than" if gain.low > 0 else "worse than" if gain.high < 0 else "not to be told apart from"
    print(f"noisy-deck is {verdict} hot-deck: {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
    print(f"It is used by name, so a saved model finds it again: {pipes['noisy-deck'][0].config()['imputer']}")
    return {method: values.mean(1).tolist() for method, values in right.items()}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    folders.add_options(parser)
    parser.add_argument("--missing", type=float, default=0.98, help="share of training rows without an image (default 0.98)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    parser.add_argument("--noise", type=float, default=0.5, help="how much of it (default 0.5)")
    parser.add_argument("--store", type=Path, help="folder of features (default GTIMM_HOME)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
