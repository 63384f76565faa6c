"""Splits ready for a head: features of present payloads and of fills, and the place of each row among them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gtimm.core.errors import DataError
from gtimm.core.features.room import finite_rows
from gtimm.core.training.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.pool import Pool

    I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """One modality of one split.

    Attributes:
        own: (own rows, size) features of the present payloads.
        index: (rows,) position in `own`, -1 where absent.
        fills: (items, size) features of the pool's items, in the order of `pool.items`.
        pool: candidates of each row, `None` where nothing fills.
        hidden: (size,) what modality dropout puts in a hidden place; `None` leaves the place absent.
    """

    own: Tensor
    index: I64
    fills: Tensor | None = None
    pool: Pool | None = None
    hidden: Tensor | None = None


@dataclass(frozen=True)
class Split:
    """One split, ready for a head: labels (rows,) or None, and a source for each modality."""

    labels: I64 | None
    sources: dict[str, Source]

    def __len__(self) -> int:
        return len(next(iter(self.sources.values())).index)


class Tables:
    """The features of many splits as one table a modality: row 0 is zeros, and what shares memory stands once."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = splits
        self.modalities = tuple(splits[0].sources)
        self.values: dict[str, Table] = {}
        self._offsets: dict[str, dict[tuple[int, ...], int]] = {}
        for m in self.modalities:
            size = splits[0].sources[m].own.shape[1]
            parts, offsets, end = [torch.zeros(1, size)], {}, 1
            for split in splits:
                source = split.sources[m]
                for part in (source.own, source.fills, source.hidden):
                    if part is not None and _key(part) not in offsets:
                        offsets[_key(part)] = end
                        rows = part.reshape(-1, size)
                        parts.append(rows)
                        end += len(rows)
            self.values[m] = Table(parts)
            self._offsets[m] = offsets

    def of(self, splits: Sequence[Split]) -> Tables:
        """Return the same features for some of the splits, numbered anew."""
        found = copy.copy(self)
        found.splits = splits
        return found

    def first(self, which: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the places of split `which` with each hole filled by its first candidate, and its masks."""
        return self.nth(which, 0)

    def nth(self, which: int, j: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the places of split `which` with each hole filled by its candidate j (`Pool.nth`), and its masks."""
        split, rows = self.splits[which], np.arange(len(self.splits[which]))
        return self._place(which, {m: s.pool.nth(rows, j) for m, s in split.sources.items() if s.pool is not None})

    def drawn(self, which: int, random: np.random.Generator) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the places of split `which` with a fresh draw for each hole, and its masks."""
        split = self.splits[which]
        rows = np.arange(len(split))
        draws = {}
        for m, source in split.sources.items():
            u = random.random(len(split))
            if source.pool is not None:
                draws[m] = source.pool.draw(rows, u)
        return self._place(which, draws)

    def hide(self, which: int, hidden: Tensor, places: dict[str, Tensor], filled: Tensor, observed: Tensor) -> None:
        """Put the hidden value where `hidden` (rows, modalities) is True, in place; what is absent already stays so."""
        split = self.splits[which]
        for column, m in enumerate(self.modalities):
            mask = hidden[:, column] & (filled[:, column] | observed[:, column])
            value = split.sources[m].hidden
            places[m][mask] = 0 if value is None else self._offsets[m][_key(value)]
            observed[mask, column] = False
            filled[mask, column] = value is not None

    def _place(self, which: int, draws: dict[str, I64]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        split = self.splits[which]
        shape = (len(split), len(self.modalities))
        filled, observed = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        places = {}
        for column, m in enumerate(self.modalities):
            source = split.sources[m]
            there = source.index >= 0
            place = np.where(there, source.index + self._offsets[m][_key(source.own)], 0)
            observed[:, column] = torch.from_numpy(there)
            if m in draws and source.fills is not None:
                drawn = ~there & (draws[m] >= 0)
                place = np.where(drawn, draws[m] + self._offsets[m][_key(source.fills)], place)
                filled[:, column] = torch.from_numpy(drawn)
            places[m] = torch.from_numpy(place)
        return places, filled, observed


def refuse_not_finite(split: Split, what: str) -> None:
    """Raise `DataError` where a feature that a row may take is not finite."""
    for m, source in split.sources.items():
        rows = np.flatnonzero(source.index >= 0)
        bad = rows[~finite_rows(source.own.numpy())[source.index[rows]]]
        if len(bad):
            raise DataError(f"{what} {bad[0]}: the features of {m!r} are not finite ({len(bad)} rows). Check its payload.")
        if source.fills is not None and source.pool is not None:
            items = np.flatnonzero(~finite_rows(source.fills.numpy()))
            if len(items):
                raise DataError(f"Item {items[0]} that fills {m!r}: its features are not finite ({len(items)} items). Check it.")


def _key(part: Tensor) -> tuple[int, ...]:
    """Identify a tensor's memory: two views of one array stand once."""
    return part.data_ptr(), *part.shape
