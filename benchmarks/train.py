"""Joint training of many heads: against one after another, and against the bare matrix products inside.

Thirty runs (seeds, each with its own mask, draws and order) on 10,000 rows, one epoch, late fusion with a hidden layer of 64; once
on 64 + 64 floats a row, where the many small operations of a step cost the most, once on 1024 + 1024, where the arithmetic does.
`alone` trains the same runs with the same trainer one after another. `products` are the products of the hidden layer, forward
and backward, as plain `torch.bmm` on memory that is there: what no trainer can be faster than.

The ways alternate, so that what else the machine does falls on all; times are CPU seconds of this process. One torch thread;
with `--threads 2` the wall time of two is shown as well. Ends with the medians and fails where one is missed.

    python benchmarks/train.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gtimm.core.pool import Features, Pool
from gtimm.core.training import Run, TrainOptions, train
from gtimm.core.training.splits import Source, Split
from gtimm.fusion.late import LateFusion

RUNS, ROWS, CLASSES, HIDDEN, BATCH = 30, 10_000, 10, 64, 128
FASTER = {64: 2.5, 1024: 1.1}
"""What is expected of one thread on a busy machine. The arithmetic caps the ratio: alone / products, 11 and 2 here."""
SHARE = 0.5


def runs(size: int, count: int = RUNS) -> list[Run]:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    own = {m: torch.from_numpy(embeddings(random, ROWS, size)) for m in ("image", "audio")}
    items = embeddings(random, 1000, size)
    fills = torch.from_numpy(items)
    options = TrainOptions(epochs=1, batch_size=BATCH)
    found = []
    for seed in range(count):
        index = np.where(np.random.default_rng(seed).random(ROWS) < 0.95, -1, np.arange(ROWS))
        pool = Pool.by_class(Features(items), np.arange(1000) % CLASSES, labels, CLASSES)
        sources = {"image": Source(own["image"], index, fills, pool), "audio": Source(own["audio"], np.arange(ROWS))}
        found.append(Run(LateFusion(hidden=HIDDEN), CLASSES, Split(labels, sources), None, options, seed))
    return found


def embeddings(random: np.random.Generator, rows: int, size: int) -> Any:
    """Return (rows, size) float32 of unit length, as encoders give them."""
    values = random.normal(size=(rows, size)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def one_by_one(given: list[Run]) -> None:
    for run in given:
        train([run])


def products(size: int) -> None:
    """Run the hidden layer's products of an epoch: outputs, and the gradients of its weights."""
    x, w, g = torch.ones(RUNS, BATCH, 2 * size), torch.ones(RUNS, 2 * size, HIDDEN), torch.ones(RUNS, BATCH, HIDDEN)
    out, gradient = torch.empty(RUNS, BATCH, HIDDEN), torch.empty(RUNS, 2 * size, HIDDEN)
    for begin in range(0, ROWS, BATCH):
        rows = min(BATCH, ROWS - begin)
        torch.bmm(x[:, :rows], w, out=out[:, :rows])
        torch.bmm(x[:, :rows].transpose(1, 2), g[:, :rows], out=gradient)


def seconds(do: Callable[[], None], clock: Callable[[], float] = time.process_time) -> float:
    began = clock()
    do()
    return clock() - began


def same(together: list[Run], alone: list[Run]) -> None:
    """Refuse heads that differ by more than 1e-4 in above 1% of their weights.

    In float32 a value at the kink of a ReLU may fall on either side, and the first steps of Adam make of that a step of full
    length for the weights of one unit. In float64 the heads are equal to 1e-9; the tests hold that.
    """
    far, every = 0, 0
    for one, two in zip(together, alone, strict=True):
        assert one.head is not None
        assert two.head is not None
        for a, b in zip(one.head.parameters(), two.head.parameters(), strict=True):
            far += int(((a - b).abs() > 1e-4).sum())
            every += a.numel()
    if far > every / 100:
        raise SystemExit(f"{far} of {every} weights differ by more than 1e-4 between joint and separate training.")


def measure(size: int, rounds: int, clock: Callable[[], float] = time.process_time) -> tuple[float, float]:
    """Return how many times faster joint training is, and its share of bare products; medians over the rounds."""
    ratios, shares = [], []
    for _ in range(rounds):
        together, alone = runs(size), runs(size)
        bare = seconds(lambda: products(size), clock)
        joint = seconds(lambda given=together: train(given), clock)  # type: ignore[misc]
        each = seconds(lambda given=alone: one_by_one(given), clock)  # type: ignore[misc]
        bare = (bare + seconds(lambda: products(size), clock)) / 2
        same(together, alone)
        ratios.append(each / joint)
        shares.append(bare / joint)
        print(f"{size} + {size}: together {joint:.2f} s, one after another {each:.2f} s, products {bare:.2f} s", flush=True)
    return float(np.median(ratios)), float(np.median(shares))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="repeats of each measurement; the median counts (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="show this many torch threads too, by wall time (default 1: no)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    train(runs(8, 2))
    found = {size: measure(size, chosen.rounds) for size in FASTER}
    if chosen.threads > 1:
        torch.set_num_threads(chosen.threads)
        for size in FASTER:
            ratio, share = measure(size, chosen.rounds, time.perf_counter)
            print(f"{chosen.threads} threads, {size} + {size}: {ratio:.1f} times faster, {share:.0%} of bare products")
    met = all(found[size][0] >= least for size, least in FASTER.items()) and found[1024][1] >= SHARE
    parts = [f"{found[size][0]:.1f} times faster at {size} + {size} (at least {least})" for size, least in FASTER.items()]
    print(f"joint training is {', '.join(parts)}; {found[1024][1]:.0%} of bare products at 1024 + 1024 (at least {SHARE:.0%})")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
