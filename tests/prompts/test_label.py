"""Label prompts are balanced at every budget, and budgets nest."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import ConfigError
from gtimm.core.prompts import plan_requests, words
from gtimm.prompts.label import PERFORMERS, LabelPrompts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BasketballDunk", "basketball dunk"),
        ("playing+music", "playing music"),
        ("baby_back_ribs", "baby back ribs"),
        ("YoYo", "yo yo"),
        ("TaiChi", "tai chi"),
        ("HTMLPage", "html page"),
        ("a/b|c", "a b c"),
        ("three", "three"),
        ("already some words", "already some words"),
        ("Paris at night", "Paris at night"),
        ("__x__", "x"),
    ],
)
def test_class_names_become_words(name: str, expected: str) -> None:
    assert words(name) == expected


def test_prompts_are_the_papers() -> None:
    images = set(LabelPrompts().prompts("PlayingGuitar", "image", 50, 0))
    assert images == {f"A photo of {who} playing guitar" for who in PERFORMERS}
    assert set(LabelPrompts().prompts("PlayingGuitar", "audio", 50, 0)) == {"playing guitar", "sound of playing guitar"}
    assert LabelPrompts(performers=()).prompts("seven", "image", 2, 0) == ["A photo of seven"] * 2


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10**6), st.sampled_from(["image", "audio"]))
def test_budgets_nest(one: int, two: int, seed: int, kind: str) -> None:
    small, large = sorted((one, two))
    strategy = LabelPrompts()
    assert strategy.prompts("a b", kind, large, seed)[:small] == strategy.prompts("a b", kind, small, seed)
    assert len(strategy.prompts("a b", kind, large, seed)) == large


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_factors_are_balanced_at_every_budget(count: int, seed: int) -> None:
    templates = ("one {performer} {action}", "two {performer} {action}", "three {performer} {action}")
    found = LabelPrompts(templates=templates, performers=("P", "Q")).prompts("x", "image", count, seed)
    for position, values in ((0, ("one", "two", "three")), (1, ("P", "Q"))):
        counts = Counter(prompt.split()[position] for prompt in found)
        assert max(counts.values()) - min(counts[v] for v in values) <= 1


def test_seeds_and_classes_have_orders_of_their_own() -> None:
    strategy = LabelPrompts()
    orders = {tuple(strategy.prompts("x", "image", 10, seed)) for seed in range(5)}
    assert len(orders) == 5
    assert strategy.prompts("x", "image", 10, 0) == strategy.prompts("x", "image", 10, 0)
    swapped = [p.replace(" y", " x") for p in strategy.prompts("y", "image", 10, 0)]
    assert swapped != strategy.prompts("x", "image", 10, 0)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (["a {label}"], r"unknown fields \['label'\]; known: performer, action"),
        (["a {}"], "unknown fields"),
        (["a {action"], "template"),
        (["  "], "must not be empty"),
        ([], "must not be an empty list"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(templates: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelPrompts(templates=tuple(templates))


def test_a_class_name_with_braces_is_kept() -> None:
    assert LabelPrompts(performers=()).prompts("{x}", "image", 1, 0) == ["A photo of {x}"]


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 100))
def test_the_plan_goes_by_rank_and_budgets_are_prefixes(per_class: int, classes: int, seed: int) -> None:
    names = [f"c{i}" for i in range(classes)]
    large, owner = plan_requests(LabelPrompts(), names, "image", per_class, 7.5, seed)
    small, _ = plan_requests(LabelPrompts(), names, "image", 1, 7.5, seed)
    assert owner == list(range(classes)) * per_class
    assert large[:classes] == small
    assert len({r.seed for r in large}) == per_class * classes
    assert [r.label for r in small] == names
    assert all(r.guidance == 7.5 and r.kind == "image" for r in large)
