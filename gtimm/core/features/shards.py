"""Shards: the files of the feature store. Each is whole or not there, and none of it need be in memory to be searched.

Layout, little-endian: a header of 64 bytes (magic, rows, floats a row, bytes a float, digest of the header and the index); the
index, three columns sorted by key: the key's first 8 bytes and its last 8, each read as a big-endian number (uint64), and the
CRC-32 of the row (uint32); then, from a multiple of 64 bytes on, the rows in the order of the index.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import StoreError
from gtimm.core.files import whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    I64 = NDArray[np.int64]
    U64 = NDArray[np.uint64]
    U32 = NDArray[np.uint32]

SUFFIX = ".shard"
KEY_BYTES = 16
DIGEST_BYTES = 16
ALIGN = 64
BLOCK = 1 << 20  # bytes of rows that are copied at a time
SYNC = 1 << 20  # bytes from which a shard is forced to the disk before it counts, against a power cut
DTYPES: dict[int, np.dtype[Any]] = {2: np.dtype("<f2"), 4: np.dtype("<f4")}
_HEAD = struct.Struct("<8sQII")
_MAGIC = b"gtimmfs1"


class DamagedShardError(StoreError):
    """A shard that is cut off, or whose header or index was changed."""


def split_keys(keys: Sequence[bytes]) -> tuple[U64, U64]:
    """Return the halves of n keys of 16 bytes as numbers, (n,) and (n,), whose order is that of the keys."""
    blob = b"".join(keys)
    if len(blob) != KEY_BYTES * len(keys):
        raise StoreError(f"Keys of the feature store have {KEY_BYTES} bytes; found {sorted({len(key) for key in keys})}.")
    halves = np.frombuffer(blob, ">u8").reshape(-1, 2).astype(np.uint64)
    return np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])


def checksums(rows: NDArray[np.floating[Any]]) -> U32:
    """Return the CRC-32 of each row, (n,), of a contiguous (n, size) array."""
    return np.fromiter((zlib.crc32(row.data) for row in rows), np.uint32, len(rows))


class Shard:
    """One shard, memory-mapped; opening reads the index once, and finds any damage to it.

    Attributes:
        path: the file.
        rows: how many.
        values: (rows, size), in the order of the keys.

    Raises:
        DamagedShardError: cut off, or a changed header or index.
    """

    def __init__(self, path: Path, size: int | None = None, dtype: np.dtype[Any] | None = None) -> None:
        self.path = path
        with path.open("rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:  # an empty file
                raise DamagedShardError(f"{path} is empty.") from error
        if len(self._map) < ALIGN:
            raise DamagedShardError(f"{path} is cut off.")
        magic, rows, length, item = _HEAD.unpack_from(self._map)
        begin = _begin(rows)
        if magic != _MAGIC or item not in DTYPES or len(self._map) != begin + rows * length * item:
            raise DamagedShardError(f"{path} is cut off, or no shard.")
        self.rows, self.dtype = int(rows), DTYPES[int(item)]
        if (size is not None and length != size) or (dtype is not None and self.dtype != dtype):
            raise DamagedShardError(f"{path} holds {length} {self.dtype} a row; expected {size} {dtype}.")
        index = memoryview(self._map)[ALIGN : ALIGN + 20 * self.rows]
        found = self._map[_HEAD.size : _HEAD.size + DIGEST_BYTES]
        if _digest(self._map[: _HEAD.size], index) != found:
            raise DamagedShardError(f"{path} has a changed index.")
        self.high = np.frombuffer(self._map, "<u8", self.rows, ALIGN)
        self.low = np.frombuffer(self._map, "<u8", self.rows, ALIGN + 8 * self.rows)
        self.sums = np.frombuffer(self._map, "<u4", self.rows, ALIGN + 16 * self.rows)
        self.values = np.frombuffer(self._map, self.dtype, self.rows * length, begin).reshape(self.rows, length)

    def find(self, high: U64, low: U64) -> I64:
        """Return the positions of n keys, (n,), -1 for those that are not here."""
        at: I64 = np.searchsorted(self.high, high).astype(np.int64)
        asked = np.arange(len(at))
        result = np.full(len(at), -1, np.int64)
        while len(asked):  # once, but for keys that share their first 8 bytes
            asked = asked[at[asked] < self.rows]
            asked = asked[self.high[at[asked]] == high[asked]]
            same = self.low[at[asked]] == low[asked]
            result[asked[same]] = at[asked[same]]
            asked = asked[~same]
            at[asked] += 1
        return result

    def read(self, at: I64, out: F32, places: I64) -> NDArray[np.bool_]:
        """Copy rows `at` (n,) to `out[places]`, and return (n,) whether each has the checksum it was written with."""
        good = np.empty(len(at), bool)
        order = np.argsort(at, kind="stable")
        step = max(1, BLOCK // max(1, self.values.shape[1] * self.dtype.itemsize))
        for begin in range(0, len(at), step):
            chosen = order[begin : begin + step]
            rows = self.values[at[chosen]]
            good[chosen] = checksums(rows) == self.sums[at[chosen]]
            out[places[chosen]] = rows
        return good

    def damaged(self) -> I64:
        """Read everything and return the positions of rows whose checksum is wrong."""
        bad = [begin + np.flatnonzero(checksums(rows) != self.sums[begin : begin + len(rows)]) for begin, rows in self._blocks()]
        return np.concatenate([np.zeros(0, np.int64), *bad])

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.floating[Any]]]]:
        step = max(1, BLOCK // max(1, self.values.shape[1] * self.dtype.itemsize))
        for begin in range(0, self.rows, step):
            yield begin, self.values[begin : begin + step]


def write_rows(path: Path, keys: Sequence[bytes], values: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> None:
    """Write a shard of n distinct keys and (n, size) values."""
    high, low = split_keys(keys)
    order = np.lexsort((low, high))
    rows = np.ascontiguousarray(values[order], dtype)
    _write(path, high[order], low[order], checksums(rows), rows.shape[1], dtype, [rows])


def merge(path: Path, shards: Sequence[Shard]) -> None:
    """Write one shard with the rows of several, each key once; checksums are carried along, so damage stays visible."""
    high = np.concatenate([shard.high for shard in shards])
    low = np.concatenate([shard.low for shard in shards])
    sums = np.concatenate([shard.sums for shard in shards])
    owner = np.repeat(np.arange(len(shards)), [shard.rows for shard in shards])
    position = np.concatenate([np.arange(shard.rows) for shard in shards])
    order = np.lexsort((low, high))
    again = np.zeros(len(order), bool)
    again[1:] = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    if again.any():
        order = order[_kept(order, again, shards, owner, position)]
    size, dtype = shards[0].values.shape[1], shards[0].dtype
    step = max(1, BLOCK // max(1, size * dtype.itemsize))

    def rows() -> Iterator[NDArray[np.floating[Any]]]:
        for begin in range(0, len(order), step):
            chosen = order[begin : begin + step]
            block = np.empty((len(chosen), size), dtype)
            for which in np.unique(owner[chosen]):
                mine = owner[chosen] == which
                block[mine] = shards[which].values[position[chosen[mine]]]
            yield block

    _write(path, high[order], low[order], sums[order], size, dtype, rows())


def drop_rows(path: Path, rows: Sequence[int]) -> None:
    """Write a shard anew without some of its rows; without the shard where none is left."""
    shard = Shard(path)
    keep = np.setdiff1d(np.arange(shard.rows), rows)
    if len(keep):
        kept = shard.values[keep]
        _write(path, shard.high[keep], shard.low[keep], shard.sums[keep], kept.shape[1], shard.dtype, [kept])
    else:
        path.unlink()


def _kept(order: I64, again: NDArray[np.bool_], shards: Sequence[Shard], owner: I64, position: I64) -> NDArray[np.bool_]:
    """Of each key's rows keep the first whose checksum is right."""
    keep = ~again
    for begin in np.flatnonzero(again & ~np.roll(again, 1)) - 1:
        end = begin + 1
        while end < len(order) and again[end]:
            end += 1
        for candidate in range(begin, end):
            shard, row = shards[owner[order[candidate]]], position[order[candidate]]
            if zlib.crc32(shard.values[row].data) == shard.sums[row]:
                keep[begin], keep[candidate] = False, True
                break
    return keep


def _begin(rows: int) -> int:
    return int(-(-(ALIGN + 20 * rows) // ALIGN) * ALIGN)


def _digest(head: bytes, *index: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(head, digest_size=DIGEST_BYTES)
    for part in index:
        digest.update(part)
    return digest.digest()


def _write(
    path: Path, high: U64, low: U64, sums: U32, size: int, dtype: np.dtype[Any], blocks: Iterable[NDArray[np.floating[Any]]]
) -> None:
    head = _HEAD.pack(_MAGIC, len(high), size, dtype.itemsize)
    index = [high.astype("<u8").tobytes(), low.astype("<u8").tobytes(), sums.astype("<u4").tobytes()]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write((head + _digest(head, *index)).ljust(ALIGN, b"\0"))
        for part in index:
            file.write(part)
        file.write(b"\0" * (_begin(len(high)) - file.tell()))
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)
        if file.tell() >= SYNC:
            file.flush()
            os.fsync(file.fileno())
