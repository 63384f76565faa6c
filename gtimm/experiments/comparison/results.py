"""What a comparison found: its results as a file, a table, a page and a sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.experiments.comparison.contest import Choice, Contest, choose, compare_all, contests
from gtimm.experiments.comparison.recommend import conditions, recommend
from gtimm.experiments.folder import RunFolder, checked_results, environment
from gtimm.experiments.gallery import largest, write_gallery
from gtimm.experiments.identity import data_digest
from gtimm.experiments.robustness import Trend, relative_robustness
from gtimm.experiments.rows import costs_of, detail_of, licences_of, patterns_of, rows_of, simulated

if TYPE_CHECKING:
    from pandas import DataFrame

    from gtimm.experiments.cells import Cell
    from gtimm.experiments.comparison.plan import ComparePlan, Entry

FEW_SEEDS = 5


@dataclass(frozen=True)
class CompareResults:
    """What a comparison found.

    Attributes:
        results: what `results.json` holds; its form is `gtimm.experiments.schema.Results`.
        folder: the run folder, if there is one.
    """

    results: Mapping[str, Any]
    folder: Path | None = None

    @property
    def recommendation(self) -> str:
        """What to take, and what that rests on."""
        found = self.results["recommendation"] or {}
        return "\n".join([found.get("sentence", ""), *(f"- {one['sentence']}" for one in found.get("evidence", ()))])

    def to_frame(self, part: str = "rows") -> DataFrame:
        """Return a part of the results as a DataFrame: `rows` (scores), `comparisons` or `costs`; ratios are a column a modality."""
        import pandas as pd

        lines = []
        for row in self.results[part]:
            plain = {name: value for name, value in row.items() if not isinstance(value, dict)}
            shares = {
                f"{name}.{modality}": share
                for name in ("missing_train", "missing_test", "variant")
                for modality, share in row.get(name, {}).items()
            }
            lines.append({**plain, **shares})
        frame = pd.DataFrame(lines)
        ratios = [name for name in frame.columns if name.startswith(("missing_train.", "missing_test."))]
        return frame.fillna(dict.fromkeys(ratios, 0.0))

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the page of these results to a file, and return its path."""
        from gtimm.report.page import write_page

        return write_page(dict(self.results), path, self.folder)

    def __str__(self) -> str:
        return self.recommendation


def conclude(plan: ComparePlan, cells: Mapping[str, Cell], folder: RunFolder | None, began: float) -> CompareResults:
    """Return what the cells of a comparison say, written to the run folder if there is one."""
    grid = plan.grid
    data = grid.data
    assert data.test.labels is not None
    shown = _once(plan.entries)
    rows = rows_of([entry.cell(cells) for entry in shown], every_score=True)
    _add_robustness(rows, shown, cells, len(data.test))
    found = contests(plan.entries, cells)
    comparisons = compare_all(plan, found, cells)
    name = shown[0].job.setting.dataset
    results: dict[str, Any] = {
        "kind": "compare",
        "title": f"Which strategy for {name}?",
        "command": "" if folder is None else folder.command,
        "data": {"name": name, **data.facts},
        "tests": {name: data_digest(data.test)},
        "environment": environment(),
        "counters": grid.counters,
        "rows": rows,
        "comparisons": comparisons,
        "recommendation": _recommendation(plan, [choose(contest, cells) for contest in found], cells),
        "notes": _notes(plan, sum("p_adjusted" in comparison for comparison in comparisons)),
        "costs": costs_of([entry.cell(cells) for entry in shown], plan.jobs[0].pipes[0].workspace),
        "details": [
            detail_of(entry.cell(cells), data.test.labels, data.test.classes, best.cell(cells))
            for entry, best in _detailed(found)
        ],
        "patterns": patterns_of(data, simulated(plan.jobs)),
        "licences": licences_of([entry.job.pipes[0] for entry in shown]),
        "gallery": _gallery(plan, folder),
        "seconds": time.perf_counter() - began,
    }
    if folder is None:
        return CompareResults(checked_results(results))
    written = folder.results(results)
    folder.log("end", seconds=written["seconds"], recommendation=written["recommendation"]["sentence"])
    from gtimm.report.page import write_report

    write_report(folder.path)
    return CompareResults(written, folder.path)


