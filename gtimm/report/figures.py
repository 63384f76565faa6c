"""Which figures a run's results give: methods, budgets, robustness, differences; and the summary figure of a README."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gtimm.report import wording
from gtimm.report.charts import NARROW, WIDE, Dot, Level, Line, bounds, dot_chart, line_chart
from gtimm.report.methods import FAMILIES, FILLS, GENERATION, LESS_DATA, REFERENCES, ROBUST
from gtimm.report.results import Comparison, Results, Row, Setting, largest_budget
from gtimm.report.summary import summary_figure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Figure", "budget_figures", "difference_figure", "method_figures", "robustness_figures", "summary_figure"]


@dataclass(frozen=True)
class Figure:
    """A chart: `name` is its file's, safe in paths and ids; `title` stands above it; `wide` is for wide screens, if it differs."""

    name: str
    title: str
    svg: str
    wide: str = ""


def method_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of all methods for each way of training, tested with nothing missing, on one shared axis."""
    settings = results.settings(dataset)
    shown = {setting: largest_budget(results.trained(setting)) for setting in settings}
    for setting, rows in shown.items():
        if setting.missing and all(row.family == REFERENCES for row in rows):
            shown[setting] = []  # references alone say nothing about a way of training
    axis = _axis(row for rows in shown.values() for row in rows)

    def draw(setting: Setting, name: str, title: str, width: int = NARROW) -> str:
        groups = [_group(family, [row for row in shown[setting] if row.family == family]) for family in FAMILIES]
        return dot_chart(name, title, [group for group in groups if group[1]], axis=axis, width=width)

    figures = zip([s for s in settings if shown[s]], _panels("methods", [s for s in settings if shown[s]], draw), strict=True)
    return [replace(figure, wide=draw(setting, f"{figure.name}-wide", figure.title, WIDE)) for setting, figure in figures]


def budget_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of score over generated items per class for each way of training that has two budgets or more."""
    curves, levels = {}, {}
    for setting in results.settings(dataset):
        rows = results.trained(setting)
        found = _series([r for r in rows if (r.budget or 0) > 0], lambda row: float(row.budget or 0))
        if found:
            curves[setting] = found
            levels[setting] = [r for r in rows if r.method in ("zero-fill", "hot-deck") and r.budget is None]
    axis = _axis(row for s in curves for row in [*levels[s], *(r for rows in curves[s].values() for r in rows)])

    def draw(setting: Setting, name: str, title: str) -> str:
        lines = [_line(rows, [float(row.budget or 0) for row in rows]) for rows in curves[setting].values()]
        flat = [Level(r.method, r.mean or 0.0, _role(r), "5 4" if r.method == "hot-deck" else "1.5 3") for r in levels[setting]]
        budgets = sorted({row.budget or 0 for rows in curves[setting].values() for row in rows})
        ticks = [(float(budget), f"{budget:,}") for budget in budgets]
        return line_chart(
            name, title, lines, ticks=ticks, caption="generated items per class (log)", axis=axis, levels=flat, log=True
        )

    return _panels("budget", list(curves), draw)


def robustness_figures(results: Results, dataset: str) -> list[Figure]:
    """Return one chart of score over the share missing at test, for each way of training and modality that has two shares or more."""
    figures: list[Figure] = []
    tests = [name for row in results.rows if len(row.missing_test) == 1 for name in row.missing_test]
    for modality in dict.fromkeys(tests):
        curves = {}
        for setting in results.settings(dataset):
            rows = [r for r in largest_budget(results.trained(setting, tested_whole=False)) if set(r.missing_test) <= {modality}]
            if found := _series(rows, partial(_share, modality)):
                curves[setting] = found
        axis = _axis(row for found in curves.values() for rows in found.values() for row in rows)

        def draw(
            setting: Setting, name: str, title: str, curves: Any = curves, modality: str = modality, axis: Any = axis
        ) -> str:
            at = {method: [_share(modality, row) for row in rows] for method, rows in curves[setting].items()}
            lines = [_line(rows, at[method]) for method, rows in curves[setting].items()]
            ticks = [(share, f"{100 * share:.4g}%") for share in sorted({share for shares in at.values() for share in shares})]
            caption = f"{wording.plural(modality)} missing at test"
            return line_chart(name, title, lines, ticks=ticks, caption=caption, axis=axis)

        figures += _panels(f"missing-test-{slug(modality)}", list(curves), draw)
    return figures


