"""Does starting generation from the real images that are left close a domain gap? Validation accuracy on digits-uci.

    python benchmarks/real_guidance.py [--seeds 3] [--store DIR]

95% of the training images are missing; the generator draws other handwriting than the data set's. `test missing` hides half of the
validation images too. Nothing is chosen here: all that was tried is printed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from gtimm import Missing, Pipeline, load_dataset
from gtimm.core.training import train

TINY = {"name": "stable-diffusion-tiny", "per_class": 20}
METHODS: dict[str, Any] = {
    "zero-fill": "zero",
    "hot-deck": "hot-deck",
    "generation": TINY,
    "generation from real, strength 0.3": {**TINY, "init": "real", "strength": 0.3},
    "generation from real, strength 0.5": {**TINY, "init": "real", "strength": 0.5},
    "generation from real, strength 0.7": {**TINY, "init": "real", "strength": 0.7},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--missing", type=float, default=0.95)
    parser.add_argument("--store", type=Path)
    args = parser.parse_args()
    data = load_dataset("digits-uci")
    print("| fill | complete validation | half of its images missing | seconds |\n| --- | --- | --- | --- |")
    for name, imputer in METHODS.items():
        began = time.monotonic()
        pipes = [
            Pipeline("imagebind-tiny", {"image": imputer}, seed=seed, store=args.store, device="cpu", generate=True)
            for seed in range(args.seeds)
        ]
        runs = [pipe.prepare(data.train, missing=Missing(image=args.missing)) for pipe in pipes]
        train(runs)
        for pipe, run in zip(pipes, runs, strict=True):
            pipe.adopt(run)
        cells = []
        for missing in (None, Missing(image=0.5)):
            values = [100 * pipe.evaluate(data.val, missing=missing)["accuracy"] for pipe in pipes]
            cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=min(1, len(values) - 1)):.1f}")
        print(f"| {name} | {cells[0]} | {cells[1]} | {time.monotonic() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
