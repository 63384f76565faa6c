"""Domain prompts are the paper's, balanced in domains and performers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.prompts import plan_requests
from gtimm.core.registry import registry
from gtimm.prompts.domain import DOMAINS, DomainPrompts
from gtimm.prompts.label import PERFORMERS


def parts(prompt: str) -> tuple[str, str]:
    domain, _, rest = prompt.removeprefix("A ").partition(" of ")
    return domain, rest.removesuffix(" yo yo")


def test_fifty_prompts_are_every_domain_with_every_performer() -> None:
    found = registry("prompts").create("domain").prompts("YoYo", "image", 50, 0)
    assert sorted(found) == sorted(f"A {d} of {p} yo yo" for d in DOMAINS for p in PERFORMERS)


def test_things_have_no_performer() -> None:
    assert sorted(DomainPrompts(performers=()).prompts("YoYo", "image", 10, 0)) == sorted(f"A {d} of yo yo" for d in DOMAINS)


@given(st.integers(1, 120), st.integers(0, 10**6))
def test_domains_and_performers_are_balanced_at_every_budget(count: int, seed: int) -> None:
    found = [parts(prompt) for prompt in DomainPrompts().prompts("YoYo", "image", count, seed)]
    for place, values in enumerate((DOMAINS, PERFORMERS)):
        counts = Counter(pair[place] for pair in found)
        assert max(counts.values()) - min(counts[value] for value in values) <= 1
    assert max(Counter(found).values()) <= -(-count // 50)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 10**6))
def test_budgets_nest(one: int, two: int, seed: int) -> None:
    small, large = sorted((one, two))
    assert DomainPrompts().prompts("x", "image", large, seed)[:small] == DomainPrompts().prompts("x", "image", small, seed)


def test_sound_has_no_domain() -> None:
    with pytest.raises(IncompatibleError, match="image"):
        plan_requests(DomainPrompts(), ["x"], "audio", 1, 1.0, 0)


@pytest.mark.parametrize("options", [{"domains": ()}, {"domains": (" ",)}, {"performers": ("",)}])
def test_blank_factors_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match="must not be"):
        DomainPrompts(**options)
