"""The paper's tables and figures beside what was measured here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gtimm.experiments.schema import Published, Results
from gtimm.report import wording
from gtimm.report.figures import slug
from gtimm.report.rows import interval
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

_EXHIBIT = re.compile(r"(table|figure)\s*(\d.*)", re.IGNORECASE)
_OPEN = 3  # exhibits: of more, only the first is open
_NOT_RUN = "not run"


def published(results: Results) -> Section | None:
    """Return one table for each exhibit of the paper, ours above the paper's."""
    if not results.published:
        return None
    groups: dict[str, list[Published]] = {}
    for cell in results.published:
        groups.setdefault(cell.exhibit, []).append(cell)
    exhibits = [_exhibit(name, cells, number) for number, (name, cells) in enumerate(groups.items())]
    for number, exhibit in enumerate(exhibits):
        exhibit["open"] = number == 0 or len(exhibits) <= _OPEN
    tables = [long_table(name, cells) for name, cells in groups.items()]
    return Section(
        "published", "Paper", {"exhibits": exhibits, "path_only": any(c.path_only for c in results.published)}, (), tables
    )


def exhibit_title(name: str) -> str:
    """Return `table3` as `Table 3`, anything else with its first letter large."""
    found = _EXHIBIT.fullmatch(name)
    return f"{found[1].capitalize()} {found[2]}" if found else wording.sentence(name)


def long_table(name: str, cells: Sequence[Published]) -> Table:
    """Return one line for each cell of an exhibit."""
    columns = [
        Column("Row", ("row",)),
        Column("Column", ("column",)),
        Column("Metric", ("metric", "unit")),
        Column("Paper", ("paper",), number=True),
        Column("Ours", ("ours",), number=True),
        Column("95% interval", ("ci_low", "ci_high"), number=True),
        Column("Difference", ("difference",), number=True),
        Column("Path only", ("path_only",)),
        Column("Note", ("note",)),
    ]
    lines = [
        Line(
            [
                Cell(c.row, (c.row,)),
                Cell(c.column, (c.column,)),
                Cell(wording.metric(c.metric), (c.metric, c.unit)),
                Cell(value(c, c.paper), (c.paper,)),
                Cell(value(c, c.ours), (c.ours,)),
                Cell(wording.interval(interval(c)), (c.ci_low, c.ci_high)),
                Cell(difference(c), (c.difference,)),
                Cell("path only" if c.path_only else "", (c.path_only,)),
                Cell(c.note, (c.note,)),
            ]
        )
        for c in cells
    ]
    return Table(f"published-{slug(name)}", f"{exhibit_title(name)}: the paper's values beside ours", columns, lines)


def _exhibit(name: str, cells: Sequence[Published], number: int) -> dict[str, Any]:
    """Return an exhibit as the page shows it: rows and columns as in the paper, notes by number."""
    metrics = list(dict.fromkeys(c.metric for c in cells))
    notes = list(dict.fromkeys(c.note for c in cells if c.note))

    def head(c: Published) -> str:
        return f"{c.column}, {wording.metric(c.metric)}" if len(metrics) > 1 else c.column

    columns = list(dict.fromkeys(head(c) for c in cells))
    rows: dict[str, dict[str, Published]] = {}
    for c in cells:
        rows.setdefault(c.row, {})[head(c)] = c
    lines = [_line(row, [found.get(column) for column in columns], notes) for row, found in rows.items()]
    ours, paper = sum(c.ours is not None for c in cells), sum(c.paper is not None for c in cells)
    table = Table(
        f"exhibit-{slug(name)}", exhibit_title(name), [Column("Row"), *(Column(c, number=True) for c in columns)], lines
    )
    return {
        "id": f"published-{number}",
        "title": exhibit_title(name),
        "metric": wording.metric(metrics[0]) if len(metrics) == 1 else "",
        "counts": f"{ours} measured here, {paper} of the paper",
        "table": table,
        "notes": notes,
    }


def _line(row: str, cells: Sequence[Published | None], notes: Sequence[str]) -> Line:
    """Return a row; what holds for all of its cells, that they mean nothing or were not run and why, stands once at its head."""
    there = [c for c in cells if c is not None]
    path_only, absent = all(c.path_only for c in there), all(c.ours is None for c in there)
    shared = there[0].note if len({c.note for c in there}) == 1 else ""
    head = [*(["path only"] if path_only else []), *([_NOT_RUN] if absent else [])]
    head += [_note(shared, notes)] if shared else []
    shown = [Cell("") if c is None else _cell(c, notes, path_only=path_only, absent=absent, note=not shared) for c in cells]
    return Line([Cell(row, (row,), small=(", ".join(head),) if head else ()), *shown], mark="path-only" if path_only else "")


def _cell(c: Published, notes: Sequence[str], *, path_only: bool, absent: bool, note: bool) -> Cell:
    """Return a cell without what its row's head says."""
    small = [wording.interval(interval(c))] if interval(c) else []
    paper = f"paper {value(c, c.paper)}" if c.paper is not None else ""
    lacking = _NOT_RUN if c.unit == "fraction" else "–"  # a score, or an option that is no one number
    text = value(c, c.ours) if c.ours is not None else (paper or "–") if absent else lacking
    if paper and text != paper:
        small.append(paper + (f", {difference(c)}" if c.difference is not None else ""))
    small += ["path only"] if c.path_only and not path_only else []
    small += [_note(c.note, notes)] if c.note and note else []
    return Cell(text, (c.ours,), tuple(small), "absent" if c.ours is None else "path-only" if c.path_only else "")


def _note(note: str, notes: Sequence[str]) -> str:
    return f"note {notes.index(note) + 1}"


def value(c: Published, number: float | None) -> str:
    """Return a cell's number in its unit."""
    if number is None or c.unit == "fraction":
        return wording.percent(number)
    return f"{number:,.0f}" if c.unit == "count" else f"{number:,.6g}"


def difference(c: Published) -> str:
    """Return a cell's difference in its unit: percentage points for scores."""
    if c.difference is None or c.unit == "fraction":
        return wording.points(c.difference)
    return f"{c.difference:+,.6g}".replace("-", "−")
