"""Scores over a quantity: by budget and by what is missing at test, from the rows; sweeps, with the paper's values."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from gtimm.experiments.schema import Point, Results, Series, Sweep
from gtimm.report import wording
from gtimm.report.charts.axes import NARROW, WIDE, bounds, number_ticks
from gtimm.report.charts.dots import Dot, dot_chart
from gtimm.report.charts.lines import Level, Place, line_chart
from gtimm.report.charts.lines import Line as Curve
from gtimm.report.charts.scatter import Spot, scatter_chart
from gtimm.report.figures import Figure, budget_figures, robustness_figures, slug
from gtimm.report.methods import GENERATION, OTHERS, family, method_role, method_shape
from gtimm.report.rows import interval, main_dataset
from gtimm.report.scene import Scene
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

_STYLES = (
    ("generation", "circle"),
    ("robust", "triangle"),
    ("other", "square"),
    ("hot-deck", "diamond"),
    ("ink", "circle"),
    ("muted", "diamond"),
)
_DASHES = ((1.5, 3.0), (5.0, 4.0), (9.0, 3.0))


def budget(results: Results) -> Section | None:
    """Return score by generation budget."""
    figures = budget_figures(results, main_dataset(results))
    return Section("budget", "Budget", {"panels": figures}, figures) if figures else None


def missing_at_test(results: Results) -> Section | None:
    """Return score with more missing at test."""
    figures = robustness_figures(results, main_dataset(results))
    return Section("robustness", "Missing at test", {"panels": figures}, figures) if figures else None


def sweeps(results: Results) -> Section | None:
    """Return the sweeps, each as a chart with its values as a table."""
    if not results.sweeps:
        return None
    shown: list[dict[str, Any]] = []
    figures: list[Figure] = []
    tables: list[Table] = []
    for number, sweep in enumerate(results.sweeps):
        name = f"sweep-{slug(sweep.name)}-{slug(sweep.dataset)}"
        name = f"{name}-{number}" if any(table.name == name for table in tables) else name
        figure, table = sweep_figure(sweep, name), sweep_table(sweep, name)
        shown.append({"id": f"sweep-{number}", "figure": figure, "table": table, "sentence": sweep.sentence})
        figures += [figure] if figure else []
        tables.append(table)
    published = any(point.paper is not None for sweep in results.sweeps for line in sweep.series for point in line.points)
    return Section("sweeps", "Sweeps", {"sweeps": shown, "published": published}, figures, tables)


def sweep_figure(sweep: Sweep, name: str) -> Figure | None:
    """Return curves over numbers, dots under the series' names over anything else; `None` where no point has a value."""
    title = f"{sweep.title}, {sweep.dataset}" if sweep.dataset not in sweep.title else sweep.title
    points = [point for series in sweep.series for point in series.points if point.mean is not None]
    if not points:
        return None
    axis = bounds([v for p in points for v in (p.mean or 0.0, *(interval(p) or ()), *([] if p.paper is None else [p.paper]))])
    numbers = all(isinstance(point.x, (int, float)) for series in sweep.series for point in series.points)

    def draw(end: str, width: int) -> Scene:
        xs = [float(point.x) for point in points] if numbers else []
        if len(set(xs)) < 2:
            return dot_chart(f"{name}{end}", title, _groups(sweep), axis=axis, width=width)
        log = sweep.log and min(xs) > 0
        caption = f"{sweep.x} (log)" if log else sweep.x
        if _scattered(sweep):
            spots, line = _spots(sweep)
            return scatter_chart(
                f"{name}{end}",
                title,
                spots,
                ticks=lambda low, high: number_ticks((low, high), log=log),
                caption=caption,
                axis=axis,
                line=line,
                log=log,
                width=width,
            )
        lines, levels = _curves(sweep)
        ticks = number_ticks(xs, log=log)
        return line_chart(
            f"{name}{end}", title, lines, ticks=ticks, caption=caption, axis=axis, levels=levels, log=log, width=width
        )

    return Figure(name, title, draw("", NARROW), draw("-wide", WIDE))


