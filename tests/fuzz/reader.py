"""What a reader is, for the tables of readers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: of the form that it reads.
        write: makes a valid folder and returns the file in it that is to be damaged.
        read: reads that file.
        apart: in a process of its own, since the decoder is not Python's.
        share: of the usual number of examples, for those that take long.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    apart: bool = False
    share: float = 1.0


@contextlib.contextmanager
def named(file: Path) -> Any:
    """Let what is raised in the block count as naming the file: there the user knows which one it is."""
    try:
        yield
    except Exception as error:
        error.args = (f"{error} [{file}]",)
        raise
