"""Files that are whole or not there, and digests of big files that are computed once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from gtimm.core.errors import StoreError

LEFT = re.compile(r"\..+\.tmp.*", re.DOTALL)
"""Names of `whole_file`'s temporary files."""
LEFTOVER_SECONDS = 3600.0  # a temporary file of that age has no living writer


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; renamed to it when the block ends well, removed when it does not.

    Raises:
        StoreError: the folder cannot be written (read-only, disk full).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise StoreError(f"Cannot write to {path.parent}: {error.strerror}. Choose another folder or free some space.") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def copy_file(source: Path, path: Path) -> None:
    """Copy a file's content, whole or not at all; raises `StoreError` as `whole_file`."""
    with whole_file(path) as temporary:
        shutil.copyfile(source, temporary)


def is_file(path: Path) -> bool:
    """Return whether there is a file; `Path.is_file` raises for names that are too long or hold a NUL."""
    return os.path.isfile(path)


def is_dir(path: Path) -> bool:
    """Return whether there is a folder, whatever the name holds."""
    return os.path.isdir(path)


def names_outside(name: str) -> str | None:
    """Return how a name in a file of strangers is none of a file in its folder, links aside; `None` where it may be one."""
    pure = PurePosixPath(name)
    if pure.is_absolute():
        return "is an absolute path"
    if ".." in pure.parts:
        return "leads out of the folder through '..'"
    if not pure.parts:
        return "names no file"
    return "is no path of this system" if "\0" in name else None


def leads_out(folder: Path, name: str) -> str | None:
    """Return how a file name leads out of its folder, by what it says or by a link; `None` where it does not.

    Example:
        >>> leads_out(Path("bank"), "../secret.png"), leads_out(Path("bank"), "ab/cd.png")
        ("leads out of the folder through '..'", None)
    """
    if reason := names_outside(name):
        return reason
    try:
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return "is no path of this system"
    return None if inside else "leads out of the folder through a symbolic link"


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, without what a writer is at or has left behind when it was killed."""
    return [path for path in folder.iterdir() if not LEFT.fullmatch(path.name)]


def sweep(folder: Path, age: float = LEFTOVER_SECONDS) -> int:
    """Remove temporary files that writers left when they died; returns how many bytes that freed."""
    freed = 0
    for path in folder.glob(".*.tmp*"):
        with suppress(OSError):
            state = path.stat()
            if time.time() - state.st_mtime >= age:
                path.unlink()
                freed += state.st_size
    return freed


def file_digest(path: os.PathLike[str] | str) -> str:
    """Return the hex SHA-256 of a file; a file unchanged in size and time is read once a process."""
    found = Path(path)
    try:
        state = found.stat()
    except OSError as error:
        raise StoreError(f"{found} cannot be read: {error.strerror}.") from error
    return _digest(os.path.abspath(found), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1 << 20)
def _digest(path: str, size: int, time: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def folder_digest(folder: Path | str, suffixes: tuple[str, ...]) -> str:
    """Return the hex SHA-256 over the names and contents of a folder's files with these suffixes."""
    root = Path(folder)
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in suffixes and p.is_file()):
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def default_home() -> Path:
    """Return the store folder: `GTIMM_HOME`, else `gtimm` in the user's cache folder."""
    if home := os.environ.get("GTIMM_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gtimm"
