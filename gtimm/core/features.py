"""The feature store: each payload is embedded once in the life of a project."""

from __future__ import annotations

import hashlib
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import StoreError
from gtimm.core.files import whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F32 = NDArray[np.float32]

KEY_BYTES = 16


class FeatureStore:
    """Feature vectors of one encoder setting, on disk in memory-mapped shards.

    A shard is `<id>.npy`, (n, size) float32, and `<id>.keys`, n keys of 16 bytes followed by their BLAKE2b digest. The keys
    are renamed into place last, so a shard without them never counts: a writer may die at any byte, and two writers never
    meet in one file. A damaged shard is left out with a warning, and its payloads are embedded again.

    Args:
        folder: made on the first write.
        size: length of a feature vector.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._shards: list[F32] = []
        self._where: dict[bytes, tuple[int, int]] = {}
        self._seen: set[str] = set()
        self.refresh()

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: bytes) -> bool:
        return key in self._where

    def refresh(self) -> None:
        """Take in the shards that other processes have written."""
        for path in sorted(self.folder.glob("*.keys")) if self.folder.is_dir() else ():
            if path.stem not in self._seen:
                self._seen.add(path.stem)
                self._open(path)

    def get(self, keys: Sequence[bytes]) -> F32:
        """Return (n, size) features; raises `KeyError` for one that is not stored."""
        result = np.empty((len(keys), self.size), np.float32)
        places = np.array([self._where[key] for key in keys], np.int64).reshape(-1, 2)
        for shard in np.unique(places[:, 0]):
            chosen = places[:, 0] == shard
            result[chosen] = self._shards[int(shard)][places[chosen, 1]]
        return result

    def put(self, keys: Sequence[bytes], values: F32) -> None:
        """Store (n, size) features under n keys as one shard; keys already there are skipped."""
        fresh = [i for i, key in enumerate(keys) if key not in self._where]
        fresh = list({keys[i]: i for i in fresh}.values())
        if not fresh:
            return
        rows = np.ascontiguousarray(values[fresh], np.float32)
        if rows.shape[1:] != (self.size,):
            raise StoreError(f"Features of shape {rows.shape[1:]} do not fit a store of size {self.size}.")
        name = uuid.uuid4().hex
        blob = b"".join(keys[i] for i in fresh)
        with whole_file(self.folder / f"{name}.npy") as temporary:
            np.save(temporary, rows)
        with whole_file(self.folder / f"{name}.keys") as temporary:
            temporary.write_bytes(blob + hashlib.blake2b(blob, digest_size=KEY_BYTES).digest())
        self._seen.add(name)
        self._add(rows, blob)

    def _open(self, path: Path) -> None:
        raw = path.read_bytes()
        blob, check = raw[:-KEY_BYTES], raw[-KEY_BYTES:]
        try:
            values = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
            whole = (
                hashlib.blake2b(blob, digest_size=KEY_BYTES).digest() == check
                and values.dtype == np.float32
                and values.shape == (len(blob) // KEY_BYTES, self.size)
            )
        except (OSError, ValueError, EOFError):
            whole = False
        if whole:
            self._add(values, blob)
        else:
            warnings.warn(f"Feature shard {path} is damaged; its payloads are embedded again.", RuntimeWarning, stacklevel=4)

    def _add(self, values: F32, blob: bytes) -> None:
        shard = len(self._shards)
        self._shards.append(values)
        for row in range(len(blob) // KEY_BYTES):
            self._where.setdefault(blob[row * KEY_BYTES : (row + 1) * KEY_BYTES], (shard, row))
