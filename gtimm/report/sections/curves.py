"""Scores over a quantity: by budget and by what is missing at test, from the rows; sweeps, with the paper's values."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from gtimm.experiments.schema import Point, Results, Series, Sweep
from gtimm.report import wording
from gtimm.report.charts.axes import NARROW, WIDE, bounds
from gtimm.report.charts.dots import Dot, dot_chart
from gtimm.report.charts.lines import Line as Curve
from gtimm.report.charts.lines import Place, line_chart
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
        if not numbers or len({point.x for point in points}) < 2:
            return dot_chart(f"{name}{end}", title, _groups(sweep), axis=axis, width=width)
        lines = _curves(sweep)
        xs = sorted({place.x for line in lines for place in line.points})
        log = sweep.log and xs[0] > 0
        caption = f"{sweep.x} (log)" if log else sweep.x
        ticks = [(x, f"{x:,.6g}") for x in xs]
        return line_chart(f"{name}{end}", title, lines, ticks=ticks, caption=caption, axis=axis, log=log, width=width)

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


def _curves(sweep: Sweep) -> list[Curve]:
    found = []
    for series, style in zip(sweep.series, _styles(sweep), strict=True):
        points = sorted((p for p in series.points if p.mean is not None), key=lambda p: float(p.x))
        places = [Place(float(p.x), p.mean or 0.0, interval(p), _tip(series, p), p.paper) for p in points]
        if places:
            found.append(Curve(series.name, places, *style, strong=family(series.name) == GENERATION))
    return found


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
        known = family(series.name)
        colour = method_role(series.name, known)
        taken = known == OTHERS or any(style and style[0] == colour for style in found)
        found.append(None if taken else (colour, method_shape(series.name, known)))
    used = {style[0] for style in found if style}
    free = cycle([style for style in _STYLES if style[0] not in used] or _STYLES)
    return [style or next(free) for style in found]


def _x(point: Point) -> str:
    return point.x if isinstance(point.x, str) else f"{point.x:,.6g}"


def _tip(series: Series, point: Point) -> str:
    text = f"{series.name}, {_x(point)}: {wording.percent(point.mean)}"
    text += f" ({wording.interval(interval(point))})" if interval(point) else ""
    return f"{text}; the paper: {wording.percent(point.paper)}" if point.paper is not None else text
