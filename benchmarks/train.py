"""Joint training of many heads against one after another: the same runs, the same machine, one process.

Thirty runs (10 seeds, 3 methods' worth of draws) on 10,000 rows of 64 + 64 floats, one epoch. The last line is the ratio of the
times; at least 2 is expected here. The physical limit is the arithmetic and the reading of the features, which both ways share.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from gtimm.core.pool import Features, Pool
from gtimm.core.splits import Source, Split
from gtimm.core.training import Run, TrainOptions, train
from gtimm.fusion.late import LateFusion

RUNS, ROWS, SIZE, CLASSES, EXPECTED = 30, 10_000, 64, 10, 2.0


def runs(count: int) -> list[Run]:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    own = {m: torch.from_numpy(random.normal(size=(ROWS, SIZE)).astype(np.float32)) for m in ("image", "audio")}
    items = random.normal(size=(1000, SIZE)).astype(np.float32)
    fills = torch.from_numpy(items)
    found = []
    for seed in range(count):
        index = np.where(np.random.default_rng(seed).random(ROWS) < 0.95, -1, np.arange(ROWS))
        pool = Pool.by_class(Features(items), np.arange(1000) % CLASSES, labels, CLASSES)
        sources = {"image": Source(own["image"], index, fills, pool), "audio": Source(own["audio"], np.arange(ROWS))}
        found.append(Run(LateFusion(), CLASSES, Split(labels, sources), None, TrainOptions(epochs=1), seed))
    return found


def main() -> int:
    torch.set_num_threads(1)
    train(runs(2))
    ratios = []
    for _ in range(3):
        together, alone = runs(RUNS), runs(RUNS)
        began = time.perf_counter()
        train(together)
        middle = time.perf_counter()
        for run in alone:
            train([run])
        ended = time.perf_counter()
        ratios.append((ended - middle) / (middle - began))
        print(f"together {middle - began:.2f} s, one after another {ended - middle:.2f} s")
        for one, two in zip(together, alone, strict=True):
            assert one.head is not None
            assert two.head is not None
            for a, b in zip(one.head.parameters(), two.head.parameters(), strict=True):
                torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    ratio = sorted(ratios)[1]
    print(f"joint training is {ratio:.1f} times faster (median of 3; at least {EXPECTED} expected)")
    return 0 if ratio >= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
