"""The gate turns items down, keeps them aside, and tries the next seed, the same one every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_program import requests
from toys import ToyGenerator

from gtimm.core.bank import Bank
from gtimm.core.errors import GenerationError
from gtimm.core.gate import Gate
from gtimm.core.imputer import Failure
from gtimm.engines.local import LocalEngine


class Uneven(ToyGenerator):
    """Images of noise; black where the seed is of a kind, unsafe where it is of another."""

    black: int = 3
    unsafe: int = 7

    def open(self, device: str) -> Any:
        def make(batch: Sequence[Any]) -> list[Any]:
            return [self._one(request.seed) for request in batch]

        return make

    def _one(self, seed: int) -> Any:
        if seed % self.unsafe == 0:
            return Failure("unsafe: withheld by the pipeline")
        noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        return noise * (seed % self.black != 0)


def make(folder: Path, per_class: int, generator: Any) -> Any:
    bank = Bank(folder)
    bank.make(generator, bank.plan(generator, requests(per_class)), LocalEngine(), "cpu", True)
    return bank.plan(generator, requests(per_class))


def items(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*.png") if "rejected" not in p.parts}


def test_rejected_items_are_made_with_the_next_seed_and_kept_aside(tmp_path: Path) -> None:
    generator = Uneven(gate=Gate(retries=20))
    plan = make(tmp_path / "a", 6, generator)
    assert plan.missing == 0
    assert len(items(tmp_path / "a")) == 18
    assert max(plan.attempts) > 0
    assert all(request.seed % 3 and request.seed % 7 for request in plan.requests)
    lines = [json.loads(line) for line in next(tmp_path.rglob("rejected.jsonl")).read_text().splitlines()]
    assert {line["reason"] for line in lines} <= {"flat: one colour", "unsafe: withheld by the pipeline"}
    aside = [line for line in lines if line["scores"]]
    assert all((plan.folder / "rejected" / line["file_name"]).is_file() for line in aside)
    make(tmp_path / "b", 2, generator)
    make(tmp_path / "b", 6, generator)
    assert items(tmp_path / "a") == items(tmp_path / "b")


def test_beyond_the_limit_an_item_has_failed(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="rejected by the gate with 2 seeds"):
        make(tmp_path, 2, Uneven(black=1, gate=Gate(retries=1)))
    assert not items(tmp_path)
