"""Your own table, with holes in images and in texts, in training and in test: which way to fill suits it, and new rows.

Five ways to fill are compared on validation rows, which have holes like the others. The best is tested once, saved, loaded, and predicts
rows with any pattern of holes, one that has nothing among them. The miniature is a table of parcel slips: a handwritten digit as a JPEG
file, and a note of the goods that is wrong in about three of ten rows. Photos of yours need `--generator stable-diffusion`.

    python examples/your_own_data.py --miniature
    python examples/your_own_data.py --table tweets.csv --image photo --text caption --label category --backbone clip
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gtimm import Column, GtimmError, MultimodalDataset, Pipeline, load_dataset
from gtimm.experiments.statistics import interval

GOODS = (
    "apple",
    "arrow",
    "baby",
    "banjo",
    "basket",
    "beach",
    "bear",
    "bicycle",
    "boat",
    "bottle",
)  # words that imagebind-tiny knows


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    args = parse(arguments)
    if not args.miniature:
        return run(args, pd.read_csv(args.table), args.root or args.table.parent, args.model)
    with tempfile.TemporaryDirectory() as name:
        args.image, args.text, args.label, args.store = "photo", "note", "parcels", args.store or Path(name, "store")
        return run(args, write_slips(Path(name)), Path(name), Path(name, "model"))


def run(args: argparse.Namespace, frame: pd.DataFrame, root: Path, model: Path) -> dict[str, float]:
    """Compare, choose, test, save, load and predict; return the accuracy of each way to fill on validation."""
    columns = {"image": Column(args.image, kind="image"), "text": Column(args.text, kind="text")}
    data = MultimodalDataset.from_frame(frame, columns, args.label, root=root).split(val=0.3, test=0.3)
    print(data.train.summary(), "\n")
    made = {"name": args.generator, "per_class": args.per_class}
    ways: dict[str, dict[str, Any]] = {
        "zero": {"imputer": "zero", "eval_imputer": "zero"},
        "hot-deck": {"imputer": "hot-deck", "eval_imputer": "zero"},
        **{name: {"imputer": name, "eval_imputer": name, "draws": 5} for name in ("retrieval", "regression")},
        "generation": {"imputer": {"image": made, "text": "hot-deck"}, "eval_imputer": "regression", "draws": 5},
    }
    pipes = {
        way: Pipeline(args.backbone, train={"epochs": 40, "lr": args.lr}, store=args.store, **some) for way, some in ways.items()
    }
    scores = {}
    print(f"Accuracy on {len(data.val)} rows to validate, with 95% intervals:")
    for way, pipe in pipes.items():
        pipe.fit(data.train, val=data.val)
        found = interval((pipe.predict_proba(data.val).argmax(1) == data.val.labels)[None])
        scores[way] = found.mean
        print(f"  {way:11} {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]")
    best = max(scores, key=lambda way: scores[way])
    print(f"Best: {best}. On the {len(data.test)} rows to test: {pipes[best].evaluate(data.test)['accuracy']:.3f}\n")
    pipes[best].save(model)
    new = pd.concat([frame[[args.image, args.text]].dropna().head(1)] * 4, ignore_index=True)
    new.loc[[1, 3], args.image] = new.loc[[2, 3], args.text] = None
    print("New rows, whose label nobody knows: one complete, one without image, one without text, one with nothing (empty):")
    print(pd.concat([new, Pipeline.load(model, store=args.store).predict_frame(new, root=root)], axis=1).to_string())
    print("The uncertainty says by how much five fills differ; it is NaN where zeros fill, which never differ.")
    return scores


def write_slips(root: Path, rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Write JPEG files of handwritten digits and return the table: 85% of the photos and 25% of the notes are missing."""
    from PIL import Image

    source, random = load_dataset("digits").test, np.random.default_rng(seed)
    assert source.labels is not None
    lines = []
    for row in range(rows):
        name = source.classes[source.labels[row]]
        Image.fromarray(source.payload("image", row)).save(root / f"{row}.jpg", quality=90)
        noted = f"the {GOODS[source.labels[row] if random.random() < 0.67 else random.integers(10)]}"
        lines.append((f"{row}.jpg" if random.random() > 0.85 else None, noted if random.random() > 0.25 else None, name))
    return pd.DataFrame(lines, columns=["photo", "note", "parcels"])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--table", type=Path, help="CSV file; empty cells are holes")
    place.add_argument("--miniature", action="store_true", help="an invented table of real handwriting instead")
    parser.add_argument("--root", type=Path, help="folder that the paths are relative to (default: the table's)")
    for column in ("image", "text", "label"):
        parser.add_argument(f"--{column}", default=column, help=f"the column of the {column}s (default {column})")
    parser.add_argument("--backbone", default="imagebind-tiny", help="what embeds; clip for photos (default imagebind-tiny)")
    parser.add_argument("--generator", default="stable-diffusion-tiny", help="imputer that generates images")
    parser.add_argument("--per-class", type=int, default=20, help="generated pictures a class (default 20)")
    parser.add_argument("--lr", type=float, default=0.02, help="learning rate (default 0.02; 0.0005 suits large backbones)")
    parser.add_argument("--model", type=Path, default=Path("model"), help="folder of the saved model")
    parser.add_argument("--store", type=Path, help="folder of pictures and features (default GTIMM_HOME)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
