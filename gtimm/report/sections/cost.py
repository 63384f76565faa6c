"""What methods cost, and what the cost buys."""

from __future__ import annotations

from gtimm.experiments.methods import METHODS
from gtimm.experiments.schema import Cost, Results, Row
from gtimm.report import wording
from gtimm.report.charts.axes import NARROW, WIDE, bounds
from gtimm.report.charts.scatter import Spot, scatter_chart
from gtimm.report.figures import Figure, panels, role, shape
from gtimm.report.rows import Setting, interval, label, main_dataset, settings, trained, variants
from gtimm.report.scene import Scene
from gtimm.report.sections.differences import pairs
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

_ALONE = {"visual-only": ("image", "video"), "audio-only": ("audio",), "text-only": ("text",)}
_FEW = 3  # methods: fewer make no chart
# Seconds at which an axis of time is marked: 1, 2, 5, 10, 20, 30 of each unit.
_TIMES = [m * unit for unit in (0.01, 0.1) for m in (1, 2, 5)] + [m * u for u in (1, 60, 3600) for m in (1, 2, 5, 10, 20, 30)]
_TIMES += [3600.0 * m for m in (50, 100, 200, 500, 1000, 2000, 5000)]


def cost(results: Results) -> Section | None:
    """Return the costs as a table, score over cost as charts, and what the run itself took."""
    own = [
        (wording.sentence(wording.metric(name)), f"{count:,}" if isinstance(count, int) else wording.plain(count))
        for name, count in results.counters.items()
    ]
    own += [("Time", wording.duration(results.seconds))] if results.seconds is not None else []
    if not own and not results.costs:
        return None
    figures = cost_figures(results)
    table = cost_table(results.costs) if results.costs else None
    return Section("cost", "Cost", {"own": own, "panels": figures, "table": table}, figures, [table] if table else [])


def cost_table(costs: list[Cost]) -> Table:
    """Return what each method took."""
    several = len({c.dataset for c in costs}) > 1
    columns = [
        Column("Method", ("method", "budget", "variant")),
        *([Column("Data", ("dataset",))] if several else []),
        Column("Training and scoring", ("train_seconds",), number=True),
        Column("Generated items", ("items",), number=True),
        Column("Generation", ("generate_seconds",), number=True),
        Column("Together", ("seconds",), number=True),
    ]
    lines = [
        Line(
            [
                Cell(label(c), (c.method, c.budget, pairs(c.variant))),
                *([Cell(c.dataset, (c.dataset,))] if several else []),
                Cell(wording.duration(c.train_seconds), (c.train_seconds,)),
                Cell("–" if c.items is None else f"{c.items:,}", (c.items,)),
                Cell(wording.duration(c.generate_seconds if c.items != 0 else None), (c.generate_seconds,)),
                Cell(wording.duration(together(c)), (together(c),)),
            ]
        )
        for c in costs
    ]
    return Table("costs", "What each method costs", columns, lines)


def together(c: Cost) -> float | None:
    """Return the seconds of training and generation; `None` where one that there must have been is not known."""
    if c.train_seconds is None or (c.items and c.generate_seconds is None):
        return None
    return c.train_seconds + (c.generate_seconds or 0.0)


def cost_figures(results: Results) -> list[Figure]:
    """Return one chart of score over cost for each way of training, with the frontier of what nothing cheaper matches."""
    dataset = main_dataset(results)
    seconds = {(c.method, c.budget, *variants(c)): together(c) for c in results.costs if c.dataset == dataset}
    found: dict[Setting, list[tuple[Row, float]]] = {}
    for setting in settings(results, dataset):
        rows = [row for row in trained(results, setting) if not _has_it_all(row, setting)]
        timed = [(row, seconds.get((row.method, row.budget, *variants(row)))) for row in rows]
        known = [(row, time) for row, time in timed if time]
        if len(known) >= _FEW:
            found[setting] = known
    axis = bounds([v for known in found.values() for row, _ in known for v in (row.mean or 0.0, *(interval(row) or ()))])

    def draw(setting: Setting, name: str, title: str, width: int = NARROW) -> Scene:
        return _chart(name, title, found[setting], axis, width)

    figures = zip(found, panels("cost", list(found), draw), strict=True)
    return [Figure(f.name, f.title, f.scene, draw(setting, f"{f.name}-wide", f.title, WIDE)) for setting, f in figures]


def _has_it_all(row: Row, setting: Setting) -> bool:
    """Return whether a method was trained on the very modality that is missing, but complete: nobody can choose that."""
    if row.method in _ALONE:
        return any(name in _ALONE[row.method] for name, _ in setting.missing)
    return row.method in METHODS and METHODS[row.method].complete_data


def _chart(name: str, title: str, timed: list[tuple[Row, float]], axis: tuple[float, float], width: int) -> Scene:
    best, frontier = -1.0, []
    for row, time in sorted(timed, key=lambda one: (one[1], -(one[0].mean or 0.0))):
        if (row.mean or 0.0) > best:
            best = row.mean or 0.0
            frontier.append((time, best))
    spots = [
        Spot(
            label(row),
            time,
            row.mean or 0.0,
            interval(row),
            f"{label(row)}: {wording.percent(row.mean)}, {wording.duration(time)}",
            role(row),
            shape(row),
            hollow=(time, row.mean) not in frontier,
            named=(time, row.mean) in frontier,
        )
        for row, time in timed
    ]
    caption = "training and generation (log)"
    return scatter_chart(name, title, spots, ticks=time_ticks, caption=caption, axis=axis, line=frontier, log=True, width=width)


def time_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round times between two, in seconds, with their texts; the ends where there is none."""
    return [(s, wording.duration(s)) for s in [s for s in _TIMES if low <= s <= high] or [low, high]]
