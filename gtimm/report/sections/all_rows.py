"""Every row of the results, to sort and to filter."""

from __future__ import annotations

from gtimm.experiments.schema import Results, Row
from gtimm.report import wording
from gtimm.report.methods import GENERATION, glossary
from gtimm.report.rows import interval, kind, ordered
from gtimm.report.sections.differences import pairs
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table


def all_rows(results: Results) -> Section | None:
    """Return all rows as a table, and what the methods are."""
    if not results.rows:
        return None
    table = row_table(results)
    values = {
        "table": table,
        "glossary": glossary([row.method for row in results.rows]),
        "budgets": any(row.budget is not None for row in results.rows),
        "path_only": any(row.path_only for row in results.rows),
        "robustness": any(row.relative_robustness is not None or row.effective_robustness is not None for row in results.rows),
    }
    return Section("rows", "All rows", values, tables=[table])


def row_table(results: Results) -> Table:
    """Return all rows; columns for what no row has are left out."""
    rows = results.rows
    keys = list(dict.fromkeys(key for row in rows for key in row.variant))
    relative = any(row.relative_robustness is not None for row in rows)
    effective = any(row.effective_robustness is not None for row in rows)
    columns = [
        Column("Method", ("method",)),
        Column("Budget", ("budget",), number=True),
        *(Column(wording.sentence(key.replace("_", " ")), (key,)) for key in keys),
        Column("Mean", ("mean",), number=True),
        Column("95% interval", ("ci_low", "ci_high"), number=True),
        Column("Data", ("dataset",)),
        Column("Missing in training", ("mechanism", "missing_train")),
        Column("Missing at test", ("missing_test",)),
        Column("Metric", ("metric",)),
        *([Column("Relative robustness", ("relative_robustness",), number=True)] if relative else []),
        *([Column("Effective robustness", ("effective_robustness",), number=True)] if effective else []),
        Column("Std", ("std",), number=True),
        Column("Seeds", ("seeds",), number=True),
        Column("Seconds", ("seconds",), number=True),
        *([Column("Path only", ("path_only",))] if any(row.path_only for row in rows) else []),
    ]
    lines = [_line(number, row, keys, columns) for number, row in ordered(results)]
    return Table("rows", "All rows", columns, lines)


def _line(number: int, row: Row, keys: list[str], columns: list[Column]) -> Line:
    training = wording.ratios(row.missing_train)
    training += f" {wording.mechanism(row.mechanism)}" if row.missing_train else ""
    cells = {
        "method": Cell(row.method, (row.method,)),
        "budget": Cell("–" if row.budget is None else f"{row.budget:,}", (row.budget,)),
        **{key: Cell(wording.plain(row.variant[key]) if key in row.variant else "–", (row.variant.get(key),)) for key in keys},
        "mean": Cell(wording.percent(row.mean), (row.mean,)),
        "ci_low": Cell(wording.interval(interval(row)), (row.ci_low, row.ci_high)),
        "dataset": Cell(row.dataset, (row.dataset,)),
        "mechanism": Cell(training, (row.mechanism, pairs(row.missing_train))),
        "missing_test": Cell(wording.ratios(row.missing_test), (pairs(row.missing_test),)),
        "metric": Cell(wording.metric(row.metric), (row.metric,)),
        "relative_robustness": Cell(wording.percent(row.relative_robustness), (row.relative_robustness,)),
        "effective_robustness": Cell(wording.points(row.effective_robustness), (row.effective_robustness,)),
        "std": Cell(wording.percent(row.std), (row.std,)),
        "seeds": Cell("–" if row.seeds is None else str(row.seeds), (row.seeds,)),
        "seconds": Cell("–" if row.seconds is None else f"{row.seconds:.1f}", (row.seconds,)),
        "path_only": Cell("path only" if row.path_only else "", (row.path_only,)),
    }
    marks = [name for name, is_so in (("generation", kind(row) == GENERATION), ("path-only", row.path_only)) if is_so]
    return Line([cells[column.fields[0]] for column in columns], f"row-{number}", " ".join(marks))
