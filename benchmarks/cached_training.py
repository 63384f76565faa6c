"""An epoch of gtimm's trainer on stored features against a bare AdamW loop on a tensor in memory.

10,000 rows of 1,024 + 1,024 floats, batches of 128, one linear layer to 10 classes, the same optimiser. Both run for `EPOCHS`
epochs, so that what happens once a run (weights, tables) counts as it does in training. The last line is the ratio of the times,
at most 1.5. The physical limit is the bare loop itself: each epoch gathers 80 MB and multiplies them twice.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from gtimm.core.features import FeatureStore
from gtimm.core.training import Run, TrainOptions, train
from gtimm.core.training.splits import Source, Split
from gtimm.fusion.late import LateFusion

ROWS, SIZE, CLASSES, BATCH, EPOCHS, TURNS, EXPECTED = 10_000, 1024, 10, 128, 15, 5, 1.5


def ours(own: dict[str, torch.Tensor], labels: np.ndarray) -> float:
    """Seconds an epoch of the library's trainer."""
    sources = {name: Source(values, np.arange(ROWS)) for name, values in own.items()}
    run = Run(LateFusion(), CLASSES, Split(labels, sources), None, TrainOptions(epochs=EPOCHS, batch_size=BATCH), 0)
    began = time.perf_counter()
    train([run])
    return (time.perf_counter() - began) / EPOCHS


def bare(x: torch.Tensor, y: torch.Tensor) -> float:
    """Seconds an epoch of the shortest loop that does the same."""
    head = torch.nn.Linear(2 * SIZE, CLASSES)
    options = TrainOptions()
    optimiser = torch.optim.AdamW(head.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(ROWS).split(BATCH):
            loss = torch.nn.functional.cross_entropy(head(x[chosen]), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return (time.perf_counter() - began) / EPOCHS


def main() -> int:
    torch.set_num_threads(1)  # as fast as two here, and steady where other work shares the cores
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, ROWS)
    with tempfile.TemporaryDirectory() as folder:
        own = {}
        for name in ("image", "audio"):
            store, keys = FeatureStore(Path(folder) / name, SIZE), [random.bytes(16) for _ in range(ROWS)]
            store.put(keys, random.normal(size=(ROWS, SIZE)).astype(np.float32))
            began = time.perf_counter()
            own[name] = torch.from_numpy(store.get(keys))
            print(f"{ROWS:,} rows of {name} read from the store in {time.perf_counter() - began:.3f} s")
    x, y = torch.cat(list(own.values()), 1), torch.from_numpy(labels)
    ours(own, labels)
    ratios = []
    for _ in range(TURNS):
        before, mine, after = bare(x, y), ours(own, labels), bare(x, y)
        ratios.append(2 * mine / (before + after))
        print(f"an epoch: gtimm {1000 * mine:.0f} ms, bare loop {500 * (before + after):.0f} ms", flush=True)
    ratio = float(np.median(ratios))
    print(f"an epoch takes {ratio:.2f} times a bare loop's (median of {TURNS}; at most {EXPECTED} expected)")
    return 0 if ratio <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
