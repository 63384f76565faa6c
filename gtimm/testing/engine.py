"""What every engine promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

import gc
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gtimm.core.claims import claim
from gtimm.core.engine import Engine
from gtimm.core.errors import DataError
from gtimm.testing.common import COMMON_CHECKS, Check, refuse_other, run_checks

COUNT = 7
PATIENCE = 20.0  # seconds for a worker in another process to end


def check_engine(engine: Engine, *, expected_failed_checks: Mapping[str, str] | None = None) -> None:
    """Run every check of `ENGINE_CHECKS`: a few runs of small batches, for which workers are started.

    Args:
        engine: the engine, with its options. Its workers write to a temporary folder of this machine.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of an engine.

    Example:
        >>> from gtimm.engines.local import LocalEngine
        >>> check_engine(LocalEngine())
    """
    refuse_other(engine, Engine)
    run_checks(ENGINE_CHECKS, engine, None, expected_failed_checks)


class Doubling:
    """A worker that doubles numbers, leaves files of itself and of each that it tries, and holds a lock for as long as it is there.

    Args:
        folder: for its files.
        bad: the number that it raises `DataError` for.
        device: that it is told to compute on.
    """

    def __init__(self, folder: Path, bad: int | None, device: str) -> None:
        if not isinstance(device, str):
            raise TypeError(f"make_worker() was given {device!r} as its device; it is a string, such as 'cpu'.")
        self.folder, self.bad = folder, bad
        name = uuid.uuid4().hex
        (folder / f"{name}.made").touch()
        self._held = claim(folder / f"worker-{name}.lock")

    def __call__(self, batch: int) -> int:
        """Return twice the number."""
        (self.folder / f"{batch}-{uuid.uuid4().hex}.tried").touch()
        if batch == self.bad:
            raise DataError(f"batch {batch} is bad")
        return 2 * batch

    def __del__(self) -> None:
        """Give the lock back; a process that ends without this does so too."""
        if held := getattr(self, "_held", None):
            held.release()


class Counted:
    """Batches that count how often each is read."""

    def __init__(self) -> None:
        self.reads = [0] * COUNT

    def __len__(self) -> int:
        return len(self.reads)

    def __getitem__(self, index: int) -> int:
        self.reads[index] += 1
        return 10 + index


def check_each_batch_once(engine: Engine, given: object = None) -> None:
    """Each batch is read once, worked at once, and its result comes with its index, in whatever order."""
    with _folder() as folder:
        batches = Counted()
        found = list(engine.run(partial(Doubling, folder, None), batches))
        tries = len(list(folder.glob("*.tried")))
    expected = [(index, 2 * (10 + index)) for index in range(COUNT)]
    assert sorted(found) == expected, f"Of {COUNT} batches came (index, result) {sorted(found)}, not {expected}."
    assert batches.reads == [1] * COUNT, f"Batches were read {batches.reads} times; each is read once."
    assert tries == COUNT, f"{COUNT} batches were worked at {tries} times."


def check_nothing_to_run(engine: Engine, given: object = None) -> None:
    """Without batches there are no results, and no worker is made."""
    with _folder() as folder:
        found = list(engine.run(partial(Doubling, folder, None), list[int]()))
        assert found == [], f"Without batches came {found}."
        assert not list(folder.iterdir()), "Without batches a worker was made."


def check_errors_are_raised_as_they_are(engine: Engine, given: object = None) -> None:
    """What a worker raises is raised here, of its own class, and its batch is not tried again."""
    with _folder() as folder:
        raised: Exception | None = None
        try:
            list(engine.run(partial(Doubling, folder, 12), Counted()))
        except Exception as error:
            raised = error.with_traceback(None)  # its frames would keep the worker
        assert isinstance(raised, DataError), f"A worker raised DataError('batch 12 is bad'), and the run {raised!r}."
        assert "batch 12 is bad" in str(raised), f"A worker raised DataError('batch 12 is bad'), and the run {raised!r}."
        tries = len(list(folder.glob("12-*.tried")))
        assert tries == 1, f"A batch whose worker raised an error was tried {tries} times."
        _check_free(folder, "an error")


def check_closing_frees_workers(engine: Engine, given: object = None) -> None:
    """Whoever has enough closes the run, and its workers end."""
    with _folder() as folder:
        run = engine.run(partial(Doubling, folder, None), Counted())
        next(run)
        run.close()
        _check_free(folder, "it was closed")


def check_here_is_one_worker_in_order(engine: Engine, given: object = None) -> None:
    """With `here` there is one worker, and each batch is read just before it is worked at, in order."""
    if not engine.here:
        return
    with _folder() as folder:
        batches, read = Counted(), []
        for index, _ in engine.run(partial(Doubling, folder, None), batches):
            read.append((index, sum(batches.reads)))
            workers = len(list(folder.glob("*.made")))
            assert workers == 1, f"The engine is `here` and has {workers} workers."
    expected = [(index, index + 1) for index in range(COUNT)]
    assert read == expected, f"The engine is `here`; its results came as (index, batches read) {read}, not {expected}."


def check_runs_may_share_workers(engine: Engine, given: object = None) -> None:
    """Inside `kept()` one run after another gives its own results, also after one that was closed; workers end with the block."""
    with _folder() as folder:
        with engine.kept():
            first = engine.run(partial(Doubling, folder, None), Counted())
            next(first)
            first.close()
            found = sorted(engine.run(partial(Doubling, folder, None), [1, 2]))
        assert found == [(0, 2), (1, 4)], f"A second run of [1, 2] in kept() gave {found}."
        _check_free(folder, "the block of kept()")


ENGINE_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_each_batch_once,
    check_nothing_to_run,
    check_errors_are_raised_as_they_are,
    check_closing_frees_workers,
    check_here_is_one_worker_in_order,
    check_runs_may_share_workers,
)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gtimm-check-") as name:
        yield Path(name)


def _check_free(folder: Path, after: str) -> None:
    """Raise unless all workers give their locks back, which takes a moment in other processes."""
    began = time.monotonic()
    while held := [path for path in folder.glob("worker-*.lock") if not _free(path)]:
        assert time.monotonic() - began < PATIENCE, f"{len(held)} workers are still there {PATIENCE:.0f} s after {after}."
        gc.collect()
        time.sleep(0.02)


def _free(lock: Path) -> bool:
    found = claim(lock)
    if found is not None:
        found.release()
    return found is not None
