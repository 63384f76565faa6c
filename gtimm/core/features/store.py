"""The feature store: each payload is embedded once in the life of a project."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import StoreError
from gtimm.core.features.shards import SUFFIX, DamagedShardError, Shard, merge, split_keys, write_rows
from gtimm.core.files import sweep, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.options import FeatureDtype

    F32 = NDArray[np.float32]

ABOUT = "about.json"
LOCK = ".lock"
FAN = 16  # shards of like size that are merged into one
FINAL = 1 << 28  # bytes; a shard of that size is merged no more
WHAT = "Features of payloads, made by a frozen encoder. Safe to delete: what is missing is embedded again."


class FeatureStore:
    """Feature vectors of one encoder setting, on disk in memory-mapped shards (`gtimm.core.features.shards`), the index included.

    A shard is renamed into place when it is complete and has a name of its own, so a writer may die at any byte and two
    writers never meet in one file. Small shards are merged as they gather: the merged one is in place before the others go,
    and a key that is in two shards meanwhile has equal rows. A shard with a damaged index is left out with a warning; a row
    with a wrong checksum counts as not stored. What was lost is embedded again.

    Args:
        folder: made on the first write, with an `about.json` that says what it is.
        size: length of a feature vector.
        dtype: of the values on disk; `get` always returns float32. `"float16"` halves the space and rounds each value by at
            most 1 part in 2048 (below 6e-5 in size, by at most 3e-8).
        about: facts for `about.json`.
    """

    def __init__(self, folder: Path, size: int, dtype: FeatureDtype = "float32", about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.size = size
        self.dtype = np.dtype("<f2" if dtype == "float16" else "<f4")
        self._about = {"what": WHAT, **(about or {}), "dtype": str(dtype), "size": size}
        self._shards: dict[str, Shard] = {}
        self._broken: set[str] = set()
        self._lost: set[bytes] = set()
        self.refresh()

    def __len__(self) -> int:
        """Return the number of distinct keys."""
        if len(self._shards) == 1:
            return next(iter(self._shards.values())).rows - len(self._lost)
        pairs = [np.stack([shard.high, shard.low], 1) for shard in self._shards.values()]
        return len(np.unique(np.concatenate(pairs), axis=0)) - len(self._lost) if pairs else 0

    def __contains__(self, key: bytes) -> bool:
        return not self.missing([key])

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions, in order, of keys that are not stored; a key that is given twice counts once."""
        if not keys:
            return []
        high, low = split_keys(keys)
        todo = np.arange(len(keys))
        for shard in self._shards.values():
            todo = todo[shard.find(high[todo], low[todo]) < 0]
        lost = [i for i, key in enumerate(keys) if key in self._lost] if self._lost else []
        first: dict[bytes, int] = {}
        for i in sorted({*todo.tolist(), *lost}):
            first.setdefault(keys[i], i)
        return list(first.values())

    def refresh(self) -> None:
        """Take in what other processes have written and merged."""
        names = self._names()
        while True:
            gone = [name for name in self._shards if name not in names]
            opened = [self._open(name) for name in sorted(names - self._shards.keys() - self._broken)]
            if all(opened) and not gone:
                return
            again = self._names()  # a listing taken while shards are merged may lack both the old and the new
            if again == names:
                for name in gone:
                    del self._shards[name]
                return
            names = again

    def get(self, keys: Sequence[bytes]) -> F32:
        """Return (n, size) features; raises `KeyError` for one that is not stored, or whose stored row is damaged."""
        result = np.empty((len(keys), self.size), np.float32)
        if not keys:
            return result
        high, low = split_keys(keys)
        todo, damaged = np.arange(len(keys)), 0
        for shard in self._shards.values():
            if not len(todo):
                break
            at = shard.find(high[todo], low[todo])
            here = at >= 0
            good = shard.read(at[here], result, todo[here])
            if not good.all():
                damaged += int((~good).sum())
                warnings.warn(
                    f"{int((~good).sum())} rows of feature shard {shard.path} are damaged and embedded again. "
                    "`gtimm cache verify --repair` removes them.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            todo = np.concatenate([todo[~here], todo[here][~good]])
        if len(todo):
            if damaged:
                self._lost.update(keys[i] for i in todo.tolist())
            raise KeyError(keys[int(todo[0])])
        return result

    def get_or_make(self, keys: Sequence[bytes], make: Callable[[list[int]], None]) -> F32:
        """Return (n, size) features; what is not stored, or proves to be damaged on disk, is made first.

        Args:
            keys: n of them.
            make: puts in the features of the keys at these positions.

        Raises:
            StoreError: what was put in cannot be read back.
        """
        for _ in range(2):  # what another process put in since may be damaged too
            with suppress(KeyError):
                return self.get(keys)
            self.refresh()
            if todo := self.missing(keys):
                make(todo)
        try:
            return self.get(keys)
        except KeyError as error:
            raise StoreError(
                f"Features cannot be read back from {self.folder}. Delete the folder; they are made again."
            ) from error

    def put(self, keys: Sequence[bytes], values: NDArray[np.floating[Any]]) -> None:
        """Store (n, size) features under n keys as one shard; keys already there are skipped.

        Raises:
            StoreError: values of another size, not finite or outside the range of the store's dtype; a folder that cannot
                be written; no space. Nothing is stored then.
        """
        fresh = self.missing(keys)
        if not fresh:
            return
        if values.shape[1:] != (self.size,):
            raise StoreError(f"Features of shape {values.shape[1:]} do not fit a store of size {self.size}.")
        chosen = values[fresh]
        if not np.isfinite(chosen).all():
            raise StoreError("Features that are not finite are never stored.")
        if (top := float(np.abs(chosen).max(initial=0))) > float(np.finfo(self.dtype).max):
            raise StoreError(f"Features up to {top:g} do not fit {self.dtype}, whose largest is 65504; store them as float32.")
        self._describe()
        name = uuid.uuid4().hex
        write_rows(self._path(name), [keys[i] for i in fresh], chosen, self.dtype)
        self._open(name)
        self._lost.difference_update(keys[i] for i in fresh)
        if self._crowded():
            self.compact()

    def compact(self) -> None:
        """Merge shards of like size where there are many; does nothing while another process is at it."""
        with _locked(self.folder / LOCK) as mine:
            if not mine:
                return
            self.refresh()
            while names := self._crowded():
                merged = uuid.uuid4().hex
                merge(self._path(merged), [self._shards[name] for name in names])
                self._open(merged)
                for name in names:
                    del self._shards[name]
                    with suppress(OSError):
                        self._path(name).unlink()
            sweep(self.folder)

    def _crowded(self) -> list[str]:
        """Return the names of at least `FAN` shards of like size, or none."""
        tiers: dict[int, list[str]] = {}
        for name, shard in self._shards.items():
            if shard.values.nbytes < FINAL:
                tiers.setdefault((shard.rows.bit_length() + 3) // 4, []).append(name)
        return next((names for _, names in sorted(tiers.items()) if len(names) >= FAN), [])

    def _names(self) -> set[str]:
        return {path.stem for path in shard_files(self.folder)}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _open(self, name: str) -> bool:
        try:
            self._shards[name] = Shard(self._path(name), self.size, self.dtype)
        except FileNotFoundError:
            return False
        except (DamagedShardError, OSError) as error:
            self._broken.add(name)
            warnings.warn(
                f"A feature shard is damaged; its payloads are embedded again. {error} `gtimm cache verify --repair` removes it.",
                RuntimeWarning,
                stacklevel=5,
            )
        return True

    def _describe(self) -> None:
        if not (self.folder / ABOUT).is_file():
            write_json(self.folder / ABOUT, self._about)


def shard_files(folder: Path) -> list[Path]:
    """Return the complete shards of a store folder, without what a writer is at or has left behind."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.name.endswith(SUFFIX) and not e.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Yield whether the lock was free and is now held; it goes with the process, however that ends."""
    try:
        import fcntl

        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
