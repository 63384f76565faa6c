"""What a comparison will run: every method under every condition, planned and checked before anything is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.comparing import CompareOptions
from gtimm.core.config import RunConfig
from gtimm.core.dataset import MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, DataError, IncompatibleError, PluginError
from gtimm.core.missing import Missing
from gtimm.core.registry import registry
from gtimm.experiments.comparison.contenders import Contender, contenders, default_generator
from gtimm.experiments.folder import RunFolder
from gtimm.experiments.grid import Grid
from gtimm.experiments.jobs import Job
from gtimm.experiments.methods import Setting

if TYPE_CHECKING:
    from gtimm.core.bank.planning import Work
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.comparison.results import CompareResults

SEEDS = 5
EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    name: {
        "backbone": "imagebind-tiny",
        "train": {"epochs": 60, "lr": 0.02},
        "generators": {"image": "stable-diffusion-tiny", "audio": "speech"},
    }
    for name in ("digits", "digits-uci")
}
"""What suits the embedded data sets, whose models are embedded too; the training options were chosen on their validation split."""


@dataclass(frozen=True)
class Condition:
    """What is missing in training and at test: places in the lists of options."""

    train: int
    test: int


@dataclass
class Entry:
    """One method under one condition, with one budget.

    Attributes:
        contender: the method.
        condition: where its cell belongs; a method that nothing missing touches belongs to several.
        job: what is run.
        whole: the same model with nothing missing at test, for its robustness; `None` where it is not one.
    """

    contender: Contender
    condition: Condition
    job: Job
    whole: Job | None = None

    def cell(self, cells: Mapping[str, Cell]) -> Cell:
        """Return its outcome; two methods that come to the same share one."""
        return replace(cells[self.job.key], setting=self.job.setting)

    @property
    def robust_baseline(self) -> bool:
        """Whether it tells what a model of all modalities without a remedy loses by holes at test."""
        return self.contender.role == "baseline" and bool(self.job.setting.missing_test) and len(self.job.pipes[0].kinds) > 1


@dataclass
class ComparePlan:
    """A comparison, ready to run: nothing is generated, embedded, trained or written yet.

    Attributes:
        options: what is compared.
        grid: what runs it.
        entries: all methods under all conditions.
        left_out: default ratios and baselines that cannot be here, and why.
        config: the plain form, which runs again.
    """

    options: CompareOptions
    grid: Grid
    entries: list[Entry]
    left_out: list[str]
    config: dict[str, Any]

    @property
    def jobs(self) -> list[Job]:
        """The jobs, each once, those for robustness too."""
        found = [job for entry in self.entries for job in (entry.job, entry.whole) if job is not None]
        return list({(job.key, job.setting.method): job for job in found}.values())

    def missing(self, condition: Condition) -> Setting:
        """Return what is missing under a condition, as a setting of no method."""
        training, testing = self.options.training()[condition.train], self.options.testing()[condition.test]
        return Setting.of("", "", training, testing)

    def work(self) -> Work:
        """Return what generators are asked for; nothing is made."""
        from gtimm.core.bank.planning import plan_requests

        return plan_requests(self.grid.asked(self.jobs), self.jobs[0].pipes[0])

    def run(self, out: str | PathLike[str] | None = None) -> CompareResults:
        """Run what is not there yet, and write the run folder.

        Args:
            out: the run folder; `None` keeps everything in memory.
        """
        from gtimm.experiments.comparison.results import conclude

        folder = None if out is None else RunFolder(Path(out))
        if folder is not None:
            folder.config(self.config)
            folder.log("start", settings=len(self.jobs), seeds=list(self.grid.seeds))
            self.grid.folder = folder.cells
        began = time.perf_counter()
        jobs = self.jobs
        cells = {job.key: cell for job, cell in zip(jobs, self.grid.complete(jobs), strict=True)}
        return conclude(self, cells, folder, began)


def plan_compare(
    config: RunConfig,
    data: Splits,
    plain: dict[str, Any],
    machine: Mapping[str, Any],
    say: Callable[[str], None] = lambda line: None,
) -> ComparePlan:
    """Return what a comparison will run, checked; nothing is generated, embedded, trained or written.

    Args:
        config: with its `compare` part.
        data: the splits.
        plain: the configuration's plain form, which the run folder keeps.
        machine: options of Pipelines that say where: `store`, `device`, `engine`, `generate`.
        say: called with a line of progress.
    """
    assert config.compare is not None
    if own := {"imputer", "eval_imputer", "modalities", "rows", "unseen"} & set(config.pipeline):
        raise ConfigError(f"pipeline.{sorted(own)[0]} is what methods differ in; give it in compare.methods.")
    options, notes = config.compare.within(own_holes(data, config.compare.target))
    for note in notes:
        say(note)
    name = str(data.facts.get("name", data.train.name))
    seeds = config.seed_list if "seeds" in config.model_fields_set else list(range(SEEDS))
    here = {key: value for key, value in machine.items() if value is not None}
    embedded = EMBEDDED.get(name, {})
    defaults = {key: embedded[key] for key in ("backbone", "train") if key in embedded}
    generator = options.generator or _generator(embedded, data.train, options)
    holes = any(any(missing.shares.values()) for missing in options.testing())
    chosen = contenders(options.methods, data.train, options.target, generator, baselines=options.baselines, holes_at_test=holes)
    for missing in (*options.training(), *options.testing()):
        if not set(missing.shares) <= set(data.train.modalities):
            missing.masks(data.train)  # raises, naming what is meant
    _refuse_alike(options)
    spec = None if generator is None else _spec(generator)
    grid = Grid(
        data,
        options.target,
        {**defaults, **config.pipeline, **here},
        spec,
        seeds,
        say,
        {one.name: one.used for one in chosen},
        validate=True,
    )
    plan = ComparePlan(options, grid, [], notes, plain)
    budgets: list[int | None] = (
        [*options.budgets]
        if options.budgets
        else [None if spec is None else getattr(registry("imputers").create(spec), "per_class", None)]
    )
    for one in chosen:
        _enter(plan, one, name, budgets if one.generates else [None])
    return plan


def _refuse_alike(options: CompareOptions) -> None:
    """Raise for two ways to go missing that results have one name for: mechanism and shares in training, shares at test."""
    names: dict[str, list[tuple[Any, ...]]] = {
        "missing": [(one.mechanism, *sorted(one.shares.items())) for one in options.training()],
        "test_missing": [tuple(sorted(one.shares.items())) for one in options.testing()],
    }
    for name, found in names.items():
        for place, one in enumerate(found):
            if one in found[:place]:
                values = getattr(options, name)
                raise ConfigError(
                    f"compare.{name}: results cannot tell {values[found.index(one)]!r} from {values[place]!r}, which differ only in what "
                    "decides the holes. Compare each in a run folder of its own."
                )


def own_holes(data: Splits, target: str) -> dict[str, float]:
    """Return the share of rows that lack the target as the data is: of training, and the larger of validation and test."""
    if target not in data.train.modalities:
        return {}  # `contenders` says so
    train, val, test = (float(1 - rows.present(target).mean()) for rows in (data.train, data.val, data.test))
    return {"missing": train, "test_missing": max(val, test)}


def _enter(plan: ComparePlan, one: Contender, dataset: str, budgets: Sequence[int | None]) -> None:
    """Add a method under all conditions; an added baseline that cannot run is left out, with the reason."""
    used = one.modalities(plan.grid.data.train, plan.options.target)
    jobs: dict[Any, Job] = {}
    for place, training in enumerate(plan.options.training()):
        for at, testing in enumerate(plan.options.testing()):
            train = Missing() if one.whole else _touching(training, used)
            test = _touching(testing, used)
            for budget in budgets:
                setting = Setting.of(dataset, one.name, train, test, budget)
                try:
                    one.check(plan.grid.data.train, plan.options.target)
                    job, whole = (_planned(plan.grid, jobs, s) for s in (setting, _whole(setting, plan.options.target)))
                except (DataError, IncompatibleError) as error:
                    if not one.added:
                        raise
                    plan.left_out.append(f"{one.name} was left out: {error}")
                    return
                same = whole.model == job.model
                plan.entries.append(Entry(one, Condition(place, at), job, whole if same else None))


def _planned(grid: Grid, jobs: dict[Any, Job], setting: Setting) -> Job:
    key = repr(setting)
    if key not in jobs:
        (jobs[key],) = grid.plan([setting])
    return jobs[key]


def _whole(setting: Setting, target: str) -> Setting:
    """Return a setting with nothing missing at test and, of a method that drops at the missing ratio, the same rate."""
    if not setting.missing_test:
        return setting
    rate = setting.missing_test.get(target, 0.5)
    return replace(setting, missing_test={}, test_mask=Missing(), rate=rate)


def _touching(missing: Missing, used: Sequence[str]) -> Missing:
    """Return what is missing, or nothing where it touches no modality that is used."""
    return missing if any(missing.shares.get(m) for m in used) else Missing()


def _generator(embedded: Mapping[str, Any], data: MultimodalDataset, options: CompareOptions) -> Any:
    """Return the generator where none was given: that of the embedded data, or the kind's where a method needs one."""
    if options.target not in data.modalities:
        return None
    kind = data.kind(options.target)
    found = embedded.get("generators", {}).get(kind)
    if found is not None:
        with suppress(PluginError):  # its packages are an extra
            registry("imputers").create(found).fingerprint()
            return found
    return default_generator(options.methods, kind)


def _spec(spec: Any) -> dict[str, Any]:
    return {"name": spec} if isinstance(spec, str) else dict(spec)
