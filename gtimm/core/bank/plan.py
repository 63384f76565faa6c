"""The bank: generated items on disk, keyed by content, made once, whoever and however many fill it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gtimm.core.bank.files import ABOUT, REJECTED, REJECTIONS, SUFFIX, Log, is_sound, is_whole
from gtimm.core.errors import StoreError
from gtimm.core.plain import from_json
from gtimm.core.seeding import stable_seed

if TYPE_CHECKING:
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.pool import Request

Allow = bool | Literal["ask"]
Round = tuple[int, int]
"""What is made together: how often duplicates had been looked for, and how often an item was rejected for itself since."""
FIRST: tuple[Round, ...] = ((0, 0),)


@dataclass(frozen=True)
class Plan:
    """What generation would do: nothing is made yet.

    Attributes:
        folder: where the items are, or will be.
        keys: one a request.
        requests: in order of rank, then group; where a gate rejected an item, with the seed that is tried next.
        batches: indices into `requests`; each batch has one fixed size, the last is padded by repeating its last request.
        missing: how many wanted items are not in the bank yet.
        asked: the requests as they were asked for.
        wanted: indices of the wanted requests.
        attempts: how often the gate rejected each request; beyond its limit nothing more is tried.
        claims: a name for each batch, the same in every process and for every budget.
        fingerprint: the generator's.
        rounds: of each batch, ascending.
        tries: of each request, the rounds that its seeds were, or will be, tried in.
        size: of a batch.
        retries: seeds that a gate allows after the first.
    """

    folder: Path
    keys: list[str]
    requests: Sequence[Request]
    batches: list[list[int]]
    missing: int
    asked: Sequence[Request] = ()
    wanted: Sequence[int] = ()
    attempts: list[int] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    fingerprint: str = ""
    rounds: list[Round] = field(default_factory=list)
    tries: list[tuple[Round, ...]] = field(default_factory=list)
    size: int = 1
    retries: int = 0

    @cached_property
    def chosen(self) -> frozenset[int]:
        """The wanted requests as a set."""
        return frozenset(self.wanted)

    def path(self, index: int) -> Path:
        """Return the file of one request's item."""
        return self.folder / self.name(index)

    def name(self, index: int) -> str:
        """Return the path of one request's item as the log has it."""
        return _name(self.keys[index], self.requests[index].kind)

    def passed_over(self, index: int) -> list[str]:
        """Return the names, as the log has them, of what was rejected of one request."""
        before = [self.at(index, attempt) for attempt in range(self.attempts[index])]
        return [_name(request.key(self.fingerprint), request.kind) for request in before]

    def there(self, index: int) -> bool:
        """Return whether one request's item is in the bank and not cut short."""
        return is_whole(os.path.join(self.folder, self.name(index)))  # a path object for each would take most of the time

    def at(self, index: int, attempt: int) -> Request:
        """Return one request with the seed that is tried after so many rejections."""
        request = self.asked[index]
        return replace(request, seed=stable_seed(request.seed, "again", attempt)) if attempt else request

    def in_round(self, index: int, turn: Round) -> Request:
        """Return one request with the seed that is tried in a round."""
        return self.at(index, self.tries[index].index(turn))

    def claim(self, batch: list[int], turn: Round) -> str:
        """Return the name by which a batch is claimed."""
        return self.in_round(batch[0], turn).key(self.fingerprint)

    def layout(self, shard: tuple[int, int] = (1, 1)) -> Iterator[tuple[list[int], Round]]:
        """Yield every batch and its round: all requests with their first seed, then the wanted ones that were rejected, by round.

        A shard `(i, n)` has every n-th batch of first seeds, from the i-th on, and of those that are made again its own.
        """
        part, parts = shard
        members: dict[Round, list[int]] = {}
        for index, tries in enumerate(self.tries):
            if index // self.size % parts == part - 1:
                for turn in tries[: self.retries + 1] if index in self.chosen else FIRST:
                    members.setdefault(turn, []).append(index)
        for turn in sorted(members):
            for start in range(0, len(members[turn]), self.size):
                batch = members[turn][start : start + self.size]
                yield batch + batch[-1:] * (self.size - len(batch)), turn

    def part(self, shard: tuple[int, int] = (1, 1)) -> Plan:
        """Return the plan with a shard's batches that lack a wanted item."""
        absent = [i for i in self.chosen if not self.there(i)]
        lacking = {i for i in absent if self.attempts[i] <= self.retries}
        todo = [(batch, turn) for batch, turn in self.layout(shard) if any(i in lacking and self.due(i, turn) for i in batch)]
        return replace(
            self,
            batches=[batch for batch, _ in todo],
            missing=len(absent),
            rounds=[turn for _, turn in todo],
            claims=[self.claim(batch, turn) for batch, turn in todo],
        )

    def due(self, index: int, turn: Round) -> bool:
        """Return whether a round is that of the seed which one request stands at."""
        return self.tries[index][-1] == turn


