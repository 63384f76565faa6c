"""What every balancing method promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap

from gtimm.core.balance import Balance, Step
from gtimm.core.fusion import Fusion, Head
from gtimm.testing.common import COMMON_CHECKS, Check, global_state, refuse_other, run_checks
from gtimm.testing.explain import short
from gtimm.testing.fusion import CLASSES, SIZES, Inputs

STEPS = 3


def check_balance(
    balance: Balance, sizes: Mapping[str, int] | None = None, *, expected_failed_checks: Mapping[str, str] | None = None
) -> None:
    """Run every check of `BALANCE_CHECKS`, with a linear head for each modality.

    Args:
        balance: the method.
        sizes: modality to feature length, two or more; by default three modalities.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of a balancing method.

    Example:
        >>> from gtimm.balance.ogm_ge import OgmGe
        >>> check_balance(OgmGe())
    """
    refuse_other(balance, Balance)
    run_checks(BALANCE_CHECKS, balance, steps_for(balance, sizes), expected_failed_checks)


def steps_for(balance: Balance, sizes: Mapping[str, int] | None = None) -> tuple[Step, ...]:
    """Return the batches of one run, each with weights of its own: every pattern of absent, filled and observed, and fewer."""
    inputs = Inputs(SIZES if sizes is None else sizes)
    steps = []
    for seed in range(STEPS):
        head, (x, filled, observed) = inputs.head(_Sums(), seed, torch.float32), inputs.batch(_Sums(), seed, torch.float32)
        labels = torch.arange(len(filled)) % CLASSES
        steps.append(Step(head, dict(head.state_dict()), x, filled, observed, labels))
    gone = torch.zeros_like(steps[0].filled)
    first = gone.clone()
    first[:, 0] = True
    nothing = {m: torch.zeros_like(value) for m, value in steps[0].x.items()}
    one = nothing | dict(list(steps[0].x.items())[:1])
    return (
        *steps,
        replace(steps[0], x=one, filled=gone, observed=first),
        replace(steps[0], x=nothing, filled=gone, observed=gone),
    )


def check_factors_are_finite_and_one_a_modality(balance: Balance, given: tuple[Step, ...]) -> None:
    """`coefficients` gives a finite factor for each modality, also where a batch lacks one, or has nothing at all."""
    state = balance.start(len(given[0].x))
    for step in given:
        factors, state = _coefficients(balance, step, state)
        there = step.there.any(0).tolist()
        expected = (len(step.x),)
        assert isinstance(factors, Tensor), f"coefficients() gave {short(factors)} as factors; they must be a tensor."
        assert tuple(factors.shape) == expected, f"Factors have shape {tuple(factors.shape)}, not (modalities,) = {expected}."
        assert factors.is_floating_point(), f"Factors are of {factors.dtype}; they must be floating-point numbers."
        assert torch.isfinite(factors).all(), f"Factors {factors.tolist()} of modalities that are there {there}."


def check_state_keeps_its_form(balance: Balance, given: tuple[Step, ...]) -> None:
    """What is remembered is finite tensors by name, of the shapes and dtypes that `start` gives them: runs are stacked by them."""
    state = balance.start(len(given[0].x))
    form = _form(state)
    for step in given:
        _, state = _coefficients(balance, step, state)
        assert _form(state) == form, f"start() gave {form}, and coefficients() {_form(state)}."
        for name, value in state.items():
            assert torch.isfinite(value).all(), f"What is remembered as {name!r} is not finite."


def check_coefficients_are_pure(balance: Balance, given: tuple[Step, ...]) -> None:
    """Equal batches and states give equal factors; nothing that is given is changed, and nothing drawn from a global generator."""
    step, state = given[0], balance.start(len(given[0].x))
    parts = {**{f"features of {m!r}": v for m, v in step.x.items()}, **{f"weights {n!r}": v for n, v in step.weights.items()}}
    parts |= {
        "filled": step.filled,
        "observed": step.observed,
        "labels": step.labels,
        **{f"state {n!r}": v for n, v in state.items()},
    }
    before, random = {name: value.clone() for name, value in parts.items()}, global_state()
    first, after = _coefficients(balance, step, state)
    for name, value in parts.items():
        assert torch.equal(value, before[name]), f"coefficients() changed the {name} in place."
    again, once_more = _coefficients(balance, step, state)
    assert torch.equal(first, again), "The same batch and state gave other factors the second time."
    same = all(torch.equal(after[name], once_more[name]) for name in after)
    assert same, "The same batch and state left something else to remember the second time."
    assert global_state() == random, "coefficients() drew from a global generator."


def check_stacked_runs_are_as_alone(balance: Balance, given: tuple[Step, ...]) -> None:
    """Several runs go through `torch.func.vmap` as one; each gets the bits that it gets in a stack of its own."""
    steps = given[:STEPS]
    together = _stacked(balance, steps)
    for place, step in enumerate(steps):
        alone = _stacked(balance, (step,))
        for name, value in alone.items():
            assert torch.equal(together[name][place], value[0]), (
                f"The {name} of a run differ among others; no branches on values."
            )


BALANCE_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_factors_are_finite_and_one_a_modality,
    check_state_keeps_its_form,
    check_coefficients_are_pure,
    check_stacked_runs_are_as_alone,
)


class _Sums(Fusion):
    """Sums what a linear layer for each modality says."""

    def build(self, sizes: dict[str, int], classes: int, encoder: Any = None) -> Head:
        return _Sum(sizes, classes)


class _Sum(Head):
    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.modalities = tuple(sizes)
        self.layers = nn.ModuleList(nn.Linear(size, classes, bias=False) for size in sizes.values())

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return torch.stack([layer(x[m]) for m, layer in zip(self.modalities, self.layers, strict=True)]).sum(0)

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return {m: {f"layers.{place}.weight": slice(None)} for place, m in enumerate(self.modalities)}


def _coefficients(balance: Balance, step: Step, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.no_grad():
        found: Any = balance.coefficients(step, state)
    assert isinstance(found, tuple), f"coefficients() returned {short(found)}; it must be factors, and what to remember."
    return found


def _form(state: Any) -> dict[str, str]:
    assert isinstance(state, dict), f"What is remembered is {short(state)}; it must be a dictionary of tensors."
    return {name: short(value) for name, value in state.items()}


def _stacked(balance: Balance, steps: tuple[Step, ...]) -> dict[str, Tensor]:
    """Return factors and states by name, (runs, ...), of two steps of runs that go as one."""
    head, weights = steps[0].head, stack_module_state([step.head for step in steps])[0]
    parts = [torch.stack([getattr(step, name) for step in steps]) for name in ("filled", "observed", "labels")]
    x = {m: torch.stack([step.x[m] for step in steps]) for m in steps[0].x}
    state = {n: torch.stack([v] * len(steps)) for n, v in balance.start(len(x)).items()}

    def one(weights: Any, state: Any, x: Any, filled: Tensor, observed: Tensor, labels: Tensor) -> Any:
        return balance.coefficients(Step(head, weights, x, filled, observed, labels), state)

    for _ in range(2):
        with torch.no_grad():
            factors, state = vmap(one)(weights, state, x, *parts)
    return {"factors": factors, **state}
