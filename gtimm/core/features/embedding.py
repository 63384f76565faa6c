"""Embedding: payloads are cut into the batches of a plan, which an engine runs.

A feature depends on its payload and, in the last digit, on what computes it: the size of its batch, its place in it, the threads, the
kind of processor. Batches, their size and the threads are the plan's, so every engine gives the same values bit for bit on the same
kind of processor, and so does a job that was interrupted and goes on, since batches are stored whole. Between kinds of processor
(another CPU, a GPU) and where memory runs out, which halves batches, features agree to rounding only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gtimm.core.errors import LostBatchError, reworded
from gtimm.core.features.encoding import Batch, EncodingWorker, prepare_item, unlike
from gtimm.core.features.preparing import prepare_blocks
from gtimm.core.features.workers import ItemError, cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.engine import Batches, Engine
    from gtimm.core.features.job import Job
    from gtimm.core.options import EmbedOptions

SIZE = 64  # items of a batch


def planned(keys: Sequence[bytes], missing: Sequence[int], size: int) -> list[int]:
    """Return the missing positions in the order in which they are cut into batches of a size, the last with what is left.

    Batches are cut from all distinct keys; those that lack as a whole come first, so they are the same whatever was stored before.
    What is missing of others is packed.
    """
    first: dict[bytes, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    distinct, lacks = list(first.values()), set(missing)
    whole: list[int] = []
    for start in range(0, len(distinct) - size + 1, size):
        batch = distinct[start : start + size]
        if lacks.issuperset(batch):
            whole += batch
    return whole + sorted(lacks.difference(whole))


def embed(
    job: Job,
    missing: Sequence[int],
    engine: Engine,
    device: str,
    options: EmbedOptions,
) -> Generator[tuple[list[int], NDArray[np.float32]], None, None]:
    """Embed the missing payloads of a job; yields `(positions, features (n, size))` of a batch as batches finish.

    Args:
        job: the payloads.
        missing: positions, each of another key.
        engine: where.
        device: that this process computes on.
        options: how.

    Raises:
        GtimmError: no memory even for a batch of one, or what the engine raises; names the rows of a batch that was given up.
        PluginError: a payload took the process that prepared it down, or is not like others when prepared; names the row.
        Exception: what `prepare` and the encoder raise.
    """
    size, threads = options.batch_size or SIZE, torch.get_num_threads()
    order = planned(job.keys, missing, size)
    places = [order[start : start + size] for start in range(0, len(order), size)]
    make = partial(EncodingWorker, job.backbone, options, threads)

    def prepare(position: int) -> NDArray[Any]:
        return prepare_item(job.backbone, job.kind, job.payload(order[position]), job.row(order[position]))

    with ExitStack() as stack:
        batches: Batches[Batch] = _Sent(job, places)
        if engine.here:
            ahead = 3 if torch.device(device).type != "cpu" or threads < cores() else 1
            blocks = prepare_blocks(prepare, len(order), size, ahead, options.workers)
            batches = _Prepared(job, stack.enter_context(closing(blocks)), len(places))
        try:
            for index, values in stack.enter_context(closing(engine.run(make, batches, device, threads))):
                yield places[index], values
        except ItemError as error:
            index = order[error.position]
            raise unlike(job.payload(index), job.row(index), error) from error
        except LostBatchError as error:
            rows = job.rows(places[error.batch][0], places[error.batch][-1])
            raise reworded(error, f"{rows}{error}") from error


class _Prepared:
    """Batches that are prepared here, read in order."""

    def __init__(self, job: Job, blocks: Iterator[tuple[int, NDArray[Any]]], count: int) -> None:
        self._job, self._blocks, self._count = job, blocks, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Batch:
        return Batch(self._job.kind, self._job.depth, next(self._blocks)[1])


class _Sent:
    """Batches of payloads, which are read when a batch is, so that few are in memory."""

    def __init__(self, job: Job, places: Sequence[Sequence[int]]) -> None:
        self._job, self._places = job, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Batch:
        places, job = self._places[index], self._job
        return Batch(job.kind, job.depth, None, [job.payload(i) for i in places], [job.row(i) for i in places])
