"""Payloads become the encoder's input in batches, on this machine's cores, at the rate that they allow.

On a CPU preparing and encoding want the same cores, so they take turns, each with all of them: with both at once the encoder's
threads wait for one another. Threads prepare as long as that is a small part of the work, since an encoder runs several percent
slower in a process that has forked (measured: 7.1 against 6.6 CPU seconds for 64 images and a ViT-B/32); where preparing is a
larger part, processes do it, which the interpreter's lock does not hold up. Beside a GPU, or where the encoder is held to fewer
threads than there are cores, processes run ahead of it.

Preparing is work on one item; torch's number of threads is left as it is while threads prepare (setting it in them slows the encoder by
a fifth), so what `prepare` returns may not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.features.workers import ItemError, Workers, can_fork, cores, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBES = 3  # items that are prepared here, to learn what one costs
WORTH_FORKING = 0.25  # seconds of preparing
SHARE = 0.25  # of the encoder's time; where preparing takes more, processes are worth what they cost the encoder


def prepare_blocks(
    prepare: Callable[[int], NDArray[Any]], count: int, block: int, ahead: int, workers: int | None
) -> Generator[tuple[int, NDArray[Any]], None, None]:
    """Yield blocks of prepared items, `(first position, (n, *shape))`, valid until the next is asked for.

    Args:
        prepare: position to an array; runs in worker processes or threads, or here.
        count: how many items.
        block: items a block; the last has what is left.
        ahead: how many blocks processes may have under way or waiting.
        workers: processes; 0: none. None: threads or processes, one a core, as suits; none for little work.

    Raises:
        ItemError: a worker process died, or an item is not like the first.
        Exception: what `prepare` raises.
    """
    probes: list[NDArray[Any]] = []
    seconds = float("inf")
    while len(probes) < min(PROBES, count, block):
        began = time.perf_counter()
        probes.append(prepare(len(probes)))
        seconds = min(seconds, time.perf_counter() - began)
    many = min(cores() if workers is None else workers, count - len(probes))
    if many < 1 or (workers is None and seconds * (count - len(probes)) < WORTH_FORKING):
        yield from prepared_here(map, prepare, count, probes, block)
        return
    done = 0
    if not can_fork() or (ahead == 1 and workers is None):
        with ThreadPoolExecutor(many) as threads:
            began = time.perf_counter()
            for begin, items in prepared_here(threads.map, prepare, count, probes, block):
                preparing, since = time.perf_counter() - began, time.perf_counter()
                yield begin, items
                began, done = time.perf_counter(), begin + len(items)
                if can_fork() and preparing > SHARE * (began - since) and preparing * (count - done) > WORTH_FORKING * block:
                    break
    if done < count:
        ready = [prepare(position) for position in range(done, min(done + 1, count))] if done else probes
        with closing(Workers(lambda i: prepare(done + i), count - done, ready, block, ahead, many)) as forked:
            try:
                for begin, items in forked:
                    yield done + begin, items
            except ItemError as error:
                raise ItemError(str(error), done + error.position) from error


def prepared_here(
    run: Callable[..., Iterable[NDArray[Any]]],
    prepare: Callable[[int], NDArray[Any]],
    count: int,
    ready: list[NDArray[Any]],
    block: int,
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield blocks that are prepared in this process; `run` is the built-in `map` or that of threads; `ready` are the first items."""
    memory = np.empty((min(block, count), *ready[0].shape), ready[0].dtype)
    for start in range(0, count, block):
        end = min(start + block, count)
        items = chain(ready[start:end], run(prepare, range(max(start, len(ready)), end)))
        for position, item in enumerate(items, start):
            place(memory[position - start], item, position)
        yield start, memory[: end - start]
