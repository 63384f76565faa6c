"""Memory of a feature store of 1,000,000 rows of 1,024 floats while it is read at random.

The store is built in a temporary folder of 4.2 GB, by the library's own writer, from cheap data. A fresh process then opens it
and reads 200,000 rows in random order, 1,000 at a time; its private memory (anonymous pages and private dirty ones, from the
kernel's smaps_rollup) may grow by less than 50 MB, of which 4 MB are the rows that were asked for. Row data and index stay on
disk and in the page cache, which the kernel takes back when it needs it: nothing else is the physical limit of a store that does
not read its rows twice.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gtimm.core.features import FeatureStore
from gtimm.core.features.shards import write_rows

ROWS, SIZE, SHARD, READS, STEP, LIMIT = 1_000_000, 1024, 62_500, 200_000, 1_000, 50.0


def names(rows: np.ndarray) -> list[bytes]:
    """Keys that look like digests: a number, mixed by odd multiplications."""
    mixed = (rows.astype(np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
    return [bytes(key) for key in np.stack([mixed, mixed * np.uint64(0xC2B2AE3D27D4EB4F)], 1).view("V16")[:, 0]]


def build(folder: Path) -> None:
    folder.mkdir(parents=True)
    for begin in range(0, ROWS, SHARD):
        rows = np.arange(begin, begin + SHARD)
        values = np.zeros((SHARD, SIZE), np.float32)
        values[:, 0] = rows
        write_rows(folder / f"{begin:08d}.shard", names(rows), values, values.dtype)


def private() -> float:
    """MB of this process that are its own."""
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return max(int(fields[name].split()[0]) for name in ("Private_Dirty", "Anonymous")) / 1000


def read(folder: Path) -> None:
    random = np.random.default_rng(0)
    before = top = private()
    began = time.perf_counter()
    store = FeatureStore(folder, SIZE)
    opened = time.perf_counter() - began
    for _ in range(READS // STEP):
        rows = random.integers(0, ROWS, STEP)
        found = store.get(names(rows))
        assert (found[:, 0] == rows).all()
        top = max(top, private())
    seconds = time.perf_counter() - began - opened
    print(f"opened in {opened:.2f} s, {READS / seconds:,.0f} rows/s read at random, {len(store._shards)} shards")
    print(f"{top - before:.1f}")


def main() -> int:
    if shutil.disk_usage(tempfile.gettempdir()).free < 6e9:
        print("This needs 6 GB in the temporary folder; set TMPDIR.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        build(Path(name) / "store")
        print(f"{ROWS:,} rows of {SIZE:,} floats written in {time.perf_counter() - began:.0f} s", flush=True)
        done = subprocess.run([sys.executable, __file__, str(Path(name) / "store")], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.strip().splitlines()
    print("\n".join(lines))
    print(f"private memory grows by {float(last):.1f} MB (less than {LIMIT:.0f} expected)")
    return 0 if float(last) < LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(Path(sys.argv[1]))
    else:
        sys.exit(main())
