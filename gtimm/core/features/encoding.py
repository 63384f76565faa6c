"""A worker that encodes batches: an encoder with the options applied, in smaller parts where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gtimm.core.errors import GtimmError, PluginError, reworded
from gtimm.core.features.encoders import loaded
from gtimm.core.features.preparing import prepared_here
from gtimm.core.features.workers import ItemError
from gtimm.core.media import describe
from gtimm.core.products import FastLinears
from gtimm.core.seeding import torch_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.backbone import Backbone
    from gtimm.core.media import Payload
    from gtimm.core.options import EmbedOptions
    from gtimm.core.plugin import Depth

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Batch:
    """Items to encode.

    Attributes:
        kind: of the items.
        depth: of their features.
        items: (n, *shape) prepared; `None` where the worker prepares them.
        payloads: what it prepares.
        names: of the payloads; errors begin with them, such as `"Row 7: "`.
    """

    kind: str
    depth: Depth
    items: NDArray[Any] | None = None
    payloads: Sequence[Payload] = ()
    names: Sequence[str] = ()


class EncodingWorker:
    """Encodes one batch after another; the encoder is loaded for the first.

    Args:
        backbone: whose encoder it is; prepares what comes unprepared.
        options: how.
        threads: to encode with. Features depend on it in the last digit, so it is set, whatever the machine would take.
        device: the encoder's.
    """

    def __init__(self, backbone: Backbone, options: EmbedOptions, threads: int, device: str) -> None:
        self._backbone, self._options, self._threads, self._device = backbone, options, threads, torch.device(device)
        self._size: int | None = None  # of a part, once memory ran out

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """Return (n, size) features of n items.

        Raises:
            GtimmError: no memory even for a single item.
            PluginError: items of one batch are not alike.
            Exception: what `prepare` and the encoder raise.
        """
        items = self._prepared(batch) if batch.items is None else batch.items
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(items):
            part = items[start : start + (self._size or len(items))]
            values = self._encoded(batch, part)
            if values is None:
                self._size = max(1, len(part) // 2)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            parts.append(values)
            start += len(part)
        return np.concatenate(parts)

    def _prepared(self, batch: Batch) -> NDArray[Any]:
        def prepare(position: int) -> NDArray[Any]:
            return prepare_item(self._backbone, batch.kind, batch.payloads[position], batch.names[position])

        count = len(batch.payloads)
        try:
            first = prepare(0)
            return next(iter(prepared_here(self._pool.map, prepare, count, [first], count)))[1]
        except ItemError as error:
            raise unlike(batch.payloads[error.position], batch.names[error.position], error) from error

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(1, self._threads if self._options.workers is None else self._options.workers))

    @cached_property
    def _call(self) -> Callable[..., Tensor]:
        encoder = loaded(self._backbone, str(self._device), channels_last=self._options.channels_last)
        return torch.compile(encoder.encode) if self._options.compile else encoder.encode

    def _encoded(self, batch: Batch, items: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return float32 features on the CPU, `None` where the items do not fit in memory together."""
        call = self._call
        try:
            tensor = torch.from_numpy(items).to(self._device, copy=True)  # in memory of torch, whose alignment is always the same
            if self._options.channels_last and tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            cast = torch.autocast(self._device.type, torch.bfloat16) if self._options.precision == "bfloat16" else nullcontext()
            fast = nullcontext() if self._options.compile else FastLinears()  # type: ignore[no-untyped-call]
            with torch_threads(self._threads), torch.inference_mode(), cast, fast:
                values: NDArray[np.float32] = call(batch.kind, tensor, batch.depth).float().cpu().numpy()
                return values
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            if len(items) == 1:
                raise GtimmError(
                    f"There is not enough memory to encode a single item: {error}. Use a smaller model or another device."
                ) from error
        return None  # out of the except block, so that the error's frames hold the tensors no more


def prepare_item(backbone: Backbone, kind: str, payload: Payload, name: str) -> NDArray[Any]:
    """Return the encoder's input for one payload as an array; an error of ours begins with `name`."""
    try:
        item = backbone.prepare(kind, payload)
    except GtimmError as error:
        raise reworded(error, f"{name}{error}") from error
    return item.detach().numpy() if isinstance(item, torch.Tensor) else np.asarray(item)


def unlike(payload: Payload, name: str, error: ItemError) -> PluginError:
    """Return what to raise where an item is not like the others, or took its worker down."""
    return PluginError(f"{name}{describe(payload)}: {error}")


def lacks_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out, of this machine or of an accelerator."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in str(error).lower() for text in OUT_OF_MEMORY)
