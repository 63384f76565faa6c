"""What is to be embedded, and how errors name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gtimm.core.errors import DataError
from gtimm.core.media import describe

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth
    from gtimm.core.row_names import RowNames


@dataclass(frozen=True)
class Job:
    """Payloads to embed: of a data set's rows (`modality` and `row_names` are set), or of no data set."""

    backbone: Backbone
    kind: str
    depth: Depth
    keys: list[bytes]
    payload: Callable[[int], Payload]
    modality: str | None = None
    row_names: RowNames | None = None

    def row(self, index: int) -> str:
        """Return how an error about a payload begins."""
        return "" if self.row_names is None else f"{self.row_names[index]}, modality {self.modality!r}: "

    def rows(self, first: int, last: int) -> str:
        """Return how an error about payloads from one to another begins."""
        return "" if self.row_names is None else f"{self.row_names[first]} to {self.row_names.within(last)}: "

    def not_finite(self, index: int, count: int) -> DataError:
        """Return what to raise where features are not finite."""
        return DataError(
            f"{self.row(index)}the embedding of {describe(self.payload(index))} is not finite ({count} rows). Check its payload."
        )
