"""Retried items make batches of their own, the same ones whoever makes them and however often that is interrupted."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import pytest
from bank_program import requests
from gate_toys import HEARING, Motifs, digest, items, make, one_after_another

from gtimm.core.bank import Bank
from gtimm.core.bank.gate import Gate
from gtimm.core.errors import GenerationError
from gtimm.core.imputer import Failure
from gtimm.engines.local import LocalEngine

FORK = multiprocessing.get_context("fork")


def seeds(path: Path) -> list[list[int]]:
    return [[int(seed) for seed in line.split()] for line in path.read_text().splitlines()]


def test_rejected_items_are_packed_into_batches_by_round(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=20), made=str(tmp_path / "made"))
    plan = make(tmp_path / "bank", 20, generator)
    kept = [attempt or 0 for attempt in one_after_another(generator, 20, duplicates=False)]
    assert plan.attempts == kept
    expected = []
    for attempt in range(max(kept) + 1):
        tried = [plan.at(i, attempt).seed for i in range(60) if kept[i] >= attempt]
        for start in range(0, len(tried), 4):
            batch = tried[start : start + 4]
            expected.append(batch + batch[-1:] * (4 - len(batch)))
    assert seeds(tmp_path / "made") == expected
    assert len(expected) < 15 + 10  # making each batch again for any of its items would take more than 15


def test_nothing_is_retried_before_all_have_had_their_first_seed(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=20), made=str(tmp_path / "made"))
    make(tmp_path / "bank", 20, generator, limit=14)
    first = {request.seed for request in requests(20)}
    assert {seed for batch in seeds(tmp_path / "made") for seed in batch} <= first
    make(tmp_path / "bank", 20, generator, limit=2)
    assert set(seeds(tmp_path / "made")[14]) <= first
    assert not set(seeds(tmp_path / "made")[15]) & first


def fill(folder: Path, seconds: float = 0.0) -> None:
    class Slow(LocalEngine):
        def run(self, make_worker: Any, batches: Any, *where: Any) -> Any:
            for result in super().run(make_worker, batches, *where):
                time.sleep(seconds)
                yield result

    bank = Bank(folder)
    bank.make(HEARING, bank.plan(HEARING, requests(9)), Slow(), "cpu", True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    make(folder, 9, HEARING)
    return folder


def test_items_hear_their_neighbours_here(tmp_path: Path, whole: Path) -> None:
    assert len(items(whole)) == 27
    alone = Motifs(hears=True, batch_size=5, gate=HEARING.gate)
    make(tmp_path, 9, alone)
    assert digest(tmp_path) != digest(whole)


def test_a_run_killed_again_and_again_ends_byte_for_byte_the_same(tmp_path: Path, whole: Path) -> None:
    chance = random.Random(1)
    for _ in range(15):
        process = FORK.Process(target=fill, args=(tmp_path, 0.005))
        process.start()
        process.join(chance.uniform(0.02, 0.3))
        process.kill()
        process.join()
    assert items(tmp_path)
    fill(tmp_path)
    assert digest(tmp_path) == digest(whole)
    assert not [p.name for p in tmp_path.rglob(".*")]


def test_several_processes_end_byte_for_byte_the_same(tmp_path: Path, whole: Path) -> None:
    processes = [FORK.Process(target=fill, args=(tmp_path, seconds)) for seconds in (0.0, 0.02, 0.05)]
    for process in processes:
        process.start()
        time.sleep(0.05)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert digest(tmp_path) == digest(whole)
    assert not [p.name for p in tmp_path.rglob(".*")]


def test_a_half_done_batch_of_retries_is_made_whole_again(tmp_path: Path, whole: Path) -> None:
    plan = make(tmp_path, 9, HEARING)
    again = [i for i in range(27) if plan.attempts[i]]
    for index in again[::2]:
        plan.path(index).unlink()
    make(tmp_path, 9, HEARING)
    assert digest(tmp_path) == digest(whole)


def test_shards_retry_their_own_and_together_make_the_whole(tmp_path: Path) -> None:
    generator = Motifs(gate=Gate(retries=20))
    make(tmp_path / "whole", 9, generator)
    for part in (3, 1, 2):
        make(tmp_path / "parts", 9, generator, shard=(part, 3))
    assert items(tmp_path / "parts") == items(tmp_path / "whole")


def test_only_wanted_items_are_retried(tmp_path: Path) -> None:
    bank, generator = Bank(tmp_path), Motifs(gate=Gate(retries=20))
    wanted = list(range(0, 27, 3))
    bank.make(generator, bank.plan(generator, requests(9), wanted), LocalEngine(), "cpu", True)
    plan = bank.plan(generator, requests(9), wanted)
    assert plan.missing == 0
    assert all(plan.attempts[i] <= 1 for i in range(27) if i not in wanted)
    assert any(plan.attempts[i] == 1 for i in range(27) if i not in wanted)


def test_an_item_that_fails_holds_no_other_up(tmp_path: Path) -> None:
    gate = Gate(retries=30, duplicates={"hamming": 10})
    with pytest.raises(GenerationError, match=r"9 of 27 items could not be made.*too hard"):
        make(tmp_path, 9, Sometimes(gate=gate, fails=("dog",)))
    assert len(items(tmp_path)) == 18
    make(tmp_path, 9, Sometimes(gate=gate))
    make(tmp_path / "whole", 9, Sometimes(gate=gate))
    assert items(tmp_path) == items(tmp_path / "whole")


class Sometimes(Motifs):
    """Fails at the prompts that hold a word."""

    def _one(self, batch: Any, place: int) -> Any:
        failed = any(word in batch[place].prompt for word in self.fails)
        return Failure("too hard") if failed else super()._one(batch, place)