class Bank:
    """Generated items under one folder: `<generator>/<first two hex digits>/<key>.png` beside `metadata.jsonl`, a line an item.

    Batches are cut from the whole plan, so an item is made beside the same neighbours whatever the budget: the bank of 5 a
    class is byte for byte part of the bank of 20. A batch of which anything is missing is made whole again. Several processes may
    fill one bank at once: each claims whole batches, and a claim dies with its process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, generator: Generator, requests: Sequence[Request], wanted: Sequence[int] | None = None) -> Plan:
        """Plan the batches in which some wanted item (indices into `requests`, default all) is not there yet.

        Raises:
            ConfigError, IncompatibleError: the generator's gate cannot judge these requests.
        """
        fingerprint, gate = generator.fingerprint(), generator.gate
        keys = [request.key(fingerprint) for request in requests]
        current, attempts = list(requests), [0] * len(requests)
        if gate is not None:
            gate.check(requests)
        folder = self.folder / self._name(generator, fingerprint, requests)
        chosen = range(len(requests)) if wanted is None else wanted
        plan = Plan(
            folder,
            keys,
            current,
            batches=[],
            missing=0,
            asked=requests,
            wanted=chosen,
            attempts=attempts,
            fingerprint=fingerprint,
            tries=[FIRST] * len(keys),
            size=generator.batch_size,
            retries=0 if gate is None else gate.retries,
        )
        if gate is not None:
            _pass_over(plan, current)
        return plan.part()

    def make(
        self,
        generator: Generator,
        plan: Plan,
        engine: Engine,
        device: str,
        allow: Allow = "ask",
        *,
        shard: tuple[int, int] = (1, 1),
        limit: int | None = None,
    ) -> int:
        """Make the planned items that are missing and return how many were written.

        Args:
            generator: what makes them.
            plan: from `plan`.
            engine: where.
            device: such as `"cpu"` or `"cuda"`.
            allow: `False` refuses to make anything, `True` makes all, `"ask"` stops above an hour, estimated from the first
                batch, whose items are kept.
            shard: `(i, n)` makes only every n-th batch of the whole plan, from the i-th on, i in 1..n.
            limit: at most so many batches.

        Raises:
            GenerationError: refused, or an item failed; what was made is kept.
            StoreError: the bank cannot be written, such as for want of space; what was made is kept, and nothing is half-written.
        """
        from gtimm.core.bank.generation import Generation

        return Generation(self, generator, engine, device, allow, shard, limit).run(plan)

    def drop_damaged(self, plan: Plan) -> int:
        """Remove wanted items whose bytes changed on disk, so that they are made again; returns how many."""
        bad = [path for path in map(plan.path, plan.wanted) if not is_sound(path) and is_whole(path)]
        for path in bad:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{path} is damaged and cannot be removed: {error.strerror}.") from error
        return len(bad)

    def speed(self, plan: Plan, device: str) -> float | None:
        """Return the seconds an item took on a device when this bank was last filled, `None` where it never was."""
        return seconds_per_item(plan.folder, device, anywhere=False)

    def _name(self, generator: Generator, fingerprint: str, requests: Sequence[Request]) -> str:
        if generator.gate is not None:
            fingerprint += generator.gate.model_dump_json() + generator.gate.scope(requests)
        return f"{type(generator).__name__.lower()}-{hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()}"


def _name(key: str, kind: str) -> str:
    """Return the path of an item, with a slash, in a folder for each two first digits."""
    return f"{key[:2]}/{key}{SUFFIX[kind]}"


def seconds_per_item(folder: Path, device: str, *, anywhere: bool = True) -> float | None:
    """Return the seconds an item of a bank took on a device, or with `anywhere` on another, `None` where that is not known."""
    try:
        found = dict(from_json((folder / ABOUT).read_text(encoding="utf-8"))["seconds_per_item"])
        known = found.get(device, next(iter(found.values()), None) if anywhere else None)
        return None if known is None else float(known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _pass_over(plan: Plan, current: list[Request]) -> None:
    """Give each request whose item was rejected the next seed, in place.

    An item that was rejected as a duplicate is passed over only where the one that it repeats is of lower rank in this plan.
    """
    rejected: dict[str, list[tuple[str | None, int]]] = {}
    for record in Log(plan.folder / REJECTED / REJECTIONS).read():
        rejected.setdefault(str(record.get("key")), []).append((record.get("near"), int(record.get("pass", 0))))
    before: set[str | None] = {None}
    for index in range(len(plan.asked)):
        while held := [number for near, number in rejected.get(plan.keys[index], ()) if near in before]:
            passes, times = plan.tries[index][-1]
            turn = (min(held), 0) if min(held) > passes else (passes, times + 1)
            plan.tries[index] += (turn,)
            plan.attempts[index] += 1
            current[index] = plan.at(index, plan.attempts[index])
            plan.keys[index] = current[index].key(plan.fingerprint)
        before.add(plan.keys[index])
