"""Two kinds of chart as SVG text: dots with intervals, and lines with intervals. No results here, only marks and labels.

Every mark has a class for the page's theme and, for viewers without CSS, a plain colour of the light theme. A chart is as
wide in its units as it is on the screen, so that letters keep their size.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gtimm.report.wording import percent

# Okabe and Ito's colour-blind-safe hues, darkened (light theme) or lightened (dark) until they read as text on the page.
COLOURS = {
    "ink": ("#1c1d1f", "#e8e8e4"),
    "muted": ("#5c6066", "#a6abb1"),
    "grid": ("#e2e2dd", "#33373c"),
    "band": ("#e6f0f8", "#17293a"),
    "generation": ("#00609c", "#69b7ee"),
    "hot-deck": ("#b04a00", "#f0965b"),
    "robust": ("#00735a", "#4fc8a2"),
    "other": ("#94467a", "#de9cc5"),
}
NARROW, WIDE = 360, 560
_CAPPED = 9  # units: a shorter interval has no caps, they would hide its dot
_LETTER = 6.3  # mean width of a letter at 12 units
_End = tuple[float, str, str, bool]  # a label at the end of a line: value, text, role, strong
_SHAPES = {
    "circle": "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z",
    "square": "M-3-3h6v6h-6z",
    "diamond": "M0-4.2L4.2 0L0 4.2L-4.2 0z",
    "triangle": "M0-4.2L3.9 2.9H-3.9z",
}


@dataclass(frozen=True)
class Dot:
    """A line of a dot chart: a value with its interval, in fractions. `tip` says it in full."""

    label: str
    value: float
    interval: tuple[float, float] | None
    tip: str
    role: str = "ink"
    shape: str = "circle"
    hollow: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a line chart: (x, value, interval, tip) in the order of x."""

    label: str
    points: list[tuple[float, float, tuple[float, float] | None, str]]
    role: str = "ink"
    shape: str = "circle"
    strong: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line: the value of something that does not depend on x."""

    label: str
    value: float
    role: str = "muted"
    dash: str = "5 4"


def dot_chart(
    name: str,
    title: str,
    groups: Sequence[tuple[str, Sequence[Dot]]],
    *,
    axis: tuple[float, float],
    show: Callable[[float], str] = percent,
    zero: bool = False,
    width: int = NARROW,
) -> str:
    """Return dots with intervals under group headings; `show` writes a value, `zero` draws a line at 0."""
    dots = [dot for _, group in groups for dot in group]
    left = min(max((_length(dot.label, dot.strong) for dot in dots), default=0.0) + 10, 184.0)
    at = _scale(axis, (left + 8, width - 58.0))
    ticks, y = nice_ticks(axis, most=(width - left) / 52), 0.0
    body: list[str] = []
    for heading, group in groups:
        if heading:
            body.append(_text(0, y + 15, _short(heading, 60), "muted", size=11))
            y += 21
        grounds = [_ground(dot, y + 22 * i, width) for i, dot in enumerate(group)]
        rules = [_rule(at(tick), y, at(tick), y + 22 * len(group), "grid") for tick in ticks]
        rules += [_rule(at(0.0), y, at(0.0), y + 22 * len(group), "muted")] if zero else []
        body += [*grounds, *rules, *(_dot_line(dot, y + 22 * i + 11, at, (left, width), show) for i, dot in enumerate(group))]
        y += 22 * len(group)
    body += [_text(at(tick), y + 16, show(tick).replace(".0", ""), "muted", anchor="middle", size=11) for tick in ticks]
    height = y + 22
    return _svg(name, title, "; ".join(dot.tip for dot in dots), (width, height), body)


def _ground(dot: Dot, y: float, width: int) -> str:
    return f'<rect x="0" y="{y:g}" width="{width}" height="22" {_fill("band")}/>' if dot.strong else ""


def _dot_line(dot: Dot, y: float, at: Callable[[float], float], edges: tuple[float, int], show: Callable[[float], str]) -> str:
    left, width = edges
    parts = [f"<title>{clean(dot.tip)}</title>"]
    parts.append(f'<rect x="0" y="{y - 11:g}" width="{width}" height="22" fill="none" pointer-events="all"/>')
    role = dot.role if dot.strong else "ink"
    parts.append(_text(6, y + 4, _short(dot.label, int((left - 6) / _LETTER)), role, bold=dot.strong))
    if dot.interval:
        low, high = at(dot.interval[0]), at(dot.interval[1])
        parts.append(_rule(low, y, high, y, dot.role, width=2))
        parts += [_rule(x, y - 4, x, y + 4, dot.role, width=1.25) for x in (low, high) if high - low > _CAPPED]
    parts.append(_mark(at(dot.value), y, dot.shape, dot.role, hollow=dot.hollow))
    parts.append(_text(width - 6, y + 4, show(dot.value), role, anchor="end", bold=dot.strong))
    return f"<g>{''.join(parts)}</g>"


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
) -> str:
    """Return lines over x with their names at the right end; `ticks` are (x, text), `log` is for the x axis."""
    ends = [(line.points[-1][1], line.label, line.role, line.strong) for line in lines]
    ends += [(level.value, level.label, level.role, False) for level in levels]
    right = NARROW - min(max(_length(label, strong) for _, label, _, strong in ends) + 10, 152.0)
    top, bottom = 10.0, max(176.0, 16.0 * len(ends) + 20)
    warp = math.log if log else float
    xs = [warp(x) for x, _ in ticks]
    over = _scale((min(xs), max(xs)), (48, right - 8))
    up = _scale(axis, (bottom, top))
    body = []
    for tick in nice_ticks(axis):
        body.append(_rule(40, up(tick), right, up(tick), "grid"))
        body.append(_text(34, up(tick) + 4, percent(tick).replace(".0", ""), "muted", anchor="end", size=11))
    for (_, text), x in zip(ticks, xs, strict=True):
        body.append(_text(over(x), bottom + 18, text, "muted", anchor="middle", size=11))
    body.append(_text((40 + right) / 2, bottom + 36, caption, "muted", anchor="middle", size=11))
    body += [_rule(40, up(level.value), right, up(level.value), level.role, width=1.5, dash=level.dash) for level in levels]
    body += [_line_marks(line, [(over(warp(x)), up(value)) for x, value, _, _ in line.points], up) for line in lines]
    for y, (value, label, role, strong) in _spread([(up(end[0]), end) for end in ends], top, bottom):
        if abs(y - up(value)) > 4:
            body.append(_rule(right - 2, up(value), right + 6, y, role, width=0.75))
        body.append(_text(right + 8, y + 4, _short(label, int((NARROW - right - 8) / _LETTER) + 1), role, bold=strong))
    tips = [tip for line in lines for _, _, _, tip in line.points]
    return _svg(
        name, title, "; ".join(tips + [f"{level.label}: {percent(level.value)}" for level in levels]), (NARROW, bottom + 44), body
    )


def _line_marks(line: Line, places: list[tuple[float, float]], up: Callable[[float], float]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    width = 2 if line.strong else 1.5
    parts = [f'<polyline points="{path}" fill="none" stroke-width="{width}" {_stroke(line.role)}/>']
    for (x, y), (_, _, interval, tip) in zip(places, line.points, strict=True):
        bar = ""
        if interval:
            low, high = up(interval[0]), up(interval[1])
            bar = _rule(x, low, x, high, line.role, width=width)
            bar += "".join(
                _rule(x - 4, end, x + 4, end, line.role, width=1.25) for end in (low, high) if abs(high - low) > _CAPPED
            )
        parts.append(f"<g><title>{clean(tip)}</title>{bar}{_mark(x, y, line.shape, line.role)}</g>")
    return f"<g>{''.join(parts)}</g>"


def _spread(ends: list[tuple[float, _End]], top: float, bottom: float) -> list[tuple[float, _End]]:
    """Move labels apart until they are a line high from one another, none out of the chart."""
    ordered = sorted(ends, key=lambda end: end[0])
    places = [y for y, _ in ordered]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + 15)
    limit = bottom
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - 15
    return [(max(place, top), end) for place, (_, end) in zip(places, ordered, strict=True)]


def bounds(values: Sequence[float], *, within: tuple[float, float] = (0.0, 1.0), least: float = 0.02) -> tuple[float, float]:
    """Return an axis that holds the values and ends on ticks or halfway between."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    step = _step(high - low) / 2
    return max(math.floor(low / step) * step, min(within[0], low)), min(math.ceil(high / step) * step, max(within[1], high))


