"""Exact ratios for three modalities and more: rows give one modality back so that another can vanish from them.

Masks that nest in all ratios at once exist for two modalities only. A mask that nests in every ratio depends on its own alone, so
each modality has one order of the rows; that no row loses all M of them, whenever the ratios sum to M - 1 at most, asks of every row
that its places in the M orders sum to more than (M - 1) * rows. On average they sum to M * (rows + 1) / 2, which is less from M = 3 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]
    Rows = NDArray[np.int64]


def exchange(present: Mapping[str, Bool], natural: Mapping[str, Bool], name: str, wanted: int, order: Rows) -> int:
    """Take a modality from more rows where none can lose it any more and keep another; every other count stays as it is.

    Along the shortest augmenting paths (Edmonds and Karp 1972): a row that has only `name` left gets one of its sealed modalities
    back, which vanishes from another row instead, there perhaps in exchange for a third. So only what no masks can meet stays short.
    What vanishes of `name` for a small `wanted` does for a larger one too.

    Args:
        present: by modality (rows,), what is left; changed in place.
        natural: by modality (rows,), what the data has.
        name: the modality.
        wanted: from how many more rows it is to vanish.
        order: (rows,) the rows in the order in which they are taken.

    Returns:
        From how many of them it could not.
    """
    while wanted and (path := _path(present, natural, name)):
        steps = [np.flatnonzero(rows[order])[:wanted] for _, rows, _ in path]
        count = min(len(rows) for rows in steps)
        for (lost, _, back), places in zip(path, steps, strict=True):
            rows = order[places[:count]]
            present[lost][rows] = False
            if back is not None:
                present[back][rows] = True
        wanted -= count
    return wanted


def _path(present: Mapping[str, Bool], natural: Mapping[str, Bool], name: str) -> list[tuple[str, Bool, str | None]]:
    """Return the steps of a shortest exchange: what is lost, the rows that can lose it, and what they get back; empty if there is none."""
    left = np.sum(list(present.values()), axis=0)
    paths: dict[str, list[tuple[str, Bool, str | None]]] = {name: []}
    waiting = [name]
    for lost in waiting:  # grows meanwhile
        if (free := present[lost] & (left > 1)).any():
            return [*paths[lost], (lost, free, None)]
        for back in present:
            rows = present[lost] & natural[back] & ~present[back]
            if back not in paths and rows.any():
                paths[back] = [*paths[lost], (lost, rows, back)]
                waiting.append(back)
    return []
