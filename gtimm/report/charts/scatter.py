"""Scores over a measured quantity, such as cost: spots that bear their names where there is room, and a line through some."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import NARROW, apart, length, nice_ticks, scale
from gtimm.report.scene import Drawn, Group, Mark, Path, Rule, Scene, Text
from gtimm.report.wording import percent

_Area = tuple[float, float, float, float]  # left, right, top, bottom
_CLOSE = 0.01  # units
_ROOM = 1.35  # factor beyond the first and last spot on a logarithmic axis
_MARGIN = 0.05  # share of the axis beyond them on another


@dataclass(frozen=True)
class Spot:
    """A score at an x; `named` asks for its name beside it."""

    label: str
    x: float
    score: float
    interval: tuple[float, float] | None
    tip: str
    role: str = "ink"
    shape: str = "circle"
    hollow: bool = False
    named: bool = True


def scatter_chart(
    name: str,
    title: str,
    spots: Sequence[Spot],
    *,
    ticks: Callable[[float, float], Sequence[tuple[float, str]]],
    caption: str,
    axis: tuple[float, float],
    line: Sequence[tuple[float, float]] = (),
    log: bool = False,
    width: int = NARROW,
) -> Scene:
    """Return spots over x.

    Args:
        name: of the scene.
        title: of the scene.
        spots: one or more; with `log`, x above zero.
        ticks: (x, text) between two ends.
        caption: of the x axis.
        axis: ends of the scores.
        line: (x, score) of a line, in order.
        log: whether x is logarithmic.
        width: in units.
    """
    left, right, top, bottom = 44.0, width - 12.0, 26.0, 26.0 + 200.0 * (width / NARROW) ** 0.6
    low, high = min(spot.x for spot in spots), max(spot.x for spot in spots)
    ends = (low / _ROOM, high * _ROOM) if log else (low - _MARGIN * (high - low or 1), high + _MARGIN * (high - low or 1))
    warp = math.log if log else float
    straight, up = scale((warp(ends[0]), warp(ends[1])), (left + 4, right - 4)), scale(axis, (bottom, top))

    def over(x: float) -> float:
        return straight(warp(x))

    items: list[Drawn | Group] = []
    for tick in nice_ticks(axis):
        items.append(Rule(left, up(tick), right, up(tick), "grid"))
        items.append(Text(left - 6, up(tick) + 4, percent(tick).replace(".0", ""), "muted", "end", 11))
    marked = [(over(x), text) for x, text in ticks(*ends)]
    for (x, text), shown in zip(marked, apart(marked), strict=True):
        items += [Rule(x, top, x, bottom, "grid"), Text(x, bottom + 18, text, "muted", "middle", 11)] if shown else []
    items.append(Text((left + right) / 2, bottom + 36, caption, "muted", "middle", 11))
    items.append(Path([(over(x), up(score)) for x, score in line], "generation", 1.25))
    for spot in sorted(spots, key=lambda spot: spot.named):
        x = over(spot.x)
        bar: list[Drawn] = [Rule(x, up(spot.interval[0]), x, up(spot.interval[1]), spot.role, 1.25)] if spot.interval else []
        items.append(Group([*bar, Mark(x, up(spot.score), spot.shape, spot.role, spot.hollow)], spot.tip))
    areas = {spot.label: _around(spot, over, up) for spot in spots}
    items += _names([s for s in spots if s.named], areas, (left, right, top - 14, bottom))
    return Scene(name, title, "; ".join(spot.tip for spot in spots), width, bottom + 44, items)


def _around(spot: Spot, over: Callable[[float], float], up: Callable[[float], float]) -> _Area:
    """Return the area of a mark and its interval."""
    x, (low, high) = over(spot.x), spot.interval or (spot.score, spot.score)
    return x - 5, x + 5, min(up(high), up(spot.score) - 5), max(up(low), up(spot.score) + 5)


def _names(spots: Sequence[Spot], marks: dict[str, _Area], edges: _Area) -> list[Text]:
    """Return names beside their marks, above, below, right or left; one that would touch something is left out."""
    areas, found = list(marks.values()), []
    for spot in sorted(spots, key=lambda spot: (-spot.score, spot.x)):
        left, right, high, low = marks[spot.label]
        long = length(spot.label, size=11)
        middle = min(max((left + right) / 2, edges[0] + long / 2), edges[1] - long / 2)
        places = [(middle - long / 2, high - 5), (middle - long / 2, low + 13)]
        places += [(right + 3, (high + low) / 2 + 4), (left - 3 - long, (high + low) / 2 + 4)]
        for start, base in places:
            area = (start - 3, start + long + 3, base - 11, base + 3)
            inside = (
                edges[0] - _CLOSE <= start and start + long <= edges[1] + _CLOSE and edges[2] <= area[2] and area[3] <= edges[3]
            )
            if inside and not any(_touch(area, other) for other in areas):
                areas.append(area)
                found.append(Text(start, base, spot.label, "ink", size=11))
                break
    return found


def _touch(one: _Area, other: _Area) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
