"""What the tests of CLIP share: small inputs, a backbone from a folder, and a distance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gtimm.backbones.clip import Clip

TEXTS = ["a flooded street", "", "Rescue teams bring 200 people to safety #storm &amp; “thanks”"]


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest distance of a row, relative to the norm of the expected row."""
    return float(((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max())


def pictures(count: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + 11 * i, 70 - 9 * i, 3)).astype(np.uint8) for i in range(count)]


def clip(folder: Path, **options: Any) -> Clip:
    return Clip(model=f"local-dir:{folder}", **options)
