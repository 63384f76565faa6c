"""Ratios of three modalities and more are met whenever some masks can meet them, and only then refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from gtimm import Missing, MultimodalDataset
from gtimm.core.errors import MissingnessError


def vectors(there: np.ndarray) -> MultimodalDataset:
    """Data of (modalities, rows) presence."""
    names = "abcde"[: len(there)]
    cells = {m: [[1.0] if here else None for here in row] for m, row in zip(names, there, strict=True)}
    return MultimodalDataset.from_arrays(cells, [row % 2 for row in range(there.shape[1])], kinds=dict.fromkeys(names, "vector"))


def feasible(there: np.ndarray, more: list[int]) -> bool:
    """Whether masks exist, by a largest flow: modality to each of its rows once, a row to one less than it has."""
    count, rows = there.shape
    graph = np.zeros((count + rows + 2, count + rows + 2), np.int32)
    graph[0, 1 : count + 1] = more
    graph[1 : count + 1, count + 1 : -1] = there
    graph[count + 1 : -1, -1] = np.maximum(there.sum(0) - 1, 0)
    return maximum_flow(csr_array(graph), 0, len(graph) - 1).flow_value == sum(more)


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    """Presence of one to five modalities, and how many rows each is to lose."""
    count, rows = draw(st.integers(1, 5)), draw(st.integers(1, 16))
    cells = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=count * rows, max_size=count * rows))
    there = np.array(cells).reshape(count, rows)
    there[0] |= ~there.any(0)
    return there, [draw(st.integers(0, int(row.sum()))) for row in there]


@given(tables(), st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=300)
def test_only_what_no_masks_can_meet_is_refused(table: tuple[np.ndarray, list[int]], seed: int, stratify: bool) -> None:
    there, more = table
    data, rows = vectors(there), there.shape[1]
    ratios = {m: (int((~row).sum()) + k) / rows for m, row, k in zip(data.modalities, there, more, strict=True)}
    missing = Missing(ratios, stratify=stratify)
    if len(there) > 1 and not feasible(there, more):
        with pytest.raises(MissingnessError, match="keep another modality"):
            missing.masks(data, seed)
        return
    masks = missing.masks(data, seed)
    left = there & ~np.array([masks[m] for m in data.modalities])
    assert [int(masks[m].sum()) for m in data.modalities] == more
    assert not (np.array([masks[m] for m in data.modalities]) & ~there).any()
    assert len(there) == 1 or left.any(0).all()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 20))
@settings(deadline=None)
def test_the_last_modality_nests_through_exchanges(few: int, many: int, seed: int) -> None:
    data = vectors(np.ones((3, 40), bool))
    less, more = (Missing(a=0.8, b=0.8, c=min(k, 16) / 40).masks(data, seed)["c"] for k in sorted((few, many)))
    assert not (less & ~more).any()


def test_every_row_may_keep_exactly_one_of_five() -> None:
    data = vectors(np.ones((5, 50), bool))
    sealed = data.with_missing(Missing(dict.fromkeys("abcde", 0.8)))
    assert (np.sum([sealed.present(m) for m in "abcde"], axis=0) == 1).all()


def test_where_orders_suffice_nothing_is_exchanged() -> None:
    data = vectors(np.ones((3, 60), bool))
    small, large = (Missing(a=0.3, b=0.3, c=c).masks(data, 1) for c in (0.1, 0.3))
    for m in "ab":
        np.testing.assert_array_equal(small[m], large[m])


def test_rows_that_a_column_chose_are_not_exchanged() -> None:
    data = vectors(np.ones((3, 40), bool))
    with pytest.raises(MissingnessError, match="allow_empty=True"):
        Missing(a=0.9, b=0.9, c=0.2, on=list(range(40))).masks(data, 0)
