"""Generators whose items a gate turns down for all its reasons, and what is kept of them one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bank_program import requests
from toys import ToyGenerator

from gtimm.core.bank import Bank, Plan
from gtimm.core.bank.gate import Gate
from gtimm.core.imputer import Failure
from gtimm.core.pool import Request
from gtimm.core.seeding import stable_seed
from gtimm.engines.local import LocalEngine


class Motifs(ToyGenerator):
    """One of a few pictures with a little noise; black for some seeds, withheld for others, by the seed alone.

    With `hears` the noise follows from all requests of the batch and their order, as in a generator whose items hear their neighbours.
    """

    motifs: int = 12
    black: int = 5
    unsafe: int = 11
    hears: bool = False
    made: str | None = None

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        def make(batch: Sequence[Request]) -> list[Any]:
            if self.made:
                with Path(self.made).open("a") as file:
                    file.write(" ".join(str(request.seed) for request in batch) + "\n")
            return [self._one(batch, place) for place in range(len(batch))]

        return make

    def state(self, seed: int) -> Any:
        """What becomes of a seed: a reason, or the number of its motif."""
        if seed % self.unsafe == 0:
            return "unsafe: withheld"
        return "flat: one colour" if seed % self.black == 0 else seed // 1000 % self.motifs

    def _one(self, batch: Sequence[Request], place: int) -> Any:
        state = self.state(batch[place].seed)
        if isinstance(state, str):
            return Failure(state) if state.startswith("unsafe") else np.zeros((32, 32, 3), np.uint8)
        heard = f"{[request.seed for request in batch]} {place}" if self.hears else str(batch[place].seed)
        noise = np.random.default_rng(stable_seed(heard)).integers(0, 2, (32, 32, 3))
        coarse = np.random.default_rng(state).integers(20, 230, (16, 16))
        return (np.kron(coarse, np.ones((2, 2), int))[:, :, None] + noise).astype(np.uint8)


def one_after_another(generator: Motifs, per_class: int, duplicates: bool) -> list[int | None]:
    """Which attempt of each request is kept when items are judged one by one in order of rank; `None` where none is."""
    assert generator.gate is not None
    kept: dict[str, set[int]] = {}
    found: list[int | None] = []
    for request in requests(per_class):
        mine = kept.setdefault(request.label, set())
        found.append(None)
        for attempt in range(generator.gate.retries + 1):
            seed = stable_seed(request.seed, "again", attempt) if attempt else request.seed
            state = generator.state(seed)
            if isinstance(state, int) and not (duplicates and state in mine):
                mine.add(state)
                found[-1] = attempt
                break
    return found


def make(folder: Path, per_class: int, generator: Any, **options: Any) -> Plan:
    """Fill a bank and return its plan."""
    bank = Bank(folder)
    bank.make(generator, bank.plan(generator, requests(per_class)), LocalEngine(), "cpu", True, **options)
    return bank.plan(generator, requests(per_class))


def items(folder: Path) -> dict[str, bytes]:
    """The kept items by name."""
    return {p.name: p.read_bytes() for p in folder.rglob("*.png") if "rejected" not in p.parts}


def digest(folder: Path) -> str:
    """One for all kept items."""
    return hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(items(folder).items()))).hexdigest()


HEARING = Motifs(hears=True, gate=Gate(retries=30, duplicates={"hamming": 10}))
