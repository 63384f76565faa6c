"""What is to be embedded, and how errors name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gtimm.core.errors import DataError
from gtimm.core.media import describe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gtimm.core.backbone import Backbone
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth


@dataclass(frozen=True)
class Job:
    """Payloads to embed: of a data set's rows (`modality` and `rows` are set), or of no data set."""

    backbone: Backbone
    kind: str
    depth: Depth
    keys: list[bytes]
    payload: Callable[[int], Payload]
    modality: str | None = None
    rows: NDArray[np.int64] | None = None

    def row(self, index: int) -> str:
        """Return how an error about a payload begins."""
        return "" if self.rows is None else f"Row {self.rows[index]}: "

    def not_finite(self, index: int, count: int) -> DataError:
        """Return what to raise where features are not finite."""
        what = repr(self.modality) if self.modality else describe(self.payload(index))
        return DataError(f"{self.row(index)}the embedding of {what} is not finite ({count} rows). Check its payload.")