def nice_ticks(axis: tuple[float, float], *, most: float = 6.0) -> list[float]:
    """Return round values on an axis, no more than fit."""
    step = _step(axis[1] - axis[0])
    if (axis[1] - axis[0]) / step + 1 > most:
        step *= 2
    return [i * step for i in range(math.ceil(axis[0] / step - 1e-6), math.floor(axis[1] / step + 1e-6) + 1)]


def _step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span / 4))
    return min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(span / step - 3.6))


def _scale(source: tuple[float, float], target: tuple[float, float]) -> Callable[[float], float]:
    span = source[1] - source[0] or 1.0
    return lambda value: target[0] + (value - source[0]) / span * (target[1] - target[0])


def clean(text: str) -> str:
    """Escape text for an element or an attribute."""
    return html.escape(text, quote=True)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "…"


def _length(text: str, bold: bool) -> float:
    return len(text) * _LETTER * (1.08 if bold else 1)


def _fill(role: str) -> str:
    return f'class="f-{role}" fill="{COLOURS[role][0]}"'


def _stroke(role: str) -> str:
    return f'class="s-{role}" stroke="{COLOURS[role][0]}"'


def _text(x: float, y: float, text: str, role: str, *, anchor: str = "start", size: int = 12, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{weight} {_fill(role)}>{clean(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, role: str, *, width: float = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{width:g}"{dashes} {_stroke(role)}/>'


def _mark(x: float, y: float, shape: str, role: str, *, hollow: bool = False) -> str:
    paint = f'class="hollow s-{role}" fill="#fff" stroke-width="1.75" stroke="{COLOURS[role][0]}"' if hollow else _fill(role)
    return f'<path transform="translate({x:.1f} {y:.1f})" d="{_SHAPES[shape]}" {paint}/>'


def _svg(name: str, title: str, description: str, size: tuple[int, float], body: Sequence[str]) -> str:
    width, height = size
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
        f'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" '
        f'role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{clean(title)}</title><desc id="{name}-text">{clean(description)}</desc>{"".join(body)}</svg>'
    )


def standalone(svg: str) -> str:
    """Return a chart as a file of its own: transparent, and readable on a light and on a dark ground."""
    rules = "".join(f".f-{role}{{fill:{dark}}}.s-{role}{{stroke:{dark}}}" for role, (_, dark) in COLOURS.items())
    style = f"<style>.hollow{{fill:none}}@media (prefers-color-scheme:dark){{{rules}.hollow{{fill:none}}}}</style>"
    start = svg.index("<title")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg[:start]}{style}{svg[start:]}\n'
