"""The embedding engine: payloads are prepared by worker processes and encoded in batches, at the rate the machine allows.

On a CPU preparing and encoding want the same cores, so they take turns, each with all of them: with both at once the encoder's
threads wait for one another. Threads prepare as long as that is a small part of the work, since an encoder runs several percent
slower in a process that has forked (measured: 7.1 against 6.6 CPU seconds for 64 images and a ViT-B/32); where preparing is a
larger part, processes do it, which the interpreter's lock does not hold up. Beside a GPU, or where the encoder is held to fewer
threads than there are cores, processes run ahead of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gtimm.core.errors import GtimmError
from gtimm.core.features.workers import ItemError, Workers, can_fork, cores, place
from gtimm.core.products import FastLinears

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.backbone import Encoder
    from gtimm.core.options import EmbedOptions
    from gtimm.core.plugin import Depth

START = 64  # items a batch
LARGEST = 256
GAIN = 1.1  # a batch twice as large is kept where it is so much faster
BLOCK_BYTES = 1 << 28
PROBES = 3  # items that are prepared here, to learn what one costs
WORTH_FORKING = 0.25  # seconds of preparing
SHARE = 0.25  # of the encoder's time; where preparing takes more, processes are worth what they cost the encoder
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def embed(
    prepare: Callable[[int], Tensor],
    count: int,
    encoder: Callable[[], Encoder],
    kind: str,
    depth: Depth,
    device: str,
    options: EmbedOptions,
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Embed items 0..count in order; yields `(first position, features (n, size))` as they are made.

    Args:
        prepare: position to the encoder's input for one item; runs in worker processes.
        count: how many items.
        encoder: loads the encoder; called when the workers have begun.
        kind: of the items.
        depth: of the features.
        device: the encoder's.
        options: how.

    Raises:
        GtimmError: no memory even for a batch of one.
        Exception: what `prepare` and the encoder raise.
    """
    size = _BatchSize(options.batch_size or START, search=options.batch_size is None and torch.device(device).type != "cpu")
    ahead = 3 if torch.device(device).type != "cpu" or torch.get_num_threads() < cores() else 1
    with closing(_prepared(prepare, count, size.largest, ahead, options.workers)) as blocks:
        encode: _Encode | None = None
        for begin, items in blocks:
            if encode is None:
                encode = _Encode(encoder(), kind, depth, device, options)
            yield from ((begin + first, values) for first, values in _batches(encode, items, size))


