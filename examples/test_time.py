"""Images missing at test: what filling them brings, and where it brings nothing.

Two models of the embedded digits, handwriting with speech in noise: one trained on complete rows, one with 95% of its training images
missing. Each is tested with 0 to 90% of the test images missing, filled in three ways that read no label: zeros, the images of the
nearest training rows by sound (retrieval), and what the sound predicts of the image (regression). Holes of the last two are filled five
times; by how much the five predictions differ says which rows to leave to a person. Last, what `calibrate=True` changes: a temperature
from validation rows with holes, so that a model that says 80% is right in 80% of such rows.

Training is filled alike for all but `zero`: by hot-deck where images are missing. Whatever is gained or lost is printed with its 95%
interval over test rows, so the output says where filling does not help, too.

    python examples/test_time.py
    python examples/test_time.py --data digits-uci --missing 0.3 0.6
    python examples/test_time.py --miniature
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folders
import numpy as np

from gtimm import GtimmError, Missing, MultimodalDataset, Pipeline, Splits
from gtimm.experiments.statistics import interval

FILLS: dict[str, dict[str, Any]] = {
    "zero": {"imputer": "zero", "eval_imputer": "zero"},
    "retrieval": {"imputer": "hot-deck", "eval_imputer": "retrieval", "draws": 5},
    "regression": {"imputer": "hot-deck", "eval_imputer": "regression", "draws": 5},
}
KEPT = (1.0, 0.8, 0.6, 0.4)


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, list[float]]]:
    args = parse(arguments)
    data = folders.read(args)
    scores = {}
    scarce = Missing(image=0.95, stratify=True)
    for title, missing in (("complete training rows", None), ("95% of the training images missing", scarce)):
        print(f"\n== {title} ==")
        scores[title] = compare(data, missing, args)
    return scores


def compare(data: Splits, missing: Missing | None, args: argparse.Namespace) -> dict[str, list[float]]:
    """Train one model for each way to fill and print how it does at each share of missing test images."""
    like_test = data.val.with_missing(Missing(image=max(args.missing)))  # the epoch and the temperature are chosen on such rows
    tests = {0.0: data.test} | {ratio: data.test.with_missing(Missing(image=ratio)) for ratio in args.missing}
    labels = data.test.labels
    right: dict[str, list[Any]] = {}
    pipes = {}
    for name, strategies in FILLS.items():
        train = {"epochs": args.epochs, "lr": 0.02}
        pipe = Pipeline("imagebind-tiny", train=train, seed=args.seed, store=args.store, calibrate=True, **strategies)
        pipes[name] = pipe.fit(data.train, val=like_test, missing=missing)
        right[name] = [pipe.predict_proba(test).argmax(1) == labels for test in tests.values()]
    print("accuracy, images missing at test:   " + "".join(f"{ratio:>8.0%}" for ratio in tests))
    for name, values in right.items():
        print(f"  {name:34}" + "".join(f"{value.mean():8.3f}" for value in values))
    for name in ("retrieval", "regression"):
        for place, ratio in enumerate(tests):
            gain = interval((right[name][place].astype(float) - right["zero"][place])[None], difference=True)
            verdict = "helps" if gain.low > 0 else "HURTS" if gain.high < 0 else "makes no difference that these rows could show"
            print(f"  {name} at {ratio:.0%} missing {verdict}: {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] to zero")
    hardest = tests[max(args.missing)]
    for name in ("retrieval", "regression"):
        keep_the_sure(name, pipes[name], hardest)
    for name in FILLS:
        calibrate(name, pipes[name], hardest)
    return {name: [float(value.mean()) for value in values] for name, values in right.items()}


def keep_the_sure(name: str, pipe: Pipeline, test: MultimodalDataset) -> None:
    """Print the accuracy of the filled rows on which the draws agree most, beside those with the highest probability."""
    found = pipe.predict_frame(test)
    right = found["prediction"].to_numpy() == np.array(test.classes)[test.labels]
    filled = np.flatnonzero(~test.present("image"))
    print(f"{name}, share of the filled rows kept:   " + "".join(f"{share:>8.0%}" for share in KEPT))
    at = {}
    for by, order in {"least uncertainty": found["uncertainty"], "highest probability": -found["probability"]}.items():
        best = filled[np.argsort(order.to_numpy()[filled], kind="stable")]
        at[by] = [right[best[: round(share * len(best))]].mean() for share in KEPT]
        print(f"  accuracy by {by:22}" + "".join(f"{value:8.3f}" for value in at[by]))
    better = at["least uncertainty"][-1] > at["highest probability"][-1]
    print(f"  The spread of the draws chooses {'better' if better else 'no better'} than the probability alone.")


def calibrate(name: str, pipe: Pipeline, test: MultimodalDataset) -> None:
    """Print the calibration error with the temperature that `calibrate=True` fitted, and without."""
    after, fitted = pipe.evaluate(test)["ece"], pipe.temperature
    pipe.temperature = 1.0
    before, pipe.temperature = pipe.evaluate(test)["ece"], fitted
    verdict = "helps" if after < before else "does not help"
    print(f"  {name:11} calibration error {before:.3f} before, {after:.3f} after (temperature {fitted:.2f}): {verdict}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    folders.add_options(parser)
    parser.add_argument("--data", default="digits", choices=("digits", "digits-uci"), help="embedded data set (default digits)")
    parser.add_argument(
        "--missing", type=float, nargs="+", default=[0.5, 0.7, 0.9], help="shares of test images missing (default 0.5 0.7 0.9)"
    )
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training rows (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of masks, draws and weights (default 0)")
    parser.add_argument("--store", type=Path, help="folder of features (default GTIMM_HOME)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
