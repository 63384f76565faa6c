"""Joint training of many heads: against one after another, and against the bare matrix products inside.

Thirty runs (seeds, each with its own mask, draws and order) on 10,000 rows for the paper's 15 epochs, late fusion with a hidden layer of
64; once on 64 + 64 floats a row, where the many small operations of a step cost the most, once on 1024 + 1024, where the arithmetic does.
`one after another` trains the same runs with the same trainer, one at a time, on the cores that it would use. `products` are the
products of the hidden layer, forward and backward, by the faster of MKL (`torch.bmm`) and oneDNN, and nothing else: the physical limit.
`a loop of one's own` is what one would write without gtimm: `nn.Sequential`, `torch.optim.AdamW`, the features in memory; one of the
thirty is timed.

All use at most two cores. Times are CPU seconds divided by the threads that compute: the wall time of a machine with nothing else
to do; what else the machine does then falls on no side. Wall times are printed beside. Fails where a figure is missed.

    python benchmarks/train.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gtimm.core.pool import Features, Pool
from gtimm.core.training import Run, TrainOptions, train
from gtimm.core.training.splits import Source, Split, Tables
from gtimm.fusion.late import LateFusion

RUNS, ROWS, CLASSES, HIDDEN, BATCH, EPOCHS, CORES = 30, 10_000, 10, 64, 128, 15, 2
FASTER = {64: 6.0, 1024: 2.5}
"""At least so many times faster than one after another, by floats of a modality."""
SHARE = 0.4
"""At least this share of the rate of bare products by the faster library, at 1024 + 1024; of those by `torch.bmm` at least 0.6."""


def runs(size: int, count: int = RUNS) -> list[Run]:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    own = {m: torch.from_numpy(embeddings(random, ROWS, size)) for m in ("image", "audio")}
    items = embeddings(random, 1000, size)
    fills = torch.from_numpy(items)
    options = TrainOptions(epochs=EPOCHS, batch_size=BATCH)
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


def products_by_mkl(size: int) -> None:
    """Run the hidden layer's products of an epoch: outputs, and the gradients of its weights."""
    x, w, g = torch.ones(RUNS, BATCH, 2 * size), torch.ones(RUNS, HIDDEN, 2 * size), torch.ones(RUNS, BATCH, HIDDEN)
    out, gradient = torch.empty(RUNS, BATCH, HIDDEN), torch.empty(RUNS, HIDDEN, 2 * size)
    for begin in range(0, ROWS, BATCH):
        rows = min(BATCH, ROWS - begin)
        torch.bmm(x[:, :rows], w.mT, out=out[:, :rows])
        torch.bmm(g[:, :rows].mT, x[:, :rows], out=gradient)


def products_by_onednn(size: int) -> None:
    """The same."""
    x, w, g = torch.ones(RUNS, BATCH, 2 * size), torch.ones(RUNS, HIDDEN, 2 * size), torch.ones(RUNS, BATCH, HIDDEN)
    multiply = torch.ops.mkldnn._linear_pointwise
    for begin in range(0, ROWS, BATCH):
        rows = min(BATCH, ROWS - begin)
        for a, b, c in zip(x, w, g, strict=True):
            multiply(a[:rows], b, None, "none", [], "")
            multiply(c[:rows].T, a[:rows].T, None, "none", [], "")


@dataclass(frozen=True)
class Time:
    """What some work took: CPU seconds of all threads, and wall seconds."""

    cpu: float
    wall: float

    def free(self, threads: int) -> float:
        """Seconds on a machine with nothing else to do, with this many threads at work."""
        return self.cpu / threads

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s of CPU, {self.wall:.2f} s by the clock"


def measured(do: Callable[[], None]) -> Time:
    cpu, wall = time.process_time(), time.perf_counter()
    do()
    return Time(time.process_time() - cpu, time.perf_counter() - wall)


def loop_of_ones_own(run: Run) -> None:
    """The same head trained as one would without this library; draws and masks as at the first epoch."""
    place, _, _ = Tables([run.train]).drawn(0, np.random.default_rng(0))
    tables = Tables([run.train]).values
    x = torch.cat([tables[m].take(place[m]) for m in tables], 1)
    y = torch.from_numpy(np.asarray(run.train.labels))
    head = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    optimiser = torch.optim.AdamW(head.parameters(), lr=5e-4, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for rows in torch.randperm(ROWS).split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(x[rows]), y[rows]).backward()
            optimiser.step()


def furthest(together: list[Run], alone: list[Run]) -> float:
    """Return the largest difference of a weight between runs trained together and alone."""
    heads = [(one.head, two.head) for one, two in zip(together, alone, strict=True)]
    pairs = [pair for one, two in heads if one and two for pair in zip(one.parameters(), two.parameters(), strict=True)]
    return max(float((a - b).abs().max()) for a, b in pairs)


def measure(size: int) -> tuple[float, float]:
    """Return how many times faster joint training is than one after another, and its share of bare products."""
    together, alone = runs(size), runs(size)
    torch.set_num_threads(CORES)
    joint = measured(lambda: train(together))
    each = measured(lambda: one_by_one(alone))
    torch.set_num_threads(1)
    ways = measured(lambda: products_by_mkl(size)), measured(lambda: products_by_onednn(size))
    bare = min(ways, key=lambda time: time.cpu)
    own = measured(lambda: loop_of_ones_own(alone[0]))
    ratio, share = each.free(1) / joint.free(CORES), EPOCHS * bare.cpu / joint.cpu
    print(
        f"{size} + {size}: together {joint}; one after another {each}; a loop of one's own, 30 times, {RUNS * own.cpu:.2f} s of CPU"
    )
    print(f"  by the clock {each.wall / joint.wall:.1f} times faster than one after another")
    by_mkl = EPOCHS * ways[0].cpu / joint.cpu
    print(f"  products of one epoch: {ways[0].cpu:.2f} s by MKL ({by_mkl:.0%} of its rate), {ways[1].cpu:.2f} s by oneDNN")
    print(
        f"  {RUNS * own.free(1) / joint.free(CORES):.1f} times faster than the loop; weights differ by {furthest(together, alone):.1g}"
    )
    return ratio, share


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    train(runs(8, 2))
    found = {size: measure(size) for size in FASTER}
    met = all(found[size][0] >= least for size, least in FASTER.items()) and found[1024][1] >= SHARE
    parts = [f"{found[size][0]:.1f} times faster at {size} + {size} (at least {least})" for size, least in FASTER.items()]
    print(f"joint training is {', '.join(parts)}; {found[1024][1]:.0%} of bare products at 1024 + 1024 (at least {SHARE:.0%})")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