def _prepared(
    prepare: Callable[[int], Tensor], count: int, largest: int, ahead: int, workers: int | None
) -> Generator[tuple[int, NDArray[Any]], None, None]:
    """Yield blocks of prepared items, `(first position, (n, *shape))`, valid until the next is asked for."""

    def array(position: int) -> NDArray[Any]:
        item = prepare(position)
        return item.detach().numpy() if isinstance(item, torch.Tensor) else np.asarray(item)

    probes: list[NDArray[Any]] = []
    seconds, block = float("inf"), 1
    while len(probes) < min(PROBES, count, block):
        began = time.perf_counter()
        probes.append(array(len(probes)))
        seconds = min(seconds, time.perf_counter() - began)
        block = max(1, min(largest, count, BLOCK_BYTES // max(1, probes[0].nbytes)))
    many = min(cores() if workers is None else workers, count - len(probes))
    if many < 1 or (workers is None and seconds * (count - len(probes)) < WORTH_FORKING):
        yield from _prepared_here(map, array, count, probes, block)
        return
    done = 0
    if not can_fork() or (ahead == 1 and workers is None):
        with ThreadPoolExecutor(many) as threads:
            began = time.perf_counter()
            for begin, items in _prepared_here(threads.map, array, count, probes, block):
                preparing, since = time.perf_counter() - began, time.perf_counter()
                yield begin, items
                began, done = time.perf_counter(), begin + len(items)
                if can_fork() and preparing > SHARE * (began - since) and preparing * (count - done) > WORTH_FORKING * block:
                    break
    if done < count:
        ready = [array(position) for position in range(done, min(done + 1, count))] if done else probes
        with closing(Workers(lambda i: array(done + i), count - done, ready, block, ahead, many)) as forked:
            try:
                for begin, items in forked:
                    yield done + begin, items
            except ItemError as error:
                raise ItemError(str(error), done + error.position) from error


def _prepared_here(
    run: Callable[..., Iterable[NDArray[Any]]],
    array: Callable[[int], NDArray[Any]],
    count: int,
    ready: list[NDArray[Any]],
    block: int,
) -> Iterator[tuple[int, NDArray[Any]]]:
    memory = np.empty((block, *ready[0].shape), ready[0].dtype)
    for start in range(0, count, block):
        end = min(start + block, count)
        items = chain(ready[start:end], run(array, range(max(start, len(ready)), end)))
        for position, item in enumerate(items, start):
            place(memory[position - start], item, position)
        yield start, memory[: end - start]


def _batches(encode: _Encode, items: NDArray[Any], size: _BatchSize) -> Iterator[tuple[int, NDArray[np.float32]]]:
    start = 0
    while start < len(items):
        batch = items[start : start + size.now]
        began = time.perf_counter()
        try:
            values = encode(batch)
        except (RuntimeError, MemoryError) as error:
            if not _lacks_memory(error):
                raise
            if len(batch) == 1:
                raise GtimmError(
                    f"There is not enough memory to encode a single item: {error}. Use a smaller model or another device."
                ) from error
            values = None
        if values is None:  # out of the except block, so that the error's frames hold the tensors no more
            size.halve(len(batch))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        size.record(len(batch), time.perf_counter() - began)
        yield start, values
        start += len(batch)


class _BatchSize:
    """The batch size in use: halved when memory runs out, doubled while that pays if it is to be searched."""

    def __init__(self, start: int, search: bool) -> None:
        self.now = start
        self.largest = max(LARGEST, start) if search else start
        self._search, self._seen, self._rate = search, 0, 0.0

    def record(self, items: int, seconds: float) -> None:
        """Learn from a batch; the first of each size warms up and does not count."""
        if not self._search or items < self.now:
            return
        self._seen += 1
        if self._seen < 2:
            return
        rate, self._seen = items / max(seconds, 1e-9), 0
        if rate < GAIN * self._rate:
            self.now, self._search = max(1, self.now // 2), False
        elif 2 * self.now > self.largest:
            self._search = False
        else:
            self._rate, self.now = rate, 2 * self.now

    def halve(self, failed: int) -> None:
        """A batch of so many items was too large."""
        self.now, self._search = max(1, failed // 2), False


class _Encode:
    """An encoder with the options applied: prepared items (n, *shape) to float32 features (n, size) on the CPU."""

    def __init__(self, encoder: Encoder, kind: str, depth: Depth, device: str, options: EmbedOptions) -> None:
        self._encoder, self._kind, self._depth, self._device = encoder, kind, depth, torch.device(device)
        self._last = options.channels_last
        self._bfloat16 = options.precision == "bfloat16"
        if self._last and isinstance(module := getattr(encoder, "model", None), torch.nn.Module):
            module.to(memory_format=torch.channels_last)
        self._compiled = options.compile
        self._call: Callable[..., Tensor] = torch.compile(encoder.encode) if options.compile else encoder.encode

    def __call__(self, items: NDArray[Any]) -> NDArray[np.float32]:
        batch = torch.from_numpy(items).to(self._device)
        if self._last and batch.dim() == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        cast = torch.autocast(self._device.type, torch.bfloat16) if self._bfloat16 else nullcontext()
        fast = nullcontext() if self._compiled else FastLinears()  # type: ignore[no-untyped-call]
        with torch.inference_mode(), cast, fast:
            out = self._call(self._kind, batch, self._depth)
        return np.array(out.float().cpu().numpy())  # a copy: an encoder may return its input, whose memory is used again


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in str(error).lower() for text in OUT_OF_MEMORY)
