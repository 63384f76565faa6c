"""Values with intervals over a quantity, as lines that bear their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import CAPPED, NARROW, apart, fit, length, nice_ticks, scale, spread
from gtimm.report.scene import Drawn, Group, Mark, Path, Rule, Scene, Text
from gtimm.report.wording import percent

_NAMES = 152.0  # the widest place for names in a narrow chart
_FEW, _DODGE = 3, 2.2  # the intervals of more lines stand beside one another, so many units apart
_PUBLISHED = (3.0, 3.0)  # dashes of the paper's line


@dataclass(frozen=True)
class Place:
    """A point of a line: x, value, interval, all of it in words; `published` is the paper's value at this x."""

    x: float
    value: float
    interval: tuple[float, float] | None
    tip: str
    published: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of a line chart, points in the order of x."""

    label: str
    points: Sequence[Place]
    role: str = "ink"
    shape: str = "circle"
    strong: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line: the value of something that does not depend on x; `tip` says it in full."""

    label: str
    value: float
    role: str = "muted"
    dash: tuple[float, float] = (5, 4)
    tip: str = ""


def line_chart(
    name: str,
    title: str,
    lines: Sequence[Line],
    *,
    ticks: Sequence[tuple[float, str]],
    caption: str,
    axis: tuple[float, float],
    levels: Sequence[Level] = (),
    log: bool = False,
    width: int = NARROW,
) -> Scene:
    """Return lines over x with their names at the right end; `ticks` are (x, text), `log` is for the x axis.

    What the paper has is dashed, with hollow marks, in its line's colour.
    """
    ends = [(line.points[-1].value, line.label, line.role, line.strong) for line in lines]
    ends += [(level.value, level.label, level.role, False) for level in levels]
    right = width - min(max(length(label, bold=strong) for _, label, _, strong in ends) + 10, _NAMES * width / NARROW)
    top, bottom = 10.0, max(176.0 * (width / NARROW) ** 0.7, 16.0 * len(ends) + 20)
    warp = math.log if log else float
    xs = [warp(point.x) for line in lines for point in line.points]
    over = scale((min(xs), max(xs)), (48, right - 8))
    up = scale(axis, (bottom, top))
    items: list[Drawn | Group] = []
    for tick in nice_ticks(axis):
        items.append(Rule(40, up(tick), right, up(tick), "grid"))
        items.append(Text(34, up(tick) + 4, percent(tick).replace(".0", ""), "muted", "end", 11))
    labels = [(over(warp(x)), text) for x, text in ticks]
    for (x, text), shown in zip(labels, apart(labels), strict=True):
        items += [Text(x, bottom + 18, text, "muted", "middle", 11)] if shown else []
    items.append(Text((40 + right) / 2, bottom + 36, caption, "muted", "middle", 11))
    items += [Rule(40, up(level.value), right, up(level.value), level.role, 1.5, level.dash) for level in levels]
    items += [part for line in lines for part in _published(line, lambda point: (over(warp(point.x)), up(point.published or 0)))]
    aside = [_DODGE * (number - (len(lines) - 1) / 2) if len(lines) > _FEW else 0.0 for number in range(len(lines))]
    for line, shift in zip(lines, aside, strict=True):
        items.append(Path([(over(warp(p.x)) + shift, up(p.value)) for p in line.points], line.role, 2 if line.strong else 1.5))
    items += [
        _mark(line, point, over(warp(point.x)) + shift, up)
        for line, shift in zip(lines, aside, strict=True)
        for point in line.points
    ]
    ordered = sorted(ends, key=lambda end: up(end[0]))
    for y, (value, label, role, strong) in zip(spread([up(e[0]) for e in ordered], (top, bottom)), ordered, strict=True):
        if abs(y - up(value)) > 4:
            items.append(Rule(right - 2, up(value), right + 6, y, role, 0.75))
        items.append(Text(right + 8, y + 4, fit(label, width - right - 6, bold=strong), role, bold=strong))
    tips = [point.tip for line in lines for point in line.points]
    tips += [level.tip or f"{level.label}: {percent(level.value)}" for level in levels]
    return Scene(name, title, "; ".join(tips), width, bottom + 44, items)


def _published(line: Line, at: Callable[[Place], tuple[float, float]]) -> list[Drawn]:
    places = [at(point) for point in line.points if point.published is not None]
    marks: list[Drawn] = [Mark(x, y, line.shape, line.role, hollow=True) for x, y in places]
    return [Path(places, line.role, 1.25, _PUBLISHED), *marks] if len(places) > 1 else marks


def _mark(line: Line, point: Place, x: float, up: Callable[[float], float]) -> Group:
    items: list[Drawn] = []
    if point.interval:
        low, high = up(point.interval[0]), up(point.interval[1])
        items.append(Rule(x, low, x, high, line.role, 2 if line.strong else 1.5))
        items += [Rule(x - 4, end, x + 4, end, line.role, 1.25) for end in (low, high) if abs(high - low) > CAPPED]
    return Group([*items, Mark(x, up(point.value), line.shape, line.role)], point.tip)
