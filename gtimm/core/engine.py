"""Engines: where batches of work run. A worker is made once and then called for each batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import ClassVar, Protocol, TypeVar

from gtimm.core.plugin import Plugin

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Read_co = TypeVar("Read_co", covariant=True)


class Batches(Protocol[Read_co]):
    """Batches by index, such as a list."""

    def __len__(self) -> int:
        """Return how many."""
        ...

    def __getitem__(self, index: int, /) -> Read_co:
        """Return one; an engine asks for each once, when a worker has room for it, since reading may claim it and costs memory."""
        ...


class Engine(Plugin, ABC):
    """Runs batches on workers. Write `run`.

    Who calls it has cut the work into batches, and a result depends on its batch and on the number of threads alone, which the worker
    sets itself. So every engine gives the same bytes, in whatever order and by however many workers.

    Attributes:
        here: there is one worker, in this process, and it gets the batches in order, each read just before it is worked at. Then models
            that are loaded here serve, and the cores of this machine may prepare what comes next.

    Example:
        >>> class Backwards(Engine):
        ...     def run(self, make_worker, batches, device=None, threads=1):
        ...         worker = make_worker(device or "cpu")
        ...         for index in reversed(range(len(batches))):
        ...             yield index, worker(batches[index])
        >>> list(Backwards().run(lambda device: str.upper, ["a", "b"]))
        [(1, 'B'), (0, 'A')]
    """

    here: ClassVar[bool] = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Runs inside the block may share workers, so that a model that serves one after another is loaded once; by default they do not."""
        yield

    @abstractmethod
    def run(
        self,
        make_worker: Callable[[str], Callable[[Batch], Result]],
        batches: Batches[Batch],
        device: str | None = None,
        threads: int = 1,
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield `(index of the batch, result)` as batches finish, in any order; each batch exactly once.

        Args:
            make_worker: called once by each worker, where that is, with the device that it computes on. Unless the engine is `here`, it,
                batches and results are sent by pickling.
            batches: read one by one.
            device: that this process computes on, such as `"cuda"`; `None` where the work needs no accelerator.
            threads: that a worker will compute with; an engine may give it as many cores.

        Raises:
            Exception: what a worker raised, not tried again. Whatever ends the run, closing the generator included, workers end too.
            LostBatchError: a batch whose workers were lost again and again.
            EngineError: no worker can be had.
        """
