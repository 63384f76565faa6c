"""The local engine makes one worker, when there is work, and keeps order."""

from __future__ import annotations

from typing import Any

from gtimm.engines.local import LocalEngine


def test_one_worker_runs_every_batch_once_in_order() -> None:
    made: list[int] = []

    def worker(device: str) -> Any:
        made.append(1)
        return lambda batch: batch * 2

    assert list(LocalEngine().run(worker, [1, 2, 3])) == [(0, 2), (1, 4), (2, 6)]
    assert made == [1]


def test_without_work_no_worker_is_made() -> None:
    def worker(device: str) -> Any:
        raise AssertionError

    assert list(LocalEngine().run(worker, [])) == []


def test_batches_are_run_as_they_are_asked_for() -> None:
    done: list[int] = []
    results = LocalEngine().run(lambda _: done.append, [1, 2, 3])
    next(results)
    assert done == [1]
