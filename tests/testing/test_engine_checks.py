"""The kit finds an engine that breaks a promise, names it, and blames no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from broken import failing
from pydantic import ConfigDict

from gtimm.core.engine import Engine
from gtimm.core.plugin import Info
from gtimm.engines.local import LocalEngine
from gtimm.testing import ENGINE_CHECKS, check_engine


class Honest(Engine):
    """Runs batches backwards."""

    info: ClassVar[Info] = Info(licence="MIT")
    ahead: int = 0

    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        if not len(batches):
            return
        worker = make_worker(device or "cpu")
        for index in reversed(range(len(batches))):
            yield index, worker(batches[index])


class LosesOne(Honest):
    def run(self, *given: Any, **more: Any) -> Any:
        yield from list(super().run(*given, **more))[1:]


class Renumbers(Honest):
    def run(self, *given: Any, **more: Any) -> Any:
        yield from enumerate(result for _, result in super().run(*given, **more))


class ReadsTwice(Honest):
    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        if len(batches):
            [batches[index] for index in range(len(batches))]
        yield from super().run(make_worker, batches, device, threads)


class Eager(Honest):
    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        make_worker("cpu")
        yield from super().run(make_worker, batches, device, threads)


class Wraps(Honest):
    def run(self, *given: Any, **more: Any) -> Any:
        try:
            yield from super().run(*given, **more)
        except Exception as error:
            raise RuntimeError("the engine failed") from error


class Retries(Honest):
    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        def twice(device: str) -> Any:
            worker = make_worker(device)

            def tried(batch: Any) -> Any:
                try:
                    return worker(batch)
                except Exception:
                    return worker(batch)

            return tried

        yield from super().run(twice, batches, device, threads)


KEPT: list[Any] = []


class Keeps(Honest):
    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        def kept(device: str) -> Any:
            KEPT.append(make_worker(device))
            return KEPT[-1]

        yield from super().run(kept, batches, device, threads)
        KEPT.clear()  # not where the run is closed


class NotInOrder(Honest):
    here: ClassVar[bool] = True


class MixesRuns(LocalEngine):
    """Gives what the run before had left."""

    info: ClassVar[Info] = Info(licence="MIT")
    left: ClassVar[list[Any] | None] = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        MixesRuns.left = []
        yield
        MixesRuns.left = None

    def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
        for number, result in enumerate(super().run(make_worker, batches, device, threads)):
            if self.left is not None and number == 0:
                yield from self.left
                self.left.append(result)
            yield result


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="allow")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info()


BROKEN = [
    (LosesOne(), "check_each_batch_once", "Of 7 batches came", {"check_runs_may_share_workers"}),
    (Renumbers(), "check_each_batch_once", "not [(0, 20)", {"check_runs_may_share_workers"}),
    (ReadsTwice(), "check_each_batch_once", "each is read once", set()),
    (Eager(), "check_nothing_to_run", "a worker was made", set()),
    (Wraps(), "check_errors_are_raised_as_they_are", "RuntimeError('the engine failed')", set()),
    (Retries(), "check_errors_are_raised_as_they_are", "was tried 2 times", set()),
    (NotInOrder(), "check_here_is_one_worker_in_order", "not [(0, 1)", set()),
    (MixesRuns(), "check_runs_may_share_workers", "A second run of [1, 2]", set()),
    (LosesOptions(ahead=2), "check_options_round_trip", "became LosesOptions", set()),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option", set()),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code", set()),
]


@pytest.mark.parametrize(("engine", "name", "message", "also"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(engine: Engine, name: str, message: str, also: set[str]) -> None:
    found = failing(engine)
    assert set(found) == {name} | also, found
    assert message in found[name]


def test_workers_that_outlive_a_closed_run_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtimm.testing.engine.PATIENCE", 0.1)
    found = failing(Keeps())
    KEPT.clear()
    assert set(found) == {"check_closing_frees_workers", "check_errors_are_raised_as_they_are"}
    assert "workers are still there 0 s after it was closed" in found["check_closing_frees_workers"]


def test_every_check_has_somebody_who_breaks_it_and_honest_ones_keep_all() -> None:
    assert {check.__name__ for check in ENGINE_CHECKS} == {name for _, name, _, _ in BROKEN} | {"check_closing_frees_workers"}
    check_engine(Honest(ahead=3))
    check_engine(LocalEngine())


def test_a_device_that_is_no_string_is_told() -> None:
    class NoDevice(Honest):
        def run(self, make_worker: Any, batches: Any, device: str | None = None, threads: int = 1) -> Any:
            yield from super().run(lambda _: make_worker(None), batches, device, threads)

    with pytest.raises(AssertionError, match="was given None as its device"):
        check_engine(NoDevice())
