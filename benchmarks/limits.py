"""What this processor, memory and disk can do at best, and what share of it embedding, generation, training and reading features reach.

The best rate of float32 products is measured with oneDNN and MKL on large matrices, that of memory by copying what does not fit the
caches. The arithmetic of an encoder and of a diffusion pipeline is counted by PyTorch (`FlopCounterMode`), that of heads by hand. All on
one core, in CPU seconds, so that other work on the machine counts little. Where an operation is bound by memory, its share of the
arithmetic is low whatever one does; the note says so.

    python benchmarks/limits.py
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from gtimm.core.features import FeatureStore
from gtimm.core.products import FastLinears, linear

TRAINING = 0.3
"""Share of the best products that training 15 heads of 2,048 inputs together must reach."""


def seconds(do: Callable[[], Any], times: int = 3) -> float:
    do()
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        do()
        best = min(best, time.process_time() - began)
    return best


def products() -> float:
    """FLOP/s of float32 products of large matrices."""
    a, b = torch.randn(1024, 2048), torch.randn(2048, 2048)
    work = 2 * a.shape[0] * b.shape[0] * b.shape[1]
    rates = {"oneDNN": work / seconds(lambda: linear(a, b)), "MKL": work / seconds(lambda: torch.mm(a, b))}
    print("products: " + ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()))
    return max(rates.values())


def memory() -> float:
    """Bytes/s written by copying 512 MB."""
    a = np.ones(1 << 27, np.float32)
    b = np.empty_like(a)
    rate = a.nbytes / seconds(lambda: np.copyto(b, a))
    print(f"memory: {rate / 1e9:.1f} GB/s copied")
    return rate


def embed(best: float) -> float:
    import open_clip

    model, images = open_clip.create_model("ViT-B-32", pretrained=None).eval(), torch.randn(32, 3, 224, 224)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model.encode_image(images)
        plain = counter.get_total_flops() / seconds(lambda: model.encode_image(images))
        with FastLinears():
            ours = counter.get_total_flops() / seconds(lambda: model.encode_image(images))
    print(f"embed, ViT-B/32: {ours / 1e9:.0f} GFLOP/s, {ours / best:.0%} of the best; without oneDNN {plain / best:.0%}")
    return ours / best


def generate(best: float) -> float:
    from gtimm.core.pool import Request
    from gtimm.core.registry import registry

    generator = registry("imputers").create("stable-diffusion-tiny")
    worker = generator.open("cpu")
    asked = [Request("image", f"a photo of {name}", seed, 1.0) for seed, name in enumerate(["zero", "one"] * 8)]
    with FlopCounterMode(display=False) as counter:
        worker(asked)
    ours = counter.get_total_flops() / seconds(lambda: worker(asked), 1)
    print(
        f"generate, stable-diffusion-tiny: {ours / 1e9:.0f} GFLOP/s, {ours / best:.0%} of the best: small layers, 14 x 14 pixels"
    )
    return ours / best


def training(best: float) -> float:
    import train as benchmark

    runs = benchmark.runs(1024, 15)
    from gtimm.core.training import train

    train(benchmark.runs(8, 2))
    began = time.process_time()
    train(runs)
    taken = time.process_time() - began
    inputs, steps = 2 * 1024, benchmark.EPOCHS * benchmark.ROWS
    work = 2 * 2 * len(runs) * steps * (inputs * benchmark.HIDDEN + 1.5 * benchmark.HIDDEN * benchmark.CLASSES)
    print(f"train, 15 heads of 2,048 inputs: {work / taken / 1e9:.0f} GFLOP/s, {work / taken / best:.0%} of the best")
    return work / taken / best


def reading(best: float) -> None:
    rows, size, step = 100_000, 1024, 4096
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder) / "store", size)
        keys = np.random.default_rng(0).bytes(16 * rows)
        keys = [keys[at : at + 16] for at in range(0, len(keys), 16)]
        for begin in range(0, rows, 20_000):
            store.put(keys[begin : begin + 20_000], np.ones((20_000, size), np.float32))
        asked = [keys[row] for row in np.random.default_rng(1).permutation(rows)[:step]]
        ours = step * size * 4 / seconds(lambda: store.get(asked), 5)
    row = np.ones(size, np.float32).data
    check = size * 4 / (seconds(lambda: [zlib.crc32(row) for _ in range(1000)]) / 1000)
    print(
        f"read features at random: {ours / 1e9:.2f} GB/s, {ours / best:.0%} of copying; their checksums alone run at "
        f"{check / 1e9:.2f} GB/s, {ours / (1 / (1 / check + 1 / best)):.0%} of both after one another"
    )


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    best, copying = products(), memory()
    shares = {"embed": embed(best), "generate": generate(best)}
    reading(copying)
    shares["train"] = training(best)
    print("share of the best products: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))
    return 0 if shares["train"] >= TRAINING else 1


if __name__ == "__main__":
    sys.exit(main())
