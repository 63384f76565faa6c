"""What makes one batch after another: a generator that is opened once, in smaller parts where memory runs out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gtimm.core.asking import asking
from gtimm.core.bank.lines import described
from gtimm.core.errors import GenerationError, PluginError

if TYPE_CHECKING:
    from gtimm.core.imputer import Failure, Generator
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request


@dataclass(frozen=True)
class Made:
    """What a worker made of one batch.

    Attributes:
        items: one a request; none where the batch was another process's.
        size: how many were made together: less than the batch where memory ran out.
        seconds: what that took.
        device: where.
    """

    items: list[Payload | Failure]
    size: int = 0
    seconds: float = 0.0
    device: str = ""


class Worker:
    """Makes batches with a generator that is opened for the first; halves them when memory runs out, and stays at that."""

    def __init__(self, generator: Generator, device: str) -> None:
        self._generator, self._device = generator, device
        self._make: Callable[[Sequence[Request]], list[Payload | Failure]] | None = None
        self._size = generator.batch_size

    def on(self, device: str) -> Worker:
        """Return the worker for a device: this one, which may have its model already, where it is the same."""
        return self if device == self._device else Worker(self._generator, device)

    def __call__(self, batch: Sequence[Request]) -> Made:
        """Make one batch; an empty one costs nothing."""
        if not batch:
            return Made([])
        if self._make is None:
            with asking(self._generator, "in open"):
                self._make = self._generator.open(self._device)
        began = time.monotonic()
        while True:
            size = min(self._size, len(batch))
            try:
                return Made(self._in_parts(self._make, batch, size), size, time.monotonic() - began, self._device)
            except (MemoryError, RuntimeError) as error:
                if not isinstance(error, MemoryError):  # else nothing more is loaded
                    from gtimm.core.features.encoding import lacks_memory

                    if not lacks_memory(error):
                        raise
                if size == 1:
                    raise GenerationError(
                        f"There is not enough memory to make a single item: {error}. Use a smaller model, size or another device."
                    ) from error
            self._size = (size + 1) // 2
            _free_memory()

    def _in_parts(
        self, make: Callable[[Sequence[Request]], list[Payload | Failure]], batch: Sequence[Request], size: int
    ) -> list[Payload | Failure]:
        items: list[Payload | Failure] = []
        for start in range(0, len(batch), size):
            part = list(batch[start : start + size])
            with asking(self._generator, f"as it made {len(part)} items, the first {described(part[0])}"):
                made = make([*part, *[part[-1]] * (size - len(part))])
            if not isinstance(made, Sequence) or len(made) != size:
                found = f"{len(made)} items" if isinstance(made, Sequence) else type(made).__name__
                raise PluginError(f"{type(self._generator).__name__} returned {found} for {size} requests.")
            items += made[: len(part)]
        return items


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
