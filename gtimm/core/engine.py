"""Engines: where batches of work run. A worker is made once and then called for each batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from gtimm.core.plugin import Plugin

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class Engine(Plugin, ABC):
    """Runs batches on workers. Write `run`."""

    @abstractmethod
    def run(self, make_worker: Callable[[], Callable[[Batch], Result]], batches: Sequence[Batch]) -> Iterator[tuple[int, Result]]:
        """Yield `(index of the batch, result)` as batches finish, in any order; each batch exactly once."""
