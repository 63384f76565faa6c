"""A disk that is full or cannot be written, and two at once, over all forms of files: said with the mend, nothing lost, gone on with."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from soak import OPERATIONS, Work, check, count_operations, ending, start
from soak_works import works

from gtimm.core.errors import GtimmError

NAMES = ("bank", "failures", "features", "films", "compare", "model", "exports")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Work]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield {work.name: work for work in works(tmp_path_factory.mktemp("sources"))}


def full_from(operation: int, code: int) -> None:
    """Let every operation that writes fail from that one on, in this process and its workers: what a full or a read-only disk does."""
    left = [operation]

    def hook(event: str, values: Any) -> None:
        if event not in OPERATIONS - {"fcntl.flock", "os.remove", "os.rmdir"}:
            return
        if event == "open" and not (isinstance(values[2], int) and values[2] & WRITES and str(values[0]) != os.devnull):
            return
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))

    sys.addaudithook(hook)


def small_files(size: int) -> None:
    """Let no file of this process grow above so many bytes: a write breaks off in the middle, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def refused(work: Work, folder: Path, prepare: Callable[[], None]) -> str | None:
    """Do the work in a child under a fault; return what it was refused with, `None` where it was done all the same."""
    reader, writer = os.pipe()

    def run(folder: Path) -> None:
        prepare()
        try:
            work.run(folder)
        except GtimmError as error:
            os.write(writer, str(error).encode())
            os._exit(0)

    ended = ending(start(Work(work.name, run, work.whole, work.result), folder))
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read().decode()
    assert ended == "done"
    return text or None


@pytest.mark.parametrize("moments", [1, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fails_at_any_operation_is_said_and_nothing_is_lost(
    name: str, moments: int, found: dict[str, Work], tmp_path: Path
) -> None:
    work, chance = found[name], random.Random(name)
    count = count_operations(work, tmp_path / "whole")
    expected, messages = work.result(tmp_path / "whole"), []
    faults: list[Callable[[], None]] = [lambda size=size: small_files(size) for size in (0, 60, 700, 6000)[-2 * moments :]]
    for code in (errno.ENOSPC, errno.EROFS):
        faults += [lambda at=at, code=code: full_from(at, code) for at in chance.sample(range(count), moments)]
    for number, fault in enumerate(faults):
        folder = tmp_path / str(number)
        before = work.whole(folder)
        message = refused(work, folder, fault)
        check(work, folder, before, str(message))
        messages.append(message)
        assert ending(start(work, folder)) == "done"
        assert work.result(folder) == expected
        shutil.rmtree(folder)
    assert any(messages)
    for message in filter(None, messages):
        assert any(mend in message for mend in ("ree some space", "another folder", "new folder")), message


@pytest.mark.parametrize("log", ["whole", "cut off"])
def test_a_complete_bank_serves_where_nothing_can_be_written(log: str, found: dict[str, Work], tmp_path: Path) -> None:
    work = found["bank"]
    work.run(tmp_path)
    if log == "cut off":
        path = next(tmp_path.rglob("metadata.jsonl"))
        path.write_bytes(path.read_bytes()[:-20])
    assert refused(work, tmp_path, lambda: full_from(0, errno.EROFS)) is None
    work.run(tmp_path)
    work.result(tmp_path)  # the log is whole again


@pytest.mark.parametrize("name", ["bank", "features", "films", "compare", "model"])
def test_two_at_once_end_as_one_alone(name: str, found: dict[str, Work], tmp_path: Path) -> None:
    work = found[name]
    assert ending(start(work, tmp_path / "whole")) == "done"
    children = [start(work, tmp_path / "both") for _ in range(2)]
    assert [ending(child) for child in children] == ["done", "done"]
    assert work.result(tmp_path / "both") == work.result(tmp_path / "whole")
