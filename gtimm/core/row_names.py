"""How messages name the rows of a data set: as the table that they come from does, also after splitting and choosing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    Ints = NDArray[np.int64]

LINE = "line"
"""Name of the index of tables that are read from lines: an index of line numbers, counted from 1 with the header."""
LISTED = 20
"""Faults of one kind that a message lists."""


@dataclass(frozen=True)
class RowNames:
    """Names of rows: `Row 604` for the index of a DataFrame, `rows.csv, line 234` for the line of a file.

    Attributes:
        labels: what is indexed by a row, or by an array of rows, and gives what the table calls them; `None`: their places from 0.
        tables: what stands before a label, such as `"row "` or `"rows.csv, line "`.
        table: (rows,) which of `tables` each row is of; `None`: the first.

    Example:
        >>> names = RowNames(np.array([2, 3, 7]), ("rows.csv, line ",))
        >>> names[2], names.pick(np.array([1]))[0], RowNames()[5]
        ('rows.csv, line 7', 'rows.csv, line 3', 'Row 5')
    """

    labels: Any = None
    tables: tuple[str, ...] = ("row ",)
    table: Ints | None = None

    @classmethod
    def of(cls, frame: DataFrame, file: str = "") -> RowNames:
        """Return the names that a DataFrame's index gives, their places where it repeats one, after the name of its file."""
        unique = frame.index.is_unique
        unit = "row at position " if not unique else f"{LINE} " if frame.index.name == LINE else "row "
        return cls(frame.index if unique else None, (f"{file}, {unit}" if file else unit,))

    @classmethod
    def joined(cls, parts: Sequence[RowNames], sizes: Sequence[int]) -> RowNames:
        """Return the names of the rows of several tables below one another, each as `of` gives them."""
        every = [np.arange(size) if part.labels is None else part.labels for part, size in zip(parts, sizes, strict=True)]
        labels = np.concatenate([np.asarray(one) for one in every])
        return cls(labels, tuple(part.tables[0] for part in parts), np.repeat(np.arange(len(parts)), sizes))

    def pick(self, rows: Ints) -> RowNames:
        """Return the names of chosen rows."""
        return replace(
            self,
            labels=rows if self.labels is None else self.labels[rows],
            table=None if self.table is None else self.table[rows],
        )

    def within(self, row: int) -> str:
        """Return the name of a row as it stands within a sentence: `row 604`."""
        label = row if self.labels is None else self.labels[row]
        label = label.item() if isinstance(label, np.generic) else label
        return f"{self.tables[0 if self.table is None else self.table[row]]}{label!r}"

    def __getitem__(self, row: int) -> str:
        """Return the name of a row as it begins a sentence: `Row 604`."""
        name = self.within(row)
        return name[0].upper() + name[1:] if name.startswith(("row ", f"{LINE} ")) else name


PLACES = RowNames()
"""Names of rows that no table names: their places from 0."""


def listed(rows: Iterable[int], message: Callable[[int], str]) -> str:
    """Return the messages of faulty rows of one kind, a line each: of `LISTED` rows, and how many more there are."""
    every = sorted(rows)
    lines = [message(row) for row in every[:LISTED]]
    if len(every) > LISTED:
        lines.append(f"... and {len(every) - LISTED:,} more like these.")
    return "\n".join(lines)
