"""What generation buys at what cost: the knee of accuracy over budget, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gtimm.experiments.schema import Point, Series, Sweep
from gtimm.experiments.statistics import interval
from gtimm.report import wording

if TYPE_CHECKING:
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.statistics import Interval

ENOUGH = 0.95
"""Share of the largest budget's gain that the knee must reach."""


@dataclass(frozen=True)
class Knee:
    """The smallest budget that gives `ENOUGH` of what the largest gives.

    Attributes:
        budget: items a class.
        largest: items a class of the largest budget that was run.
        share: of the largest budget's gain; above 1 where fewer items did better.
        gain: of the largest budget over no generation.
        rest: what the largest budget has over this one.
    """

    budget: int
    largest: int
    share: float
    gain: Interval
    rest: Interval


def knee(cells: Sequence[Cell], baseline: Cell, enough: float = ENOUGH) -> Knee | None:
    """Return the knee of one method's cells by budget; `None` where the largest budget gains nothing that the data can show.

    The gain of a budget is its paired difference to a method that generates nothing; "can show" means a 95% interval above zero.

    Args:
        cells: of one setting, by budget.
        baseline: the same setting without generation, such as zero-filling.
        enough: share of the largest budget's gain.
    """
    ordered = sorted(cells, key=lambda cell: cell.setting.budget or 0)
    last = ordered[-1]
    gain = interval(last.values - baseline.values, difference=True)
    if gain.low <= 0:
        return None
    largest = last.setting.budget or 0
    every = [_share(cell, last, baseline, gain) for cell in ordered]
    return next((one for one in every if one.share >= enough), Knee(largest, largest, 1.0, gain, every[-1].rest))


def knee_sentence(
    cells: Sequence[Cell],
    baseline: Cell,
    what: str = "items",
    seconds: float | None = None,
    classes: int = 0,
) -> str:
    """Return the knee in words, with its cost where it is known.

    Args:
        cells: of one setting, by budget.
        baseline: the same setting without generation.
        what: is generated, such as `images`.
        seconds: that an item takes.
        classes: that there are.
    """
    found, other = knee(cells, baseline), baseline.setting.method
    if found is None:
        last = max(cells, key=lambda cell: cell.setting.budget or 0)
        gain = interval(last.values - baseline.values, difference=True)
        return f"{last.setting.budget} {what} a class gain nothing over {other} that these data can show: {gain.points} points."
    whole = f"the gain that {found.largest} {what} a class give over {other} ({found.gain.points} points)"
    smaller = [cell for cell in cells if (cell.setting.budget or 0) < found.largest]
    if found.budget == found.largest and not smaller:
        return f"{found.largest} {what} a class gain {found.gain.points} points over {other}; no other budget was run."
    if found.budget == found.largest:
        next_one = max(smaller, key=lambda cell: cell.setting.budget or 0)
        last = max(cells, key=lambda cell: cell.setting.budget or 0)
        found = _share(next_one, last, baseline, found.gain)
        start = f"No smaller budget gives {ENOUGH:.0%} of {whole}; {found.budget} give {found.share:.0%}"
    else:
        start = f"{found.budget} {what} a class give {'all' if found.share >= 1 else f'{found.share:.0%}'} of {whole}"
    cost = ""
    if seconds is not None and classes:
        cost = f", in {wording.duration(found.budget * classes * seconds)} instead of {wording.duration(found.largest * classes * seconds)}"
    return f"{start}{cost}; the rest is {found.rest.points} points."


def _share(cell: Cell, last: Cell, baseline: Cell, gain: Interval) -> Knee:
    """Return what one budget gives of the largest one's gain."""
    share = float((cell.values - baseline.values).mean(dtype=np.float64)) / gain.mean
    rest = interval(last.values - cell.values, difference=True)
    return Knee(cell.setting.budget or 0, last.setting.budget or 0, share, gain, rest)


def frontier(dataset: str, cells: Sequence[Cell], classes: int, seconds: float | None, sentence: str) -> Sweep:
    """Return accuracy over cost of one setting's methods, and the frontier: those that nothing cheaper or as cheap beats.

    Args:
        dataset: their name.
        cells: of one setting: methods without generation cost nothing, others their budget.
        classes: that there are.
        seconds: that an item takes; where it is not known the cost is counted in items.
        sentence: what it shows.
    """
    each = classes * (1.0 if seconds is None else seconds)
    spots = []
    for cell in cells:
        found, budget = interval(cell.values), cell.setting.budget
        name = cell.setting.method if budget is None else f"{cell.setting.method}, {budget} a class"
        spots.append((name, Point(x=(budget or 0) * each, mean=found.mean, ci_low=found.low, ci_high=found.high)))
    best: list[Point] = []
    for _, point in sorted(spots, key=lambda spot: (float(spot[1].x), -(spot[1].mean or 0.0))):
        if not best or (point.mean or 0.0) > (best[-1].mean or 0.0):
            best.append(point)
    series = [Series(name="frontier", points=best), *(Series(name=name, points=[point]) for name, point in spots)]
    return Sweep(
        name="frontier",
        title="Accuracy over the cost of generation",
        x="generated items" if seconds is None else "seconds of generation on one worker",
        dataset=dataset,
        metric=cells[0].metric,
        series=series,
        sentence=sentence,
    )
