"""Run many settings over seeds: what is alike trains together, and each outcome is kept as soon as it is there."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gtimm.core.bank.planning import Asked, asked_by
from gtimm.core.dataset import MultimodalDataset, Splits
from gtimm.core.metrics import by_row
from gtimm.core.missing import Missing
from gtimm.experiments.cells import Cell, Scored, read_cell, write_cell
from gtimm.experiments.identity import data_digest, digest, holes_digest, pipeline_identity
from gtimm.experiments.jobs import Job, Weight, groups, method_options, pipeline_of, shape_of, weight_of
from gtimm.experiments.methods import METHODS, Setting

if TYPE_CHECKING:
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.targets import Labels
    from gtimm.core.training import Run


@dataclass
class Grid:
    """Settings on one data set.

    A model is trained once, however many test ratios it is scored at. Models whose heads are of one shape train together, in groups of a
    size that an interruption may cost; a group's outcomes are written when it is done. Groups are cut from the list of settings alone, so
    that a run that was interrupted and goes on trains in the same company, and gives the same numbers to the last bit.

    Attributes:
        data: the splits; hyper-parameters and epochs are chosen on `val` only.
        target: the modality that goes missing.
        options: of every Pipeline: backbone, train, store, ...
        generator: spec of the generator for methods that generate; its `per_class` is the setting's budget.
        seeds: of masks, draws and weights.
        say: called with a line of progress.
        methods: what a setting's method stands for where it is no preset's name: a preset's name, or options of `Pipeline`.
        folder: where outcomes are kept; `None` keeps them in memory only.
        validate: score the validation rows too, with holes like those of the test: what a choice between methods may rest on.
        zero: what `"zero"` stands for in presets: the level at which gaps are zero.
        choose: whether the best epoch on `val` is kept, or the last.
        counters: items generated and payloads embedded so far.
    """

    data: Splits
    target: str
    options: Mapping[str, Any]
    generator: Mapping[str, Any] | None
    seeds: Sequence[int]
    say: Callable[[str], None] = lambda line: None
    methods: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    validate: bool = False
    zero: str | Mapping[str, Any] = "zero"
    choose: bool = True
    counters: dict[str, int] = field(default_factory=lambda: {"generated": 0, "embedded": 0})
    _masked: dict[Any, MultimodalDataset] = field(default_factory=dict)
    _digests: dict[int, str] = field(default_factory=dict)
    _done: dict[str, Cell] = field(default_factory=dict)

    def run(self, settings: Sequence[Setting]) -> list[Cell]:
        """Return a cell for each setting, in order.

        Raises:
            GtimmError: what a Pipeline refuses, before anything is generated, embedded or trained.
        """
        return self.complete(self.plan(settings))

    def complete(self, jobs: Sequence[Job]) -> list[Cell]:
        """Return a cell for each planned job, in order; what is kept already is not done again."""
        before = set(self._done)
        ahead = list(groups([job for job in jobs if job.key not in before]))
        for number, group in enumerate(ahead, 1):
            if not all(self._stored(job) for job in group):
                self._run(group, f" (group {number} of {len(ahead)})" if len(ahead) > 1 else "")
        return [replace(self._done[job.key], setting=job.setting) for job in jobs]

    def plan(self, settings: Sequence[Setting], *, keyed: bool = True) -> list[Job]:
        """Return what each setting needs, checked by its Pipelines; nothing is generated, embedded, trained or written.

        Args:
            settings: the cells.
            keyed: find each outcome's name, for which weights and data are read; without it jobs say what is ahead, and cannot be run.
        """
        return [self._job(setting, keyed=keyed) for setting in settings]

    def asked(self, jobs: Sequence[Job]) -> Iterator[Asked]:
        """Yield what jobs ask generators for, as `planning.plan_requests` takes it, the largest budgets first."""
        for job in sorted(jobs, key=lambda job: -(job.setting.budget or 0)):
            vals = [self.data.val] * len(job.pipes)
            trained = [pipe.check(train, self.data.val) for pipe, train in zip(job.pipes, job.trains, strict=True)]
            predicted = [list(each) for each in zip(*([job.vals] if job.vals else []), job.tests, strict=True)]
            yield from asked_by(job.pipes, trained, vals, predicted)

    def stored(self, jobs: Sequence[Job]) -> int:
        """Return how many of the jobs are done already."""
        return sum(self._stored(job) for job in jobs)

    def _job(self, setting: Setting, *, keyed: bool) -> Job:
        used = self.methods.get(setting.method, setting.method)
        options = method_options(used, setting, self.data.train.modalities, self.target, self.generator, self.options, self.zero)
        pipes = [pipeline_of(options, seed) for seed in self.seeds]
        whole = isinstance(used, str) and METHODS[used].complete_data
        hidden = setting.hidden()
        trains = [self.data.train if whole else self._mask(self.data.train, setting.training(), seed) for seed in self.seeds]
        tests = [self._mask(self.data.test, hidden, seed) for seed in self.seeds]
        vals = [self._mask(self.data.val, hidden, seed) for seed in self.seeds] if self.validate else []
        rows = []
        for pipe, train, *judged in zip(pipes, trains, tests, *([vals] if vals else []), strict=True):
            rows.append(len(pipe.check(train, self._judge)))
            for data in judged:
                pipe.check_evaluation(data)
        if not keyed:
            return Job(setting, "", "", pipes, trains, tests, vals, "", Weight(0.0, 0.0))
        key, model = self._names(pipes[0], trains, tests, vals)
        return Job(setting, key, model, pipes, trains, tests, vals, shape_of(pipes[0], rows), weight_of(pipes[0], rows))

    def _names(
        self, pipe: Pipeline, trains: list[MultimodalDataset], tests: list[MultimodalDataset], vals: list[MultimodalDataset]
    ) -> tuple[str, str]:
        """Return the digests of all that decides an outcome, and of what decides its model."""
        model = digest(
            {
                **pipeline_identity(pipe),
                "data": [self._digest(self.data.train), *([] if self._judge is None else [self._digest(self._judge)])],
                "holes": [holes_digest(train, pipe.kinds) for train in trains],
                "seeds": list(self.seeds),
            }
        )
        tested = [[holes_digest(data, pipe.kinds) for data in part] for part in (tests, vals)]
        return digest([model, self._digest(self.data.test), tested]), model

    def _mask(self, data: MultimodalDataset, missing: Missing, seed: int) -> MultimodalDataset:
        if not missing.ratios and missing.patterns is None:
            return data
        key = (id(data), repr(missing), seed)
        if key not in self._masked:
            self._masked[key] = data.with_missing(missing, seed)
        return self._masked[key]

    @property
    def _judge(self) -> MultimodalDataset | None:
        return self.data.val if self.choose else None

    def _digest(self, data: MultimodalDataset) -> str:
        if id(data) not in self._digests:
            self._digests[id(data)] = data_digest(data)
        return self._digests[id(data)]

    def _stored(self, job: Job) -> bool:
        """Take a job's outcome from its file; returns whether it is there."""
        if job.key not in self._done and self.folder is not None:
            found = read_cell(self._path(job), job.setting)
            if found is not None:
                self._done[job.key] = found
        return job.key in self._done

    def _path(self, job: Job) -> Path:
        return cast("Path", self.folder) / f"{job.key}.npz"

    def _run(self, group: Sequence[Job], which: str) -> None:
        """Prepare, train and score a group's models, and keep what comes out."""
        from gtimm.core import training

        models: dict[str, list[Job]] = {}
        for job in group:
            models.setdefault(job.model, []).append(job)
        fresh = _Fresh()
        runs: dict[str, list[Run]] = {}
        for model in sorted(
            models, key=lambda model: -(models[model][0].setting.budget or 0)
        ):  # the largest bank holds the others
            job = models[model][0]
            self.say(f"{job.setting.dataset}: preparing {job.setting.label}")
            runs[model] = [p.prepare(fresh(t), self._judge) for p, t in zip(job.pipes, job.trains, strict=True)]
        count = sum(len(found) for found in runs.values())
        self.say(f"training {count} heads{which}")
        began = time.perf_counter()
        training.train([run for model in models for run in runs[model]])
        share = (time.perf_counter() - began) / max(count, 1)
        for model, jobs in models.items():
            pipes = jobs[0].pipes
            for pipe, run in zip(pipes, runs.pop(model), strict=True):
                pipe.adopt(run)
            for job in jobs:
                self._keep(job, self._scored(job, pipes, share, fresh))
            for pipe in pipes:
                for name, value in pipe.counters.items():
                    self.counters[name] += value
                pipe.counters = dict.fromkeys(pipe.counters, 0)

    def _scored(self, job: Job, pipes: Sequence[Pipeline], share: float, fresh: _Fresh) -> Cell:
        began, seeds = time.perf_counter(), []
        for which, pipe in enumerate(pipes):
            validation = None
            if job.vals:
                val = fresh(job.vals[which])
                validation = float(by_row(pipe.predict_proba(val), cast("Labels", val.labels))[1].mean(dtype=np.float64))
            test = fresh(job.tests[which])
            seeds.append(Scored.of(pipe.predict_proba(test), cast("Labels", test.labels), validation, pipe.chosen))
        items = Counter(path.parent.parent.name for path in set().union(*(pipe.taken for pipe in pipes)))
        seconds = share * len(pipes) + time.perf_counter() - began
        return Cell.of(job.setting, seeds, seconds, dict(sorted(items.items())), job.model)

    def _keep(self, job: Job, cell: Cell) -> None:
        if job.key in self._done:
            return
        self._done[job.key] = cell
        if self.folder is not None:
            write_cell(self._path(job), cell)


class _Fresh:
    """Copies of data sets for one group, so that the features that they hold in memory go with it."""

    def __init__(self) -> None:
        self._found: dict[int, MultimodalDataset] = {}

    def __call__(self, data: MultimodalDataset) -> MultimodalDataset:
        """Return the copy of a data set, one a group."""
        return self._found.setdefault(id(data), copy.copy(data))
