"""The bank: generated items on disk, keyed by content, made once, whoever and however many fill it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gtimm.core.bank_files import ABOUT, REJECTED, REJECTIONS, SUFFIX, Log, is_sound, is_whole
from gtimm.core.errors import StoreError
from gtimm.core.seeding import stable_seed

if TYPE_CHECKING:
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Generator
    from gtimm.core.pool import Request

Allow = bool | Literal["ask"]


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

    @cached_property
    def chosen(self) -> frozenset[int]:
        """The wanted requests as a set."""
        return frozenset(self.wanted)

    def path(self, index: int) -> Path:
        """Return the file of one request's item."""
        key = self.keys[index]
        return self.folder / key[:2] / f"{key}{SUFFIX[self.requests[index].kind]}"

    def name(self, index: int) -> str:
        """Return the path of one request's item as the log has it."""
        return self.path(index).relative_to(self.folder).as_posix()

    def there(self, index: int) -> bool:
        """Return whether one request's item is in the bank and not cut short."""
        return is_whole(self.path(index))


class Bank:
    """Generated items under one folder: `<generator>/<first two hex digits>/<key>.png` beside `metadata.jsonl`, a line an item.

    Batches are cut from the whole plan, so an item is made beside the same neighbours whatever the budget: the bank of 5 a
    class is byte for byte part of the bank of 20. A batch of which anything is missing is made whole again. Several processes may
    fill one bank at once: each claims whole batches, and a claim dies with its process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, generator: Generator, requests: Sequence[Request], wanted: Sequence[int] | None = None) -> Plan:
        """Plan the batches in which some wanted item (indices into `requests`, default all) is not there yet."""
        fingerprint = generator.fingerprint()
        first = [request.key(fingerprint) for request in requests]
        folder = self.folder / self._name(generator, fingerprint)
        keys, current, attempts = list(first), list(requests), [0] * len(requests)
        if generator.gate is not None:
            rejected = {str(record.get("key")) for record in Log(folder / REJECTED / REJECTIONS).read()}
            for index, request in enumerate(requests):
                while keys[index] in rejected:
                    attempts[index] += 1
                    current[index] = replace(request, seed=stable_seed(request.seed, "again", attempts[index]))
                    keys[index] = current[index].key(fingerprint)
        chosen = range(len(requests)) if wanted is None else wanted
        plan = Plan(folder, keys, current, [], 0, requests, chosen, attempts, fingerprint=fingerprint)
        lacking = {index for index in chosen if not plan.there(index)}
        spent = {i for i in lacking if generator.gate is not None and attempts[i] > generator.gate.retries}
        size = generator.batch_size
        for start in range(0, len(requests), size):
            batch = list(range(start, min(start + size, len(requests))))
            if any(i in lacking and i not in spent for i in batch):
                plan.batches.append(batch + batch[-1:] * (size - len(batch)))
                plan.claims.append(first[start])
        return replace(plan, missing=len(lacking))

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
        from gtimm.core.generation import Generation

        return Generation(self, generator, engine, device, allow, shard, limit).run(plan)

    def drop_damaged(self, plan: Plan) -> int:
        """Remove wanted items whose bytes changed on disk, so that they are made again; returns how many."""
        bad = [plan.path(i) for i in plan.wanted if plan.there(i) and not is_sound(plan.path(i))]
        for path in bad:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{path} is damaged and cannot be removed: {error.strerror}.") from error
        return len(bad)

    def speed(self, plan: Plan, device: str) -> float | None:
        """Return the seconds an item took on a device when this bank was last filled, `None` where it never was."""
        try:
            found = json.loads((plan.folder / ABOUT).read_text(encoding="utf-8"))["seconds_per_item"][device]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return float(found)

    def _name(self, generator: Generator, fingerprint: str) -> str:
        if generator.gate is not None:
            fingerprint += generator.gate.model_dump_json()
        return f"{type(generator).__name__.lower()}-{hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()}"
