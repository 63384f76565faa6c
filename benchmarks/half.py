"""What storing features in half precision does to accuracy: float16 against float32 on `digits`, five seeds, same masks.

Half the space costs a rounding to three digits. The last line is the difference in accuracy points; at most 0.2 is expected, which is
far below the spread over seeds.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
import torch

from gtimm import Missing, Pipeline, load_dataset

EXPECTED = 0.2


def accuracies(store: str, dtype: str) -> list[float]:
    data = load_dataset("digits")
    found = []
    for seed in range(5):
        pipe = Pipeline(
            backbone="imagebind-tiny",
            imputer="hot-deck",
            train={"epochs": 60, "lr": 0.02},
            embed={"feature_dtype": dtype},
            store=store,
            seed=seed,
        )
        pipe.fit(data.train, data.val, Missing(image=0.95, stratify=True))
        found.append(pipe.evaluate(data.test)["accuracy"])
    return found


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as store:
        whole, half = accuracies(store, "float32"), accuracies(store, "float16")
    print("float32", [f"{value:.4f}" for value in whole])
    print("float16", [f"{value:.4f}" for value in half])
    difference = 100 * float(np.mean(half) - np.mean(whole))
    print(f"{difference:+.3f} accuracy points with float16 (at most {EXPECTED} either way expected)")
    return 0 if abs(difference) <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
