"""What happens in each class: gains and losses, confusions, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gtimm.experiments.schema import Detail, Results
from gtimm.report import wording
from gtimm.report.charts.axes import NARROW, WIDE, bounds
from gtimm.report.charts.dots import Dot, dot_chart
from gtimm.report.charts.heat import Heat, heat_chart
from gtimm.report.charts.reliability import Confident, reliability_chart
from gtimm.report.colours import heat, level
from gtimm.report.figures import Figure, slug
from gtimm.report.methods import GENERATION
from gtimm.report.rows import kind, label, place
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

SHOWN = 12  # details on the page; the tables of all are files
_WHOLE = 24  # classes: of more, only the ends are drawn
_ENDS = 10
SQUARE = 30  # classes: of more, the most frequent confusions stand for the matrix
_PAIRS = 20


def classes(results: Results) -> Section | None:
    """Return the details of each method, those tested whole and the recommended method first."""
    if not results.details:
        return None
    advice = results.recommendation
    best = (advice.method, advice.budget) if advice else (None, None)
    order = sorted(
        results.details,
        key=lambda d: (
            bool(d.missing_test),
            (d.method, d.budget) != best,
            d.method != best[0],
            kind(d) != GENERATION,
            -(d.budget or 0),
        ),
    )
    shown, figures, tables = [], [], []
    for number, detail in enumerate(order):
        name = f"classes-{number}-{slug(detail.method)}"
        found, drawn, written = _detail(detail, name)
        tables += written
        if number < SHOWN:
            shown.append(found)
            figures += drawn
    return Section("classes", "Classes", {"details": shown, "more": len(order) - len(shown)}, figures, tables)


def _detail(detail: Detail, name: str) -> tuple[dict[str, Any], list[Figure], list[Table]]:
    title = f"{label(detail)}: {place(detail)}, {detail.dataset}"
    matrix = detail.confusion or []
    few = len(detail.classes) <= SQUARE
    by_class, pairs = class_table(detail, f"{name}-recall", title), None
    tables, figures = [by_class], [change_figure(detail, name)]
    confusion = None
    if matrix:
        confusion = confusion_table(detail, f"{name}-confusion", title)
        tables.append(confusion)
        if few:
            figures.append(confusion_figure(detail, f"{name}-confusion"))
        else:
            pairs = pair_table(detail, f"{name}-pairs", title)
    reliability = reliability_figure(detail, f"{name}-calibration") if detail.calibration else None
    figures += [reliability] if reliability else []
    found = {
        "title": title,
        "panels": [f for f in (figures[0], reliability) if f],
        "table": by_class,
        "confusion": confusion if few else None,
        "pairs": pairs,
    }
    return found, [f for f in figures if f], tables


def class_table(detail: Detail, name: str, title: str) -> Table:
    """Return recall, change and the most frequent confusion of each class, in the order of the classes."""
    gains = any(gain is not None for gain in detail.gain)
    matrix = detail.confusion or []
    columns = [
        Column("Class", ("class",)),
        Column("Recall", ("recall",), number=True),
        *([Column(f"Minus {detail.baseline or 'baseline'}", ("gain",), number=True)] if gains else []),
        *([Column("Most often taken for", ("taken_for", "taken_for_count"))] if matrix else []),
    ]
    lines = []
    for number, label_ in enumerate(detail.classes):
        recall, gain = _get(detail.recall, number), _get(detail.gain, number)
        cells = [Cell(label_, (label_,)), Cell(wording.percent(recall), (recall,))]
        cells += [Cell(wording.points(gain), (gain,))] if gains else []
        cells += [_most(detail.classes, matrix, number)] if matrix else []
        lines.append(Line(cells))
    return Table(name, f"Recall by class; {title}", columns, lines)


def change_figure(detail: Detail, name: str) -> Figure | None:
    """Return the change of each class's recall, largest first; recall itself where there is no baseline."""
    gains = any(gain is not None for gain in detail.gain)
    values = {c: v for c, v in zip(detail.classes, detail.gain if gains else detail.recall, strict=False) if v is not None}
    if not values:
        return None
    show = wording.points if gains else wording.percent
    dots = [
        Dot(c, v, None, f"{c}: {show(v)}", "robust" if v >= 0 else "hot-deck", stem=True)
        if gains
        else Dot(c, v, None, f"{c}: {show(v)}")
        for c, v in sorted(values.items(), key=lambda item: -item[1])
    ]
    ends = [(f"the {_ENDS} largest", dots[:_ENDS]), (f"the {_ENDS} smallest", dots[-_ENDS:])]
    groups: Sequence[tuple[str, Sequence[Dot]]] = [("", dots)] if len(dots) <= _WHOLE else ends
    title = f"Recall by class, points above {detail.baseline or 'the baseline'}" if gains else "Recall by class"
    axis = bounds([*values.values(), *([0.0] if gains else [])], within=(-1.0, 1.0) if gains else (0.0, 1.0))
    narrow, wide = (
        dot_chart(f"{name}-recall{end}", title, groups, axis=axis, show=show, zero=gains, width=width)
        for end, width in (("", NARROW), ("-wide", WIDE))
    )
    return Figure(f"{name}-recall", title, narrow, wide)


