"""Run many settings over seeds: prepared one by one, trained together, scored on one test split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.dataset import MultimodalDataset, Splits
from gtimm.core.metrics import by_row
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.experiments.methods import Setting, method
from gtimm.experiments.statistics import Bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Cell:
    """A setting's outcome.

    Attributes:
        setting: what was run.
        values: (seeds, test rows) float32, the score of each row: right or wrong, or the F1 of its set of classes.
        seconds: of training and scoring.
        metric: of which the values' mean is the score.
    """

    setting: Setting
    values: NDArray[np.float32]
    seconds: float
    metric: str = "accuracy"


@dataclass
class Grid:
    """Settings on one data set.

    Attributes:
        data: the splits; hyper-parameters and epochs are chosen on `val` only.
        target: the modality that goes missing.
        options: of every Pipeline: backbone, train, store, ...
        generator: spec of the generator for methods that generate; its `per_class` is the setting's budget.
        seeds: of masks, draws and weights.
        say: called with a line of progress.
    """

    data: Splits
    target: str
    options: Mapping[str, Any]
    generator: Mapping[str, Any] | None
    seeds: Sequence[int]
    say: Callable[[str], None] = lambda line: None
    counters: dict[str, int] = field(default_factory=lambda: {"generated": 0, "embedded": 0})
    _masked: dict[Any, MultimodalDataset] = field(default_factory=dict)

    def run(self, settings: Sequence[Setting]) -> list[Cell]:
        """Return a cell for each setting, in order. Runs of equal shape train as one stacked problem."""
        from gtimm.core import training

        found: dict[int, Any] = {}
        for which in sorted(range(len(settings)), key=lambda i: -(settings[i].budget or 0)):  # the largest bank holds the others
            setting = settings[which]
            self.say(
                f"{setting.dataset}: preparing {setting.method}" + (f" ({setting.budget} a class)" if setting.budget else "")
            )
            pipes = [self._pipeline(setting, seed) for seed in self.seeds]
            found[which] = [(setting, pipe, pipe.prepare(self._train(setting, pipe.seed), self.data.val)) for pipe in pipes]
        jobs = [job for which in range(len(settings)) for job in found[which]]
        self.say(f"training {len(jobs)} heads")
        began = time.perf_counter()
        training.train([run for _, _, run in jobs])
        share = (time.perf_counter() - began) / max(len(jobs), 1)
        cells: dict[int, Cell] = {}
        for place, (setting, pipe, run) in enumerate(jobs):
            began = time.perf_counter()
            metric, values = self._scored(pipe.adopt(run), setting)
            for name, value in pipe.counters.items():
                self.counters[name] += value
            cell = cells.setdefault(place // len(self.seeds), Cell(setting, np.empty((0, len(values)), np.float32), 0.0, metric))
            cell.values = np.vstack([cell.values, values])
            cell.seconds += share + time.perf_counter() - began
        return list(cells.values())

    def _pipeline(self, setting: Setting, seed: int) -> Pipeline:
        generator = None if self.generator is None else {**self.generator, **setting.generator}
        if generator is not None and setting.budget is not None:
            generator["per_class"] = setting.budget
        rate = setting.missing_test.get(self.target, 0.5) if setting.rate is None else setting.rate
        found = method(setting.method).options(self.data.train.modalities, self.target, generator, rate)
        options = {**self.options, **found, **setting.pipeline}
        if "train" in setting.pipeline:
            options["train"] = {**(self.options.get("train") or {}), **setting.pipeline["train"]}
        return Pipeline(**options, seed=seed)

    def _train(self, setting: Setting, seed: int) -> MultimodalDataset:
        if method(setting.method).complete_data or not setting.missing_train:
            return self.data.train
        return self._mask(self.data.train, setting.missing_train, setting.mechanism, seed)

    def _scored(self, pipe: Pipeline, setting: Setting) -> tuple[str, NDArray[np.float32]]:
        test = self.data.test
        if setting.missing_test:
            test = self._mask(test, setting.missing_test, "random", pipe.seed)
        assert test.labels is not None
        return by_row(pipe.predict_proba(test), test.labels)

    def _mask(self, data: MultimodalDataset, ratios: Mapping[str, float], mechanism: str, seed: int) -> MultimodalDataset:
        key = (id(data), tuple(ratios.items()), mechanism, seed)
        if key not in self._masked:
            on = "label" if mechanism == "classes" else None
            missing = Missing(ratios, stratify=mechanism == "stratified", on=on, seed=seed)
            self._masked[key] = data.with_missing(missing)
        return self._masked[key]


def rows_of(cells: Sequence[Cell], bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Return the cells as rows of results.json."""
    rows = []
    for cell in cells:
        found = bootstrap.interval(cell.values)
        setting = cell.setting
        rows.append(
            {
                "dataset": setting.dataset,
                "method": setting.method,
                "mechanism": setting.mechanism,
                "missing_train": dict(setting.missing_train),
                "missing_test": dict(setting.missing_test),
                "budget": setting.budget,
                "variant": dict(setting.variant),
                "metric": cell.metric,
                "mean": found.mean,
                "std": found.std,
                "ci_low": found.low,
                "ci_high": found.high,
                "seeds": len(cell.values),
                "seconds": cell.seconds,
            }
        )
    return rows


def compare_cells(cell: Cell, against: Cell, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the paired difference of two cells of one setting."""
    found = bootstrap.interval(cell.values - against.values)
    setting = cell.setting
    return {
        "dataset": setting.dataset,
        "mechanism": setting.mechanism,
        "missing_train": dict(setting.missing_train),
        "missing_test": dict(setting.missing_test),
        "method": setting.method,
        "budget": setting.budget,
        "variant": dict(setting.variant),
        "against": against.setting.method,
        "difference": found.mean,
        "ci_low": found.low,
        "ci_high": found.high,
    }
