"""Pools say who may take what: draws, budgets and constructors against brute force."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import PluginError
from gtimm.core.pool import Features, Payloads, Pool, Request, Rows


def items(count: int) -> Features:
    return Features(np.zeros((count, 2), np.float32))


@st.composite
def classed(draw: st.DrawFn) -> tuple[Pool, list[list[int]]]:
    """A pool by class, and the candidates of each row by brute force."""
    classes = draw(st.integers(1, 5))
    owners = draw(st.lists(st.integers(0, classes - 1), max_size=20))
    rows = draw(st.lists(st.integers(-1, classes - 1), min_size=1, max_size=15))
    pool = Pool.by_class(items(len(owners)), np.array(owners, np.int64), np.array(rows), classes)
    return pool, [[i for i, owner in enumerate(owners) if owner == row] for row in rows]


def candidates(pool: Pool) -> list[list[int]]:
    return [[] if g < 0 else pool.members[pool.start[g] : pool.start[g + 1]].tolist() for g in pool.group]


@given(classed())
def test_a_row_may_take_the_items_of_its_class_in_order(case: tuple[Pool, list[list[int]]]) -> None:
    pool, expected = case
    assert candidates(pool) == expected
    assert pool.counts().tolist() == [len(c) for c in expected]


@given(classed(), st.integers(0, 6))
def test_first_keeps_the_first_candidates_of_each_row(case: tuple[Pool, list[list[int]]], m: int) -> None:
    pool, expected = case
    assert candidates(pool.first(m)) == [c[:m] for c in expected]


@given(classed(), st.integers(0, 9))
def test_candidate_j_comes_in_turn(case: tuple[Pool, list[list[int]]], j: int) -> None:
    pool, expected = case
    found = pool.nth(np.arange(len(pool.group)), j).tolist()
    assert found == [own[j % len(own)] if own else -1 for own in expected]


@given(classed(), st.floats(0, 1, exclude_max=True, width=32))
def test_a_draw_cuts_the_unit_interval_into_equal_parts(case: tuple[Pool, list[list[int]]], u: float) -> None:
    pool, expected = case
    drawn = pool.draw(np.arange(len(expected)), np.full(len(expected), u, np.float32))
    assert drawn.tolist() == [c[int(u * len(c))] if c else -1 for c in expected]


@given(classed())
def test_used_is_the_union_of_the_candidates(case: tuple[Pool, list[list[int]]]) -> None:
    pool, expected = case
    rows = np.arange(0, len(expected), 2)
    assert pool.used(rows).tolist() == sorted({i for r in rows for i in expected[r]})


def test_the_union_of_many_groups_takes_little_longer_than_a_budget() -> None:
    rows = np.arange(200_000)
    pool = Pool.own(items(len(rows)), rows, len(rows))

    def seconds(work: Callable[[], Any]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    budget = min(seconds(lambda: pool.first(1)) for _ in range(5))
    assert min(seconds(lambda: pool.used(rows)) for _ in range(5)) < 10 * budget


@given(classed())
def test_default_goes_to_the_named_rows_only(case: tuple[Pool, list[list[int]]]) -> None:
    pool, expected = case
    bare = np.flatnonzero(pool.counts() == 0)
    more = Pool(items(len(pool.items) + 1), pool.group, pool.start, pool.members).with_default(bare, len(pool.items))
    assert candidates(more) == [c or [len(pool.items)] for c in expected]


@given(st.lists(st.floats(0, 5, width=32), min_size=1, max_size=6), st.floats(0, 1, exclude_max=True))
def test_weights_cut_the_unit_interval_in_proportion(weights: list[float], u: float) -> None:
    total = float(np.sum(np.array(weights, np.float32), dtype=np.float64))
    if total < 1e-3:
        return
    pool = Pool.constant(items(len(weights)), 1)
    weighted = Pool(pool.items, pool.group, pool.start, pool.members, np.array(weights, np.float32))
    found = int(weighted.draw(np.zeros(1, np.int64), np.array([u]))[0])
    ends = np.cumsum(np.array(weights, np.float32), dtype=np.float64) / total
    begin = 0.0 if found == 0 else ends[found - 1]
    assert begin - 1e-9 <= u <= ends[found] + 1e-9


def test_weights_are_read_within_the_group() -> None:
    pool = Pool.by_class(items(4), np.array([0, 0, 1, 1]), np.array([0, 1]), 2)
    weighted = Pool(pool.items, pool.group, pool.start, pool.members, np.array([9, 1, 1, 9], np.float32))
    u = np.array([0.5, 0.5])
    assert weighted.draw(np.arange(2), u).tolist() == [0, 3]
    assert weighted.draw(np.arange(2), np.array([0.95, 0.05])).tolist() == [1, 2]


def test_every_row_shares_constant_items() -> None:
    assert candidates(Pool.constant(items(2), 3)) == [[0, 1]] * 3


def test_own_items_belong_to_one_row() -> None:
    assert candidates(Pool.own(items(4), np.array([2, 0, 2, 0]), 3)) == [[1, 3], [], [0, 2]]


def test_row_pools_hold_training_rows() -> None:
    pool = Pool.rows(np.array([5, 7, 9]), np.array([1, 0, 1]), np.array([0, 1, 2]), 3)
    assert isinstance(pool.items, Rows)
    assert candidates(pool) == [[1], [0, 2], []]


def test_draws_are_uniform() -> None:
    pool = Pool.constant(items(5), 1)
    u = (np.arange(1000) + 0.5) / 1000
    drawn = pool.draw(np.zeros(1000, np.int64), u)
    assert np.bincount(drawn).tolist() == [200] * 5


def test_a_pool_of_nothing_draws_nothing() -> None:
    pool = Pool.by_class(Payloads([]), np.empty(0, np.int64), np.array([0, 1]), 2)
    assert pool.draw(np.arange(2), np.zeros(2)).tolist() == [-1, -1]
    assert pool.used(np.arange(2)).tolist() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": np.array([], np.int64)}, "start is empty"),
        ({"start": np.array([1, 3])}, "does not begin at 0"),
        ({"start": np.array([0, 3, 2, 3])}, "descends"),
        ({"start": np.array([0, 2])}, "ends at 2"),
        ({"group": np.array([0, 1], np.int32)}, "group is outside"),
        ({"group": np.array([-2], np.int32)}, "group is outside"),
        ({"members": np.array([0, 1, 3])}, "members are outside"),
        ({"members": np.array([-1, 1, 2])}, "members are outside"),
        ({"weights": np.ones(2, np.float32)}, "differ in length"),
        ({"weights": np.array([1, -1, 1], np.float32)}, "negative or NaN"),
        ({"weights": np.array([1, np.nan, 1], np.float32)}, "negative or NaN"),
    ],
)
def test_invalid_pools_are_refused(changes: dict[str, Any], reason: str) -> None:
    parts: dict[str, Any] = {"group": np.zeros(2, np.int32), "start": np.array([0, 3]), "members": np.arange(3)}
    Pool(items(3), **parts)
    with pytest.raises(PluginError, match=reason):
        Pool(items(3), **{**parts, **changes})


def test_a_request_is_known_by_what_changes_its_item() -> None:
    one = Request("image", "a cat", 3, 7.5, label="cat")
    key = one.key("model-1")
    assert len(key) == 32
    assert Request("image", "a cat", 3, 7.5, label="feline").key("model-1") == key
    others = [
        Request("audio", "a cat", 3, 7.5),
        Request("image", "a dog", 3, 7.5),
        Request("image", "a cat", 4, 7.5),
        Request("image", "a cat", 3, 7.0),
        Request("image", "a cat", 3, 7.5, init="00"),
    ]
    assert len({key, one.key("model-2"), *(other.key("model-1") for other in others)}) == 7
