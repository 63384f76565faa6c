"""Embedding 640x480 JPEGs with a ViT-B/32 (CLIP's size, random weights) against what encoding and decoding allow.

Each turn measures, on the same cores, encoding alone (items ready in memory, the same batches, large products by oneDNN as gtimm has
them), decoding and preprocessing alone (one core), and gtimm's whole way from files to stored features. The last line is the rate
over 1 / (1 / encoder rate + decode seconds / cores), the physical limit where both share the cores: nothing decodes or encodes faster
than alone. No draft decoding: every pixel of the JPEG is decoded.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gtimm import MultimodalDataset
from gtimm.core.backbone import Backbone
from gtimm.core.features.workers import cores
from gtimm.core.media import load_image
from gtimm.core.plugin import Info
from gtimm.core.products import FastLinears
from gtimm.core.workspace import Workspace

IMAGES, TURNS, BATCH, EXPECTED = 96, 4, 64, 0.97


class VitB32(Backbone):
    """open_clip's ViT-B-32 with random weights."""

    info: ClassVar[Info] = Info(kinds=("image",))

    def fingerprint(self) -> str:
        """Name the encoder."""
        return "benchmark-vit-b-32"

    def size(self, kind: str, depth: str = "pooled") -> int:
        """Return 512."""
        return 512

    def prepare(self, kind: str, payload: Any) -> Tensor:
        """Decode, scale and normalise, as open_clip does."""
        return transform()(load_image(payload))

    def open(self, device: str = "cpu", dtype: str = "float32") -> VitB32:
        """Return itself."""
        return self

    def encode(self, kind: str, batch: Tensor, depth: str = "pooled") -> Tensor:
        """Encode a batch."""
        return MODEL[0].encode_image(batch)


MODEL: list[Any] = []
TRANSFORM: list[Any] = []


def transform() -> Any:
    if not TRANSFORM:
        from open_clip.transform import image_transform

        TRANSFORM.append(image_transform(224, is_train=False))
    return TRANSFORM[0]


def jpegs(folder: Path, turn: int) -> list[str]:
    """Gradients with noise, as large in bytes as photographs of that size."""
    from PIL import Image

    random, paths = np.random.default_rng(turn), []
    y, x = np.mgrid[:480, :640]
    for i in range(IMAGES):
        angle = random.random(3) * 6
        wave = 128 + 90 * np.sin((x[..., None] * np.cos(angle) + y[..., None] * np.sin(angle)) / 40)
        pixels = wave + random.normal(0, 12, (480, 640, 1))
        paths.append(str(folder / f"{turn}-{i}.jpg"))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def batches(items: Tensor) -> Iterator[Tensor]:
    yield from items.split(BATCH)


def main() -> int:
    import open_clip

    torch.manual_seed(0)
    MODEL.append(open_clip.create_model("ViT-B-32", pretrained=None).eval().requires_grad_(False))
    backbone, count = VitB32(), cores()
    torch.set_num_threads(count)
    ratios = []
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        workspace = Workspace(folder / "store", "cpu")
        workspace.embed(backbone, "image", jpegs(folder, TURNS)[:BATCH])  # warms up everything
        size = 0.0
        for turn in range(TURNS):
            paths = jpegs(folder, turn)
            size = np.mean([Path(path).stat().st_size for path in paths])
            torch.set_num_threads(1)
            began = time.perf_counter()
            items = torch.stack([backbone.prepare("image", path) for path in paths[: IMAGES // 3]])
            decode = (time.perf_counter() - began) / len(items)
            torch.set_num_threads(count)
            items = items.repeat(3, 1, 1, 1)
            encode = _encoding(backbone, items)
            data = MultimodalDataset.from_arrays({"image": paths})
            began = time.perf_counter()
            workspace.column(data, "image", backbone)
            whole = time.perf_counter() - began
            encode = (encode + _encoding(backbone, items)) / 2  # before and after: the machine may not stay as fast
            plain = _encoding(backbone, items, nullcontext())
            limit = 1 / (encode / IMAGES + decode / count)
            ratios.append(IMAGES / whole / limit)
            print(
                f"encoder alone {IMAGES / encode:.1f}/s (as PyTorch has it {IMAGES / plain:.1f}/s), "
                f"decoding {1000 * decode:.1f} ms on one core, limit {limit:.1f}/s, "
                f"gtimm {IMAGES / whole:.1f}/s: {ratios[-1]:.1%}",
                flush=True,
            )
    ratio = float(np.median(ratios))
    print(f"{count} cores, JPEGs of {size / 1000:.0f} kB; {workspace.counters['embedded']} images embedded")
    print(f"embedding runs at {ratio:.3f} of what encoding and decoding allow (median of {TURNS}; at least {EXPECTED} expected)")
    return 0 if ratio >= EXPECTED else 1


def _encoding(backbone: VitB32, items: Tensor, way: AbstractContextManager[Any] | None = None) -> float:
    began = time.perf_counter()
    with way or FastLinears():
        for batch in batches(items):
            backbone.encode("image", batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
