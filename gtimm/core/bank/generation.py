"""One run that fills a bank: batches are claimed, made by an engine, written by a thread of their own, and logged."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gtimm.core.bank.files import FAILURES, LOG, REJECTED, REJECTIONS, Log, Record, encode, write_item
from gtimm.core.bank.lines import CLAIMS, described, failure, line, mend, note, rejection, repetitions, times_failed
from gtimm.core.bank.worker import Made, Worker
from gtimm.core.claims import Claim, Staging, claim, held
from gtimm.core.errors import GenerationError, MediaError, StoreError
from gtimm.core.imputer import Failure
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from pathlib import Path

    from gtimm.core.bank import Allow, Bank, Plan
    from gtimm.core.bank.judge import Judge, Verdict
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

ASK_ABOVE_SECONDS = 3600.0
WAIT_SECONDS = 0.2  # between looks at what other processes are making
QUEUE = 4  # batches that may wait to be written
DUPLICATES = "duplicates.lock"
UNSAFE = "unsafe"
"""How the reason of a `Failure` begins where a pipeline's own safety check withheld an item."""


@dataclass
class _Count:
    written: int = 0
    seconds: float = 0.0
    items: int = 0
    device: str = ""
    failed: dict[int, str] = field(default_factory=dict)


class _Claimed:
    """The batches of a plan; one is claimed when it is read, and reads as empty where another process has or had it."""

    def __init__(self, plan: Plan, chosen: list[int], stale: Callable[[int], bool]) -> None:
        self._plan, self._chosen, self._stale = plan, chosen, stale
        self.held: dict[int, Claim] = {}

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> list[Request]:
        which = self._chosen[index]
        if which not in self.held:
            mine = claim(self._plan.folder / CLAIMS / f"{self._plan.claims[which]}.lock")
            if mine is None:
                return []
            if self._stale(which):
                mine.release()
                return []
            self.held[which] = mine
        return [self._plan.in_round(i, self._plan.rounds[which]) for i in self._plan.batches[which]]

    def release(self, which: int) -> None:
        """Give one batch's claim up."""
        if held := self.held.pop(which, None):
            held.release()

    def release_all(self) -> None:
        """Give every claim up."""
        for which in list(self.held):
            self.release(which)
        with suppress(FileNotFoundError):  # the folder, when another process has removed it
            left = list((self._plan.folder / CLAIMS).glob("*.lock"))  # of processes that died after their last item was there
            for dead in filter(None, map(claim, left)):
                dead.release()
        with suppress(OSError):
            (self._plan.folder / CLAIMS).rmdir()


