"""The kit finds a balancing method that breaks a promise, names it, and blames no other."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from broken import failing
from pydantic import ConfigDict

from gtimm.core.balance import Balance
from gtimm.core.plugin import Info
from gtimm.core.registry import registry
from gtimm.testing import BALANCE_CHECKS, check_balance


class Honest(Balance):
    """Slows the modalities by what they said before: remembers, and branches on nothing."""

    info: ClassVar[Info] = Info(licence="MIT")
    strength: float = 1.0

    def start(self, modalities: int) -> dict[str, Any]:
        return {"before": torch.zeros(modalities)}

    def coefficients(self, step: Any, state: Any) -> Any:
        size = step.mean_by_modality(step.unimodal().square().mean(-1))
        return 1 / (1 + self.strength * state["before"]), {"before": (state["before"] + size) / 2}


class OneForAll(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        factors, after = super().coefficients(step, state)
        return factors.mean(), after


class Numbers(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        return [1.0] * len(step.x), state


class Divides(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        there = step.there.sum(0).to(torch.float32)
        return there / there, state


class Grows(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        factors, after = super().coefficients(step, state)
        return factors, after | {"before": after["before"].double()}


class Overwrites(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        step.x["audio"].mul_(1.5)
        return super().coefficients(step, state)


class Rolls(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        factors, after = super().coefficients(step, state)
        return factors * torch.rand(()), after


class Branches(Honest):
    def coefficients(self, step: Any, state: Any) -> Any:
        factors, after = super().coefficients(step, state)
        return (factors if factors.max() > 0 else factors * 0), after


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="allow")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info()


BROKEN = [
    (OneForAll(), "check_factors_are_finite_and_one_a_modality", "shape (), not (modalities,) = (3,)"),
    (Numbers(), "check_factors_are_finite_and_one_a_modality", "as factors; they must be a tensor"),
    (Divides(), "check_factors_are_finite_and_one_a_modality", "of modalities that are there [True, False, False]"),
    (Grows(), "check_state_keeps_its_form", "torch.float64"),
    (Overwrites(), "check_coefficients_are_pure", "changed the features of 'audio' in place"),
    (Rolls(), "check_coefficients_are_pure", "other factors the second time"),
    (Branches(), "check_stacked_runs_are_as_alone", "data-dependent control flow"),
    (LosesOptions(strength=2.0), "check_options_round_trip", "became LosesOptions"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]
ALSO = {
    "Numbers": {"check_coefficients_are_pure", "check_stacked_runs_are_as_alone"},
    "Rolls": {"check_stacked_runs_are_as_alone"},
}


@pytest.mark.parametrize(("balance", "name", "message"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found(balance: Balance, name: str, message: str) -> None:
    found = failing(balance)
    assert set(found) == {name} | ALSO.get(type(balance).__name__, set()), found
    assert message in found[name]


def test_every_check_has_somebody_who_breaks_it_and_an_honest_one_keeps_all() -> None:
    assert {check.__name__ for check in BALANCE_CHECKS} == {name for _, name, _ in BROKEN}
    check_balance(Honest(strength=3.0))
    check_balance(Honest(), {"left": 2, "right": 7})


@pytest.mark.parametrize("name", sorted(registry("balance")))
def test_ours_keep_all(name: str) -> None:
    check_balance(registry("balance").create(name))


def test_what_is_no_pair_is_told() -> None:
    class Alone(Honest):
        def coefficients(self, step: Any, state: Any) -> Any:
            return torch.ones(len(step.x))

    with pytest.raises(
        AssertionError, match=r"coefficients\(\) returned a Tensor of torch.float32, shape \(3,\); it must be factors"
    ):
        check_balance(Alone())
