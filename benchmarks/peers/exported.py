"""Makes the contenders' data from gtimm's `digits`: one folder a mask, the same for all; labels of test rows stay outside.

    python benchmarks/peers/exported.py build/peers/data --missing 0.95 0.99 --seeds 3

A folder holds `train.csv`, `val.csv` (image, audio, label; an empty cell is missing), `test.csv`, `test_half.csv` (half of the
images missing; no label), the files they name, and `embeddings.npz` ({split}_image and {split}_audio, NaN where missing, and
labels of train and val as indices into `classes`). Images that a mask hides are not in its folder, in any form.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from gtimm import Missing, MultimodalDataset, load_dataset
from gtimm.core.registry import registry

BATCH = 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--missing", type=float, nargs="+", default=[0.95, 0.99])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    data = load_dataset("digits")
    splits = {"train": data.train, "val": data.val, "test": data.test}
    files(splits, args.out / "files")
    vectors = embedded(splits, args.out / "vectors.npz")
    np.savez(args.out / "truth.npz", val=data.val.labels, test=data.test.labels, classes=np.array(data.test.classes))
    for missing in args.missing:
        for seed in range(args.seeds):
            folder = args.out / f"{missing:g}-{seed}"
            parts = {
                "train": data.train.with_missing(Missing(image=missing, stratify=True), seed),
                "val": data.val,
                "test": data.test,
                "test_half": data.test.with_missing(Missing(image=0.5), seed),
            }
            masked(parts, vectors, args.out / "files", folder)
    return 0


def files(splits: dict[str, MultimodalDataset], out: Path) -> None:
    """Write every payload once."""
    for split, rows in splits.items():
        if (out / split / "done").exists():
            continue
        (out / split).mkdir(parents=True, exist_ok=True)
        for row in range(len(rows)):
            Image.fromarray(rows.payload("image", row)).save(out / split / f"{row:05}.png")
            samples, rate = rows.payload("audio", row)
            # Whole numbers of 16 bits, as recorders write; noise that is louder is clipped, in all contenders alike.
            soundfile.write(out / split / f"{row:05}.wav", np.clip(samples, -1, 1), rate, subtype="PCM_16")
        (out / split / "done").touch()


def embedded(splits: dict[str, MultimodalDataset], file: Path) -> dict[str, np.ndarray]:
    """Embed the written files of every row, and note the seconds an item takes."""
    if not file.exists():
        backbone = registry("backbones").create("imagebind-tiny")
        encoder = backbone.open("cpu", "float32")
        found, seconds = {}, {}
        for kind, ending in (("image", "png"), ("audio", "wav")):
            began, count = (time.perf_counter(), time.process_time()), 0
            for split, rows in splits.items():
                paths = [str(file.parent / "files" / split / f"{row:05}.{ending}") for row in range(len(rows))]
                parts = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
                found[f"{split}_{kind}"] = np.concatenate([_encode(backbone, encoder, kind, part) for part in parts])
                count += len(rows)
            seconds[kind] = [(time.perf_counter() - began[0]) / count, (time.process_time() - began[1]) / count]
        np.savez(file, **found)
        (file.parent / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    with np.load(file) as stored:
        return dict(stored)


def _encode(backbone, encoder, kind: str, paths: list[str]) -> np.ndarray:
    import torch

    return encoder.encode(kind, torch.stack([backbone.prepare(kind, path) for path in paths])).numpy()


def masked(parts: dict[str, MultimodalDataset], vectors: dict[str, np.ndarray], source: Path, folder: Path) -> None:
    """Write the folder of one mask: links to the files that it leaves, tables, embeddings."""
    if (folder / "embeddings.npz").exists():
        return
    table: dict[str, np.ndarray] = {"classes": np.array(parts["train"].classes)}
    for name, rows in parts.items():
        split = name.partition("_")[0]
        there = rows.present("image")
        (folder / split).mkdir(parents=True, exist_ok=True)
        labelled = name in ("train", "val")
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "audio", *(["label"] if labelled else [])])
            for row in range(len(rows)):
                cells = [f"{split}/{row:05}.png" if there[row] else "", f"{split}/{row:05}.wav"]
                for cell in filter(None, cells):
                    link = folder / cell
                    if not link.exists():
                        link.hardlink_to(source / cell)
                writer.writerow([*cells, *([rows.classes[rows.labels[row]]] if labelled else [])])
        table[f"{name}_image"] = np.where(there[:, None], vectors[f"{split}_image"], np.float32("nan"))
        table[f"{name}_audio"] = vectors[f"{split}_audio"]
        if labelled:
            table[f"{name}_labels"] = rows.labels
    np.savez(folder / "embeddings.npz", **table)


if __name__ == "__main__":
    sys.exit(main())
