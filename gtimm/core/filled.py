"""Data whose holes are filled, as a table, as rows for a training loop, or as files; nothing that is sealed can be read from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gtimm.core.errors import ConfigError, DataError
from gtimm.core.pool import Pool
from gtimm.core.seeding import stream
from gtimm.core.targets import class_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame
    from torch.utils.data import Dataset

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.media import Payload


@dataclass(frozen=True)
class Fill:
    """How one modality is filled.

    Attributes:
        pool: candidates of each row; its items are their own indices.
        items: by index into the pool's items, those that some hole may take: payloads, files, or vectors (size,).
        own: (rows, size) features of the present payloads where the items are vectors; `None` where they are payloads.
    """

    pool: Pool
    items: Mapping[int, Any]
    own: NDArray[np.float32] | None = None


class Filled:
    """A data set whose holes are filled; made by `impute`. Nothing that is sealed can be read from it.

    Attributes:
        data: the data set, its seals included.
        fills: by modality that was filled, how.
        seed: of the draws.
    """

    def __init__(self, data: MultimodalDataset, fills: Mapping[str, Fill], seed: int) -> None:
        self.data, self.fills, self.seed = data, dict(fills), seed
        reserved = {"label", "filled", *(f"filled_{m}" for m in data.modalities)}
        if clash := sorted(reserved & set(data.modalities)):
            raise DataError(f"A modality is called {clash[0]!r}, which names a column of the result. Rename it.")

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        parts = ", ".join(f"{m} ({int((~self.data.present(m)).sum())} filled)" for m in self.fills)
        return f"Filled({self.data.name!r}: {len(self)} rows, {parts or 'no holes'})"

    def to_frame(self) -> DataFrame:
        """Return a DataFrame of a row each: by modality the row's own payload, or its first fill (generated ones: the path).

        Its other columns are `filled_<modality>`, True where the cell is a fill, and `label`, the class name (or names). Where the imputer
        makes vectors, the own payloads of that modality are embedded too, and the cells hold arrays (size,).
        """
        import pandas as pd

        rows = self.first()
        columns: dict[str, Any] = {m: [row[m] for row in rows] for m in self.data.modalities}
        columns |= {f"filled_{m}": [row[f"filled_{m}"] for row in rows] for m in self.data.modalities}
        if self.data.labels is not None:
            columns["label"] = [class_names(self.data.labels, self.data.classes, row) for row in range(len(self))]
        return pd.DataFrame({name: _column(values) for name, values in columns.items()})

    def to_torch(self, epoch: int = 0) -> Draws:
        """Return the rows with fresh draws for an epoch, as a map-style data set for `torch.utils.data.DataLoader`.

        The same seed and epoch always give the same draws.

        Args:
            epoch: number of the pass over the data; each has its own draws.
        """
        if epoch < 0:
            raise ConfigError(f"epoch must not be negative; found {epoch}.")
        rows = np.arange(len(self))
        u = {m: stream(self.seed, "impute", m, epoch).random(len(self)) for m in self.fills}
        return Draws(self.data, self.fills, {m: fill.pool.draw(rows, u[m]) for m, fill in self.fills.items()})

    def first(self) -> Draws:
        """Return the rows with each hole filled by its first candidate, nothing drawn."""
        rows, zeros = np.arange(len(self)), np.zeros(len(self))
        return Draws(self.data, self.fills, {m: fill.pool.first(1).draw(rows, zeros) for m, fill in self.fills.items()})

    def export(self, folder: str | PathLike[str]) -> None:
        """Write every row with its first fills to a folder, as a Hugging Face imagefolder has it; see `gtimm.core.export`."""
        from gtimm.core.export import export

        export(self, folder)


if TYPE_CHECKING:

    class _MapStyle(Dataset[dict[str, Any]], Sequence[dict[str, Any]]):  # type: ignore[misc]  # torch's knows no slices
        """What `DataLoader` takes by type; at run time any sequence will do, and torch need not be imported."""
else:
    _MapStyle = Sequence


class Draws(_MapStyle):
    """Rows with one candidate in each hole: an item is `{modality: payload, filled_<modality>: bool, label: class index}`.

    The label of multi-label data is (classes,) bool. A hole that nothing fills is `None`. The payloads are as the data set has them
    (paths, arrays, text): decode them in your transform, for example with `gtimm.core.media.load_image`.
    """

    def __init__(self, data: MultimodalDataset, fills: Mapping[str, Fill], drawn: Mapping[str, NDArray[np.int64]]) -> None:
        self._data, self._fills, self._drawn = data, fills, drawn
        self._present = {m: data.present(m) for m in data.modalities}

    def __len__(self) -> int:
        return len(self._data)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"Row {index} is outside the {len(self)} rows of {self._data.name!r}.")
        row = int(index) % len(self)
        item: dict[str, Any] = {m: self._cell(m, row) for m in self._data.modalities}
        for m in self._data.modalities:
            item[f"filled_{m}"] = bool(m in self._drawn and not self._present[m][row] and self._drawn[m][row] >= 0)
        if self._data.labels is not None:
            label = self._data.labels[row]
            item["label"] = label.copy() if self._data.multilabel else int(label)
        return item

    def _cell(self, modality: str, row: int) -> Payload:
        fill = self._fills.get(modality)
        if self._present[modality][row]:
            return self._data.payload(modality, row) if fill is None or fill.own is None else fill.own[row]
        place = -1 if fill is None else int(self._drawn[modality][row])
        return None if fill is None or place < 0 else fill.items[place]


def _column(values: list[Any]) -> Any:
    """Return values as a column of objects where pandas would take arrays apart."""
    if all(isinstance(value, bool) for value in values):
        return values
    cells = np.empty(len(values), object)
    for row, value in enumerate(values):
        cells[row] = value
    return cells
