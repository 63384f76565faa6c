"""The payloads of one modality as a sequence: shared by masked copies of a data set, and picked without copying."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from gtimm.core.errors import DataError
from gtimm.core.media import Payload
from gtimm.core.targets import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Shared:
    """One modality's payloads, shared by every masked copy of a data set, and the content keys found so far."""

    values: Sequence[Payload]
    keys: dict[int, bytes] = field(default_factory=dict)


@runtime_checkable
class KnowsHoles(Protocol):
    """A sequence that knows which of its payloads are there without reading them."""

    def there(self) -> NDArray[np.bool_]:
        """Return (rows,) True where there is a payload."""


class Picked(Sequence[Payload]):
    """A sequence of chosen elements of another, without copying them."""

    def __init__(self, values: Sequence[Payload], rows: NDArray[np.int64]) -> None:
        self.values, self.rows = values, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Payload:
        value: Payload = self.values[int(self.rows[index])]
        return value


class Holed(Sequence[Payload]):
    """A sequence with more holes than it had, without copying it.

    Args:
        values: what it was.
        present: (rows,) True where there still is a payload.
    """

    def __init__(self, values: Sequence[Payload], present: NDArray[np.bool_]) -> None:
        self._values, self._present = values, present

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Payload:
        return self._values[index] if self._present[index] else None

    def there(self) -> NDArray[np.bool_]:
        """Return (rows,) True where there is a payload."""
        return self._present.copy()


def without(values: Sequence[Payload], rows: Collection[int]) -> Sequence[Payload]:
    """Return the payloads with holes in these rows."""
    present = present_of(values)
    present[list(rows)] = False
    return Holed(values, present)


def by_position(values: Any) -> Sequence[Payload]:
    """Return payloads that are read by position: a copy of a list or a pandas column, whose own index may be another."""
    kept = isinstance(values, (Sequence, np.ndarray)) and not isinstance(values, list)
    return cast("Sequence[Payload]", values) if kept else list(values)


def present_of(values: Sequence[Payload]) -> NDArray[np.bool_]:
    """Return (rows,) True where there is a payload."""
    if isinstance(values, KnowsHoles):
        return values.there()
    if isinstance(values, np.ndarray) and values.ndim > 1 and values.dtype != object:
        return np.ones(len(values), bool)
    return np.fromiter((not is_missing(value) for value in values), bool, len(values))


def check_lengths(name: str, lengths: Mapping[str, int], modalities: int) -> None:
    """Raise `DataError` for a data set without modalities or rows, or whose columns are of unequal length."""
    if not modalities:
        raise DataError(f"{name!r} has no modality.")
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"Unequal lengths: {', '.join(f'{m} {n}' for m, n in lengths.items())}. Every modality needs one entry a row."
        )
    if not any(lengths.values()):
        raise DataError(f"{name!r} has no rows.")
