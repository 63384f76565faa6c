"""A backbone: how often each brightness occurs, colour by colour. It has no weights."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gtimm.core.backbone import Backbone
from gtimm.core.media import Payload, load_image
from gtimm.core.plugin import Depth, Info

VERSION = 1  # of the arithmetic: count it up when a feature changes, or old features stay in people's stores


class ColourHistogram(Backbone):
    """Shares of the pixels by brightness, of red, green and blue.

    Attributes:
        bins: steps of brightness; a feature has three times as many numbers.
    """

    info: ClassVar[Info] = Info(kinds=("image",), licence="Apache-2.0")

    bins: int = Field(default=16, ge=2, le=256)

    def fingerprint(self) -> str:
        """Change with all that changes a feature."""
        return f"colour-histogram-{VERSION}-{self.bins}"

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Return the length of a feature."""
        self.check_kind(kind)
        return 3 * self.bins

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Return (3, bins) float32 shares; pictures of any size, form and mode come as (height, width, 3) uint8."""
        pixels = np.asarray(load_image(payload))
        counts = [np.histogram(pixels[..., channel], self.bins, (0, 256))[0] for channel in range(3)]
        return torch.tensor(np.array(counts) / pixels[..., 0].size, dtype=torch.float32)

    def open(self, device: str = "cpu", dtype: str = "float32") -> ColourHistogram:
        """Return what encodes: itself, as there are no weights to load."""
        return self

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """(n, 3, bins) -> (n, 3 * bins)."""
        return batch.flatten(1).clone()
