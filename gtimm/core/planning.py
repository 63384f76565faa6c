"""What a configuration asks generators for, over all its seeds and splits: what is there, what is to be made, what that costs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank_files import FAILURES, Log
from gtimm.core.errors import ConfigError, GenerationError
from gtimm.core.imputer import Generator
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.core.pool import Requests
from gtimm.core.view import DatasetView

if TYPE_CHECKING:
    from gtimm.core.bank import Bank, Plan
    from gtimm.core.config import RunConfig
    from gtimm.core.dataset import MultimodalDataset, Splits
    from gtimm.core.engine import Engine
    from gtimm.core.pool import Request

Shard = tuple[int, int]

SAMPLE = 500  # files whose size is measured
BYTES_A_PIXEL = 1.8  # PNG of a photograph; drawings take less
BYTES = {"image": 475_000, "audio": 320_000}
"""Of an item where nothing better is known: an image of 512 x 512, and ten seconds of sound at 16 kHz in 16 bits."""


@dataclass(frozen=True)
class Part:
    """The requests of one plan, as a run makes it.

    Attributes:
        requests: all of the plan; batches are cut from them.
        wanted: ascending indices of those that a run uses and that no part before this one wants.
    """

    requests: Sequence[Request]
    wanted: list[int]


@dataclass
class Job:
    """All that one generator is asked for.

    Attributes:
        generator: what makes it.
        folder: where the items are, or will be.
        modalities: which it fills.
        parts: one for each different list of requests: label prompts are the same for all seeds, others go by the mask.
    """

    generator: Generator
    folder: Path
    modalities: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


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
        rejected: those that a gate turned down with every seed; nothing more is tried.
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
    rejected: int
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
        plans = self._plans(job)
        spent = [_rejected(plan, job.generator) for plan in plans]
        todo = [
            len(_lacking(plan, batch) - gone)
            for plan, gone in zip(plans, spent, strict=True)
            for batch in plan.batches
            if _mine(batch, shard)
        ]
        there = [plan.path(i) for plan in plans for i in plan.wanted if plan.there(i)]
        wanted = sum(len(plan.wanted) for plan in plans)
        speed = self.bank.speed(plans[0], self.device)
        size, measured = _size_of_one(there, plans[0], job.generator)
        return Outlook(
            generator=type(job.generator).__name__,
            modalities=tuple(job.modalities),
            folder=job.folder,
            classes=len({plan.requests[i].label for plan in plans for i in plan.wanted} - {""}),
            wanted=wanted,
            there=len(there),
            to_make=sum(todo),
            batches=len(todo),
            rejected=sum(map(len, spent)),
            seconds=(0.0 if not todo else None) if speed is None else speed * len(todo) * job.generator.batch_size,
            bytes=round(size * sum(todo)),
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
        for part in job.parts:
            if self.bank.drop_damaged(plan := self.bank.plan(job.generator, part.requests, part.wanted)):
                plan = self.bank.plan(job.generator, part.requests, part.wanted)
            left = None if limit is None else limit - done.batches
            if left == 0 or not (ahead := [batch for batch in plan.batches if _mine(batch, shard)]):
                continue
            lacked = sum(len(_lacking(plan, batch)) for batch in ahead)
            began = time.monotonic()
            try:
                self.bank.make(job.generator, plan, self.engine, self.device, True, shard=shard, limit=left)
            except GenerationError as error:
                done.failed[job.folder] = _explained(error, plan)
            finally:
                done.seconds += time.monotonic() - began
                done.made += lacked - sum(len(_lacking(plan, batch)) for batch in ahead)
                done.batches += len(ahead) if left is None else min(left, len(ahead))

    def _plans(self, job: Job) -> list[Plan]:
        return [self.bank.plan(job.generator, part.requests, part.wanted) for part in job.parts]


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
    pipes = [Pipeline.from_config(config.pipeline, **{**options, "seed": seed}) for seed in config.seed_list]
    if not any(isinstance(one, Generator) for one in [*pipes[0].imputers, *pipes[0].eval_imputers]):
        plain = pipes[0].config()
        raise ConfigError(
            f"There is nothing to generate: pipeline.imputer is {plain['imputer']!r} and pipeline.eval_imputer is "
            f"{plain['eval_imputer']!r}, and neither is a generator. `gtimm plugins` lists the imputers; stable-diffusion is one."
        )
    jobs: dict[Path, Job] = {}
    seen: dict[Path, set[str]] = {}
    workspace = pipes[0].workspace
    for generator, modality, requests, used in _asked(config, data, pipes):
        plan = workspace.bank.plan(generator, requests, [])
        job = jobs.setdefault(plan.folder, Job(generator, plan.folder))
        if modality not in job.modalities:
            job.modalities.append(modality)
        _add(job, requests, [request.key(plan.fingerprint) for request in requests], used, seen.setdefault(plan.folder, set()))
    if not jobs:
        raise ConfigError(
            "There is nothing to generate: no row lacks what a generator fills. Say what is missing, such as missing: {image: 0.95}."
        )
    return Work(list(jobs.values()), workspace.bank, pipes[0].engine, workspace.device)


def _asked(
    config: RunConfig, data: Splits, pipes: Sequence[Pipeline]
) -> Iterator[tuple[Generator, str, Sequence[Request], list[int]]]:
    """Yield a generator, the modality, its requests and those that some hole may take, in the order in which a run asks."""
    missing, hidden = Missing.of(config.missing), Missing.of(config.evaluate.missing)
    trained = [pipe.check(data.train, data.val, missing) for pipe in pipes]
    tests = [data.test.with_missing(hidden, pipe.seed) for pipe in pipes]
    for pipe, test in zip(pipes, tests, strict=True):
        pipe.check_evaluation(test)
    for pipe, train in zip(pipes, trained, strict=True):
        yield from _asked_of(pipe, train, train)
        yield from _asked_of(pipe, train, data.val)
    for pipe, train, test in zip(pipes, trained, tests, strict=True):
        yield from _asked_of(pipe, train, test)


def _asked_of(
    pipe: Pipeline, train: MultimodalDataset, data: MultimodalDataset
) -> Iterator[tuple[Generator, str, Sequence[Request], list[int]]]:
    backbones = {m: pipe.backbones.require(m) for m in pipe.kinds}
    strategies = pipe.imputers if data is train else pipe.eval_imputers
    for modality in pipe.kinds:
        generator = strategies.get(modality)
        holes = np.flatnonzero(~data.present(modality))
        if not isinstance(generator, Generator) or not len(holes):
            continue
        labels = generator.needs_label()
        state = generator.fit(DatasetView(train, pipe.workspace, backbones, pipe.depth, labels), modality)
        view = DatasetView(data, pipe.workspace, backbones, pipe.depth, labels and data is train)
        pool = generator.pool(view, modality, state)
        if isinstance(pool.items, Requests) and len(used := pool.used(holes)):
            yield generator, modality, pool.items.values, used.tolist()


def _add(job: Job, requests: Sequence[Request], keys: list[str], used: list[int], seen: set[str]) -> None:
    """Add requests to a job, those whose keys were not seen yet: to the part with the same list where there is one."""
    new = [i for i in used if keys[i] not in seen]
    if not new:
        return
    seen.update(keys[i] for i in new)
    part = next((part for part in job.parts if list(part.requests) == list(requests)), None)
    if part is None:
        job.parts.append(part := Part(requests, []))
    part.wanted[:] = sorted({*part.wanted, *new})


def _mine(batch: Sequence[int], shard: Shard) -> bool:
    """Return whether a batch is a shard's, as `Bank.make` has it."""
    part, parts = shard
    return batch[0] // len(batch) % parts == part - 1


