"""Vectors that the user already has, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from gtimm.core.backbone import Backbone
from gtimm.core.errors import MediaError
from gtimm.core.media import Payload, describe
from gtimm.core.plugin import Depth, Info

if TYPE_CHECKING:
    from torch import Tensor


class Precomputed(Backbone):
    """Embeddings made elsewhere: a payload of kind `vector` is its own feature, in float32.

    Attributes:
        dim: numbers in every vector.

    Example:
        >>> Precomputed(dim=2).embed({"vector": [[1.0, 3.0]]})["vector"].tolist()
        [[1.0, 3.0]]
    """

    info: ClassVar[Info] = Info(kinds=("vector",))

    dim: int = Field(ge=1)

    def fingerprint(self) -> str:
        """Changes with the length only."""
        return f"precomputed-1-{self.dim}"

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Return `dim`."""
        self.check_kind(kind)
        return self.dim

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Return (dim,) float32.

        Raises:
            MediaError: not numbers, another length, NaN, infinite, or too large for float32.
        """
        import torch

        try:
            vector = np.asarray(payload)
            numbers = vector.dtype.kind in "fiub"
        except (TypeError, ValueError):
            numbers = False
        if not numbers:
            raise MediaError(f"A vector must be {self.dim} numbers; found {describe(payload)}.")
        if vector.shape != (self.dim,):
            raise MediaError(
                f"A vector must have shape ({self.dim},); found shape {vector.shape}. Mend the row, or set the backbone's dim."
            )
        with np.errstate(over="ignore"):
            single = np.array(vector, dtype=np.float32)
        if len(bad := np.flatnonzero(~np.isfinite(single))):
            raise MediaError(
                f"A vector must be finite; found {vector[bad[0]]} at position {bad[0]} ({len(bad)} such). Mend the row or leave it empty."
            )
        return torch.from_numpy(single)

    def open(self, device: str = "cpu", dtype: str = "float32") -> PrecomputedEncoder:
        """Return the encoder; there is nothing to load."""
        return PrecomputedEncoder(dtype)


class PrecomputedEncoder:
    """Hands vectors through."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """(n, dim) -> (n, dim)."""
        import torch

        found: Tensor = batch.to(getattr(torch, self._dtype))
        return found
