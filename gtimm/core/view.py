"""What an imputer sees of a data set: never a sealed payload, and labels only where it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.backbone import comparable
from gtimm.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gtimm.core.backbone import Backbone
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth
    from gtimm.core.workspace import Workspace


class DatasetView:
    """The `View` of a data set through a workspace's features.

    Args:
        data: the data set, its seals included.
        workspace: where features come from.
        backbones: by modality.
        depth: of the features.
        labels: whether labels may be seen.
        items: what answers `items`, for an imputer that is fitted.
    """

    def __init__(
        self,
        data: MultimodalDataset,
        workspace: Workspace,
        backbones: Mapping[str, Backbone],
        depth: Depth,
        labels: bool,
        items: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> None:
        self._data, self._workspace, self._backbones, self._depth = data, workspace, backbones, depth
        self._items = items
        self.rows = len(data)
        self.modalities = tuple(backbones)
        self.classes = data.classes
        self.labels: NDArray[np.int64] | None = None
        if labels and data.labels is not None:
            self.labels, self.classes = data.groups()

    def kind(self, modality: str) -> str:
        """Return the modality's kind."""
        return self._data.kind(modality)

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Return (rows,), True where the payload is there."""
        return self._data.present(modality)

    def payload(self, modality: str, row: int) -> Payload:
        """Return one payload; raises where it is absent or sealed."""
        return self._data.payload(modality, row)

    def features(self, modality: str) -> NDArray[np.float32]:
        """Return (rows, dim) embeddings, NaN where absent or sealed."""
        table, index = self._workspace.column(self._data, modality, self._backbones[modality], self._depth)
        result = np.full((self.rows, table.shape[1]), np.nan, np.float32)
        result[index >= 0] = table
        return result

    def dim(self, modality: str) -> int:
        """Return the length of an embedding, without computing one."""
        return self._backbones[modality].size(self.kind(modality), self._depth)

    def comparable(self, modality: str) -> tuple[str, ...]:
        """Return the other modalities whose embeddings lie in one space with this one's."""
        return comparable(modality, {m: self.kind(m) for m in self._backbones}, self._backbones)

    def items(self, modality: str) -> NDArray[np.float32]:
        """Return (items, dim) embeddings of what the imputer's source offers, made first where it is not there yet.

        Raises:
            PluginError: the imputer names no source, or is not being fitted.
        """
        if self._items is None:
            raise PluginError("View.items is for `fit` of an imputer that names a `source`; keep what `pool` needs in the state.")
        return self._items(modality)
