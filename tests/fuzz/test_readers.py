"""Every reader takes any file: what it gives is valid, or a GtimmError that names the file; never anything else, a hang or a crash."""

from __future__ import annotations

import gc
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from edits import damaged
from given import GIVEN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept import KEPT
from reader import Reader

from gtimm.core.errors import GtimmError

SECONDS = 20  # for one file
FEW, MANY = 10, 1500


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", [*KEPT, *GIVEN], ids=lambda reader: reader.name)
def test_any_file_is_read_or_refused_by_name(reader: Reader, examples: int, tmp_path: Path) -> None:
    path = reader.write(tmp_path)
    content = path.read_bytes()
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    with quiet():
        reader.read(path)  # else nothing is tested

    @settings(
        max_examples=max(5, int(examples * reader.share)),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def hold(data: Any) -> None:
        for one, kept in before.items():  # a reader may mend what it finds
            one.parent.mkdir(parents=True, exist_ok=True)
            one.write_bytes(kept)
        path.write_bytes(data.draw(damaged(content)))
        with quiet():
            (_apart if reader.apart else _here)(reader.read, path)

    hold()


def _here(read: Callable[[Path], Any], path: Path) -> None:
    with limited():
        _read(read, path)


def _read(read: Callable[[Path], Any], path: Path) -> None:
    try:
        read(path)
    except GtimmError as error:
        names = (path.name, path.parent.name)  # of a model, a bank, a prepared folder the folder is what the user named
        if not any(name in str(error) for name in names):
            raise AssertionError(f"the file is not named: {error}") from error


def _apart(read: Callable[[Path], Any], path: Path) -> None:
    """Read in a forked child, whose crash is a failure of the test and not of pytest."""
    reader, writer = os.pipe()
    gc.disable()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(SECONDS)
            _read(read, path)
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    gc.enable()
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"the decoder ended with {code}"
    assert not said, said


@contextmanager
def limited() -> Iterator[None]:
    """Raise in the block after `SECONDS`."""

    def late(number: int, frame: Any) -> None:
        raise AssertionError(f"not read in {SECONDS} s")

    usual = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings: readers say what they leave out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