def sweep_table(sweep: Sweep, name: str) -> Table:
    """Return all points of a sweep, the paper's values beside them where it has any."""
    several = len(sweep.series) > 1
    published = any(point.paper is not None for series in sweep.series for point in series.points)
    columns = [
        *([Column("Series", ("series",))] if several else []),
        Column(wording.sentence(sweep.x), ("x",), number=True),
        Column("Mean", ("mean",), number=True),
        Column("95% interval", ("ci_low", "ci_high"), number=True),
        *([Column("Paper", ("paper",), number=True)] if published else []),
    ]
    lines = [
        Line(
            [
                *([Cell(series.name, (series.name,))] if several else []),
                Cell(_x(point), (point.x,)),
                Cell(wording.percent(point.mean), (point.mean,)),
                Cell(wording.interval(interval(point)), (point.ci_low, point.ci_high)),
                *([Cell(wording.percent(point.paper), (point.paper,))] if published else []),
            ]
        )
        for series in sweep.series
        for point in series.points
    ]
    return Table(name, f"{sweep.title}, {sweep.dataset}: {wording.metric(sweep.metric)}", columns, lines)


def _curves(sweep: Sweep) -> tuple[list[Curve], list[Level]]:
    """Return the series as curves; those that are the same at every x as horizontal lines, unless all are."""
    curves: list[Curve] = []
    levels: list[Level] = []
    flat = [len({(p.mean, p.ci_low, p.ci_high) for p in series.points}) == 1 < len(series.points) for series in sweep.series]
    for number, (series, style) in enumerate(zip(sweep.series, _styles(sweep), strict=True)):
        points = sorted((p for p in series.points if p.mean is not None), key=lambda p: float(p.x))
        if points and flat[number] and not all(flat):
            tip = _tip(series, points[0], x=False)
            levels.append(Level(series.name, points[0].mean or 0.0, style[0], _DASHES[len(levels) % len(_DASHES)], tip))
        elif points:
            places = [Place(float(p.x), p.mean or 0.0, interval(p), _tip(series, p), p.paper) for p in points]
            curves.append(Curve(series.name, places, *style, strong=family(series.name.lower()) == GENERATION))
    return curves, levels


def _scattered(sweep: Sweep) -> bool:
    """Return whether most series are single points: methods at a place, not curves."""
    return len(sweep.series) > 2 and sum(len(series.points) == 1 for series in sweep.series) > len(sweep.series) / 2


def _spots(sweep: Sweep) -> tuple[list[Spot], list[tuple[float, float]]]:
    """Return series of one point as spots, and the points of the longest other one as the line."""
    lines = [sorted((float(p.x), p.mean) for p in s.points if p.mean is not None) for s in sweep.series if len(s.points) > 1]
    line = max(lines, key=len, default=[])
    spots = []
    for series in sweep.series:
        for p in series.points if len(series.points) == 1 else ():
            if p.mean is not None:
                colour, mark = _look(series.name)
                on = (float(p.x), p.mean) in line or not line
                spots.append(Spot(series.name, float(p.x), p.mean, interval(p), _tip(series, p), colour, mark, hollow=not on))
    return spots, line


def _look(name: str) -> tuple[str, str]:
    """Return colour and mark of a method, also of one whose name goes on with its budget."""
    method = name.split(",", maxsplit=1)[0]
    return method_role(method, family(method)), method_shape(method, family(method))


def _groups(sweep: Sweep) -> list[tuple[str, list[Dot]]]:
    groups = []
    for series, (colour, mark) in zip(sweep.series, _styles(sweep), strict=True):
        points = [p for p in series.points if p.mean is not None]
        dots = [Dot(_x(p), p.mean or 0.0, interval(p), _tip(series, p), colour, mark, published=p.paper) for p in points]
        groups.append((series.name if len(sweep.series) > 1 else "", dots))
    return groups


def _styles(sweep: Sweep) -> list[tuple[str, str]]:
    """Return colour and mark of each series: a known method's own, where no series before it has that colour; else a free one."""
    found: list[tuple[str, str] | None] = []
    for series in sweep.series:
        known = family(series.name.lower())
        colour = method_role(series.name, known)
        taken = known == OTHERS or any(style and style[0] == colour for style in found)
        found.append(None if taken else (colour, method_shape(series.name, known)))
    used = {style[0] for style in found if style}
    free = cycle([style for style in _STYLES if style[0] not in used] or _STYLES)
    return [style or next(free) for style in found]


def _x(point: Point) -> str:
    return point.x if isinstance(point.x, str) else f"{point.x:,.6g}"


def _tip(series: Series, point: Point, *, x: bool = True) -> str:
    text = f"{series.name}{', ' + _x(point) if x else ''}: {wording.percent(point.mean)}"
    text += f" ({wording.interval(interval(point))})" if interval(point) else ""
    return f"{text}; the paper: {wording.percent(point.paper)}" if point.paper is not None else text
