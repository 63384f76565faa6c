"""What a configuration asks generators for, over all its seeds and splits: what is there, what is to be made, what that costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.files import FAILURES, Log
from gtimm.core.errors import ConfigError, GenerationError
from gtimm.core.imputer import Generator
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.core.pool import Requests

if TYPE_CHECKING:
    from gtimm.core.bank import Bank, Plan
    from gtimm.core.config import RunConfig
    from gtimm.core.dataset import MultimodalDataset, Splits
    from gtimm.core.engine import Engine
    from gtimm.core.filling import Role
    from gtimm.core.pool import Pool, Request

Shard = tuple[int, int]
Asked = tuple[Generator, str, "Sequence[Request]", list[int]]
"""A generator, the modality that it fills, its requests, and which of them some run uses."""

SAMPLE = 500  # files whose size is measured
BYTES_A_PIXEL = 1.8  # PNG of a photograph; drawings take less
BYTES = {"image": 475_000, "audio": 320_000}
"""Of an item where nothing better is known: an image of 512 x 512, and ten seconds of sound at 16 kHz in 16 bits."""


@dataclass
class Job:
    """All that one generator is asked for.

    Attributes:
        generator: what makes it.
        folder: where the items are, or will be.
        modalities: which it fills.
        requests: those of all runs, each once, in the order in which they ask. Label prompts are the same for all seeds, so that
            batches are cut as a run cuts them; of prompts that go by the mask, what a later seed adds comes after. A gate may judge
            an item by the others of its plan, so with one each different plan is a job of its own.
        wanted: indices of those that some run uses.
    """

    generator: Generator
    folder: Path
    modalities: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Outlook:
    """What is ahead of one job.

    Attributes:
        generator: its class's name.
        modalities: which it fills.
        folder: where the items are, or will be.
        classes: of the wanted items; 0 where the prompts go by row.
        wanted: items that the runs use, each counted once, whatever the shard.
        there: those of them that are in the bank.
        to_make: those of them that this shard has to make.
        batches: that this takes.
        given_up: those that a gate turned down with every seed, so that their batches are not tried again.
        seconds: that this takes on one worker, from the last filling of this bank on this device; `None` where it never was.
        bytes: that this takes on disk.
        measured: whether the size is that of items that are there, rather than assumed.
    """

    generator: str
    modalities: tuple[str, ...]
    folder: Path
    classes: int
    wanted: int
    there: int
    to_make: int
    batches: int
    given_up: int
    seconds: float | None
    bytes: int
    measured: bool


@dataclass
class Done:
    """What was done so far; kept up to date also where an error or an interruption ends it.

    Attributes:
        made: items.
        batches: tried.
        seconds: that took.
        failed: by folder, what went wrong there.
    """

    made: int = 0
    batches: int = 0
    seconds: float = 0.0
    failed: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """The jobs of one configuration, and where they are done.

    Attributes:
        jobs: one for each generator and its settings.
        bank: where the items go.
        engine: what runs the batches.
        device: such as `"cuda"`.
    """

    jobs: list[Job]
    bank: Bank
    engine: Engine
    device: str

    def outlook(self, job: Job, shard: Shard = (1, 1)) -> Outlook:
        """Return what is ahead of one job; nothing is made."""
        plan = self.plan(job)
        todo, batches = _lacking(plan, shard), len(plan.part(shard).batches)
        there = [plan.path(i) for i in plan.wanted if plan.there(i)]
        size, measured = _size_of_one(there, plan, job.generator)
        speed = self.bank.speed(plan, self.device) if batches else 0.0
        return Outlook(
            generator=type(job.generator).__name__,
            modalities=tuple(job.modalities),
            folder=job.folder,
            classes=len({plan.requests[i].label for i in plan.wanted} - {""}),
            wanted=len(plan.wanted),
            there=len(there),
            to_make=len(todo),
            batches=batches,
            given_up=plan.missing - len(_lacking(plan)),
            seconds=None if speed is None else speed * batches * plan.size,
            bytes=round(size * len(todo)),
            measured=measured,
        )

    def make(self, job: Job, done: Done, shard: Shard = (1, 1), limit: int | None = None) -> None:
        """Make what one job lacks, items that are damaged on disk included; what fails is noted and does not end it.

        Args:
            job: one of the jobs.
            done: is brought up to date.
            shard: `(i, n)` makes only every n-th batch from the i-th on, i in 1..n.
            limit: at most so many batches.

        Raises:
            StoreError: the bank cannot be written; what was made is kept.
        """
        plan = self.plan(job)
        if self.bank.drop_damaged(plan):
            plan = self.plan(job)
        if not plan.missing:
            return
        left = None if limit is None else limit - done.batches
        ahead, before, began = len(plan.part(shard).batches), _there(plan, shard), time.monotonic()
        try:
            self.bank.make(job.generator, plan, self.engine, self.device, True, shard=shard, limit=left)
        except GenerationError as error:
            done.failed[job.folder] = _explained(error, plan, shard)
        finally:
            done.seconds += time.monotonic() - began
            done.made += _there(self.plan(job), shard) - before
            done.batches += ahead if left is None else min(ahead, left)

    def plan(self, job: Job) -> Plan:
        """Return the plan of what one job lacks."""
        return self.bank.plan(job.generator, job.requests, job.wanted)


def plan_config(config: RunConfig, data: Splits, **options: Any) -> Work:
    """Return what a configuration asks generators for: the training rows' holes of every seed, and those of validation and test.

    Nothing is made. The requests are those of a run, so that it finds all that it uses.

    Args:
        config: the configuration.
        data: its data.
        options: of `Pipeline`, which win over the configuration's, such as `store`, `device` and `engine`.

    Raises:
        ConfigError: no imputer generates, or no row lacks what one fills.
    """
    pipes = [Pipeline.from_config(config.pipeline_options(), **{**options, "seed": seed}) for seed in config.seed_list]
    strategies = [*pipes[0].imputers, *pipes[0].eval_imputers]
    if not any(isinstance(one, Generator) for strategy in strategies for one in (strategy, strategy.source())):
        plain = pipes[0].config()
        raise ConfigError(
            f"There is nothing to generate: pipeline.imputer is {plain['imputer']!r} and pipeline.eval_imputer is "
            f"{plain['eval_imputer']!r}, and neither is a generator. `gtimm plugins` lists the imputers; stable-diffusion is one."
        )
    work = plan_requests(_asked(config, data, pipes), pipes[0])
    if not work.jobs:
        raise ConfigError(
            "There is nothing to generate: no row lacks what a generator fills. Say what is missing, such as missing: {image: 0.95}."
        )
    return work


def plan_requests(asked: Iterable[Asked], pipe: Pipeline) -> Work:
    """Return the jobs of what is asked for, in the order in which it is; without jobs nothing is.

    Args:
        asked: from `asked_by`.
        pipe: whose bank and engine are to be used.
    """
    jobs: dict[tuple[Path, str], Job] = {}
    known: dict[tuple[Path, str], dict[str, int]] = {}
    workspace = pipe.workspace
    for generator, modality, requests, used in asked:
        plan = workspace.bank.plan(generator, requests, [])
        which = (plan.folder, "" if generator.gate is None else str(plan.keys))
        job = jobs.setdefault(which, Job(generator, plan.folder))
        if modality not in job.modalities:
            job.modalities.append(modality)
        _add(job, requests, used, plan.fingerprint, known.setdefault(which, {}))
    return Work(list(jobs.values()), workspace.bank, pipe.engine, workspace.device)


def _asked(config: RunConfig, data: Splits, pipes: Sequence[Pipeline]) -> Iterator[Asked]:
    missing, hidden = Missing.of(config.missing), Missing.of(config.evaluate.missing)
    trained = [pipe.check(data.train, data.val, missing) for pipe in pipes]
    tests = [data.test.with_missing(hidden, pipe.seed) for pipe in pipes]
    for pipe, test in zip(pipes, tests, strict=True):
        pipe.check_evaluation(test)
    return asked_by(pipes, trained, [data.val] * len(pipes), [[test] for test in tests])


def asked_by(
    pipes: Sequence[Pipeline],
    trained: Sequence[MultimodalDataset],
    vals: Sequence[MultimodalDataset],
    tests: Sequence[Sequence[MultimodalDataset]],
) -> Iterator[Asked]:
    """Yield a generator, the modality, its requests and those that some run uses, in the order in which runs ask.

    Args:
        pipes: one a seed.
        trained: what `Pipeline.check` returned, by seed.
        vals: validation rows by seed.
        tests: what is predicted after training, by seed.
    """
    for pipe, train, val in zip(pipes, trained, vals, strict=True):
        yield from _asked_by_sources(pipe, train)
        yield from _asked_of(pipe, train, train)
        yield from _asked_of(pipe, train, val)
    for pipe, train, predicted in zip(pipes, trained, tests, strict=True):
        for test in predicted:
            yield from _asked_of(pipe, train, test)


def _asked_by_sources(pipe: Pipeline, train: MultimodalDataset) -> Iterator[Asked]:
    """Yield what imputers pick from while they are fitted: all items of their sources."""
    for modality in pipe.kinds:
        fitted = [None if train.present(modality).all() else pipe.imputers.get(modality), pipe.eval_imputers.get(modality)]
        for source in [None if imputer is None else imputer.source() for imputer in fitted]:
            if isinstance(source, Generator):
                pool = _pool(pipe, source, train, train, modality)
                if isinstance(pool.items, Requests):
                    yield source, modality, pool.items.values, np.unique(pool.members).tolist()


def _asked_of(pipe: Pipeline, train: MultimodalDataset, data: MultimodalDataset) -> Iterator[Asked]:
    strategies = pipe.imputers if data is train else pipe.eval_imputers
    for modality in pipe.kinds:
        generator = strategies.get(modality)
        holes = np.flatnonzero(~data.present(modality))
        if not isinstance(generator, Generator) or not len(holes):
            continue
        pool = _pool(pipe, generator, train, data, modality)
        if isinstance(pool.items, Requests) and len(used := pool.used(holes)):
            yield generator, modality, pool.items.values, used.tolist()


def _pool(pipe: Pipeline, generator: Generator, train: MultimodalDataset, data: MultimodalDataset, modality: str) -> Pool:
    """Return a generator's pool of a modality of some data, as a run has it."""
    filler = replace(pipe.filler(), allow=False)  # a plan makes nothing
    role: Role = "train" if data is train else "eval"
    return filler.pool(generator, data, modality, role, filler.fit(generator, train, modality))


