"""Label prompts are balanced at every budget, and budgets nest."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import ConfigError
from gtimm.core.prompts import plan_requests
from gtimm.prompts.label import PERFORMERS, LabelPrompts


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


@pytest.mark.parametrize(("name", "said"), [("{x}", "{x}"), ("a/b", "a b"), ("🎸", "🎸"), ("x" * 300, "x" * 300)])
def test_an_odd_class_name_is_kept(name: str, said: str) -> None:
    assert LabelPrompts(performers=()).prompts(name, "image", 1, 0) == [f"A photo of {said}"]


def test_a_class_without_words_is_an_error_that_names_class_and_template() -> None:
    with pytest.raises(ConfigError, match=r"'__'.*'A photo of \{action\}'"):
        LabelPrompts(performers=()).prompts("__", "image", 1, 0)


def test_performers_can_be_restricted() -> None:
    assert set(LabelPrompts(performers=("a man",)).prompts("x", "image", 9, 0)) == {"A photo of a man x"}
    with pytest.raises(ConfigError, match="must not be blank"):
        LabelPrompts(performers=("a man", " "))
    with pytest.raises(ConfigError, match="performers is empty"):
        LabelPrompts(performers=(), templates=("{performer} {action}",))


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_file_of_names_overrides(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"names.{ending}"
    path.write_text('{"YoYo": "playing with a yo-yo"}')
    strategy = LabelPrompts(performers=(), names=str(path))
    found, _ = plan_requests(strategy, ["YoYo", "TaiChi"], "image", 1, 1.0, 0)
    assert [r.prompt for r in found] == ["A photo of playing with a yo-yo", "A photo of tai chi"]
    assert LabelPrompts(**strategy.options()) == strategy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("YoYos: x", "no class 'YoYos' in the data. Did you mean 'YoYo'?"),
        ("YoYo: ' '", "class 'YoYo' needs words"),
        ("YoYo: [x]", "class 'YoYo' needs words"),
        ("no: x", "False was read as bool; put it in quotes"),
        ("[x]", "must hold a mapping"),
        ("{", "not JSON or plain YAML"),
        ("!!python/object/apply:os.getcwd []", "not JSON or plain YAML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "names.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        plan_requests(LabelPrompts(names=str(path)), ["YoYo"], "image", 1, 1.0, 0)
    assert "names.yaml" in str(error.value)


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
