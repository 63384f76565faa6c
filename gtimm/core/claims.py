"""Who works at what: claims that several processes respect and that die with their process, and folders for half-written files."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from gtimm.core.errors import StoreError

try:
    import fcntl
except ImportError:  # not on Windows: every claim is granted there, so one process at a time may fill a bank
    fcntl = None  # type: ignore[assignment]

WRITING = ".writing"
BESIDE = ".gtimm-writing"
"""Half-written folders beside those that they become."""


class Claim:
    """A claim that is held until `release`, or until the process ends, however that happens."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    def release(self) -> None:
        """Give the claim up; its file goes."""
        if self._handle < 0:
            return
        with suppress(OSError):
            self.path.unlink()
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)  # of forked children too, which share the handle
        os.close(self._handle)
        self._handle = -1


def claim(path: Path, *, wait: bool = False) -> Claim | None:
    """Claim what a lock file stands for.

    Args:
        path: the lock file; made here, removed by `Claim.release`. What a dead process left is no obstacle.
        wait: wait for another holder, rather than return `None`.

    Raises:
        StoreError: the file cannot be made.
    """
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            gone = isinstance(error, (FileNotFoundError, FileExistsError)) and (not path.parent.exists() or path.parent.is_dir())
            if gone:  # the folder was empty and another process removed it, before or while it was made
                continue
            raise StoreError(
                f"Cannot write to {path.parent}: {error.strerror}. Choose another folder or free some space."
            ) from error
        if _locked(handle, wait) and _still_there(path, handle):
            return Claim(path, handle)
        taken = _still_there(path, handle)
        os.close(handle)
        if taken and not wait:
            return None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a claim for a block, which waits for other holders; raises as `claim`."""
    mine = claim(path, wait=True)
    try:
        yield
    finally:
        if mine is not None:
            mine.release()


def _locked(handle: int, wait: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: one process at a time may fill a bank there
        return True
    return True


def _still_there(path: Path, handle: int) -> bool:
    """Return whether the file that we hold is the one under its name: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


class Staging:
    """A folder of this writer's half-written files; opening one removes those of writers that died, never a live one's.

    Args:
        folder: the files' folder, on the same file system as where they go.
        name: of the folder in it that holds them; `BESIDE` where others keep files there too.
    """

    def __init__(self, folder: Path, name: str = WRITING) -> None:
        self._root = folder / name
        self._claim: Claim | None = None
        self._own = self._root
        self._count = 0

    def __enter__(self) -> Staging:
        _sweep(self._root)
        while self._claim is None:
            name = uuid.uuid4().hex
            self._claim = claim(self._root / f"{name}.lock")
            self._own = self._root / name
        try:
            self._own.mkdir()
        except OSError as error:
            self._claim.release()
            raise StoreError(f"Cannot write to {self._root}: {error.strerror}. Free some space.") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._own, ignore_errors=True)
        if self._claim is not None:
            self._claim.release()
        _sweep(self._root)
        with suppress(OSError):
            self._root.rmdir()

    @contextmanager
    def whole_folder(self, path: Path) -> Iterator[Path]:
        """Yield a new folder; renamed to `path`, where there is none or an empty one, when the block ends well.

        Raises:
            StoreError: the folder cannot be written (read-only, disk full).
        """
        self._count += 1
        temporary = self._own / str(self._count)
        try:
            temporary.mkdir()
            yield temporary
            temporary.replace(path)
        except OSError as error:
            raise StoreError(
                f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder."
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def whole_file(self, path: Path) -> Iterator[Path]:
        """Yield a temporary path; renamed to `path` when the block ends well, removed when it does not.

        Raises:
            StoreError: the folder cannot be written (read-only, disk full).
        """
        self._count += 1
        temporary = self._own / f"{self._count}{path.suffix}"
        try:
            yield temporary
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        except OSError as error:
            raise StoreError(
                f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove the half-written files of writers that died; returns how many files that were."""
    return _sweep(folder / WRITING)


def _sweep(root: Path) -> int:
    count = 0
    if fcntl is None or not root.is_dir():
        return 0
    for path in list(root.iterdir()):
        if path.suffix == ".lock":
            mine = claim(path)
            if mine is None:
                continue
            count += _remove(path.with_suffix(""))
            mine.release()
        elif not path.with_suffix(".lock").exists():  # a writer's lock is there before its folder, and after
            count += _remove(path)
    with suppress(OSError):
        root.rmdir()
    return count


def _remove(folder: Path) -> int:
    count = len(list(folder.iterdir())) if folder.is_dir() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return count
