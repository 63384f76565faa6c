"""Randomness from explicit seeds: every random thing has a stream of its own, and nothing touches the global state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def stable_seed(*parts: object) -> int:
    """Return an integer in 0..2**63-1 from the parts' text; the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return the generator of one named stream, independent of every other name."""
    return np.random.Generator(np.random.Philox(key=stable_seed(seed, *names)))


@contextmanager
def torch_seeded(seed: int, *names: object) -> Iterator[None]:
    """Seed torch's global CPU generator inside the block only (module constructors read it), and restore it after."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stable_seed(seed, *names))
        yield


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Compute with this many CPU threads inside the block; `None` changes nothing."""
    import torch

    before = torch.get_num_threads()
    if count in (None, before):  # setting it again slows what follows by a fifth
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
