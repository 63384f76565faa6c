"""One run that fills a bank: batches are claimed, made by an engine, written by a thread of their own, and logged."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, overload

from gtimm.core.bank_files import ABOUT, FAILURES, LOG, REJECTED, REJECTIONS, Log, Record, encode, write_item
from gtimm.core.claims import Claim, Staging, claim
from gtimm.core.errors import GenerationError, PluginError
from gtimm.core.files import write_json
from gtimm.core.imputer import Failure
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from gtimm.core.bank import Allow, Bank, Plan
    from gtimm.core.engine import Engine
    from gtimm.core.gate import Judge
    from gtimm.core.imputer import Generator
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

ASK_ABOVE_SECONDS = 3600.0
WAIT_SECONDS = 0.2  # between looks at what other processes are making
QUEUE = 4  # batches that may wait to be written
CLAIMS = ".claims"
UNSAFE = "unsafe"
"""How the reason of a `Failure` begins where a pipeline's own safety check withheld an item."""


@dataclass(frozen=True)
class Made:
    """What a worker made of one batch.

    Attributes:
        items: one a request; none where the batch was another process's.
        size: how many were made together: less than the batch where memory ran out.
        seconds: what that took.
    """

    items: list[Payload | Failure]
    size: int = 0
    seconds: float = 0.0


@dataclass
class _Count:
    written: int = 0
    seconds: float = 0.0
    items: int = 0
    failed: dict[int, str] = field(default_factory=dict)


class Worker:
    """Makes batches with a generator that is opened for the first; halves them when memory runs out, and stays at that."""

    def __init__(self, generator: Generator, device: str) -> None:
        self._generator, self._device = generator, device
        self._make: Callable[[Sequence[Request]], list[Payload | Failure]] | None = None
        self._size = generator.batch_size

    def __call__(self, batch: Sequence[Request]) -> Made:
        """Make one batch; an empty one costs nothing."""
        if not batch:
            return Made([])
        if self._make is None:
            self._make = self._generator.open(self._device)
        began = time.monotonic()
        while True:
            size = min(self._size, len(batch))
            try:
                return Made(self._in_parts(self._make, batch, size), size, time.monotonic() - began)
            except (MemoryError, RuntimeError) as error:
                if not _lacks_memory(error):
                    raise
                if size == 1:
                    raise GenerationError(
                        f"There is not enough memory to make a single item: {error}. Use a smaller model, size or another device."
                    ) from error
            self._size = (size + 1) // 2
            _free_memory()

    def _in_parts(
        self, make: Callable[[Sequence[Request]], list[Payload | Failure]], batch: Sequence[Request], size: int
    ) -> list[Payload | Failure]:
        items: list[Payload | Failure] = []
        for start in range(0, len(batch), size):
            part = list(batch[start : start + size])
            made = make([*part, *[part[-1]] * (size - len(part))])
            if len(made) != size:
                raise PluginError(f"{type(self._generator).__name__} returned {len(made)} items for {size} requests.")
            items += made[: len(part)]
        return items