def _once(entries: list[Entry]) -> list[Entry]:
    """Return each method's settings once; one that nothing missing touches stands under several conditions."""
    return list({repr(entry.job.setting): entry for entry in reversed(entries)}.values())[::-1]


def _recommendation(plan: ComparePlan, choices: list[Choice], cells: Mapping[str, Cell]) -> dict[str, Any] | None:
    if not choices:
        return None
    metric = next(iter(cells.values())).metric.replace("_", " ")
    return recommend(choices, cells, conditions([plan.missing(choice.contest.condition) for choice in choices]), metric)


def _add_robustness(rows: list[dict[str, Any]], shown: list[Entry], cells: Mapping[str, Cell], test_rows: int) -> None:
    """Add to each row of the main score what is left with holes at test, and what that is above the baselines' trend."""
    trends: dict[int, Trend] = {}
    for test in {entry.condition.test for entry in shown}:
        pairs = [
            (whole, missing)
            for entry in shown
            if entry.condition.test == test and entry.robust_baseline and entry.whole is not None
            for whole, missing in zip(cells[entry.whole.key].values.mean(1), cells[entry.job.key].values.mean(1), strict=True)
        ]
        trends[test] = Trend([float(one) for one, _ in pairs], [float(two) for _, two in pairs], test_rows)
    by_setting = {repr(entry.job.setting): entry for entry in shown}
    main = [row for row in rows if row["metric"] == cells[shown[0].job.key].metric]
    for row, entry in zip(main, by_setting.values(), strict=True):
        if entry.whole is not None and entry.job.setting.missing_test:
            whole = float(cells[entry.whole.key].values.mean(dtype=np.float64))
            row["relative_robustness"] = relative_robustness(row["mean"], whole)
            row["effective_robustness"] = trends[entry.condition.test].effective_robustness(row["mean"], whole)


def _detailed(contests: list[Contest]) -> list[tuple[Entry, Entry]]:
    """Return whose errors are shown by class, and whom they are measured against; of a method its largest budget."""
    found: dict[str, tuple[Entry, Entry]] = {}
    for contest in contests:
        for entry in contest.entries:
            same = [one.job.setting.budget or 0 for one in contest.entries if one.contender is entry.contender]
            if (entry.job.setting.budget or 0) == max(same):
                found.setdefault(repr(entry.job.setting), (entry, contest.best))
    return list(found.values())


def _notes(plan: ComparePlan, tests: int) -> list[str]:
    found = [
        "Epochs were chosen on the validation rows as they are; the best baseline of each setting, and the best of the other methods, on "
        "validation rows with holes like those of the test. The test rows were only scored."
    ]
    if tests:
        found.append(
            "p-values are of two-sided paired tests over test rows and seeds; those of methods against the best baseline are corrected "
            f"by Holm's method for all {tests:,} of this run. Intervals are not corrected; a cheaper method stands for a dearer one where "
            "the interval of their difference holds 0."
        )
    seeds = len(plan.grid.seeds)
    if seeds == 1:
        found.append("With one seed nothing is known of how other masks, draws and initial weights would end.")
    elif seeds < FEW_SEEDS:
        found.append(f"With {seeds} seeds intervals are wide, and little can be told apart: more seeds tell more.")
    if plan.grid.generator is None:
        found.append("No generator was given, so generation was not compared: generator= adds it.")
    return [*found, *plan.left_out]


def _gallery(plan: ComparePlan, folder: RunFolder | None) -> list[dict[str, Any]]:
    """Write real and generated items of each class into the run folder, where a method generates by class."""
    data, target = plan.grid.data.train, plan.options.target
    jobs = largest([entry.job for entry in plan.entries if entry.contender.generates], target)
    if folder is None or not jobs or data.multilabel or not jobs[0].pipes[0].imputers.require(target).needs_label():
        return []
    return write_gallery(folder.path, data, target, jobs)
