"""Choosing learning rates and weights of filled rows on validation; all candidates train as one stacked problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import ConfigError, GtimmError

if TYPE_CHECKING:
    from gtimm.core.training import Run, TrainOptions

SEARCHED = ("lr", "fill_weight")


def searched(options: TrainOptions) -> tuple[str, ...]:
    """Return the names of the options that hold several values."""
    return tuple(name for name in SEARCHED if isinstance(getattr(options, name), tuple))


def need_validation(options: TrainOptions, *, there: bool) -> None:
    """Raise `ConfigError` where something is to be searched and there are no validation rows."""
    if (names := searched(options)) and not there:
        raise ConfigError(
            f"Several values of {' and '.join(names)} are chosen among on validation data; give val=, or one value."
        )


def candidates(run: Run) -> list[Run]:
    """Return a run for each combination of searched values; the run itself where there is nothing to search."""
    names = searched(run.options)
    if not names:
        return [run]
    need_validation(run.options, there=run.val is not None)
    found = []
    for values in product(*(getattr(run.options, name) for name in names)):
        options = run.options.model_copy(update=dict(zip(names, values, strict=True)))
        found.append(replace(run, options=options, may_fail=True))
    return found


def settle(run: Run, trained: Sequence[Run]) -> None:
    """Give a run the head of its best candidate: the highest score on validation; of equals the first.

    Raises:
        GtimmError: all of them diverged.
    """
    names = searched(run.options)
    run.tried = [{**_values(one, names), "score": None if one.diverged else max(one.history or [0.0])} for one in trained]
    left = [one for one in trained if not one.diverged]
    if not left:
        raise GtimmError(f"Every candidate of seed {run.seed} diverged. {trained[0].diverged}")
    best = max(left, key=lambda one: max(one.history or [0.0]))
    run.head, run.history, run.best_epoch, run.chosen = best.head, best.history, best.best_epoch, _values(best, names)


def _values(run: Run, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(run.options, name) for name in names}