def _lacks_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    from gtimm.core.embedding import OUT_OF_MEMORY

    return type(error).__name__ == "OutOfMemoryError" or any(text in str(error).lower() for text in OUT_OF_MEMORY)


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Claimed(Sequence[list["Request"]]):
    """The batches of a plan; one is claimed when it is read, and reads as empty where another process has or had it."""

    def __init__(self, plan: Plan, chosen: list[int], stale: Callable[[int], bool]) -> None:
        self._plan, self._chosen, self._stale = plan, chosen, stale
        self.held: dict[int, Claim] = {}

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> list[Request]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Request]]: ...
    def __getitem__(self, index: int | slice) -> list[Request] | list[list[Request]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        which = self._chosen[index]
        if which not in self.held:
            mine = claim(self._plan.folder / CLAIMS / f"{self._plan.claims[which]}.lock")
            if mine is None:
                return []
            if self._stale(which):
                mine.release()
                return []
            self.held[which] = mine
        return [self._plan.requests[i] for i in self._plan.batches[which]]

    def release(self, which: int) -> None:
        """Give one batch's claim up."""
        if held := self.held.pop(which, None):
            held.release()

    def release_all(self) -> None:
        """Give every claim up."""
        for which in list(self.held):
            self.release(which)
        for left in (self._plan.folder / CLAIMS).glob("*.lock"):  # of a process that died after its last item was there
            if (dead := claim(left)) is not None:
                dead.release()
        with suppress(OSError):
            (self._plan.folder / CLAIMS).rmdir()


class Generation:
    """Fills a bank; arguments as for `Bank.make`."""

    def __init__(
        self,
        bank: Bank,
        generator: Generator,
        engine: Engine,
        device: str,
        allow: Allow,
        shard: tuple[int, int] = (1, 1),
        limit: int | None = None,
    ) -> None:
        self._bank, self._generator, self._engine, self._device = bank, generator, engine, device
        self._allow, self._shard, self._limit = allow, shard, limit
        self._worker = Worker(generator, device)
        self._count = _Count()
        self._judge: Judge | None = None

    def run(self, plan: Plan) -> int:
        """Make what is missing of a plan and return how many items were written; raises as `Bank.make`."""
        missing = plan.missing
        if plan.folder.is_dir():
            mend(plan, self._generator)
        if plan.batches and self._allow is False:
            raise GenerationError(
                f"{plan.missing} items are not in the bank {plan.folder} and generate=False. Pass generate=True to make them."
            )
        if plan.batches:
            with Staging(plan.folder) as staging:
                if self._generator.gate is not None:
                    self._judge = self._generator.gate.open(self._device, plan)
                try:
                    plan = self._rounds(plan, staging)
                finally:
                    self._note(plan)
        failed = dict(self._count.failed)
        if self._generator.gate is not None:
            retries = self._generator.gate.retries
            for index in plan.wanted:
                if plan.attempts[index] > retries:
                    failed[index] = f"{_which(plan.asked[index])}: rejected by the gate with {retries + 1} seeds"
        if failed:
            first = next(iter(failed.values()))
            raise GenerationError(f"{len(failed)} of {missing} items could not be made; the first: {first}")
        return self._count.written

    def _rounds(self, plan: Plan, staging: Staging) -> Plan:
        log = Log(plan.folder / FAILURES)
        known = _times_failed(log)
        left, wait = self._limit, False
        while True:
            chosen = [which for which in range(len(plan.batches)) if self._concerns(plan, which)]
            if left is not None:
                chosen = chosen[:left]
            if not chosen:
                return plan
            if wait:
                time.sleep(WAIT_SECONDS)
            made = self._round(plan, chosen, staging, left)
            left = None if left is None else left - made
            wait = made == 0
            if made == 0:  # others are at it: what failed with them since we began failed for us too
                now = _times_failed(log)
                for index in plan.wanted:
                    if now.get(plan.name(index), (0, ""))[0] > known.get(plan.name(index), (0, ""))[0]:
                        self._count.failed.setdefault(index, f"{_which(plan.requests[index])}: {now[plan.name(index)][1]}")
            plan = self._bank.plan(self._generator, plan.asked, plan.wanted)

    def _concerns(self, plan: Plan, which: int) -> bool:
        """Return whether a batch is this shard's and holds a wanted item that did not fail in this run."""
        batch = plan.batches[which]
        part, parts = self._shard
        if batch[0] // len(batch) % parts != part - 1:
            return False
        return any(i in plan.chosen and i not in self._count.failed and not plan.there(i) for i in batch)

    def _round(self, plan: Plan, chosen: list[int], staging: Staging, limit: int | None) -> int:
        """Make the batches that are free; returns how many."""
        claimed = _Claimed(plan, chosen, lambda which: self._stale(plan, which))
        title, made = f"Generating {plan.requests[0].kind}s", 0
        items = sum(len(set(plan.batches[which])) for which in chosen)
        with ExitStack() as stack:
            stack.callback(claimed.release_all)
            advance = stack.enter_context(progress_bar(title, items, "items"))
            writer = stack.enter_context(ThreadPoolExecutor(max_workers=1))
            jobs: deque[Future[None]] = deque()
            for index, result in self._engine.run(lambda: self._worker, claimed):
                which = chosen[index]
                advance(len(set(plan.batches[which])))
                if not result.items:
                    continue
                made += 1
                self._count.seconds += result.seconds
                self._count.items += len(result.items)
                jobs.append(writer.submit(self._write, plan, which, result, claimed, staging))
                while jobs and (jobs[0].done() or len(jobs) > QUEUE):
                    jobs.popleft().result()
                if made == 1 and self._allow == "ask":
                    self._ask(plan, result.seconds * (len(chosen) - 1))
            for job in jobs:
                job.result()
        return made

    def _stale(self, plan: Plan, which: int) -> bool:
        """Return whether another process made a batch, or had items of it rejected, since it was planned."""
        batch = plan.batches[which]
        if not self._concerns(plan, which):
            return True
        if self._generator.gate is None:
            return False
        rejected = {record.get("key") for record in Log(plan.folder / REJECTED / REJECTIONS).read()}
        return any(plan.keys[i] in rejected for i in batch if plan.attempts[i] <= self._generator.gate.retries)

    def _ask(self, plan: Plan, seconds: float) -> None:
        if seconds > ASK_ABOVE_SECONDS and not _confirmed(plan, seconds):
            raise GenerationError(
                f"Making the {plan.missing} missing items would take about {seconds / 3600:.1f} more hours here. What was made is "
                "kept. Pass generate=True to go on, or lower per_class."
            )

    def _write(self, plan: Plan, which: int, made: Made, claimed: _Claimed, staging: Staging) -> None:
        """Write the items of one batch that are not there yet, and their lines; then give its claim up."""
        lines: list[Record] = []
        failures: list[Record] = []
        rejected: list[Record] = []
        try:
            places = dict(reversed(list(zip(plan.batches[which], made.items, strict=True))))  # of repeated ones the first
            for index in sorted(places):
                item = places[index]
                if plan.there(index):
                    continue
                if isinstance(item, Failure) and not (self._judge and item.reason.startswith(UNSAFE)):
                    failures.append(self._failure(plan, index, item))
                    continue
                reason, scores = self._verdict(plan, index, item)
                if reason is not None:
                    rejected.append(self._reject(plan, index, item, reason, scores, staging))
                    continue
                write_item(staging, plan.path(index), encode(plan.requests[index].kind, item))
                lines.append(line(plan, index, self._generator, made.size, scores))
        finally:
            try:  # also where writing stopped: what is there is in the log
                Log(plan.folder / LOG).append(lines)
                Log(plan.folder / FAILURES).append(failures)
                Log(plan.folder / REJECTED / REJECTIONS).append(rejected)
                self._count.written += len(lines)
            finally:
                claimed.release(which)

    def _failure(self, plan: Plan, index: int, item: Failure) -> Record:
        self._count.failed[index] = f"{_which(plan.requests[index])}: {item.reason}"
        times = _times_failed(Log(plan.folder / FAILURES)).get(plan.name(index), (0, ""))[0]
        request = plan.requests[index]
        return {
            "file_name": plan.name(index),
            "reason": item.reason,
            "count": times + 1,
            "prompt": request.prompt,
            "label": request.label,
            "seed": request.seed,
        }

    def _verdict(self, plan: Plan, index: int, item: Payload | Failure) -> tuple[str | None, dict[str, Any] | None]:
        if self._judge is None:
            return None, None
        if isinstance(item, Failure):
            return item.reason, {}
        return self._judge.verdict(plan, index, item)

    def _reject(
        self, plan: Plan, index: int, item: Payload | Failure, reason: str, scores: dict[str, Any] | None, staging: Staging
    ) -> Record:
        """Put an item aside, where it is one, and return its line."""
        path = plan.folder / REJECTED / plan.name(index)
        if not isinstance(item, Failure):
            write_item(staging, path, encode(plan.requests[index].kind, item))
        request = plan.requests[index]
        return {
            "file_name": plan.name(index),
            "key": plan.keys[index],
            "reason": reason,
            "scores": scores,
            "attempt": plan.attempts[index],
            "prompt": request.prompt,
            "label": request.label,
            "seed": request.seed,
        }

    def _note(self, plan: Plan) -> None:
        """Write what the bank is and how fast it was filled, and forget failures that were mended."""
        if not self._count.written:
            return
        path = plan.folder / ABOUT
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            speeds = dict(about["seconds_per_item"])
        except (OSError, ValueError, KeyError, TypeError):
            speeds = {}
        speeds[self._device] = self._count.seconds / max(self._count.items, 1)
        about = {
            "generator": type(self._generator).__name__,
            "model": getattr(self._generator, "model", None),
            "fingerprint": plan.fingerprint,
            "gate": self._generator.gate.model_dump(mode="json") if self._generator.gate is not None else None,
            "seconds_per_item": speeds,
        }
        write_json(path, about)


def mend(plan: Plan, generator: Generator) -> None:
    """Bring the log in line with the files: lines that an interruption kept from it, or cut off, or of files that are gone."""
    log = Log(plan.folder / LOG)
    here = {plan.name(i): i for i in range(len(plan.keys))}
    names = {record["file_name"] for record in log.read()}
    size = generator.batch_size
    lost = {i for name, i in here.items() if name not in names and plan.there(i)}
    with ExitStack() as stack:
        mine: set[int] = set()  # batches that nobody is writing now: their lines may still be to come
        for start in {i // size * size for i in lost}:
            if (held := claim(plan.folder / CLAIMS / f"{plan.asked[start].key(plan.fingerprint)}.lock")) is not None:
                stack.callback(held.release)
                mine.add(start)
        seen: set[str] = set()

        def keep(record: Record) -> bool:
            name = record["file_name"]
            index = here.get(name)
            fine = name not in seen and (index is None or plan.there(index))
            seen.add(name)
            return fine

        def add(records: Iterable[Record]) -> list[Record]:
            known = {record["file_name"] for record in records}
            return [
                line(plan, i, generator, size, None)
                for i in sorted(lost)
                if i // size * size in mine and plan.name(i) not in known
            ]

        staging = stack.enter_context(Staging(plan.folder))
        log.rewrite(staging, keep, add)
        failures = Log(plan.folder / FAILURES)
        if failures.path.is_file():
            failures.rewrite(staging, lambda r: r["file_name"] not in here or not plan.there(here[r["file_name"]]), lambda _: [])
    with suppress(OSError):
        (plan.folder / CLAIMS).rmdir()


def line(plan: Plan, index: int, generator: Generator, size: int, scores: dict[str, Any] | None) -> Record:
    """Return the line of one item in the log.

    Args:
        plan: the plan.
        index: of the request.
        generator: what made it.
        size: how many were made together.
        scores: of the gate.
    """
    request, settings = plan.requests[index], generator.model_dump(mode="json")
    try:
        facts = json.loads(plan.fingerprint)
    except ValueError:
        facts = {}
    return {
        "file_name": plan.name(index),
        "prompt": request.prompt,
        "label": request.label,
        "seed": request.seed,
        "guidance": request.guidance,
        "init": request.init,
        "generator": type(generator).__name__,
        **{name: settings.get(name) for name in ("model", "revision", "steps", "size", "scheduler", "negative_prompt", "dtype")},
        "weights": facts.get("weights") if isinstance(facts, dict) else None,
        "diffusers": _version("diffusers"),
        "torch": _version("torch"),
        "batch_size": size,
        "threads": settings.get("threads"),
        "scores": scores,
    }


def _version(name: str) -> str | None:
    if name not in _VERSIONS:
        try:
            _VERSIONS[name] = version(name)
        except PackageNotFoundError:
            _VERSIONS[name] = None
    return _VERSIONS[name]


_VERSIONS: dict[str, str | None] = {}


def _which(request: Request) -> str:
    return f"{request.prompt!r} (seed {request.seed})"


def _times_failed(log: Log) -> dict[str, tuple[int, str]]:
    """Return how often each item failed, and why last, by file name."""
    found: dict[str, tuple[int, str]] = {}
    for record in log.read():
        found[record["file_name"]] = (found.get(record["file_name"], (0, ""))[0] + 1, str(record.get("reason")))
    return found


def _confirmed(plan: Plan, seconds: float) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    if not sys.stdin.isatty():
        return False
    from rich.prompt import Confirm

    return Confirm.ask(f"{plan.missing} items for {plan.folder} will take about {seconds / 3600:.1f} hours. Go on?")
