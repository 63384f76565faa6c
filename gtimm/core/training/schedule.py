"""How runs are cut into stacks, and how stacks share the cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gtimm.core.seeding import torch_threads
from gtimm.core.training.stacks import Stack, build

if TYPE_CHECKING:
    from gtimm.core.fusion import Head
    from gtimm.core.training.splits import Tables
    from gtimm.core.training.trainer import Run

STACK_BYTES = 1 << 28
"""What all stacks in training may take together, features aside."""
SHARE = 1 << 24
"""Multiplications of a step from which a thread of its own pays: below, threads would mostly wait for Python's lock."""
MOST_THREADS = 8
SMALL_STEP = 1 << 27
"""Multiplications of one run's step below which a second thread inside it costs more than it brings, many times more on a busy machine."""


def train_group(group: list[Run], tables: Tables, judged: Tables | None, every: int) -> None:
    """Train runs of one signature: as stacks that fit memory, each on a thread of its own where that pays.

    A stack gives each run what it would get alone: the same bits where batches and features fill vector registers (multiples of 16),
    else the same up to rounding. So neither how runs are cut nor the number of threads changes a result.

    Args:
        group: neighbours have equal rates.
        tables: features of their training rows.
        judged: features of their validation rows.
        every: steps that all groups take.
    """
    head = build(group[0])
    work = group[0].options.batch_size * sum(value.numel() for value in head.parameters() if value.requires_grad)
    if len(group) == 1:
        with torch_threads(None if work >= SMALL_STEP else 1):
            return _train([group], tables, judged, every, 1)
    threads = min(torch.get_num_threads(), MOST_THREADS, len(group), max(1, work * len(group) // SHARE))
    parts = cut(group, STACK_BYTES // run_bytes(group[0], head), threads)
    with torch_threads(1):
        return _train(parts, tables, judged, every, threads)


def cut(group: Sequence[Run], fit: int, threads: int) -> list[list[Run]]:
    """Return the runs in parts of about equal size, a multiple of `threads` where several parts are needed.

    Args:
        group: the runs.
        fit: how many fit in memory at a time, in all threads together.
        threads: parts that train at a time.
    """
    most = max(1, fit // threads)
    count = -(-len(group) // most)
    count = min(len(group), -(-count // threads) * threads)
    ends = [len(group) * place // count for place in range(count + 1)]
    return [list(group[begin:end]) for begin, end in pairwise(ends)]


def run_bytes(run: Run, head: Head) -> int:
    """Return what one more run takes at its peak: weights, gradients and moments, one batch, and an epoch's draws."""
    saved = 0

    def count(value: Tensor) -> Tensor:
        nonlocal saved
        saved += value.numel() * value.element_size()
        return value

    x = {m: torch.zeros(2, size, dtype=run.dtype) for m, size in run.sizes.items()}
    masks = torch.zeros(2, len(x), dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        head(x, masks, ~masks)
    weights = sum(value.numel() * value.element_size() for value in head.parameters())
    batch = run.dtype.itemsize * (sum(run.sizes.values()) + 6 * run.classes) + (saved - weights if saved > weights else saved)
    return 6 * weights + run.options.batch_size * batch + len(run.train) * (40 + 36 * len(x))


def _train(parts: list[list[Run]], tables: Tables, judged: Tables | None, every: int, threads: int) -> None:
    first: dict[int, Stack] = {}
    for part in parts:  # one of each size before any thread runs heads, as recording a step needs
        if len(part) not in first:
            first[len(part)] = Stack(part, tables, judged, every)
    stop = Event()

    def stack_of(part: list[Run]) -> Stack:
        like = first[len(part)]
        return like if like.runs is part else Stack(part, tables, judged, every, like)

    if threads == 1:
        for part in parts:
            stack_of(part).train(stop)
        return
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(threads, "train", torch.set_num_threads, (1,)) as pool:
        try:
            for part in parts:
                if len(running) == threads:
                    running = _wait(running)
                running.add(pool.submit(stack_of(part).train, stop))
            while running:
                running = _wait(running)
        finally:
            stop.set()


def _wait(running: set[Future[None]]) -> set[Future[None]]:
    """Wait for some stack, raise what it raised, and return those that are left."""
    done, left = wait(running, return_when=FIRST_COMPLETED)
    for one in done:
        one.result()
    return left
