"""Factors are balanced at every budget, and their combinations covered evenly."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import ConfigError
from gtimm.prompts.factors import balanced, fields_of, fill

sizes_of = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def spread(values: list, known: int) -> int:
    counts = Counter(values)
    return max(counts.values()) - (min(counts.values()) if len(counts) == known else 0)


@given(sizes_of, st.integers(1, 120))
def test_each_factor_is_balanced_in_every_prefix(sizes: list[int], count: int) -> None:
    found = balanced(sizes, count)
    assert len(found) == count
    for factor, size in enumerate(sizes):
        assert spread([row[factor] for row in found], size) <= 1


@given(sizes_of, st.integers(0, 60), st.integers(0, 60))
def test_lists_nest(sizes: list[int], one: int, two: int) -> None:
    small, large = sorted((one, two))
    assert balanced(sizes, large)[:small] == balanced(sizes, small)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 2))
def test_every_combination_occurs_once_in_every_cycle(sizes: list[int], cycles: int) -> None:
    size = prod(sizes)
    found = balanced(sizes, size * cycles)
    for cycle in range(cycles):
        assert len(set(found[cycle * size : (cycle + 1) * size])) == size


@given(st.lists(st.integers(1, 7), min_size=2, max_size=2), st.integers(1, 120))
def test_pairs_of_two_factors_are_balanced_in_every_prefix(sizes: list[int], count: int) -> None:
    assert spread(balanced(sizes, count), prod(sizes)) <= 1


@pytest.mark.parametrize("sizes", [(5, 5, 5), (10, 5, 2), (4, 4, 4)])
def test_a_third_factor_is_not_tied_to_one_of_the_first_two(sizes: tuple[int, ...]) -> None:
    found = balanced(sizes, sizes[0] * sizes[1])
    for one, two in combinations(range(3), 2):
        assert len({(row[one], row[two]) for row in found}) > 0.7 * sizes[one] * sizes[two]


@given(st.integers(1, 60), st.integers(0, 10**6))
def test_a_factor_is_balanced_over_the_templates_that_have_it(count: int, seed: int) -> None:
    templates = ["one {who} {action}", "two {action}", "three {who} {action}"]
    found = fill(templates, {"who": ["P", "Q", "R", "S"]}, {"action": "x"}, count, seed, "class")
    assert spread([text.split()[0] for text in found], 3) <= 1
    who = [text.split()[1] for text in found if not text.startswith("two")]
    assert not who or spread(who, 4) <= 1
    pairs = [tuple(text.split()[:2]) for text in found if not text.startswith("two")]
    assert not pairs or spread(pairs, 8) <= 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {label}", r"unknown fields \['label'\]; known: performer, action"),
        ("a {}", "unknown fields"),
        ("a {action.real}", "unknown fields"),
        ("a {action", "template"),
        ("a {action!r}", "no format"),
        ("a {action:>9}", "no format"),
        (" ", "must not be empty"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fields_of(template, ("performer", "action"))


def test_doubled_braces_are_braces() -> None:
    assert fill(["{{who}} {action}"], {"who": ["P"]}, {"action": "x"}, 1, 0, "c") == ["{who} x"]


@pytest.mark.parametrize("templates", [["A photo of {action}"], ["{action}"]])
def test_a_class_without_words_is_an_error_that_names_class_and_template(templates: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"'__'.*\{action\}"):
        fill(templates, {}, {"action": ""}, 1, 0, "__")
