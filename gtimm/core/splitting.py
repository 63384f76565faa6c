"""Training, validation and test rows of one table: as a column says, at random, by class, or by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.dataset import Column, MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, Together, did_you_mean
from gtimm.core.row_names import RowNames, listed
from gtimm.core.seeding import stream
from gtimm.core.tables import read_frame
from gtimm.core.targets import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    Ints = NDArray[np.int64]

DEFAULT_VAL = 0.1
DEFAULT_TEST = 0.2
SMALLEST = 5
PARTS = ("train", "val", "test")


def make_splits(
    whole: MultimodalDataset,
    val: float = DEFAULT_VAL,
    test: float = DEFAULT_TEST,
    seed: int = 0,
    *,
    stratify: bool = True,
    group: str | None = None,
) -> Splits:
    """Split rows at random in three.

    Args:
        whole: the rows.
        val: share that validates, in (0, 1).
        test: share that tests, in (0, 1).
        seed: of the order.
        stratify: keep each class's share where every class has rows enough; needs labels. Of multi-label data a class is a set of
            classes.
        group: one of the data's other columns (`extra`), such as the user: rows of one value stay together. Shares are then met as
            nearly as whole groups allow.

    Raises:
        ConfigError: shares outside (0, 1) or that leave nothing to train on, too few rows or groups, an unknown column, a row
            without a group, no labels to stratify by.
    """
    for name, share in (("val", val), ("test", test)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise ConfigError(f"{name}= is a share of the rows, between 0 and 1; found {share!r}.")
    if val + test >= 1:
        raise ConfigError(f"val={val:g} and test={test:g} leave no rows to train on; together they must be less than 1.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed= is a whole number from 0; found {seed!r}.")
    if stratify and whole.labels is None:
        raise ConfigError("Splits need labels: name the column in label, or pass stratify=False.")
    if len(whole) < SMALLEST:
        raise ConfigError(
            f"{len(whole)} rows are too few to split in three; {SMALLEST} are the least, or give the splits yourself."
        )
    classes = whole.groups()[0] if stratify else np.zeros(len(whole), np.int64)
    part = _at_random(classes, val, test, seed) if group is None else _by_group(whole, classes, val, test, seed, group)
    train, valid, tested = (whole.subset(part == index) for index in range(3))
    return Splits(train, valid, tested, facts={"name": whole.name})


def read_splits(
    frame: DataFrame,
    modalities: Mapping[str, str | Column],
    label: str | Sequence[str] | None,
    column: str,
    *,
    row_names: RowNames,
    **options: Any,
) -> Splits:
    """Read a DataFrame, a column of which says `train`, `val` or `test`; the others as of `gtimm.core.tables.read_frame`.

    Raises:
        ConfigError: the column is not there, holds another word, or one of the three in no row.
        DataError: as `read_frame`; what is wrong with the splits is said with it.
    """
    together = Together()
    with together.check():
        whole = read_frame(frame, modalities, label, row_names=row_names, **options)
    with together.check():
        part = _given(frame, column, row_names)
    together.finish()
    train, val, test = (whole.subset(part == name) for name in PARTS)
    return Splits(train, val, test, facts={"name": whole.name})


def _given(frame: DataFrame, column: str, rows: RowNames) -> NDArray[Any]:
    if column not in frame.columns:
        raise ConfigError(f"The table has no column {column!r} to split by.{did_you_mean(column, frame.columns)}")
    cells = frame[column].astype(object).to_numpy()
    if wrong := [row for row, cell in enumerate(cells) if not (isinstance(cell, str) and cell in PARTS)]:
        must = f"column {column!r} must hold 'train', 'val' or 'test'"
        raise ConfigError(listed(wrong, lambda row: f"{rows[row]}: {must}; found {cells[row]!r}. Write one of them."))
    if lacking := [name for name in PARTS if not (cells == name).any()]:
        raise ConfigError(f"Column {column!r} must hold 'train', 'val' and 'test'; it has no {', '.join(lacking)}.")
    return np.asarray(cells)


def _at_random(classes: Ints, val: float, test: float, seed: int) -> Ints:
    """Return (rows,) 0, 1, 2: training, validation, test."""
    from sklearn.model_selection import train_test_split

    part = np.zeros(len(classes), np.int64)
    rest = np.arange(len(classes))
    for index, share in ((2, test), (1, val)):
        count = max(round(share * len(classes)), 1)
        several = np.unique(classes[rest], return_counts=True)[1].min() > 1 and count >= len(np.unique(classes))
        rest, chosen = train_test_split(rest, test_size=count, random_state=seed, stratify=classes[rest] if several else None)
        part[chosen] = index
    return part


def _by_group(whole: MultimodalDataset, classes: Ints, val: float, test: float, seed: int, group: str) -> Ints:
    """Return (rows,) 0, 1, 2, equal for rows of one group."""
    cells = _cells(whole, group)
    names, member = np.unique(np.array([str(cell) for cell in cells]), return_inverse=True)
    if len(names) < len(PARTS):
        raise ConfigError(f"Column {group!r} has {len(names)} groups; a split in three needs at least three.")
    counts = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counts, (member, classes), 1)
    chosen = _assign(counts, np.array([1 - val - test, val, test]), stream(seed, "splits", group))
    result: Ints = chosen[member]
    return result


def _assign(counts: NDArray[np.float64], shares: NDArray[np.float64], random: np.random.Generator) -> Ints:
    """Assign groups to parts, one after another, to where the classes' counts stay nearest to what the shares ask for.

    As scikit-learn's StratifiedGroupKFold, large groups go first, and each to the part where the squared distance grows least; here
    parts are unequal, so distances are relative to what each part should hold, and the rows of all classes count like a class. Groups
    are ordered by size in powers of two, at random within one, so that the seed decides. The last groups go to parts still empty.

    Args:
        counts: (groups, classes) rows.
        shares: (parts,) that sum to 1.
        random: order of groups of like size.

    Returns:
        (groups,) part of each.
    """
    counts = np.hstack([counts[:, counts.sum(axis=0) > 0], counts.sum(axis=1, keepdims=True)])
    wanted = shares[:, None] * counts.sum(axis=0)  # (parts, classes)
    order = random.permutation(len(counts))
    order = order[np.argsort(-np.floor(np.log2(counts[:, -1]))[order], kind="stable")]
    have = np.zeros_like(wanted)
    chosen = np.zeros(len(counts), np.int64)
    for left, one in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        rows = counts[one]
        growth = (rows * (rows + 2 * (have - wanted)) / wanted).sum(axis=1)
        empty = have[:, -1] == 0
        if left <= empty.sum():
            growth[~empty] = np.inf
        chosen[one] = place = int(np.argmin(growth))
        have[place] += rows
    return chosen


def _cells(whole: MultimodalDataset, group: str) -> list[object]:
    if group not in whole.extra:
        known = ", ".join(whole.extra) or "none"
        raise ConfigError(
            f"group= names {group!r}, which is no other column of the data.{did_you_mean(group, whole.extra)} It has: {known}."
        )
    cells: list[object] = whole.extra[group].tolist()
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise ConfigError(
                f"{whole.row_names[row]} has no {group!r}, so its group is unknown. Fill the cell, or drop the row."
            )
    return cells
