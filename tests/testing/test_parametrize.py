"""Each check becomes a test of pytest; expected failures are strict, and collecting loads nothing."""

from __future__ import annotations

from typing import Any

import pytest
from toys import ToyBackbone

from gtimm.core.dataset import DatasetLoader, Splits
from gtimm.core.engine import Engine
from gtimm.core.errors import ConfigError
from gtimm.fusion.score import ScoreFusion
from gtimm.imputers.fill import MeanFill
from gtimm.prompts.label import LabelPrompts
from gtimm.testing import BACKBONE_CHECKS, FUSION_CHECKS, IMPUTER_CHECKS, PROMPT_CHECKS, parametrize_with_checks
from gtimm.testing.parametrize import checks_for


@parametrize_with_checks([MeanFill(), ToyBackbone(), ScoreFusion(), LabelPrompts()])
def test_promises(strategy: Any, check: Any) -> None:
    check(strategy)


def params(mark: pytest.MarkDecorator) -> list[Any]:
    return list(mark.args[1])


def test_there_is_one_test_for_each_check_and_its_name_says_which() -> None:
    found = params(parametrize_with_checks([MeanFill(), ToyBackbone(), ScoreFusion(), LabelPrompts()]))
    assert len(found) == sum(map(len, (IMPUTER_CHECKS, BACKBONE_CHECKS, FUSION_CHECKS, PROMPT_CHECKS)))
    assert found[3].id == f"MeanFill-{IMPUTER_CHECKS[3].__name__}"
    assert found[3].values[1].__doc__ == IMPUTER_CHECKS[3].__doc__
    several = params(parametrize_with_checks([ToyBackbone(), ToyBackbone(scale=2.0)]))
    assert several[-1].id == f"ToyBackbone(scale=2.0)-{BACKBONE_CHECKS[-1].__name__}"


class Blind(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch * 0 + 1


@parametrize_with_checks([Blind()], expected_failed_checks={"check_payloads_matter": "it is blind, as a control"})
def test_expected_failures_fail(strategy: Any, check: Any) -> None:
    check(strategy)


def test_an_expected_failure_is_strict() -> None:
    found = params(parametrize_with_checks([Blind()], expected_failed_checks={"check_payloads_matter": "blind"}))
    marked = [param for param in found if param.marks]
    assert [param.values[1].__name__ for param in marked] == ["check_payloads_matter"]
    assert marked[0].marks[0].kwargs == {"reason": "blind", "strict": True}


class Never(DatasetLoader):
    def load(self) -> Splits:
        raise RuntimeError("loaded")


def test_collecting_loads_nothing_and_checks_share_what_was_loaded() -> None:
    found = params(parametrize_with_checks([Never()]))
    with pytest.raises(RuntimeError, match="loaded"):
        found[3].values[1](Never())
    seen: list[Any] = []

    class Counts(DatasetLoader):
        def load(self) -> Splits:
            seen.append(1)
            raise ValueError

    checks, make = checks_for(Counts())
    given = make()
    assert not seen
    for check in checks[3:5]:
        with pytest.raises(ValueError):
            check(Counts(), given)
    assert len(seen) == 2


@pytest.mark.parametrize("strategies", [[], ["mean"], [MeanFill], [Engine]])
def test_what_has_no_checks_is_refused(strategies: Any) -> None:
    with pytest.raises(ConfigError, match=r"at least one|no checks for"):
        parametrize_with_checks(strategies)


def test_a_name_that_is_no_check_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'check_frozen'"):
        parametrize_with_checks([ToyBackbone()], expected_failed_checks={"check_frozn": "misspelt"})
