"""What the cells of a column may hold: texts, ids, payloads that decode."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import ConfigError, DataError
from gtimm.core.payloads import present_of, without
from gtimm.core.readable import faults
from gtimm.core.row_names import PLACES, RowNames
from gtimm.core.targets import is_missing, looks_empty

if TYPE_CHECKING:
    from gtimm.core.media import Payload

SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d{2,}")
"""How spreadsheets write a number of many digits."""
_LONGEST_HOLE = 8  # letters


def texts_of(cells: Sequence[Payload], modality: str, rows: RowNames) -> list[str | None]:
    """Return the cells of a column of text, holes as `None`; raises `DataError` for anything else."""
    for row, cell in enumerate(cells):
        if not isinstance(cell, str) and not is_missing(cell):
            raise DataError(
                f"{rows[row]}, modality {modality!r}: text must be a string; found {cell!r}. Read the column as text."
            )
    return [None if is_missing(cell) else cell for cell in cells]


def warn_of_holes(cells: Sequence[str | None], column: str, rows: RowNames) -> None:
    """Warn of cells such as `nan`, which are text here and were a hole in the program that wrote them."""
    found = [row for row, cell in enumerate(cells) if cell is not None and len(cell) < _LONGEST_HOLE and looks_empty(cell)]
    if found:
        warnings.warn(
            f"{len(found):,} cells of column {column!r} are {cells[found[0]]!r} or the like, the first in {rows.within(found[0])}. They "
            "are taken as text; if they are holes, leave the cells empty.",
            RuntimeWarning,
            stacklevel=4,
        )


def check_unreadable(unreadable: str) -> None:
    """Raise `ConfigError` for a word that says nothing of unreadable payloads."""
    if unreadable not in ("error", "missing"):
        raise ConfigError(f"unreadable= must be 'error' or 'missing'; found {unreadable!r}.")


def check_ids(column: str, cells: Sequence[Any], rows: RowNames = PLACES, *, whole: str, drop: str) -> None:
    """Raise `DataError` for ids that are not there, that stand twice or that were read as floats.

    Args:
        column: where they are.
        cells: the ids.
        rows: their names, for messages.
        whole: how to mend ids read as floats, for the message.
        drop: how to drop rows whose id stands twice.
    """
    first: dict[Any, int] = {}
    again: dict[int, int] = {}
    for row, cell in enumerate(cells):
        if isinstance(cell, (float, np.floating)) and not is_missing(cell):
            raise DataError(
                f"Column {column!r} holds fractions ({float(cell)!r} in {rows.within(row)}): ids were read as floats and may have lost "
                f"digits. {whole}"
            )
        if isinstance(cell, str) and SHORTENED.fullmatch(cell.strip()):
            raise DataError(
                f"{rows[row]}: the id {cell!r} of column {column!r} is a number that a spreadsheet shortened, and has lost digits. Take "
                "the table from its source, and have the spreadsheet read the column as text."
            )
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise DataError(f"{rows[row]} has no id: column {column!r} is empty there.")
        if (before := first.setdefault(cell, row)) != row:
            again[row] = before
    if again:
        row = min(again)
        raise DataError(
            f"{rows[again[row]]} and {rows.within(row)} have one id, {cells[row]!r}; {len(again):,} rows repeat an id of column "
            f"{column!r}. Drop them ({drop}), or leave id= out."
        )


def take_out_damaged(
    payloads: dict[str, Sequence[Payload]],
    kinds: Mapping[str, str],
    rows: RowNames = PLACES,
    absent: Mapping[str, dict[int, str]] | None = None,
) -> dict[str, dict[int, str]]:
    """Make holes of what cannot be decoded; return for each modality row to reason, those whose file is `absent` among them."""
    damaged = {}
    for modality, cells in payloads.items():
        there = np.flatnonzero(present_of(cells)).tolist()
        gone = (absent or {}).get(modality, {})
        if found := dict(sorted((gone | faults(kinds[modality], there, cells.__getitem__, f"Decoding {modality}")).items())):
            payloads[modality] = without(cells, found)
            damaged[modality] = found
            warnings.warn(
                f"{len(found):,} of {len(there) + len(gone):,} payloads of {modality!r} cannot be read and are taken as missing, the first "
                f"in {rows.within(min(found))}: {found[min(found)]} The data set's `unreadable` lists all; in a shell, gtimm check data.",
                RuntimeWarning,
                stacklevel=4,
            )
    return damaged
