"""Payloads of equal content in two splits: what leaks from training to test."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import MediaError
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset

_AT_A_TIME = 256


@dataclass(frozen=True)
class Duplicates:
    """Equal payloads of one modality in two splits.

    Attributes:
        modality: whose payloads.
        first: the earlier split, of `train`, `val`, `test`.
        second: the later one.
        rows: rows of the later split whose payload is also in the earlier one.
        examples: some pairs of rows, (of the first, of the second), by the names that their tables give them.
    """

    modality: str
    first: str
    second: str
    rows: int
    examples: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        verb = "has" if self.rows == 1 else "have"
        return f"{counted(self.rows, 'row')} of {self.second} {verb} the {self.modality} of a row of {self.first}"


def find_duplicates(parts: Mapping[str, MultimodalDataset], examples: int = 3) -> list[Duplicates]:
    """Return the payloads of equal content in two data sets, by modality and pair; sealed ones are not read."""
    names = list(parts)
    result = []
    for modality in dict.fromkeys(m for part in parts.values() for m in part.modalities):
        having = {name: part for name, part in parts.items() if modality in part.modalities}
        rows = _candidates(having, modality)
        total = sum(map(len, rows.values()))
        with progress_bar(f"Comparing {modality}", total, "payloads") as advance:
            keys = {name: _keys(having[name], modality, rows[name], advance) for name in having}
        for place, first in enumerate(names):
            for second in names[place + 1 :]:
                earlier: dict[bytes, int] = {}
                for row, key in keys.get(first, {}).items():
                    earlier.setdefault(key, row)
                pairs = [(earlier[key], row) for row, key in keys.get(second, {}).items() if key in earlier]
                if pairs:
                    one, other = having[first].row_names, having[second].row_names
                    shown = tuple((one.within(before), other.within(row)) for before, row in pairs[:examples])
                    result.append(Duplicates(modality, first, second, len(pairs), shown))
    return result


def _candidates(parts: Mapping[str, MultimodalDataset], modality: str) -> dict[str, list[int]]:
    """Return the rows that may have an equal in another split: files only where another split has one of their size."""
    sizes: dict[str, dict[int, int | None]] = {}
    for name, part in parts.items():
        rows = np.flatnonzero(part.present(modality)).tolist()
        text = part.kind(modality) == "text"
        sizes[name] = {row: None if text else _size(part.payload(modality, row)) for row in rows}
    splits_with: Counter[int] = Counter()
    for found in sizes.values():
        splits_with.update({size for size in found.values() if size is not None})
    return {name: [row for row, size in found.items() if size is None or splits_with[size] > 1] for name, found in sizes.items()}


def _size(payload: Any) -> int | None:
    if isinstance(payload, bytes):
        return len(payload)
    if isinstance(payload, (str, os.PathLike)):
        try:
            return os.path.getsize(payload)
        except OSError:
            return None
    return None


def _keys(data: MultimodalDataset, modality: str, rows: Sequence[int], advance: Any) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for start in range(0, len(rows), _AT_A_TIME):
        part = rows[start : start + _AT_A_TIME]
        for row in part:
            try:
                found[row] = data.keys(modality, np.array([row]))[0]
            except MediaError:  # a file that vanished: what is unreadable is another question
                continue
        advance(len(part))
    return found


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural but for one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
