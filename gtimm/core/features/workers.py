"""Decoding in worker processes: items go straight into shared memory, where the encoder reads them.

The workers are forked, so they have the payloads, and plug-ins that were defined in a notebook, without a copy, and no script
needs a guard around its main part. They compute with one thread each and never touch a GPU. Where a system cannot fork, items
are prepared in the process itself.
"""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import PluginError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from numpy.typing import NDArray

_TASK = struct.Struct("<qq")
_PIECES = 8  # a worker's share of a block is cut in so many, so that all end at about the same time


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Return whether workers can be forked here: not on macOS, where a fork after threads is unsafe, nor in a daemon."""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


@contextmanager
def forking() -> Iterator[None]:
    """Fork in this block, and call `forked` in the child: garbage of the parent is then never collected there.

    It may own threads, as a frame of PyAV does that was scaled. They do not exist in the child, where freeing it waits for them for ever.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def forked() -> None:
    """Leave alone what the parent left, and collect one's own garbage; see `forking`."""
    gc.freeze()
    gc.enable()


class ItemError(PluginError):
    """A worker died, or a prepared item is not like the others; the item is the one at `position`."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message, position)
        self.position = position

    def __str__(self) -> str:
        return str(self.args[0])


class Workers:
    """Processes that prepare items 0..count and hand them over in order, in blocks.

    Args:
        prepare: position to an array.
        count: how many items there are.
        ready: the first items, at least one and at most a block: prepared already, and like all that follow.
        block: items in a block.
        ahead: how many blocks may be under way or waiting; 1 lets the workers rest while a block is being used.
        workers: how many processes.

    Raises:
        ItemError: a worker died; the message names the signal.
        Exception: what `prepare` raised, of the first item of its block that failed.
    """

    def __init__(
        self,
        prepare: Callable[[int], NDArray[Any]],
        count: int,
        ready: Sequence[NDArray[Any]],
        block: int,
        ahead: int,
        workers: int,
    ) -> None:
        self._prepare, self._count, self._ready, self._block, self._ahead = prepare, count, len(ready), block, ahead
        first = ready[0]
        memory = mmap.mmap(-1, max(1, first.nbytes * block * ahead))
        self._slots = np.frombuffer(memory, first.dtype, first.size * block * ahead).reshape(ahead, block, *first.shape)
        for position, item in enumerate(ready):
            place(self._slots[0, position], item, position)
        self._at = np.frombuffer(mmap.mmap(-1, 8 * workers), np.int64)
        self._tasks, self._feed = os.pipe()
        self._processes: list[BaseProcess] = []
        self._replies: list[Connection] = []
        context = multiprocessing.get_context("fork")
        for which in range(workers):
            reply, answer = context.Pipe(duplex=False)
            process = context.Process(target=self._work, args=(which, answer), daemon=True, name=f"gtimm-prepare-{which}")
            with forking():
                process.start()
            answer.close()
            self._processes.append(process)
            self._replies.append(reply)

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield `(first position, items (n, *shape))`; the items are overwritten when the next are asked for."""
        begins = range(0, self._count, self._block)
        left: Counter[int] = Counter()
        for begin in begins[: self._ahead]:
            left[begin] = self._order(begin)
        for number, begin in enumerate(begins):
            if number >= 1 and number + self._ahead - 1 < len(begins):  # the slot of the block before is free again
                later = begins[number + self._ahead - 1]
                left[later] = self._order(later)
            self._wait(left, begin)
            yield begin, self._slots[self._slot(begin)][: min(self._block, self._count - begin)]

    def close(self) -> None:
        """End the workers."""
        os.close(self._feed)
        os.close(self._tasks)
        for process in self._processes:
            process.kill()
            process.join()
        for reply in self._replies:
            reply.close()

    def _slot(self, position: int) -> int:
        return position // self._block % self._ahead

    def _order(self, begin: int) -> int:
        """Set the workers to a block; returns in how many pieces."""
        end = min(begin + self._block, self._count)
        begin = max(begin, self._ready)
        step = max(1, (end - begin) // (_PIECES * len(self._processes)))
        pieces = [(first, min(first + step, end)) for first in range(begin, end, step)]
        for piece in pieces:
            os.write(self._feed, _TASK.pack(*piece))
        return len(pieces)

    def _wait(self, left: Counter[int], begin: int) -> None:
        """Wait until all pieces of a block are there."""
        failed: dict[int, BaseException] = {}
        while left[begin]:
            ready = wait([*self._replies, *(process.sentinel for process in self._processes)])
            for which, (reply, process) in enumerate(zip(self._replies, self._processes, strict=True)):
                try:
                    if reply in ready or reply.poll():
                        position, error = reply.recv()
                        left[position // self._block * self._block] -= 1
                        if error is not None:
                            failed[position] = error
                    elif process.sentinel in ready:
                        raise EOFError
                except (EOFError, OSError):
                    raise self._death(which) from None
        if failed:
            raise failed[min(failed)]

    def _death(self, which: int) -> ItemError:
        process = self._processes[which]
        process.join(5)
        code = process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
        often = " That is often a lack of memory." if code == -signal.SIGKILL else ""
        return ItemError(
            f"A worker process {how} while it prepared this payload.{often} Replace the payload, or embed with fewer workers.",
            int(self._at[which]),
        )

    def _work(self, which: int, answer: Connection) -> None:
        forked()
        import torch

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
        os.close(self._feed)  # so that reading ends when the parent does
        torch.set_num_threads(1)
        while task := os.read(self._tasks, _TASK.size):
            first, end = _TASK.unpack(task)
            try:
                for position in range(first, end):
                    self._at[which] = position
                    place(self._slots[self._slot(position), position % self._block], self._prepare(position), position)
            except Exception as error:  # handed to the parent, which raises it
                answer.send((self._at[which].item(), _portable(error)))
            else:
                answer.send((first, None))


def place(slot: NDArray[Any], item: NDArray[Any], position: int) -> None:
    """Copy an item to where the encoder reads it; raises `ItemError` if it is not like the first item."""
    if item.shape != slot.shape or item.dtype != slot.dtype:
        raise ItemError(
            f"Prepared payloads must be alike: found {item.dtype} {item.shape} after {slot.dtype} {slot.shape}. "
            "Backbone.prepare must give one shape and type for a kind.",
            position,
        )
    slot[...] = item


def _portable(error: Exception) -> Exception:
    """Return an error that survives the way to the parent, with the worker's traceback as a note."""
    error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # errors of plug-ins may not survive pickling
        return PluginError(f"{type(error).__name__}: {error}")
    return error
