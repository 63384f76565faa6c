"""What a reproduction found, as the parts of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gtimm.core.bank.plan import seconds_per_item
from gtimm.experiments.identity import data_digest
from gtimm.experiments.reproduction.beside import beside, paper_notes
from gtimm.experiments.reproduction.claims import Finding, compared, held, said, verdict
from gtimm.experiments.reproduction.paper import heading, published
from gtimm.experiments.rows import costs_of, detail_of, licences_of, patterns_of, rows_of, simulated
from gtimm.experiments.schema import Sweep
from gtimm.experiments.scoring import as_metric
from gtimm.experiments.sweeps.curves import by_key
from gtimm.experiments.sweeps.frontier import frontier, knee_sentence

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.core.workspace import Workspace
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.jobs import Job
    from gtimm.experiments.reproduction.bench import Bench, Plan
    from gtimm.experiments.sweeps.curves import Curves

DETAILED = "table3"
"""The exhibit whose methods are shown class by class."""


@dataclass
class Outcome:
    """Cells of exhibits, by the metric of their preset.

    Attributes:
        bench: the preset and choices.
        plans: the exhibits.
        data: the splits.
        cells: what was found.
        jobs: by which, in order.
        counters: items generated and payloads embedded.
    """

    bench: Bench
    plans: Sequence[Plan]
    data: Splits
    cells: list[Cell] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=lambda: {"generated": 0, "embedded": 0})

    def add(self, cells: Sequence[Cell], jobs: Sequence[Job], counters: Mapping[str, int]) -> None:
        """Take what a grid found."""
        assert self.data.test.labels is not None
        labels, classes = self.data.test.labels, len(self.data.train.classes)
        self.cells += [as_metric(cell, self.bench.metric, labels, classes) for cell in cells]
        self.jobs += jobs
        self.counters = {name: value + counters[name] for name, value in self.counters.items()}

    @property
    def by_key(self) -> dict[str, Cell]:
        """Cells by the keys of their settings."""
        return by_key(self.cells)

    def findings(self) -> list[Finding]:
        """Return what the paper concludes beside our differences."""
        cells = self.by_key
        return [one for plan in self.plans for one in held(plan.name, plan.claims, cells)]

    def parts(self) -> dict[str, Any]:
        """Return the parts of `results.json` that follow from cells."""
        cells, findings = self.by_key, self.findings()
        return {
            "data": dict(self.data.facts),
            "tests": dict.fromkeys({cell.setting.dataset for cell in self.cells}, data_digest(self.data.test)),
            "rows": self._rows(),
            "comparisons": compared(findings),
            "verdict": verdict(findings, self.bench.preset.path_only),
            "published": [one.model_dump() for plan in self.plans for one in beside(plan, self.bench, cells, self.data)],
            "sweeps": [one.model_dump() for one in self._sweeps(cells)],
            "matrices": [m.matrix(cells).model_dump() for plan in self.plans for m in plan.matrices],
            "details": self._details(cells),
            "costs": costs_of(self.cells, self._workspace) if self.jobs else [],
            "patterns": patterns_of(self.data, simulated(self.jobs)),
            "licences": licences_of([job.pipes[0] for job in self.jobs]),
        }

    def notes(self, left_out: Sequence[str]) -> list[str]:
        """Return what a reader should know: what was found, what was left out, and what is odd in the paper."""
        found = said(self.findings(), self.bench.preset.path_only) + list(left_out)
        for plan in self.plans:
            if reason := self.bench.preset.path_only.get(plan.name):
                found.append(f"{heading(plan.name)} is path only: {reason}.")
            found += paper_notes(plan)
        return found + [f"The paper: {note}" for note in published().paper.notes]

    @property
    def _workspace(self) -> Workspace:
        return self.jobs[0].pipes[0].workspace

    def _rows(self) -> list[dict[str, Any]]:
        """Return the rows; those of exhibits that mean nothing on this data, and of no other, are marked."""
        reasons = self.bench.preset.path_only
        plans = [plan for plan in self.plans if plan.name not in reasons]
        sound = {setting.key() for plan in plans for target in plan.targets() for setting in plan.settings(target)}
        rows = rows_of(self.cells)
        return [{**row, "path_only": cell.setting.key() not in sound} for row, cell in zip(rows, self.cells, strict=True)]

    def _sweeps(self, cells: Mapping[str, Cell]) -> list[Sweep]:
        """Return the curves of all exhibits, each once, and with the budgets the frontier of cost and accuracy."""
        found: dict[str, Sweep] = {}
        for plan in self.plans:
            for curves in plan.curves:
                budgets = curves.name.startswith("quantity")
                made = curves.sweep(cells, _paper(plan), self._knee(curves, cells) if budgets else None)
                if reason := self.bench.preset.path_only.get(plan.name):
                    sentence = f"These numbers mean nothing here: {reason}."
                    made = made.model_copy(
                        update={"title": f"{made.title} ({heading(plan.name)}, path only)", "sentence": sentence}
                    )
                found.setdefault(repr((made.name, made.series)), made)
                if budgets:
                    costs = self._frontier(curves, cells, made.sentence)
                    found.setdefault(repr((costs.name, costs.series)), costs)
        return list(found.values())

    def _knee(self, curves: Curves, cells: Mapping[str, Cell]) -> str:
        budgets = [cells[spot.setting.key()] for spot in curves.spots if spot.setting.budget]
        baseline = next(cells[spot.setting.key()] for spot in curves.spots if spot.series == curves.against)
        classes = len(self.data.train.classes)
        return knee_sentence(budgets, baseline, "images", item_seconds(budgets, self._workspace), classes)

    def _frontier(self, curves: Curves, cells: Mapping[str, Cell], sentence: str) -> Sweep:
        there = list({spot.setting.key(): cells[spot.setting.key()] for spot in curves.spots}.values())
        classes, seconds = len(self.data.train.classes), item_seconds(there, self._workspace)
        made = frontier(curves.dataset, there, classes, seconds, sentence)
        _, comma, ratio = curves.title.partition(", ")
        return made.model_copy(
            update={"name": curves.name.replace("quantity", "frontier"), "title": f"{made.title}{comma}{ratio}"}
        )

    def _details(self, cells: Mapping[str, Cell]) -> list[dict[str, Any]]:
        """Return the errors by class of Table 3's methods, gains being over zero-filling."""
        assert self.data.test.labels is not None
        settings = [s for plan in self.plans if plan.name == DETAILED for s in plan.settings("image") if s.missing_train]
        found = []
        for setting in settings:
            zero = next(s for s in settings if s.method == "zero-fill" and s.missing_train == setting.missing_train)
            labels, classes = self.data.test.labels, self.data.test.classes
            found.append(detail_of(cells[setting.key()], labels, classes, cells[zero.key()]))
        return found


def item_seconds(cells: Sequence[Cell], workspace: Workspace) -> float | None:
    """Return the seconds that an item of the cells took, as its bank measured; `None` where that is not known."""
    known = [seconds_per_item(workspace.bank.folder / name, workspace.device) for cell in cells for name in cell.items]
    return next((value for value in known if value is not None), None)


def _paper(plan: Plan) -> dict[tuple[str, Any], float]:
    """Return the published values of an exhibit's curves, by series and x."""
    values = {}
    for place in plan.places:
        value = published().value(plan.name, place.at, place.column)
        if place.spot is not None and value is not None and isinstance(value.value, float):
            values[place.spot] = value.value
    return values
