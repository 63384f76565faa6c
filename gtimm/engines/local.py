"""This process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import ClassVar

from gtimm.core.engine import Batch, Batches, Engine, Result


class LocalEngine(Engine):
    """Runs batches one after another in this process; the worker is made for the first."""

    here: ClassVar[bool] = True

    def run(
        self,
        make_worker: Callable[[str], Callable[[Batch], Result]],
        batches: Batches[Batch],
        device: str | None = None,
        threads: int = 1,
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield results in order."""
        if len(batches):
            worker = make_worker(device or "cpu")
            for index in range(len(batches)):
                yield index, worker(batches[index])
