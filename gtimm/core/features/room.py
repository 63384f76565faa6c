"""Room for features: in memory, or beyond a size in a file without a name, whose pages give way when memory is short."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    I64 = NDArray[np.int64]

LARGE = 1 << 28
"""Bytes above which features lie in a file."""
STEP = 1 << 25
"""Bytes of what is handled at a time."""


class Room:
    """(rows, size) float32, zeros where nothing is written.

    Args:
        rows: how many.
        size: of a vector.
        folder: where the file is, if there is need of one; it has no name, so it goes with the process, however that ends.
    """

    def __init__(self, rows: int, size: int, folder: Path) -> None:
        self.shape = rows, size
        self._array: F32 | None = None
        if rows * size * 4 <= LARGE:
            self._array = np.zeros(self.shape, np.float32)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it goes with this object
            self._file.truncate(rows * size * 4)
        except OSError as error:
            raise self._refused(folder, error) from error
        self._folder = folder

    def write(self, at: I64, values: F32) -> None:
        """Put values (n, size) in the rows `at` (n,), which rise."""
        if self._array is not None:
            self._array[at] = values
            return
        try:
            for run in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) != 1) + 1):
                if len(run):
                    self._file.seek(int(at[run[0]]) * self.shape[1] * 4)
                    self._file.write(np.ascontiguousarray(values[run[0] : run[-1] + 1], np.float32).data)
        except OSError as error:
            raise self._refused(self._folder, error) from error

    def array(self) -> F32:
        """Return all of it; not to be written to any more."""
        if self._array is not None:
            return self._array
        try:
            self._file.flush()
        except OSError as error:
            raise self._refused(self._folder, error) from error
        return np.memmap(self._file, np.float32, "c", shape=self.shape)

    def _refused(self, folder: Path, error: OSError) -> StoreError:
        need = self.shape[0] * self.shape[1] * 4 / 1e9
        return StoreError(
            f"{self.shape[0]:,} features need {need:.1f} GB for a while in {folder}: {error}. Free some, or move the store."
        )


def gathered(rows: int, size: int, folder: Path, get: Callable[[slice], F32]) -> F32:
    """Return (rows, size) features of which `get` returns a part, all at once where they are few."""
    if rows * size * 4 <= LARGE:
        return get(slice(0, rows))
    room = Room(rows, size, folder)
    for part in parts(rows, size):
        room.write(np.arange(part.start, part.stop), get(part))
    return room.array()


def parts(rows: int, size: int) -> Iterator[slice]:
    """Yield slices of rows of which one is handled at a time; one of all where these are not many."""
    step = rows if rows * size * 4 <= LARGE else max(1, STEP // (4 * size))
    for begin in range(0, rows, max(1, step)):
        yield slice(begin, min(begin + step, rows))


def finite_rows(values: F32) -> NDArray[np.bool_]:
    """Return (rows,) bool, True where all of a vector is finite."""
    found = np.ones(len(values), np.bool_)
    for part in parts(*values.shape):
        found[part] = np.isfinite(values[part]).all(1)
    return found
