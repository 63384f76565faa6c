"""The kit for pytest: each check of each strategy is a test of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from gtimm.core.backbone import Backbone
from gtimm.core.balance import Balance
from gtimm.core.dataset import DatasetLoader
from gtimm.core.engine import Engine
from gtimm.core.errors import ConfigError
from gtimm.core.fusion import Fusion
from gtimm.core.imputer import Imputer
from gtimm.core.prompts import Prompts
from gtimm.testing.backbone import BACKBONE_CHECKS, payloads_for
from gtimm.testing.balance import BALANCE_CHECKS, steps_for
from gtimm.testing.common import Check, known_checks, tried
from gtimm.testing.dataset import DATASET_CHECKS, Loaded
from gtimm.testing.engine import ENGINE_CHECKS
from gtimm.testing.fusion import fusion_checks, inputs_for
from gtimm.testing.imputer import imputer_checks, sample_for
from gtimm.testing.prompts import asked_for, prompt_checks

if TYPE_CHECKING:
    import pytest

    from gtimm.core.plugin import Plugin


def checks_for(strategy: Plugin, **given: Any) -> tuple[tuple[Check, ...], Callable[[], Any]]:
    """Return the checks of a strategy, and what makes what it is tried with.

    Args:
        strategy: an imputer, a backbone, a fusion, prompts, a balancing method, a data set or an engine.
        given: what it is tried with, as the arguments of `check_imputer`, `check_backbone`, ... have it.

    Raises:
        ConfigError: a strategy of a kind that has no checks, or something given that its kind is not tried with.
    """
    checks, make = _kind(strategy)
    takes = list(inspect.signature(make).parameters)[1:]
    if others := sorted(set(given) - set(takes)):
        raise ConfigError(
            f"{type(strategy).__name__} is not tried with {others[0]!r}, but with {', '.join(takes) or 'itself alone'}."
        )
    return checks, partial(make, strategy, **given)


def _kind(strategy: Plugin) -> tuple[tuple[Check, ...], Callable[..., Any]]:
    """Return the checks of a strategy, and the function that makes what they take of the strategy and of what is given."""
    if isinstance(strategy, Imputer):
        return imputer_checks(strategy), sample_for
    if isinstance(strategy, Backbone):
        return BACKBONE_CHECKS, payloads_for
    if isinstance(strategy, Fusion):
        return fusion_checks(), inputs_for
    if isinstance(strategy, Prompts):
        return prompt_checks(strategy), asked_for
    if isinstance(strategy, DatasetLoader):
        return DATASET_CHECKS, Loaded
    if isinstance(strategy, Engine):
        return ENGINE_CHECKS, _nothing
    if isinstance(strategy, Balance):
        return BALANCE_CHECKS, steps_for
    raise ConfigError(
        f"There are no checks for {strategy!r}. Give instances of strategies, such as imputers or fusions, not classes or names."
    )


def _nothing(engine: Engine) -> None:
    """Engines are tried with batches of the checks' own."""


def parametrize_with_checks(
    strategies: Sequence[Plugin], *, expected_failed_checks: Mapping[str, str] | None = None, **given: Any
) -> pytest.MarkDecorator:
    """Make each check of each strategy a test, of a function with the arguments `strategy` and `check`.

    ::

        @parametrize_with_checks([MedianFill(), Histogram(bins=8)])
        def test_promises(strategy, check):
            check(strategy)

    Args:
        strategies: instances.
        expected_failed_checks: names of checks that are known to fail, with the reason: they are expected failures (`xfail`, strict).
        given: what all of them are tried with, as the arguments of `check_imputer` (`data`, `target`), `check_backbone` (`payloads`),
            `check_fusion` (`sizes`, `classes`), `check_balance` (`sizes`) and `check_prompts`
            (`classes`, `data`, `target`); by default it is made up.

    Raises:
        ConfigError: no strategies, one of a kind that has no checks, or an expected name that is no check of theirs.
    """
    import pytest

    if not isinstance(strategies, Sequence) or not strategies:
        raise ConfigError(f"parametrize_with_checks needs a list of at least one strategy; found {strategies!r}.")
    cases, every = [], dict.fromkeys(check for strategy in strategies for check in checks_for(strategy, **given)[0])
    reasons = known_checks(list(every), expected_failed_checks)
    for strategy in strategies:
        checks, make = checks_for(strategy, **given)
        kept = _Once(make)
        for check in checks:
            name = check.__name__
            marks = [pytest.mark.xfail(reason=reasons[name], strict=True)] if name in reasons else []
            cases.append(pytest.param(strategy, _bound(check, kept), marks=marks, id=f"{_named(strategy)}-{name}"))
    return pytest.mark.parametrize(("strategy", "check"), cases)


def _named(strategy: Plugin) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in strategy.options().items())
    return type(strategy).__name__ + (f"({options})" if options else "")


class _Once:
    """Makes something when it is first asked for: collecting tests loads nothing."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._made = make, False
        self._value: Any = None

    def __call__(self) -> Any:
        if not self._made:
            self._value, self._made = self._make(), True
        return self._value


def _bound(check: Check, given: Callable[[], Any]) -> Callable[[Plugin], None]:
    def bound(strategy: Plugin) -> None:
        tried(check, strategy, given())

    return update_wrapper(bound, check)