def _add(job: Job, requests: Sequence[Request], used: list[int], fingerprint: str, known: dict[str, int]) -> None:
    """Add requests to a job, each key once; `known` holds where in the job each key is."""
    places = []
    for request in requests:
        place = known.setdefault(request.key(fingerprint), len(job.requests))
        if place == len(job.requests):
            job.requests.append(request)
        places.append(place)
    job.wanted = sorted({*job.wanted, *(places[i] for i in used)})


def _wanted(plan: Plan, shard: Shard) -> list[int]:
    """Return a shard's wanted items, as `Plan.part` has them."""
    part, parts = shard
    return [i for i in plan.wanted if i // plan.size % parts == part - 1]


def _there(plan: Plan, shard: Shard) -> int:
    """Return how many of a shard's wanted items are there."""
    return sum(plan.there(i) for i in _wanted(plan, shard))


def _lacking(plan: Plan, shard: Shard = (1, 1)) -> list[int]:
    """Return a shard's wanted items that are still to be made."""
    return [i for i in _wanted(plan, shard) if plan.attempts[i] <= plan.retries and not plan.there(i)]


def _size_of_one(there: list[Path], plan: Plan, generator: Generator) -> tuple[float, bool]:
    """Return the bytes of an item, and whether that is the mean of items that are there."""
    if there:
        sample = there[:: max(len(there) // SAMPLE, 1)]
        return float(np.mean([path.stat().st_size for path in sample])), True
    kind, size = plan.requests[0].kind, getattr(generator, "size", None)
    if kind == "image" and size is not None:
        return BYTES_A_PIXEL * size[0] * size[1], False
    return float(BYTES[kind]), False


def _explained(error: GenerationError, plan: Plan, shard: Shard) -> str:
    """Return how many of a shard's items could not be made and why, as the bank's log of failures has it; else the error's text."""
    lacking = {plan.name(i) for i in _lacking(plan, shard)}
    log = Log(plan.folder / FAILURES)
    last = {record["file_name"]: str(record.get("reason")) for record in log.read() if record["file_name"] in lacking}
    if not last:
        return str(error)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in Counter(last.values()).most_common(3))
    return f"{len(last)} of {len(plan.wanted)} items could not be made: {reasons}. All are in {log.path}"