class _Rejections:
    """The log of rejections, read again where it changed."""

    def __init__(self) -> None:
        self._size, self._keys, self._searches = 0, frozenset[str](), 0

    def read(self, folder: Path) -> tuple[frozenset[str], int]:
        """Return the keys of items that were rejected for themselves, and how often duplicates were found."""
        log = Log(folder / REJECTED / REJECTIONS)
        size = log.path.stat().st_size if log.path.is_file() else 0
        if size != self._size:
            records = log.read()
            self._keys = frozenset(str(record.get("key")) for record in records if "near" not in record)
            self._searches = max((int(record.get("pass", 0)) for record in records), default=0)
            self._size = size
        return self._keys, self._searches


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
        self._rejections = _Rejections()
        self._searches = 0

    def run(self, plan: Plan) -> int:
        """Make what is missing of a plan and return how many items were written; raises as `Bank.make`."""
        missing, gate = plan.missing, self._generator.gate
        plan = self._mine(plan)
        self._refuse(plan)
        if plan.folder.is_dir():
            with nullcontext() if plan.batches else suppress(StoreError):  # what is all there serves in a folder of others too
                mend(plan, self._generator)
        if plan.batches or (gate is not None and gate.duplicates is not None and plan.folder.is_dir()):
            self._judge = None if gate is None else gate.open(self._device, plan)
            try:
                plan = self._rounds(plan)
            finally:
                if self._count.written:
                    note(plan, self._generator, self._count.device, self._count.seconds / max(self._count.items, 1))
        failed = {**self._count.failed, **self._spent(plan)}
        if failed:
            first = next(iter(failed.values()))
            raise GenerationError(f"{len(failed)} of {max(missing, len(failed))} items could not be made; the first: {first}")
        return self._count.written

    def _spent(self, plan: Plan) -> dict[int, str]:
        """Return what to say of the wanted items that were rejected with every seed."""
        spent = [index for index in plan.wanted if plan.attempts[index] > plan.retries]
        if not spent:
            return {}
        reasons = {record.get("key"): record.get("reason") for record in Log(plan.folder / REJECTED / REJECTIONS).read()}
        seeds = f"{plan.retries + 1} seed{'s' if plan.retries else ''}"
        last = {index: reasons.get(plan.at(index, plan.retries).key(plan.fingerprint)) for index in spent}
        return {
            index: f"{described(plan.asked[index])}: rejected by the gate with {seeds}; the last: {reason}"
            for index, reason in last.items()
        }

    def _refuse(self, plan: Plan) -> None:
        if plan.batches and self._allow is False:
            raise GenerationError(
                f"{plan.missing} items are not in the bank {plan.folder} and generate=False. Pass generate=True to make them."
            )

    def _rounds(self, plan: Plan) -> Plan:
        """Make batches until nothing lacks: all with their first seeds, then all that were rejected once, and so on."""
        log = Log(plan.folder / FAILURES)
        known = times_failed(log)
        if self._judge is not None:
            plan = self._again(plan)
        left, wait = self._limit, False
        while True:
            ready = [place for place in range(len(plan.batches)) if self._concerns(plan, place)]
            chosen = [place for place in ready if plan.rounds[place] == plan.rounds[ready[0]]][:left]
            if not chosen:
                if ready or self._settle(plan):
                    return plan
                plan = self._again(plan)
                continue
            if wait:
                time.sleep(WAIT_SECONDS)
            made = self._round(plan, chosen)
            left = None if left is None else left - made
            wait = made == 0
            if made == 0:  # others are at it: what failed with them since we began failed for us too
                now = times_failed(log)
                for index in plan.wanted:
                    if now.get(plan.name(index), (0, ""))[0] > known.get(plan.name(index), (0, ""))[0]:
                        self._count.failed.setdefault(index, f"{described(plan.requests[index])}: {now[plan.name(index)][1]}")
            plan = self._again(plan)

    def _again(self, plan: Plan) -> Plan:
        if self._judge is not None:
            _, self._searches = self._rejections.read(plan.folder)
        plan = self._mine(self._bank.plan(self._generator, plan.asked, plan.wanted))
        self._refuse(plan)
        return plan

    def _mine(self, plan: Plan) -> Plan:
        return plan if self._shard == (1, 1) else plan.part(self._shard)

    def _settle(self, plan: Plan) -> bool:
        """Reject duplicates when everything else is there; returns whether there is nothing more to do."""
        if self._judge is None or self._generator.gate is None or self._generator.gate.duplicates is None:
            return True
        if self._lacks(plan) or not any(self._judge.duplicates(plan)):
            return True
        try:
            with held(plan.folder / CLAIMS / DUPLICATES):
                plan = self._bank.plan(self._generator, plan.asked, plan.wanted)
                if self._lacks(plan):  # another process found some, or has lost some
                    return False
                found = repetitions(plan, self._judge.duplicates(plan))
                Log(plan.folder / REJECTED / REJECTIONS).append(found)
        finally:
            with suppress(OSError):
                (plan.folder / CLAIMS).rmdir()
        if found:
            mend(self._bank.plan(self._generator, plan.asked, plan.wanted), self._generator)
        return not found

    def _lacks(self, plan: Plan) -> bool:
        """Return whether a wanted item, of any shard, is still to be made."""
        return any(plan.attempts[i] <= plan.retries and i not in self._count.failed and not plan.there(i) for i in plan.chosen)

    def _concerns(self, plan: Plan, place: int) -> bool:
        """Return whether a batch holds a wanted item that did not fail in this run."""
        return any(self._due(plan, place, i) and i in plan.chosen for i in plan.batches[place])

    def _due(self, plan: Plan, place: int, index: int) -> bool:
        """Return whether a batch is the one that makes an item, and the item is not there and did not fail in this run."""
        return plan.due(index, plan.rounds[place]) and index not in self._count.failed and not plan.there(index)

    def _round(self, plan: Plan, chosen: list[int]) -> int:
        """Make the batches that are free; returns how many."""
        claimed = _Claimed(plan, chosen, lambda place: self._stale(plan, place))
        title, made = f"Generating {plan.requests[0].kind}s", 0
        items = sum(len(set(plan.batches[place])) for place in chosen)
        with ExitStack() as stack:
            stack.callback(claimed.release_all)
            staging = stack.enter_context(Staging(plan.folder))
            advance = stack.enter_context(progress_bar(title, items, "items"))
            writer = stack.enter_context(ThreadPoolExecutor(max_workers=1))
            jobs: deque[Future[None]] = deque()
            threads = getattr(self._generator, "threads", 1)
            run = stack.enter_context(closing(self._engine.run(self._worker.on, claimed, self._device, threads)))
            for index, result in run:
                place = chosen[index]
                advance(len(set(plan.batches[place])))
                if not result.items:
                    continue
                made += 1
                self._count.seconds += result.seconds
                self._count.items += len(result.items)
                self._count.device = result.device
                jobs.append(writer.submit(self._write, plan, place, result, claimed, staging))
                while jobs and (jobs[0].done() or len(jobs) > QUEUE):
                    jobs.popleft().result()
                if made == 1 and self._allow == "ask":
                    self._ask(plan, result.seconds * (len(chosen) - 1))
            for job in jobs:
                job.result()
        return made

    def _stale(self, plan: Plan, place: int) -> bool:
        """Return whether another process made a batch, or had items of it rejected, since it was planned."""
        due = [i for i in plan.batches[place] if i in plan.chosen and self._due(plan, place, i)]
        # Read after looking, since what repeats another is put aside when it is noted.
        rejected, searches = self._rejections.read(plan.folder)
        return searches != self._searches or all(plan.keys[i] in rejected for i in due)

    def _ask(self, plan: Plan, seconds: float) -> None:
        if seconds > ASK_ABOVE_SECONDS and not _confirmed(plan, seconds):
            raise GenerationError(
                f"Making the {plan.missing} missing items would take about {seconds / 3600:.1f} more hours here. What was made is "
                "kept. Pass generate=True to go on, or lower per_class."
            )

    def _write(self, plan: Plan, place: int, made: Made, claimed: _Claimed, staging: Staging) -> None:
        """Write the items of one batch that are not there yet, and their lines; then give its claim up."""
        lines: list[Record] = []
        failures: list[Record] = []
        rejected: list[Record] = []
        try:
            items = dict(reversed(list(zip(plan.batches[place], made.items, strict=True))))  # of repeated ones the first
            known, _ = self._rejections.read(plan.folder)
            due = [i for i in sorted(items) if self._due(plan, place, i) and plan.keys[i] not in known]
            contents: dict[int, bytes] = {}
            for index in due:
                item = items[index]
                if not isinstance(item, Failure):
                    contents[index] = self._encoded(plan.requests[index], item)
                elif self._judge is not None and item.reason.startswith(UNSAFE):
                    rejected.append(rejection(plan, index, item.reason, {}))
                else:
                    failures.append(failure(plan, index, item.reason))
                    self._count.failed[index] = f"{described(plan.requests[index])}: {item.reason}"
            for (index, content), (reason, scores) in zip(contents.items(), self._verdicts(plan, contents), strict=True):
                if reason is not None:
                    write_item(staging, plan.folder / REJECTED / plan.name(index), content)
                    rejected.append(rejection(plan, index, reason, scores))
                    continue
                write_item(staging, plan.path(index), content)
                lines.append(line(plan, index, self._generator, made.size, scores))
        finally:
            try:  # also where writing stopped: what is there is in the log
                Log(plan.folder / LOG).append(lines)
                Log(plan.folder / FAILURES).append(failures)
                Log(plan.folder / REJECTED / REJECTIONS).append(rejected)
                self._count.written += len(lines)
            finally:
                claimed.release(place)

    def _encoded(self, request: Request, item: Payload) -> bytes:
        try:
            return encode(request.kind, item)
        except MediaError as error:  # NaN, another shape: not an item
            raise MediaError(
                f"{type(self._generator).__name__} made no {request.kind} of {described(request)}: {error}"
            ) from error

    def _verdicts(self, plan: Plan, contents: dict[int, bytes]) -> list[Verdict]:
        if self._judge is None:
            return [(None, None)] * len(contents)
        return self._judge.verdicts(plan, list(contents), list(contents.values()))


def _confirmed(plan: Plan, seconds: float) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    if not sys.stdin.isatty():
        return False
    from rich.prompt import Confirm

    return Confirm.ask(f"{plan.missing} items for {plan.folder} will take about {seconds / 3600:.1f} hours. Go on?")
