"""Plans of requests: nested, by class or by row, and each class for itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import ConfigError, IncompatibleError, PluginError
from gtimm.core.prompts import GuidanceRange, Prompts, RowPrompts, plan_requests, plan_rows, words


class Numbered(Prompts):
    extra: int = 0
    blank: bool = False

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [" " if self.blank else f"{label} {seed} {rank}" for rank in range(count + self.extra)]


class Told(RowPrompts):
    told: tuple[str | None, ...] = ()

    def texts(self, view: Any, target: str) -> list[str | None]:
        return list(self.told)

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [f"{label} {rank}" for rank in range(count)]


class Lacking:
    """A view whose rows all lack the image but some."""

    labels = None

    def __init__(self, rows: int, there: tuple[int, ...] = ()) -> None:
        self.rows, self.there = rows, there

    def kind(self, modality: str) -> str:
        return "image"

    def present(self, modality: str) -> np.ndarray:
        return np.isin(np.arange(self.rows), self.there)


names = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5, unique=True)
ranges = st.sampled_from([2.5, (1, 5), {"low": 1, "high": 5}, GuidanceRange(low=3, high=3.5)])


@given(names, st.integers(0, 6), st.integers(0, 6), ranges, st.integers(0, 10**6))
def test_budgets_are_prefixes(classes: list[str], one: int, two: int, guidance: Any, seed: int) -> None:
    small, large = sorted((one, two))
    few, _ = plan_requests(Numbered(), classes, "image", small, guidance, seed)
    many, owner = plan_requests(Numbered(), classes, "image", large, guidance, seed)
    assert many[: len(few)] == few
    assert owner == list(range(len(classes))) * large
    assert [r.label for r in many] == [classes[i] for i in owner]


@given(names, ranges, st.integers(0, 10**6))
def test_a_class_is_planned_alike_whatever_the_others(classes: list[str], guidance: Any, seed: int) -> None:
    every, _ = plan_requests(Numbered(), classes, "image", 3, guidance, seed)
    alone, _ = plan_requests(Numbered(), classes[-1:], "image", 3, guidance, seed)
    assert [r for r in every if r.label == classes[-1]] == alone
    assert len({r.seed for r in every}) == len(every)


@given(st.floats(0, 50), st.floats(0, 50), st.integers(0, 10**6))
def test_drawn_guidance_stays_in_its_range(one: float, two: float, seed: int) -> None:
    low, high = sorted((one, two))
    requests, _ = plan_requests(Numbered(), ["a", "b"], "image", 5, (low, high), seed)
    assert all(low <= r.guidance <= high for r in requests)


def test_drawn_guidance_differs_by_item_and_spreads_over_the_range() -> None:
    requests, _ = plan_requests(Numbered(), ["a", "b"], "image", 100, (1, 5), 0)
    scales = np.array([r.guidance for r in requests])
    assert len(set(scales.tolist())) > 100
    assert np.all(np.histogram(scales, 4, (1, 5))[0] > 30)
    other, _ = plan_requests(Numbered(), ["a", "b"], "image", 100, (1, 5), 1)
    assert [r.guidance for r in other] != scales.tolist()


@pytest.mark.parametrize(
    "guidance", [-1, float("nan"), float("inf"), "high", (5, 1), (1, 2, 3), {"low": 1, "top": 5}, (-1, 2), None]
)
def test_guidance_that_makes_no_sense_is_refused(guidance: Any) -> None:
    with pytest.raises(ConfigError, match="guidance"):
        plan_requests(Numbered(), ["a"], "image", 1, guidance, 0)


def test_a_strategy_that_breaks_its_promise_is_named() -> None:
    with pytest.raises(PluginError, match="Numbered gave 3 prompts for 'a'; 2 were asked for"):
        plan_requests(Numbered(extra=1), ["a"], "image", 2, 1.0, 0)
    with pytest.raises(ConfigError, match="empty prompt for 'a'"):
        plan_requests(Numbered(blank=True), ["a"], "image", 2, 1.0, 0)
    with pytest.raises(PluginError, match="1 texts for 2 rows"):
        plan_rows(Told(told=("a",)), Lacking(2), "image", 1, 1.0, 0)


def test_rows_are_not_planned_by_class() -> None:
    with pytest.raises(IncompatibleError, match="plan_rows"):
        plan_requests(Told(), ["a"], "image", 1, 1.0, 0)


def test_a_row_has_its_own_candidates_in_order() -> None:
    pool = plan_rows(Told(told=("x", None, "y", "z")), Lacking(4, (3,)), "image", 2, 1.0, 0)
    assert [r.prompt for r in pool.items.values] == ["x 0", "y 0", "x 1", "y 1"]
    assert pool.counts().tolist() == [2, 0, 2, 0]
    assert [r.label for r in pool.items.values] == [""] * 4
    first = pool.draw(np.array([0, 2]), np.zeros(2))
    assert [pool.items.values[i].prompt for i in first] == ["x 0", "y 0"]


def test_rows_of_equal_text_share_their_items() -> None:
    pool = plan_rows(Told(told=("x", "y", "x")), Lacking(3), "image", 2, 1.0, 0)
    assert len(pool.items) == 4
    assert pool.group[0] == pool.group[2] != pool.group[1]


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8), st.integers(1, 4), ranges)
def test_a_rows_requests_follow_from_its_text_alone(told: list[str | None], per_row: int, guidance: Any) -> None:
    def requests(texts: list[str | None], row: int, count: int) -> list:
        pool = plan_rows(Told(told=tuple(texts)), Lacking(len(texts)), "image", count, guidance, 0)
        if pool.group[row] < 0:
            return []
        start = pool.start[pool.group[row]]
        return [pool.items.values[i] for i in pool.members[start : start + pool.counts()[row]]]

    for row, text in enumerate(told):
        assert requests(told, row, per_row) == requests([text], 0, per_row + 2)[:per_row]


def test_a_range_of_guidance_is_an_option_that_json_keeps() -> None:
    value = GuidanceRange(low=1, high=5)
    assert GuidanceRange.model_validate(json.loads(value.model_dump_json())) == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BasketballDunk", "basketball dunk"),
        ("playing+music", "playing music"),
        ("baby_back_ribs", "baby back ribs"),
        ("YoYo", "yo yo"),
        ("HTMLParser", "html parser"),
        ("3DRendering", "3d rendering"),
        ("MP3Player", "mp3 player"),
        ("Top10Songs", "top10 songs"),
        ("50m_freestyle", "50m freestyle"),
        ("a/b|c", "a b c"),
        ("three", "three"),
        ("ÉcoleNormale", "école normale"),
        ("push-up", "push-up"),
        ("already some words", "already some words"),
        ("Paris at night", "Paris at night"),
        ("HTML of/by a Parser", "HTML of/by a Parser"),
        ("  two   words ", "two words"),
        ("__x__", "x"),
        ("🎸Solo", "🎸solo"),
        ("", ""),
    ],
)
def test_class_names_become_words(name: str, expected: str) -> None:
    assert words(name) == expected


@given(st.text(max_size=30))
def test_words_are_stable(name: str) -> None:
    once = words(name)
    assert words(once) == once or " " not in once
