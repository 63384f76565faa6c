"""Curves over one quantity: planned as settings, so that many share one grid, and read off its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gtimm.experiments.methods import Setting
from gtimm.experiments.schema import Point, Series, Sweep
from gtimm.experiments.statistics import interval

if TYPE_CHECKING:
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.statistics import Interval

X = float | str
Cells = Mapping[str, "Cell"]
"""By `Setting.key`."""


def by_key(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Return cells by the keys of their settings."""
    return {cell.setting.key(): cell for cell in cells}


def distinct(settings: Iterable[Setting]) -> list[Setting]:
    """Return settings without repetition, in order."""
    return list({setting.key(): setting for setting in settings}.values())


@dataclass(frozen=True)
class Spot:
    """One point of a curve before it is run."""

    series: str
    x: X
    setting: Setting


@dataclass(frozen=True)
class Curves:
    """Curves over one quantity; see `gtimm.experiments.sweeps.plans` for those that there are.

    Attributes:
        name: such as `quantity`.
        title: for people.
        x: what is varied, for people, with its unit.
        dataset: that they are of.
        spots: their points, each series in order.
        log: whether the axis is better logarithmic.
        against: of budgets, the series that generates nothing and gains are over.
    """

    name: str
    title: str
    x: str
    dataset: str
    spots: Sequence[Spot]
    log: bool = False
    against: str | None = None

    def settings(self) -> list[Setting]:
        """Return what must be run, each once."""
        return distinct(spot.setting for spot in self.spots)

    def sweep(self, cells: Cells, paper: Mapping[tuple[str, X], float] | None = None, sentence: str | None = None) -> Sweep:
        """Return the curves of cells.

        Args:
            cells: by key; spots whose setting is not among them are left out.
            paper: what is published, as fractions, by series and x.
            sentence: what they show; by default who leads where, or of variants what the best has over the first.
        """
        there = [spot for spot in self.spots if spot.setting.key() in cells]
        series = []
        found = {(spot.series, spot.x): interval(cells[spot.setting.key()].values) for spot in there}
        for name, group in groupby(there, key=lambda spot: spot.series):
            points = []
            for spot in group:
                score = found[spot.series, spot.x]
                published = (paper or {}).get((spot.series, spot.x))
                points.append(Point(x=spot.x, mean=score.mean, ci_low=score.low, ci_high=score.high, paper=published))
            series.append(Series(name=name, points=points))
        metric = cells[there[0].setting.key()].metric if there else "accuracy"
        return Sweep(
            name=self.name,
            title=self.title,
            x=self.x,
            log=self.log,
            dataset=self.dataset,
            metric=metric,
            series=series,
            sentence=self._sentence(there, cells, found) if sentence is None else sentence,
        )

    def _sentence(self, there: Sequence[Spot], cells: Cells, found: Mapping[tuple[str, X], Interval]) -> str:
        """Say which variant is highest and what it has over the first, or of numbers which series leads where."""
        if not all(isinstance(spot.x, str) for spot in there):
            return leaders(found, self.x)
        sentences = []
        for name, group in groupby(there, key=lambda spot: spot.series):
            first, *others = list(group)
            if not others:
                continue
            best = max(others, key=lambda spot: found[name, spot.x].mean)
            values = cells[best.setting.key()].values - cells[first.setting.key()].values
            difference = interval(values, difference=True).points
            sentences.append(f"{name}: the best of the others is {best.x}, {difference} points over {first.x}.")
        return " ".join(sentences)


def leaders(found: Mapping[tuple[str, X], Interval], x: str) -> str:
    """Say which series has the highest mean where, in stretches of x."""
    places = list(dict.fromkeys(place for _, place in found))
    best = [max((name for name, at in found if at == place), key=lambda name: found[name, place].mean) for place in places]
    stretches = []
    for name, group in groupby(zip(places, best, strict=True), key=lambda pair: pair[1]):
        span = [place for place, _ in group]
        where = plain(span[0]) if len(span) == 1 else f"{plain(span[0])} to {plain(span[-1])}"
        stretches.append(f"{name} at {where}")
    return f"Highest mean by {x}: {'; '.join(stretches)}." if stretches else ""


def plain(x: X) -> str:
    """Return a place on the axis for people."""
    return x if isinstance(x, str) else f"{x:g}"