def difference_figure(comparisons: Sequence[Comparison], dataset: str) -> Figure | None:
    """Return one chart of the differences between methods on a data set, in percentage points, whatever their sign."""
    own = [c for c in comparisons if c.dataset == dataset and c.difference is not None]
    if not own:
        return None
    groups: dict[str, list[Dot]] = {}
    for c in own:
        heading = f"{difference_heading(c)}: {c.label}, minus"
        tip = f"{heading} {c.against}: {wording.points(c.difference)} points"
        tip += f" ({wording.interval(c.interval, difference=True)})" if c.interval else ""
        dot = Dot(c.against, c.difference or 0.0, c.interval, tip, role="generation")
        groups.setdefault(heading, []).append(dot)
    ends = [v for c in own for v in (0.0, c.difference or 0.0, *(c.interval or ()))]
    title, name = "Differences in percentage points", f"differences-{slug(dataset)}"
    axis = bounds(ends, within=(-1.0, 1.0))
    narrow, wide = (
        dot_chart(f"{name}{end}", title, list(groups.items()), axis=axis, show=wording.points, zero=True, width=width)
        for end, width in (("", NARROW), ("-wide", WIDE))
    )
    return Figure(name, title, narrow, wide)


def difference_heading(comparison: Comparison) -> str:
    """Return where a comparison was made: training, and test if anything was missing there."""
    text = wording.setting(comparison.missing_train, comparison.mechanism)
    return f"{text}; {wording.ratios(comparison.missing_test)} at test" if comparison.missing_test else text


def tip(row: Row) -> str:
    """Return a row's label, value, interval and seeds in words."""
    text = f"{row.label}: {wording.percent(row.mean)}"
    text += f" ({wording.interval(row.interval)})" if row.interval else ""
    return f"{text}, {row.seeds} seed{'s' if row.seeds != 1 else ''}" if row.seeds else text


def slug(text: str) -> str:
    """Return text as a part of a file name or id; what had to change gets a digest, to stay unlike other names."""
    plain = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".lstrip("-")


def _panels(kind: str, settings: list[Setting], draw: Callable[[Setting, str, str], str]) -> list[Figure]:
    figures: dict[str, Figure] = {}
    for setting in settings:
        parts = [kind, *(slug(part) for part in (setting.dataset, setting.mechanism) if part)]
        name = "-".join(parts + [slug(m) + f"{100 * share:.4g}".replace(".", "-") for m, share in setting.missing])
        if name in figures:
            name = f"{name}-{len(figures)}"
        title = wording.sentence(wording.setting(dict(setting.missing), setting.mechanism))
        figures[name] = Figure(name, title, draw(setting, name, title))
    return list(figures.values())


def _series(rows: list[Row], place: Callable[[Row], float]) -> dict[str, list[Row]]:
    found: dict[str, dict[float, Row]] = {}
    for row in rows:
        found.setdefault(row.method, {})[place(row)] = row
    return {method: [at[x] for x in sorted(at)] for method, at in found.items() if len(at) > 1}


def _share(modality: str, row: Row) -> float:
    return row.missing_test.get(modality, 0.0)


def _group(family: str, rows: list[Row]) -> tuple[str, list[Dot]]:
    """Return a heading and its dots; a budget that all rows share moves from the labels into the heading."""
    budgets = {row.budget for row in rows}
    budget = next(iter(budgets)) if len(budgets) == 1 else None
    dots = [_dot(row) for row in rows]
    if budget is None:
        return family, dots
    return f"{family}, {budget:,} per class", [replace(dot, label=row.method) for dot, row in zip(dots, rows, strict=True)]


def _line(rows: list[Row], xs: list[float]) -> Line:
    marks = [(x, row.mean or 0.0, row.interval, tip(row)) for x, row in zip(xs, rows, strict=True)]
    generated = rows[0].family == GENERATION
    return Line(rows[0].method, marks, role=_role(rows[0]), shape=_shape(rows[0]), strong=generated)


def _dot(row: Row) -> Dot:
    light = row.family in (REFERENCES, LESS_DATA)
    generated = row.family == GENERATION
    return Dot(row.label, row.mean or 0.0, row.interval, tip(row), _role(row), _shape(row), hollow=light, strong=generated)


def _shape(row: Row) -> str:
    if row.method == "hot-deck":
        return "diamond"
    return "square" if row.family == LESS_DATA else "triangle" if row.method.endswith("-dropout") else "circle"


def _role(row: Row) -> str:
    if row.method == "hot-deck":
        return "hot-deck"
    return {GENERATION: "generation", ROBUST: "robust", FILLS: "ink", REFERENCES: "muted", LESS_DATA: "muted"}.get(
        row.family, "other"
    )


def _axis(rows: Iterable[Row]) -> tuple[float, float]:
    return bounds([value for row in rows for value in (row.mean or 0.0, *(row.interval or ()))])
