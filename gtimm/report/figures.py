"""Which figures the rows of a run give: methods, budgets, robustness, differences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gtimm.experiments.schema import Comparison, Results, Row
from gtimm.report import wording
from gtimm.report.charts.axes import NARROW, WIDE, bounds
from gtimm.report.charts.dots import Dot, dot_chart, label_room
from gtimm.report.charts.lines import Level, Line, Place, line_chart
from gtimm.report.methods import FAMILIES, GENERATION, LESS_DATA, REFERENCES, method_role, method_shape
from gtimm.report.rows import (
    Setting,
    WithBudget,
    interval,
    kind,
    label,
    largest_budget,
    least_test,
    place,
    settings,
    trained,
    variants,
)
from gtimm.report.scene import Scene

SIGNIFICANT = 0.05
_LINES = 5  # of more, a chart is wide where there is room


@dataclass(frozen=True)
class Figure:
    """A chart of the page: `title` stands above it, `note` below; `wide` is for wide screens, if it differs."""

    name: str
    title: str
    scene: Scene
    wide: Scene | None = None
    note: str = ""


def method_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of all methods for each way of training, on one shared axis; see `rows.trained`."""
    found = settings(results, dataset)
    shown = {setting: largest_budget(trained(results, setting)) for setting in found}
    for setting, rows in shown.items():
        if setting.missing and all(kind(row) == REFERENCES for row in rows):
            shown[setting] = []  # references alone say nothing about a way of training
    axis = _axis(row for rows in shown.values() for row in rows)
    kept = [s for s in found if shown[s]]
    groups = {s: [_group(family, [row for row in shown[s] if kind(row) == family]) for family in FAMILIES] for s in kept}
    room = label_room(dot for parts in groups.values() for _, dots in parts for dot in dots)

    def draw(setting: Setting, name: str, title: str, width: int = NARROW) -> Scene:
        return dot_chart(name, title, [group for group in groups[setting] if group[1]], axis=axis, width=width, room=room)

    figures = zip(kept, panels("methods", kept, draw), strict=True)
    return [replace(figure, wide=draw(setting, f"{figure.name}-wide", figure.title, WIDE)) for setting, figure in figures]


def budget_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of score over generated items per class for each way of training that has two budgets or more."""
    curves, levels = {}, {}
    for setting in settings(results, dataset):
        rows = trained(results, setting)
        found = _series([r for r in rows if (r.budget or 0) > 0], lambda row: float(row.budget or 0))
        if found:
            curves[setting] = found
            levels[setting] = [r for r in rows if r.method in ("zero-fill", "hot-deck") and r.budget is None]
    axis = _axis(row for s in curves for row in [*levels[s], *(r for rows in curves[s].values() for r in rows)])

    def draw(setting: Setting, name: str, title: str) -> Scene:
        lines = [_line(rows, [float(row.budget or 0) for row in rows]) for rows in curves[setting].values()]
        flat = [Level(r.method, r.mean or 0.0, role(r), (5, 4) if r.method == "hot-deck" else (1.5, 3)) for r in levels[setting]]
        budgets = sorted({row.budget or 0 for rows in curves[setting].values() for row in rows})
        ticks = [(float(budget), f"{budget:,}") for budget in budgets]
        caption = "generated items per class (log)"
        return line_chart(name, title, lines, ticks=ticks, caption=caption, axis=axis, levels=flat, log=True)

    return panels("budget", list(curves), draw)


def robustness_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of score over the share missing at test, for each way of training and modality that has two shares or more.

    A way of training that has no line of its own, only references, is left out where another has.
    """
    figures: list[Figure] = []
    tests = [name for row in results.rows if len(row.missing_test) == 1 for name in row.missing_test]
    for modality in dict.fromkeys(tests):
        curves = {}
        for setting in settings(results, dataset):
            rows = [r for r in largest_budget(trained(results, setting, tested_whole=False)) if set(r.missing_test) <= {modality}]
            if found := _series(rows, partial(_share, modality)):
                curves[setting] = found
        own = {s: found for s, found in curves.items() if any(r.missing_train for rows in found.values() for r in rows)}
        figures += _robustness(own or dict(list(curves.items())[:1]), modality)
    return figures


def _robustness(curves: dict[Setting, dict[str, list[Row]]], modality: str) -> list[Figure]:
    axis = _axis(row for found in curves.values() for rows in found.values() for row in rows)

    def draw(setting: Setting, name: str, title: str, width: int = NARROW) -> Scene:
        lines = [_line(rows, [_share(modality, row) for row in rows]) for rows in curves[setting].values()]
        shares = sorted({point.x for line in lines for point in line.points})
        ticks = [(share, f"{100 * share:.4g}%") for share in shares]
        caption = f"{wording.plural(modality)} missing at test"
        return line_chart(name, title, lines, ticks=ticks, caption=caption, axis=axis, width=width)

    figures = panels(f"missing-test-{slug(modality)}", list(curves), draw)
    if max((len(found) for found in curves.values()), default=0) <= _LINES:
        return figures
    return [replace(f, wide=draw(s, f"{f.name}-wide", f.title, WIDE)) for s, f in zip(curves, figures, strict=True)]


