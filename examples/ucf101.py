"""UCF101 with ImageBind: films whose picture is missing in 95% of the training rows, filled with zeros or by generation.

The real thing, on a machine with a GPU; frames and sounds are taken from the films once, with `gtimm prepare ucf101 --root UCF101 --out
prepared` (ImageBind's weights: `gtimm check --download imagebind`; the generator's with --download):

    python examples/ucf101.py --root UCF101 --prepared prepared --download

Everything small, to see it work in less than a minute on two cores, without a download:

    python examples/ucf101.py --miniature

The setting is the paper's: the 51 classes with sound, middle frames and 5 seconds of sound, 15 epochs of AdamW with batches of 128, a
learning rate of 5e-4 and a weight decay of 1e-4, accuracy over three seeds, 100 pictures a class, and the label prompt for actions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtimm import GtimmError, Missing, Pipeline, load_dataset
from gtimm.core.training import train

TRAIN = {"epochs": 15, "batch_size": 128, "lr": 5e-4, "weight_decay": 1e-4}  # Table 8


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    args = parse(arguments)
    if not args.miniature:
        backbone = {"name": "imagebind"} | ({"weights": str(args.weights)} if args.weights else {})
        generator = {"name": args.generator, "per_class": args.per_class or 100, "steps": args.steps or 50}
        generator |= {"download": True} if args.download else {}
        return run(args, args.root, args.prepared, args.backbone or backbone, generator, args.store)
    from miniature import write_ucf101

    from gtimm.core.films.prepare import prepare
    from gtimm.data.ucf101 import UCF101

    print("MINIATURE: noise with a bar and a tone, a model of spoken words and a generator of handwritten digits.")
    print("It shows that everything runs. Its scores mean nothing.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_ucf101(folder / "UCF101")
        report = prepare(UCF101(root=str(root)), folder / "prepared")
        print(f"{report.made} films prepared in {report.seconds:.1f} s")
        generator = {"name": "stable-diffusion-tiny", "per_class": args.per_class or 4, "steps": args.steps or 2}
        return run(args, root, folder / "prepared", "imagebind-tiny", generator, args.store or folder / "store")


def run(
    args: argparse.Namespace, root: Path, prepared: Path | None, backbone: Any, generator: Any, store: Path | None
) -> dict[str, list[float]]:
    """Train zero-fill and GTI-MM with every seed and return their accuracy."""
    options = {"prepared": str(prepared)} if prepared else {}
    data = load_dataset("ucf101", root=str(root), split=args.split, **options)
    for name, fact in data.facts.items():
        print(f"{name}: {fact}")
    missing = Missing(image=args.missing)
    pipes = {
        method: [Pipeline(backbone, {"image": imputer}, seed=seed, store=store, train=TRAIN) for seed in range(args.seeds)]
        for method, imputer in {"zero-fill": "zero", "GTI-MM": generator}.items()
    }
    everyone = [pipe for some in pipes.values() for pipe in some]
    runs = [pipe.prepare(data.train, val=data.val, missing=missing) for pipe in everyone]
    train(runs)  # all seeds of both methods as one problem
    for pipe, done in zip(everyone, runs, strict=True):
        pipe.adopt(done)
    scores = {method: [pipe.evaluate(data.test)["accuracy"] for pipe in some] for method, some in pipes.items()}
    made = sum(pipe.counters["generated"] for pipe in everyone)
    print(f"\n{args.missing:.0%} of the training pictures missing, none at test; {made} pictures generated now.")
    print(f"Accuracy, mean and standard deviation of {args.seeds} seeds:")
    for method, values in scores.items():
        print(f"  {method:10} {np.mean(values):.3f} ± {np.std(values, ddof=min(1, len(values) - 1)):.3f}")
    return scores


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--root", type=Path, help="folder with UCF-101/ and ucfTrainTestlist/")
    place.add_argument("--miniature", action="store_true", help="a small made-up data set, model and generator instead")
    parser.add_argument("--prepared", type=Path, help="folder that `gtimm prepare` filled; without it films are decoded")
    parser.add_argument("--split", type=int, default=1, choices=(1, 2, 3), help="published lists (default 1)")
    parser.add_argument("--missing", type=float, default=0.95, help="share of training rows without a picture (default 0.95)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    parser.add_argument("--weights", type=Path, help="ImageBind's checkpoint (default the one that was downloaded)")
    parser.add_argument("--backbone", help="another backbone by name, such as imagebind-tiny")
    parser.add_argument("--generator", default="stable-diffusion", help="imputer that generates images")
    parser.add_argument("--per-class", type=int, help="pictures a class (default 100; miniature 4)")
    parser.add_argument("--steps", type=int, help="denoising steps (default 50; miniature 2)")
    parser.add_argument("--store", type=Path, help="folder of pictures and features (default GTIMM_HOME)")
    parser.add_argument("--download", action="store_true", help="fetch the generator's weights if they are not here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