def _lacking(plan: Plan, batch: Sequence[int]) -> set[int]:
    """Return the wanted items of a batch that are not there."""
    return {i for i in batch if i in plan.chosen and not plan.there(i)}


def _rejected(plan: Plan, generator: Generator) -> set[int]:
    """Return the wanted items that a gate turned down with every seed."""
    if generator.gate is None:
        return set()
    return {i for i in plan.wanted if plan.attempts[i] > generator.gate.retries}


def _size_of_one(there: list[Path], plan: Plan, generator: Generator) -> tuple[float, bool]:
    """Return the bytes of an item, and whether that is the mean of items that are there."""
    if there:
        sample = there[:: max(len(there) // SAMPLE, 1)]
        return float(np.mean([path.stat().st_size for path in sample])), True
    kind, size = plan.requests[0].kind, getattr(generator, "size", None)
    if kind == "image" and size is not None:
        return BYTES_A_PIXEL * size[0] * size[1], False
    return float(BYTES[kind]), False


def _explained(error: GenerationError, plan: Plan) -> str:
    """Return an error with the reasons that the bank's log of failures has for the plan's items, and how often each."""
    wanted = {plan.name(i) for i in plan.wanted}
    log = Log(plan.folder / FAILURES)
    last = {record["file_name"]: str(record.get("reason")) for record in log.read() if record["file_name"] in wanted}
    if not last:
        return str(error)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in Counter(last.values()).most_common(3))
    return f"{error}. Reasons: {reasons}; all are in {log.path}"
