"""Scores by what is missing in training and at test, as matrices."""

from __future__ import annotations

from gtimm.experiments.schema import Matrix, Results
from gtimm.report import wording
from gtimm.report.charts.heat import Heat, heat_chart
from gtimm.report.colours import heat, level
from gtimm.report.figures import Figure, slug
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

_DROPOUT = {
    "matched": "dropout at the rate of the test, one model for each",
    "fixed": "one model for every test, dropout at one rate",
    "none": "",
}


def matrices(results: Results) -> Section | None:
    """Return the robustness matrices; those of one data set and metric share their colours."""
    if not results.matrices:
        return None
    shown, figures = [], []
    tables: list[Table] = []
    for number, matrix in enumerate(results.matrices):
        name = f"matrix-{slug(matrix.name)}-{slug(matrix.dataset)}"
        name = f"{name}-{number}" if any(table.name == name for table in tables) else name
        alike = [m for m in results.matrices if (m.dataset, m.metric) == (matrix.dataset, matrix.metric)]
        ends = _ends(alike)
        table = matrix_table(matrix, name, ends)
        figures.append(matrix_figure(matrix, name, ends))
        tables.append(table)
        rate = f" {matrix.rate:.4g}" if matrix.dropout == "fixed" and matrix.rate is not None else ""
        parts = [matrix.method, f"{_DROPOUT[matrix.dropout]}{rate}", f"{wording.metric(matrix.metric)} on {matrix.dataset}"]
        shown.append(
            {
                "id": f"matrix-{number}",
                "title": matrix.title,
                "says": "; ".join(part for part in parts if part),
                "table": table,
                "axes": (
                    f"{wording.plural(matrix.target)} missing in training",
                    f"{wording.plural(matrix.target)} missing at test",
                ),
                "ends": [wording.percent(end) for end in ends],
            }
        )
    return Section("matrices", "Robustness", {"matrices": shown}, figures, tables)


def matrix_table(matrix: Matrix, name: str, ends: tuple[float, float]) -> Table:
    """Return a matrix as a table: a line for each ratio in training, a column for each at test."""
    columns = [
        Column("Training", ("missing_train",)),
        *(
            Column(_share(q), tuple(f"{part}_test_{q:g}" for part in ("mean", "ci_low", "ci_high")), number=True)
            for q in matrix.q
        ),
    ]
    lines = []
    for line, p in enumerate(matrix.p):
        cells = []
        for column in range(len(matrix.q)):
            value = _at(matrix.values, line, column)
            low, high = _at(matrix.ci_low, line, column), _at(matrix.ci_high, line, column)
            step = level(value, ends)
            mark = "" if step is None else heat(step)
            cells.append(Cell("–" if value is None else f"{100 * value:.1f}", (value, low, high), mark=mark))
        lines.append(Line([Cell(_share(p), (p,)), *cells]))
    return Table(name, f"{matrix.title}: {wording.metric(matrix.metric)} in percent on {matrix.dataset}", columns, lines)


def matrix_figure(matrix: Matrix, name: str, ends: tuple[float, float]) -> Figure:
    """Return a matrix as a figure."""
    cells = []
    for line, p in enumerate(matrix.p):
        values = [_at(matrix.values, line, column) for column in range(len(matrix.q))]
        cells.append(
            [
                Heat(
                    "–" if value is None else f"{100 * value:.1f}",
                    level(value, ends),
                    f"{_share(p)} missing in training, {_share(q)} at test: {wording.percent(value)}",
                )
                for q, value in zip(matrix.q, values, strict=True)
            ]
        )
    target = wording.plural(matrix.target)
    axes = (f"{target} missing in training", f"{target} missing at test")
    scene = heat_chart(name, matrix.title, cells, [_share(p) for p in matrix.p], [_share(q) for q in matrix.q], axes)
    return Figure(name, matrix.title, scene)


def _ends(found: list[Matrix]) -> tuple[float, float]:
    values = [value for matrix in found for line in matrix.values for value in line if value is not None]
    return (min(values, default=0.0), max(values, default=1.0))


def _at(values: list[list[float | None]], line: int, column: int) -> float | None:
    return values[line][column] if line < len(values) and column < len(values[line]) else None


def _share(value: float) -> str:
    return f"{100 * value:.4g}%"
