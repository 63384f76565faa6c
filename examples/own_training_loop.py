"""Filling without gtimm's classifier: your own network, your own loop, in plain PyTorch.

`gtimm.impute` fills the holes of the training rows and nothing else. `filled.to_torch(epoch)` is a data set for `DataLoader`: each hole
holds one of its candidates, drawn afresh for each epoch, and `filled_image` says which images are fills. Here a small network learns
handwriting of which 98% of the training images are missing (2 a class are left): from those that are left, with every hole filled by a
real image of its class (hot-deck), and by generated ones. Test images are real and complete.

    python examples/own_training_loop.py
    python examples/own_training_loop.py --miniature --missing 0.9
    python examples/own_training_loop.py --export filled/     # pictures and metadata.jsonl, as other programs read them
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folders
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import gtimm
from gtimm import GtimmError, Missing, MultimodalDataset
from gtimm.core.media import load_image


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    args = parse(arguments)
    data = folders.read(args)
    missing = Missing(image=args.missing, stratify=True)
    generator = {"name": "stable-diffusion-tiny", "per_class": args.per_class}
    by_hot_deck = gtimm.impute(data.train, "hot-deck", missing, target="image", store=args.store)
    by_generation = gtimm.impute(data.train, generator, missing, target="image", store=args.store)
    print(by_generation)
    scores = {
        "the images that are left": train(by_hot_deck, data.test, args.epochs, fills=False),
        "filled by hot-deck": train(by_hot_deck, data.test, args.epochs),
        "filled by generation": train(by_generation, data.test, args.epochs),
    }
    print(f"Accuracy of a small network on {len(data.test)} real test images, {args.missing:.0%} of the training images missing:")
    for name, score in scores.items():
        print(f"  {name:25} {score:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        place = args.export or Path(folder, "filled")
        by_generation.export(place)
        lines = (place / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        print(f"Exported {len(lines)} rows to {place.name}/; the first: {json.dumps(json.loads(lines[0]))}")
    return scores


def train(filled: Any, test: MultimodalDataset, epochs: int, fills: bool = True, seed: int = 0) -> float:
    """Train a network on the images of `filled` and return its accuracy; without `fills` only on those that were there."""
    torch.manual_seed(seed)
    network = Reader()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    for epoch in range(epochs):
        rows = filled.to_torch(epoch=epoch)  # other draws in each epoch
        left = [row for row in rows if not row["filled_image"]]
        kept: Any = rows if fills else left * (len(rows) // len(left))  # as many steps for all
        order = torch.Generator().manual_seed(seed + epoch)
        for images, labels in DataLoader(kept, batch_size=64, shuffle=True, collate_fn=collate, generator=order):
            loss = nn.functional.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    network.eval()
    with torch.inference_mode():
        images = torch.stack([pixels(test.payload("image", row)) for row in range(len(test))])
        found = network(images).argmax(1)
    return float((found == torch.from_numpy(test.labels)).double().mean())


def collate(rows: list[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    """Make a batch of rows: images (rows, 1, 28, 28) and labels (rows,)."""
    return torch.stack([pixels(row["image"]) for row in rows]), torch.tensor([row["label"] for row in rows])


def pixels(payload: Any) -> Tensor:
    """Decode a payload, an array or the path of a generated file, to (1, 28, 28) in 0..1."""
    image = load_image(payload).convert("L").resize((28, 28))
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(1, 28, 28) / 255


class Reader(nn.Sequential):
    """A small convolutional network: (rows, 1, 28, 28) to (rows, 10) logits."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 7 * 7, 10),
        )  # fmt: skip


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    folders.add_options(parser)
    parser.add_argument("--missing", type=float, default=0.98, help="share of training rows without an image (default 0.98)")
    parser.add_argument("--per-class", type=int, default=20, help="generated images a class (default 20)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the training rows (default 6)")
    parser.add_argument("--export", type=Path, help="a new folder for the filled data (default: one that is removed)")
    parser.add_argument("--store", type=Path, help="folder of generated images (default GTIMM_HOME)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
