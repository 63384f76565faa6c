"""Batches on a real Ray cluster of this machine: each once, a few at a time, again where a worker is lost; a bank equal in bytes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gtimm.core.bank import Bank
from gtimm.core.errors import DataError, GenerationError
from gtimm.core.pool import Request
from gtimm.engines.local import LocalEngine
from gtimm.engines.ray import RayEngine
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

ray = pytest.importorskip("ray", reason="the extra gtimm[ray] is not installed")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def doubling() -> Callable[[int], int]:
    return lambda batch: batch * 2


def dying(folder: Path, times: int) -> Callable[[int], int]:
    """A worker that is killed at batch 3, the first so many times."""

    def work(batch: int) -> int:
        if batch == 3:
            for count in range(times):
                try:
                    (folder / str(count)).touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        return batch * 2

    return work


def refusing(folder: Path) -> Callable[[int], int]:
    def work(batch: int) -> int:
        (folder / f"{batch}-{os.getpid()}-{len(list(folder.iterdir()))}").touch()
        raise DataError(f"batch {batch} is bad")

    return work


class Counted(Sequence[int]):
    """Says how many batches were read."""

    def __init__(self, count: int) -> None:
        self.count, self.read = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        self.read += 1
        return index


def test_every_batch_is_run_once_and_few_are_read_ahead() -> None:
    batches = Counted(12)
    found = []
    for number, result in enumerate(RayEngine(workers=2, ahead=1).run(doubling, batches), 1):
        found.append(result)
        assert batches.read <= number + 4
    assert sorted(found) == [(i, 2 * i) for i in range(12)]


def test_what_a_killed_worker_had_is_made_by_another(tmp_path: Path) -> None:
    found = list(RayEngine(workers=2).run(partial(dying, tmp_path, 2), list(range(8))))
    assert sorted(found) == [(i, 2 * i) for i in range(8)]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_batch_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"Batch \d was given up: .* lost 2 times"):
        list(RayEngine(workers=1, ahead=0, retries=1).run(partial(dying, tmp_path, 9), [3, 4]))


def test_an_error_of_a_batch_is_raised_as_it_is_and_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="batch 7 is bad"):
        list(RayEngine(workers=1).run(partial(refusing, tmp_path), [7]))
    assert len(list(tmp_path.iterdir())) == 1


def test_without_batches_nothing_is_started() -> None:
    assert list(RayEngine(address="nowhere:1").run(doubling, [])) == []


def test_a_bank_made_on_a_cluster_equals_the_local_one_byte_for_byte(tmp_path: Path) -> None:
    generator = StableDiffusionTiny(batch_size=2, steps=2)
    requests = [Request("image", f"a photo of the digit {word}", seed, 2.0) for seed in range(3) for word in ("one", "two")]
    made = {}
    for engine in (LocalEngine(), RayEngine(workers=2)):
        bank = Bank(tmp_path / type(engine).__name__)
        assert bank.make(generator, bank.plan(generator, requests), engine, "cpu", True) == 6
        made[type(engine)] = {path.name: path.read_bytes() for path in bank.folder.rglob("*.png")}
    assert made[LocalEngine] == made[RayEngine]
    assert len(made[RayEngine]) == 6
