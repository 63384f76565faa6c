"""Garbage that says which process frees it, and a fork that collects at once, as an automatic collection may."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_armed = False


class Left:
    """A cycle that notes the process that frees it."""

    def __init__(self, file: Path) -> None:
        self.file, self.me = str(file), self

    def __del__(self) -> None:
        with open(self.file, "a") as out:
            out.write(f"{os.getpid()}\n")


def _collect() -> None:
    if _armed and gc.isenabled():
        gc.collect()


os.register_at_fork(after_in_child=_collect)


@contextmanager
def garbage(file: Path) -> Iterator[list[int]]:
    """Leave garbage while the block forks; yields the processes that freed it, filled when the block ends and it is collected."""
    global _armed  # noqa: PLW0603 - a hook at fork cannot be taken back
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1_000_000)
    Left(file)
    _armed = True
    freed: list[int] = []
    try:
        yield freed
    finally:
        _armed = False
        gc.set_threshold(*before)
        gc.collect()
    freed += map(int, file.read_text().split())
