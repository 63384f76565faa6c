"""Values with intervals, one a line, under headings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import CAPPED, NARROW, fit, length, nice_ticks, scale
from gtimm.report.scene import Box, Drawn, Group, Mark, Rule, Scene, Text
from gtimm.report.wording import percent

_LINE = 22  # height of a line
_SEEN = 7  # units: a shorter interval is behind its dot
_LABELS = 184.0  # the widest place for labels in a narrow chart


@dataclass(frozen=True)
class Dot:
    """A line of a dot chart: a value with its interval, in fractions.

    Attributes:
        label: at the left.
        value: of the dot.
        interval: its ends.
        tip: says it in full.
        role: its colour.
        shape: of the dot.
        hollow: whether the dot is.
        strong: on a band, its name in colour.
        stem: whether a line goes from zero to the dot.
        published: the paper's value, a mark of its own.
    """

    label: str
    value: float
    interval: tuple[float, float] | None
    tip: str
    role: str = "ink"
    shape: str = "circle"
    hollow: bool = False
    strong: bool = False
    stem: bool = False
    published: float | None = None


def dot_chart(
    name: str,
    title: str,
    groups: Sequence[tuple[str, Sequence[Dot]]],
    *,
    axis: tuple[float, float],
    show: Callable[[float], str] = percent,
    zero: bool = False,
    width: int = NARROW,
    room: float | None = None,
) -> Scene:
    """Return dots with intervals under group headings.

    Args:
        name: of the scene.
        title: of the scene.
        groups: headings and their dots.
        axis: ends of the values.
        show: writes a value.
        zero: whether a line stands at 0.
        width: in units.
        room: for labels, from `label_room`, so that charts of one kind have their axes at the same place.
    """
    dots = [dot for _, group in groups for dot in group]
    most = _LABELS * max(width / NARROW, 1) ** 0.8
    left = min(label_room(dots) if room is None else room, most)
    at = scale(axis, (left + 8, width - 58.0))
    ticks, y = nice_ticks(axis, most=(width - left) / 52), 0.0
    items: list[Drawn | Group] = []
    for heading, group in groups:
        if heading:
            items.append(Text(0, y + 15, fit(heading, width, size=11), "muted", size=11))
            y += 21
        bottom = y + _LINE * len(group)
        items += [Box(0, y + _LINE * i, width, _LINE, "band") for i, dot in enumerate(group) if dot.strong]
        items += [Rule(at(tick), y, at(tick), bottom, "grid") for tick in ticks]
        items += [Rule(at(0.0), y, at(0.0), bottom, "muted")] if zero else []
        items += [_line(dot, y + _LINE * i + 11, at, (left, width), show) for i, dot in enumerate(group)]
        y = bottom
    items += [Text(at(tick), y + 16, show(tick).replace(".0", ""), "muted", "middle", 11) for tick in ticks]
    return Scene(name, title, "; ".join(dot.tip for dot in dots), width, y + 22, items)


def label_room(dots: Iterable[Dot]) -> float:
    """Return how much room the labels of dots take."""
    return max((length(dot.label, bold=dot.strong) for dot in dots), default=0.0) + 10


def _line(dot: Dot, y: float, at: Callable[[float], float], edges: tuple[float, int], show: Callable[[float], str]) -> Group:
    left, width = edges
    role = dot.role if dot.strong else "ink"
    items: list[Drawn] = [
        Box(0, y - 11, width, _LINE),
        Text(6, y + 4, fit(dot.label, left - 6, bold=dot.strong), role, bold=dot.strong),
    ]
    if dot.stem:
        items.append(Rule(at(0.0), y, at(dot.value), y, dot.role, 2))
    if dot.published is not None:
        items.append(Mark(at(dot.published), y, "diamond", "muted", hollow=True))
    if dot.interval:
        low, high = at(dot.interval[0]), at(dot.interval[1])
        items += [Rule(low, y, high, y, dot.role, 2)] if high - low > _SEEN else []
        items += [Rule(x, y - 4, x, y + 4, dot.role, 1.25) for x in (low, high) if high - low > CAPPED]
    items.append(Mark(at(dot.value), y, dot.shape, dot.role, dot.hollow))
    items.append(Text(width - 6, y + 4, show(dot.value), role, "end", bold=dot.strong))
    return Group(items, dot.tip)
