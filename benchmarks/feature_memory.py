"""Memory of 1,000,000 embeddings of 1,024 floats while a head is trained on random draws of them, and while their store is read at random.

The store is built in a temporary folder of 4.2 GB, by the library's own writer, from cheap data. Fresh processes then open it; their
private memory (anonymous pages, from the kernel's smaps_rollup) is sampled. One reads 200,000 rows in random order, 1,000 at a time: it
may grow by less than 50 MB, of which 4 MB are the rows that were asked for. One trains a head on 20,000 rows, of which 95% draw one of
the million candidates afresh each epoch: its highest may be less than 100 MB over that of the same training with 100 candidates; 8 MB are
the members of the pool and 32 MB what is handled at a time. Row data and index stay on disk and in the page cache, which the kernel
takes back when it needs it: nothing else is the physical limit of features that are not read twice.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from predict import highest, private

from gtimm.core.features import FeatureStore
from gtimm.core.features.room import gathered
from gtimm.core.features.shards import write_rows

ROWS, SIZE, SHARD, READS, STEP = 1_000_000, 1024, 62_500, 200_000, 1_000
TRAIN, CLASSES, DIM, EPOCHS = 20_000, 10, 512, 5
LIMITS = {"read": 50.0, "train": 100.0}


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


def train(folder: Path) -> None:
    import torch

    from gtimm.core.pool import Features, Pool
    from gtimm.core.training import Run, TrainOptions
    from gtimm.core.training import train as train_runs
    from gtimm.core.training.splits import Source, Split
    from gtimm.fusion.late import LateFusion

    def run(fills: np.ndarray, rows: int) -> Run:
        random, labels = np.random.default_rng(0), np.arange(rows) % CLASSES
        index = np.where(random.random(rows) < 0.95, -1, 0)
        pool = Pool.by_class(Features(fills), np.arange(len(fills)) % CLASSES, labels, CLASSES)
        image = Source(torch.zeros(1, SIZE), index, torch.from_numpy(fills), pool)
        other = torch.from_numpy(random.normal(size=(rows, DIM)).astype(np.float32))
        split = Split(labels, {"image": image, "audio": Source(other, np.arange(rows))})
        return Run(LateFusion(), CLASSES, split, None, TrainOptions(epochs=EPOCHS, lr=1e-7), 0)

    base: list[float] = []
    top: list[float] = []
    with highest(base):
        train_runs([run(np.zeros((100, SIZE), np.float32), TRAIN)])
    began = time.perf_counter()
    with highest(top):
        store = FeatureStore(folder, SIZE)
        fills = gathered(ROWS, SIZE, folder.parent / "room", lambda part: store.get(names(np.arange(part.start, part.stop))))
        assert (fills[::9973, 0] == np.arange(0, ROWS, 9973)).all()
        gathering = time.perf_counter() - began
        one = run(fills, TRAIN)
        train_runs([one])
    assert one.head is not None
    seconds = time.perf_counter() - began - gathering
    print(f"gathered in {gathering:.0f} s, {EPOCHS} epochs of {TRAIN:,} rows in {seconds:.1f} s")
    print(f"{top[0] - base[0]:.1f}")


def main() -> int:
    if shutil.disk_usage(tempfile.gettempdir()).free < 10e9:
        print("This needs 10 GB in the temporary folder; set TMPDIR.")
        return 1
    grown = {}
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        build(Path(name) / "store")
        print(f"{ROWS:,} rows of {SIZE:,} floats written in {time.perf_counter() - began:.0f} s", flush=True)
        for what, most in LIMITS.items():
            command = [sys.executable, __file__, what, str(Path(name) / "store")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            *lines, last = done.stdout.strip().splitlines()
            grown[what] = float(last)
            print(
                "\n".join(lines),
                f"; private memory grows by {grown[what]:.1f} MB (less than {most:.0f} expected)",
                sep="",
                flush=True,
            )
    print(f"private memory grows by {grown['train']:.1f} MB in training, {grown['read']:.1f} MB in reading")
    return 0 if all(grown[what] < most for what, most in LIMITS.items()) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"read": read, "train": train}[sys.argv[1]](Path(sys.argv[2]))
    else:
        sys.exit(main())
