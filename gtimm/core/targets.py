"""Labels: a class for each row, or for multi-label data a set of classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtimm.core.errors import DataError, did_you_mean
from gtimm.core.row_names import PLACES, RowNames, listed

Labels = NDArray[Any]
"""(rows,) int64 class indices; for multi-label data (rows, classes) bool, True where a row has the class."""


def is_missing(value: Any) -> bool:
    """Return whether a cell is a hole: None, NaN, pandas' NA and NaT, or text that is empty or blank."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return type(value).__name__ in ("NAType", "NaTType")


def looks_empty(text: str) -> bool:
    """Return whether a text is how programs write a hole, such as `"nan"` or `"NULL"`. It is text all the same."""
    return text.strip().lower() in ("nan", "na", "n/a", "null", "none", "<na>", "nat", "#n/a")


def encode_labels(
    labels: Sequence[Any] | NDArray[Any] | None, classes: Sequence[str] | None, rows: RowNames = PLACES
) -> tuple[Labels | None, tuple[str, ...]]:
    """Return labels as arrays and the class names, sorted where they were not given.

    Args:
        labels: names or indices into `classes`. Multi-label: a list, set or array of them for each row (it may be empty), or a
            (rows, classes) array of 0 and 1.
        classes: class names in order.
        rows: names of the rows, for messages.

    Raises:
        DataError: a row without a label, with one outside the classes or one that is a fraction; a number that is spelt in two ways.

    Warns of classes that differ in case or spaces alone, and of one that is a hole written out as text.
    """
    if labels is None:
        return None, tuple(classes or ())
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        return _indicators(labels, classes, rows)
    values = list(labels)
    if empty := [row for row, value in enumerate(values) if is_missing(value)]:
        raise DataError(
            listed(empty, lambda row: f"{rows[row]} has no label. Drop the row, or pass label=None for data to predict.")
        )
    if any(_is_set(value) for value in values):
        return _sets(values, classes, rows)
    return _codes(values, classes, rows.__getitem__)


def label_groups(labels: Labels, classes: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return (rows,) the group of each row and the groups' names: its class, or for multi-label data its set of classes.

    A set is named by its classes, `"comedy, drama"`; the empty one is `"none"`.
    """
    if labels.ndim == 1:
        return labels, tuple(classes)
    found, groups = np.unique(labels, axis=0, return_inverse=True)
    names = tuple(", ".join(np.array(classes, object)[row]) or "none" for row in found)
    return groups.reshape(-1).astype(np.int64), names


def class_names(labels: Labels, classes: Sequence[str], row: int) -> Any:
    """Return the class name of one row, or the list of its class names."""
    if labels.ndim == 1:
        return classes[labels[row]]
    return [name for name, there in zip(classes, labels[row], strict=True) if there]


def _is_set(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _indicators(labels: NDArray[Any], classes: Sequence[str] | None, rows: RowNames) -> tuple[Labels, tuple[str, ...]]:
    names = tuple(str(c) for c in classes) if classes is not None else tuple(str(i) for i in range(labels.shape[1]))
    _distinct(names)
    if len(names) != labels.shape[1]:
        raise DataError(f"The labels have {labels.shape[1]} columns and there are {len(names)} classes. Give one column a class.")
    wrong = np.argwhere(~np.isin(labels, (0, 1)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise DataError(f"{rows[row]}: class {names[column]!r} must be 0 or 1; found {labels[row, column]!r}.")
    return labels.astype(bool), names


def _sets(values: list[Any], classes: Sequence[str] | None, rows: RowNames) -> tuple[Labels, tuple[str, ...]]:
    for row, value in enumerate(values):
        if not _is_set(value):
            raise DataError(f"{rows[row]}: other rows have a list of labels; found {value!r}. Write [{value!r}].")
    members = [list(value) for value in values]
    of = [row for row, names in enumerate(members) for _ in names]
    if not of:
        raise DataError("No row has a label: every list of labels is empty.")
    codes, names = _codes([name for row in members for name in row], classes, lambda place: rows[of[place]])
    found = np.zeros((len(values), len(names)), bool)
    found[of, codes] = True
    return found, names


def _codes(values: list[Any], classes: Sequence[str] | None, name_of: Callable[[int], str]) -> tuple[Labels, tuple[str, ...]]:
    """Return the class index of each value; `name_of` gives the name of its row, for messages."""
    for place, value in enumerate(values):
        if not isinstance(value, Hashable):
            raise DataError(f"{name_of(place)}: a label is text or a whole number; found {value!r}. Write the name of its class.")
        if isinstance(value, (float, np.floating)):
            raise DataError(
                f"{name_of(place)}: label {float(value)!r} is a fraction, so labels were read as floats, as whole numbers are beside empty "
                "cells. Read the column as text (dtype=str), or as integers (astype('Int64'))."
            )
    if classes is None:
        names = tuple(str(v) for v in sorted(set(values), key=lambda v: (isinstance(v, str), v)))
        _distinct(names)
        _check_spelling(names)
        index = {name: i for i, name in enumerate(names)}
        return np.array([index[str(v)] for v in values], np.int64), names
    names = tuple(str(c) for c in classes)
    _distinct(names)
    index = {name: i for i, name in enumerate(names)}
    by_name = np.array([index.get(str(value), -1) for value in values], np.int64)
    whole = [isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values]
    by_index = np.array([int(v) if w and 0 <= v < len(names) else -1 for v, w in zip(values, whole, strict=True)], np.int64)
    if (by_name >= 0).all() and (by_index >= 0).all() and (by_name != by_index).any():
        raise DataError(
            f"Are the labels names or indices? They are whole numbers, and so are class names ({names[0]!r}, ...); pass strings."
        )
    result = by_index if (by_index >= 0).sum() > (by_name >= 0).sum() or (by_index >= 0).all() else by_name
    if (outside := np.flatnonzero(result < 0)).size:
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")

        def fault(place: int) -> str:
            near = did_you_mean(str(values[place]), names)
            return f"{name_of(place)}: label {values[place]!r} is outside the classes ({known}).{near}"

        raise DataError(listed({str(values[place]): place for place in outside[::-1].tolist()}.values(), fault))
    return result, names


def _check_spelling(names: Sequence[str]) -> None:
    """Raise for numbers in two spellings, and warn of what is one class to the eye, or none."""
    known = set(names)
    for name in names:
        if name.endswith(".0") and name[:-2] in known:
            raise DataError(
                f"Classes {name[:-2]!r} and {name!r} are one number in two spellings. Make labels of one type and spelling."
            )
    alike: dict[str, str] = {}
    for name in names:
        other = alike.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            warnings.warn(
                f"Classes {other!r} and {name!r} differ in case or spaces alone. If they are one, mend the labels.",
                RuntimeWarning,
                stacklevel=5,
            )
        if looks_empty(name):
            warnings.warn(
                f"A class is called {name!r}, which looks like a hole written out as text. Drop those rows, or pass label=None.",
                RuntimeWarning,
                stacklevel=5,
            )


def _distinct(names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise DataError(
            f"Class names repeat: {sorted({c for c in names if names.count(c) > 1})}. Make labels of one type and spelling."
        )
