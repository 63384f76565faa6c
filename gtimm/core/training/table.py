"""Features of one modality as a head's batches read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from gtimm.core.features import room


class Table:
    """(places, size) features, in one piece of memory, or in several where a copy into one would be large.

    Args:
        parts: (n, size) features, one after another; where all are small they are copied together.

    Attributes:
        pieces: (n, size) features, one after another.
        size: of a vector.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.pieces: list[Tensor] = []
        for large, some in groupby(parts, lambda part: part.nbytes > room.LARGE):
            group = list(some)
            self.pieces += group if large else [torch.cat(group)]
        self.size = self.pieces[0].shape[1]
        self._starts = np.cumsum([0, *(len(piece) for piece in self.pieces[:-1])]).tolist()
        self._ends = torch.tensor([*self._starts[1:], self._starts[-1] + len(self.pieces[-1])])

    def take(self, places: Tensor, out: Tensor | None = None) -> Tensor:
        """Return (*places.shape, size) features at `places`.

        Args:
            places: of any shape.
            out: (places, size) memory for them.
        """
        flat = places.reshape(-1)
        if len(self.pieces) == 1:
            found = torch.index_select(self.pieces[0], 0, flat, out=out)
        else:
            found = self.pieces[0].new_empty(len(flat), self.size) if out is None else out
            which = torch.bucketize(flat, self._ends, right=True)
            for number, (piece, start) in enumerate(zip(self.pieces, self._starts, strict=True)):
                rows = (which == number).nonzero().flatten()
                found.index_copy_(0, rows, piece.index_select(0, flat[rows] - start))
        return found.view(*places.shape, self.size)

    def finite(self) -> bool:
        """Return whether all of it is finite."""
        return all(bool(piece.sum().isfinite()) for piece in self.pieces)