def difference_figures(comparisons: Sequence[Comparison], dataset: str) -> list[Figure]:
    """Return one chart of the differences in each setting on a data set, in percentage points, whatever their sign, on one axis.

    Where several methods of a setting have one opponent, lines bear the methods' names; else the opponents'. A hollow dot is a
    difference that is not significant after correction.
    """
    own = [c for c in comparisons if c.dataset == dataset and c.difference is not None]
    axis = bounds([v for c in own for v in (0.0, c.difference or 0.0, *(interval(c) or ()))], within=(-1.0, 1.0))
    panels_of: dict[str, dict[str, list[Dot]]] = {}
    for where in dict.fromkeys(place(c) for c in own):
        here = [c for c in own if place(c) == where]
        by_method = len({opponent(c) for c in here}) < len({label(c) for c in here})
        for c in here:
            heading = f"minus {opponent(c)}" if by_method else f"{label(c)}, minus"
            dot = _difference(c, where, label(c) if by_method else opponent(c))
            panels_of.setdefault(where, {}).setdefault(heading, []).append(dot)
    room = label_room(dot for groups in panels_of.values() for dots in groups.values() for dot in dots)
    figures = []
    for where, groups in panels_of.items():
        name, title = f"differences-{slug(dataset)}-{slug(where)}", wording.sentence(where)
        narrow, wide = (
            dot_chart(
                f"{name}{end}", title, list(groups.items()), axis=axis, show=wording.points, zero=True, width=width, room=room
            )
            for end, width in (("", NARROW), ("-wide", WIDE))
        )
        figures.append(Figure(name, title, narrow, wide))
    return figures


def _difference(c: Comparison, where: str, name: str) -> Dot:
    tip = f"{where}: {label(c)}, minus {opponent(c)}: {wording.points(c.difference)} points"
    tip += f" ({wording.interval(interval(c), difference=True)})" if interval(c) else ""
    tip += f", corrected p {wording.p_value(c.p_adjusted)}" if c.p_adjusted is not None else ""
    unsure = c.p_adjusted is not None and c.p_adjusted >= SIGNIFICANT
    return Dot(name, c.difference or 0.0, interval(c), tip, role(c), hollow=unsure)


def opponent(comparison: Comparison) -> str:
    """Return the method compared against, with its budget."""
    budget = comparison.against_budget
    return comparison.against if budget is None else f"{comparison.against}, {budget:,}/class"


def tip(row: Row) -> str:
    """Return a row's label, value, interval and seeds in words."""
    text = f"{label(row)}: {wording.percent(row.mean)}"
    text += f" ({wording.interval(interval(row))})" if interval(row) else ""
    return f"{text}, {row.seeds} seed{'s' if row.seeds != 1 else ''}" if row.seeds else text


def slug(text: str) -> str:
    """Return text as a part of a file name or id; what had to change gets a digest, to stay unlike other names."""
    plain = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".lstrip("-")


def role(row: WithBudget) -> str:
    """Return a row's colour."""
    return method_role(row.method, kind(row))


def shape(row: WithBudget) -> str:
    """Return a row's mark."""
    return method_shape(row.method, kind(row))


def tested(results: Results, dataset: str) -> str:
    """Return what is missing at test in `method_figures`, in words."""
    least = least_test(results, dataset)
    return f"{wording.ratios(least)} missing at test" if least else "no holes simulated at test"


def panels(kind_: str, found: list[Setting], draw: Callable[[Setting, str, str], Scene]) -> list[Figure]:
    """Return a figure for each way of training; `draw` is given its name and title."""
    figures: dict[str, Figure] = {}
    for setting in found:
        parts = [kind_, *(slug(part) for part in (setting.dataset, setting.mechanism) if part)]
        name = "-".join(parts + [slug(m) + f"{100 * share:.4g}".replace(".", "-") for m, share in setting.missing])
        if name in figures:
            name = f"{name}-{len(figures)}"
        title = wording.sentence(setting.title)
        figures[name] = Figure(name, title, draw(setting, name, title))
    return list(figures.values())


def _series(rows: list[Row], at: Callable[[Row], float]) -> dict[str, list[Row]]:
    found: dict[str, dict[float, Row]] = {}
    for row in rows:
        found.setdefault(", ".join((row.method, *variants(row))), {})[at(row)] = row
    return {method: [by_x[x] for x in sorted(by_x)] for method, by_x in found.items() if len(by_x) > 1}


def _share(modality: str, row: Row) -> float:
    return row.missing_test.get(modality, 0.0)


def _group(family: str, rows: list[Row]) -> tuple[str, list[Dot]]:
    """Return a heading and its dots; a budget that all rows share moves from the labels into the heading."""
    budgets = {row.budget for row in rows}
    budget = next(iter(budgets)) if len(budgets) == 1 else None
    dots = [_dot(row) for row in rows]
    if budget is None:
        return family, dots
    short = [replace(dot, label=", ".join([row.method, *variants(row)])) for dot, row in zip(dots, rows, strict=True)]
    return f"{family}, {budget:,} per class", short


def _line(rows: list[Row], xs: list[float]) -> Line:
    marks = [Place(x, row.mean or 0.0, interval(row), tip(row)) for x, row in zip(xs, rows, strict=True)]
    name = ", ".join([rows[0].method, *variants(rows[0])])
    return Line(name, marks, role=role(rows[0]), shape=shape(rows[0]), strong=kind(rows[0]) == GENERATION)


def _dot(row: Row) -> Dot:
    light, strong = kind(row) in (REFERENCES, LESS_DATA), kind(row) == GENERATION
    return Dot(label(row), row.mean or 0.0, interval(row), tip(row), role(row), shape(row), hollow=light, strong=strong)


def _axis(rows: Iterable[Row]) -> tuple[float, float]:
    return bounds([value for row in rows for value in (row.mean or 0.0, *(interval(row) or ()))])
