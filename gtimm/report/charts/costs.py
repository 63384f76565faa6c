"""Score over cost, with the frontier: those that nothing cheaper matches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import NARROW, apart, length, nice_ticks, scale
from gtimm.report.scene import Drawn, Group, Mark, Path, Rule, Scene, Text
from gtimm.report.wording import percent


@dataclass(frozen=True)
class Bought:
    """What a method costs and scores: seconds above zero, a fraction; `best` where nothing cheaper scores as high."""

    label: str
    seconds: float
    score: float
    interval: tuple[float, float] | None
    tip: str
    role: str = "ink"
    shape: str = "circle"
    best: bool = False


_Area = tuple[float, float, float, float]  # left, right, top, bottom
# Seconds at which a time axis is marked: 1, 2, 5, 10, 20, 30 of each unit.
_MARKS = [m * unit for unit in (0.01, 0.1) for m in (1, 2, 5)] + [
    m * unit for unit in (1, 60, 3600) for m in (1, 2, 5, 10, 20, 30)
]
_MARKS += [3600.0 * m for m in (50, 100, 200, 500, 1000, 2000, 5000)]


def cost_chart(name: str, title: str, methods: Sequence[Bought], *, axis: tuple[float, float], width: int = NARROW) -> Scene:
    """Return score over seconds, logarithmic; the frontier, beyond which nothing is cheaper and better, is a line with names."""
    left, right, top, bottom = 44.0, width - 12.0, 26.0, 26.0 + 200.0 * (width / NARROW) ** 0.6
    cheap, dear = min(m.seconds for m in methods), max(m.seconds for m in methods)
    ends = (math.log(cheap / 1.35), math.log(dear * 1.35))
    over, up = scale(ends, (left + 4, right - 4)), scale(axis, (bottom, top))
    items: list[Drawn | Group] = []
    for tick in nice_ticks(axis):
        items.append(Rule(left, up(tick), right, up(tick), "grid"))
        items.append(Text(left - 6, up(tick) + 4, percent(tick).replace(".0", ""), "muted", "end", 11))
    ticks = [(over(math.log(s)), _time(s)) for s in _ticks(cheap / 1.35, dear * 1.35)]
    for (x, text), shown in zip(ticks, apart(ticks), strict=True):
        items += [Rule(x, top, x, bottom, "grid"), Text(x, bottom + 18, text, "muted", "middle", 11)] if shown else []
    items.append(Text((left + right) / 2, bottom + 36, "training and generation (log)", "muted", "middle", 11))
    frontier = sorted((m for m in methods if m.best), key=lambda m: m.seconds)
    items.append(Path([(over(math.log(m.seconds)), up(m.score)) for m in frontier], "generation", 1.25))
    for m in sorted(methods, key=lambda m: m.best):
        x = over(math.log(m.seconds))
        bar: list[Drawn] = [Rule(x, up(m.interval[0]), x, up(m.interval[1]), m.role, 1.25)] if m.interval else []
        items.append(Group([*bar, Mark(x, up(m.score), m.shape, m.role, hollow=not m.best)], m.tip))
    taken = [_around(over(math.log(m.seconds)), up, m) for m in methods]
    items += _names([(over(math.log(m.seconds)), up, m) for m in reversed(frontier)], taken, (left, right, top - 14, bottom))
    return Scene(name, title, "; ".join(m.tip for m in methods), width, bottom + 44, items)


def _around(x: float, up: Callable[[float], float], m: Bought) -> _Area:
    """Return the area of a mark and its interval."""
    low, high = m.interval or (m.score, m.score)
    return x - 5, x + 5, min(up(high), up(m.score) - 5), max(up(low), up(m.score) + 5)


def _names(marks: Sequence[tuple[float, Callable[[float], float], Bought]], taken: Sequence[_Area], edges: _Area) -> list[Text]:
    """Return names beside their marks, above, below, right or left; one that would touch something is left out."""
    areas, found = list(taken), []
    for x, up, m in marks:
        left, right, high, low = _around(x, up, m)
        long = length(m.label, size=11)
        middle = min(max(x, edges[0] + long / 2), edges[1] - long / 2)
        places = [(middle - long / 2, high - 5), (middle - long / 2, low + 13)]
        places += [(right + 3, (high + low) / 2 + 4), (left - 3 - long, (high + low) / 2 + 4)]
        for start, base in places:
            area = (start - 3, start + long + 3, base - 11, base + 3)
            inside = edges[0] <= start and start + long <= edges[1] and edges[2] <= area[2] and area[3] <= edges[3]
            if inside and not any(_touch(area, other) for other in areas):
                areas.append(area)
                found.append(Text(start, base, m.label, "ink", size=11))
                break
    return found


def _touch(one: _Area, other: _Area) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _ticks(low: float, high: float) -> list[float]:
    """Return times to mark; the ends where no round one lies between."""
    return [s for s in _MARKS if low <= s <= high] or [low, high]


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:,.4g} min" if seconds < 3600 else f"{seconds / 3600:,.4g} h"
