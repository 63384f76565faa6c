"""This process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gtimm.core.engine import Batch, Engine, Result


class LocalEngine(Engine):
    """Runs batches one after another in this process; the worker is made for the first."""

    def run(self, make_worker: Callable[[], Callable[[Batch], Result]], batches: Sequence[Batch]) -> Iterator[tuple[int, Result]]:
        """Yield results in order."""
        if batches:
            worker = make_worker()
            for index, batch in enumerate(batches):
                yield index, worker(batch)