def reliability_figure(detail: Detail, name: str) -> Figure:
    """Return accuracy over confidence."""
    total = sum(one.count for one in detail.calibration) or 1
    bins = [
        Confident(
            one.confidence,
            one.accuracy,
            one.count / total,
            f"confidence {wording.percent(one.confidence)}: accuracy {wording.percent(one.accuracy)}, {one.count:,} predictions",
        )
        for one in detail.calibration
        if one.count
    ]
    error = "" if detail.ece is None else f", expected error {wording.percent(detail.ece)}"
    note = (
        "On the dashed line a model is as sure as it is right; below it, too sure. A dot's area is its share of the predictions."
    )
    title = f"Calibration{error}"
    return Figure(name, title, reliability_chart(name, title, bins), note=note)


def confusion_table(detail: Detail, name: str, title: str) -> Table:
    """Return the confusion matrix: percent of the true class, true classes by line; counts in CSV."""
    columns = [Column("True class", ("true_class",)), *(Column(c, (c,), number=True) for c in detail.classes)]
    lines = []
    for c, counts in zip(detail.classes, detail.confusion or [], strict=False):
        total = sum(counts) or 1
        cells = [Cell(_percent(n / total), (n,), mark=heat(level(n / total, (0, 1)) or 0) if n else "") for n in counts]
        lines.append(Line([Cell(c, (c,)), *cells]))
    return Table(name, f"Confusions, percent of the true class; {title}", columns, lines)


def confusion_figure(detail: Detail, name: str) -> Figure:
    """Return the confusion matrix as a figure."""
    cells = []
    for c, counts in zip(detail.classes, detail.confusion or [], strict=False):
        total = sum(counts) or 1
        cells.append(
            [
                Heat(_percent(n / total), level(n / total, (0, 1)) if n else None, f"{c} taken for {other}: {n:,} of {total:,}")
                for other, n in zip(detail.classes, counts, strict=False)
            ]
        )
    scene = heat_chart(name, "Confusions", cells, detail.classes, detail.classes, ("true class", "predicted class"))
    return Figure(name, "Confusions, percent of the true class", scene)


def pair_table(detail: Detail, name: str, title: str) -> Table:
    """Return the most frequent confusions."""
    pairs = [
        (n, sum(counts), detail.classes[i], detail.classes[j])
        for i, counts in enumerate(detail.confusion or [])
        for j, n in enumerate(counts)
        if i != j and n
    ]
    columns = [
        Column("True class", ("true_class",)),
        Column("Taken for", ("predicted_class",)),
        Column("Count", ("count",), number=True),
        Column("Share of the class", ("share",), number=True),
    ]
    lines = [
        Line([Cell(c, (c,)), Cell(other, (other,)), Cell(f"{n:,}", (n,)), Cell(wording.percent(n / total), (n / total,))])
        for n, total, c, other in sorted(pairs, key=lambda pair: -pair[0])[:_PAIRS]
    ]
    return Table(name, f"Most frequent confusions; {title}", columns, lines)


def _most(names: Sequence[str], matrix: Sequence[Sequence[int]], number: int) -> Cell:
    counts = [0 if j == number else n for j, n in enumerate(_get(matrix, number) or [])]
    most = max(counts, default=0)
    if not most:
        return Cell("–", (None, None))
    other, total = names[counts.index(most)], sum(matrix[number])
    return Cell(f"{other} ({wording.percent(most / total)})", (other, most))


def _percent(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"


def _get(values: Sequence[Any], number: int) -> Any:
    return values[number] if number < len(values) else None
