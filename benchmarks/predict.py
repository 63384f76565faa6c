"""Memory and speed of predicting 1,000,000 rows, whose vectors are memory-mapped and half of which lack a modality.

Two modalities of 64 floats, `precomputed`; what is missing is retrieved from 2,000 training rows. A fresh process trains on those, then
predicts 1,000,000 rows and, before that, 100,000. Its private memory (anonymous pages, from the kernel's smaps_rollup,
sampled every 20 ms) may grow by less than 100 MB over what the predictions themselves take, 45 MB of a million rows. Physical
limit: the features of the rows in hand, 16,384 x 2 x 64 floats are 8 MB, and their similarities to the training rows, 64 MB at a time.
The vectors, and the store that they pass through, stay on disk and in the page cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROWS, FIRST, DIM, TRAIN, CLASSES, STEP, LIMIT = 1_000_000, 100_000, 64, 2_000, 10, 50_000, 100.0
KINDS = {"left": "vector", "right": "vector"}


def private() -> float:
    """MB of this process that only swap could take; pages of files, those not written back yet included, are none."""
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Anonymous"].split()[0]) / 1000


@contextmanager
def highest(found: list[float]) -> Iterator[None]:
    """Append the highest private memory of what runs inside, sampled every 20 ms."""
    over, seen = threading.Event(), [private()]

    def watch() -> None:
        while not over.wait(0.02):
            seen.append(private())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        found.append(max(*seen, private()))


def build(folder: Path) -> None:
    codes = np.random.default_rng(0).normal(size=(2, CLASSES, DIM))
    for place, m in enumerate(KINDS):
        out = np.lib.format.open_memmap(folder / f"{m}.npy", "w+", np.float32, (ROWS, DIM))
        for begin in range(0, ROWS, STEP):
            noise = np.random.default_rng([place, begin]).normal(size=(STEP, DIM))
            out[begin : begin + STEP] = codes[place, np.arange(begin, begin + STEP) % CLASSES] + 2 * noise
        out.flush()


def predict(folder: Path) -> None:
    from gtimm import Missing, MultimodalDataset, Pipeline

    def rows(begin: int, end: int, labels: np.ndarray | None = None) -> MultimodalDataset:
        vectors = {m: np.load(folder / f"{m}.npy", mmap_mode="r")[begin:end] for m in KINDS}
        return MultimodalDataset.from_arrays(vectors, labels, kinds=KINDS)

    backbone = {"name": "precomputed", "dim": DIM}
    pipe = Pipeline(backbone, eval_imputer="retrieval", train={"epochs": 5, "lr": 0.05}, store=folder / "store", device="cpu")
    pipe.fit(rows(0, TRAIN, np.arange(TRAIN) % CLASSES))
    pipe.predict_proba(rows(0, 100).with_missing(Missing(left=0.5)))  # loads what is loaded once
    for count in (FIRST, ROWS):
        data = rows(0, count).with_missing(Missing(left=0.5))
        top: list[float] = []
        before, began = private(), time.perf_counter()
        with highest(top):
            frame = pipe.predict_proba(data)
        seconds, own = time.perf_counter() - began, (frame.nbytes + 5 * count) / 1e6
        right = (frame.argmax(1) == np.arange(count) % CLASSES).mean()
        print(
            f"{count:,} rows in {seconds:.0f} s, {count / seconds:,.0f} rows/s, {right:.1%} right; private memory grows by "
            f"{top[0] - before:.0f} MB, of which {own:.0f} are the predictions"
        )
        del frame, data
    print(f"{top[0] - before - own:.1f}")


def main() -> int:
    if shutil.disk_usage(tempfile.gettempdir()).free < 3e9:
        print("This needs 3 GB in the temporary folder; set TMPDIR.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, check=True, env={**os.environ, "GTIMM_HOME": name}
        )
    *lines, last = done.stdout.strip().splitlines()
    print("\n".join(lines))
    print(f"private memory grows by {float(last):.1f} MB over the predictions (less than {LIMIT:.0f} expected)")
    return 0 if float(last) < LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        predict(Path(sys.argv[1]))
    else:
        sys.exit(main())
