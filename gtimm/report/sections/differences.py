"""Paired differences between methods, with p-values corrected for all comparisons of the run."""

from __future__ import annotations

from collections.abc import Mapping

from gtimm.experiments.schema import Comparison, Results
from gtimm.report import wording
from gtimm.report.figures import SIGNIFICANT, difference_figures, opponent
from gtimm.report.rows import interval, label, main_dataset, place
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table, Value


def differences(results: Results) -> Section | None:
    """Return the differences: on the main data as a chart, all of them as a table."""
    if not results.comparisons:
        return None
    figures = difference_figures(results.comparisons, main_dataset(results))
    table = comparison_table(results)
    tested = [c for c in results.comparisons if c.p_adjusted is not None]
    corrections = dict.fromkeys(c.correction for c in tested if c.correction)
    values = {
        "panels": figures,
        "table": table,
        "tested": len(tested),
        "correction": " and ".join(corrections),
        "significant": sum(c.p_adjusted < SIGNIFICANT for c in tested if c.p_adjusted is not None),
        "level": SIGNIFICANT,
        "untested": len(results.comparisons) - len(tested),
        "joined": results.kind == "joined",
    }
    return Section("differences", "Differences", values, figures, [table])


def comparison_table(results: Results) -> Table:
    """Return all comparisons; columns that no comparison fills are left out."""
    found = results.comparisons
    with_p, adjusted = any(c.p_value is not None for c in found), any(c.p_adjusted is not None for c in found)
    several_data = len({c.dataset for c in found}) > 1
    several_metrics = len({c.metric for c in found}) > 1
    columns = [
        Column("Method", ("method", "budget", "variant")),
        Column("Against", ("against", "against_budget")),
        Column("Difference", ("difference",), number=True),
        Column("95% interval", ("ci_low", "ci_high"), number=True),
        *([Column("p", ("p_value",), number=True)] if with_p else []),
        *([Column("Corrected p", ("p_adjusted", "correction"), number=True)] if adjusted else []),
        *([Column("Data", ("dataset",))] if several_data else []),
        Column("Setting", ("mechanism", "missing_train", "missing_test")),
        *([Column("Metric", ("metric",))] if several_metrics else []),
    ]
    lines = []
    for number, c in enumerate(found):
        cells = [
            Cell(label(c), (c.method, c.budget, pairs(c.variant))),
            Cell(opponent(c), (c.against, c.against_budget)),
            Cell(wording.points(c.difference), (c.difference,)),
            Cell(wording.interval(interval(c), difference=True), (c.ci_low, c.ci_high)),
            *([Cell(wording.p_value(c.p_value), (c.p_value,))] if with_p else []),
            *([_adjusted(c)] if adjusted else []),
            *([Cell(c.dataset, (c.dataset,))] if several_data else []),
            Cell(wording.sentence(place(c)), (c.mechanism, pairs(c.missing_train), pairs(c.missing_test))),
            *([Cell(wording.metric(c.metric), (c.metric,))] if several_metrics else []),
        ]
        lines.append(Line(cells, f"comparison-{number}"))
    return Table("comparisons", "Paired differences, in percentage points", columns, lines)


def pairs(values: Mapping[str, Value]) -> str:
    """Return a mapping as one value of CSV, as in `image=0.95;audio=0.1`."""
    return ";".join(f"{name}={value}" for name, value in values.items())


def _adjusted(c: Comparison) -> Cell:
    sure = c.p_adjusted is not None and c.p_adjusted < SIGNIFICANT
    return Cell(wording.p_value(c.p_adjusted), (c.p_adjusted, c.correction), mark="sure" if sure else "")
