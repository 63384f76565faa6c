"""From data set and imputer to a split that a head can be trained on: pools are realised as features here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from gtimm.core.errors import PluginError
from gtimm.core.features.room import Room, parts
from gtimm.core.imputer import Generator
from gtimm.core.media import empty_payload
from gtimm.core.missing import refuse_holes
from gtimm.core.pool import Features, Payloads, Requests, Rows
from gtimm.core.training.splits import Source, Split
from gtimm.core.view import DatasetView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.backbone import Backbone
    from gtimm.core.bank import Allow
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.fusion import Finishers
    from gtimm.core.imputer import Imputer, State
    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth
    from gtimm.core.pool import Pool
    from gtimm.core.workspace import Workspace


@dataclass(frozen=True)
class Filler:
    """Makes splits: holds what all splits of one Pipeline share.

    Attributes:
        workspace: features, bank and counters.
        backbones: by modality, in order.
        depth: of the features.
        engine: where generation runs.
        allow: whether generation may run long.
        accepts_absent: whether the fusion works with what nothing fills.
        unfilled: by modality, how many training rows had no candidate and were filled as by `zero`.
        taken: files of the generated items that went in.
    """

    workspace: Workspace
    backbones: Mapping[str, Backbone]
    depth: Depth
    engine: Engine
    allow: Allow
    accepts_absent: bool
    unfilled: dict[str, int] = field(default_factory=dict)
    taken: set[Path] = field(default_factory=set)

    def encoders(self, kinds: Mapping[str, str]) -> Finishers | None:
        """Return what finishes stored features of these kinds, by modality; `None` where they are whole embeddings."""
        from gtimm.core.fusion import Finisher

        if self.depth == "pooled":
            return None
        return {m: Finisher.of(self.backbones[m], kind, self.workspace) for m, kind in kinds.items()}

    def fit(self, imputer: Imputer, data: MultimodalDataset, modality: str) -> State:
        """Fit an imputer on training data; what its source offers is made and embedded when it asks for it."""
        source = imputer.source()
        items = None if source is None else partial(self.items, source, data)
        return imputer.fit(self._view(data, imputer, "train", items), modality)

    def items(self, source: Imputer, data: MultimodalDataset, modality: str) -> NDArray[np.float32]:
        """Return (items, size) features of all that an imputer offers for training data, made first where they are not there yet."""
        pool = source.pool(self._view(data, source, "train"), modality, self.fit(source, data, modality))
        _, index = self.workspace.column(data, modality, self.backbones[modality], self.depth)
        return self._features(pool, np.unique(pool.members), source, data, modality, index)

    def check(self, imputer: Imputer, data: MultimodalDataset, modality: str) -> None:
        """Raise what an imputer has against filling a modality of training data."""
        imputer.check(self._view(data, imputer, "train"), modality)

    def split(
        self,
        data: MultimodalDataset,
        imputers: Mapping[str, Imputer | None],
        states: Mapping[str, State],
        role: Literal["train", "eval"],
        hidden: Mapping[str, Tensor | None] | None = None,
    ) -> Split:
        """Return a split with every hole filled, or left absent where the imputer is `None` and the fusion takes that.

        Args:
            data: the data set, sealed.
            imputers: by modality.
            states: by modality, from `fit`.
            role: only training rows may be filled by label.
            hidden: by modality, what modality dropout puts in place.
        """
        sources = {}
        for modality, backbone in self.backbones.items():
            table, index = self.workspace.column(data, modality, backbone, self.depth)
            own = torch.from_numpy(table)
            fills, pool = None, None
            if (index < 0).any():
                imputer = imputers.get(modality)
                if imputer is not None:
                    pool = imputer.pool(self._view(data, imputer, role), modality, states.get(modality, {}))
                    fills, pool = self._realise(pool, imputer, data, modality, index, role)
                elif not self.accepts_absent:
                    refuse_holes(modality, int((index < 0).sum()))
            sources[modality] = Source(own, index, fills, pool, (hidden or {}).get(modality))
        return Split(data.labels, sources)

    def constant(self, imputer: Imputer | None, state: State, data: MultimodalDataset, modality: str) -> Tensor | None:
        """Return (size,) what an evaluation imputer puts in every hole; as by `zero` where it differs by row, `None` without one."""
        if imputer is None:
            return None
        pool = imputer.pool(self._view(data, imputer, "eval"), modality, state)
        if len(pool.items) != 1 or pool.group.any() or isinstance(pool.items, (Rows, Requests)):
            return torch.from_numpy(self._nothing(modality, data.kind(modality)))
        return torch.from_numpy(self._features(pool, np.zeros(1, np.int64), imputer, data, modality, np.zeros(0, np.int64)))[0]

    def _view(
        self,
        data: MultimodalDataset,
        imputer: Imputer,
        role: Literal["train", "eval"],
        items: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> DatasetView:
        visible = role == "train" and imputer.needs_label()
        return DatasetView(data, self.workspace, self.backbones, self.depth, visible, items)

    def _realise(
        self, pool: Pool, imputer: Imputer, data: MultimodalDataset, modality: str, index: NDArray[np.int64], role: str
    ) -> tuple[Tensor, Pool]:
        if len(pool.group) != len(data):
            raise PluginError(f"{type(imputer).__name__} made a pool for {len(pool.group)} rows; the data has {len(data)}.")
        holes = np.flatnonzero(index < 0)
        used = pool.used(holes)
        size = self.backbones[modality].size(data.kind(modality), self.depth)
        room = Room(len(pool.items) + 1, size, self.workspace.home)
        if role == "eval" and isinstance(pool.items, Rows):
            raise PluginError(
                f"{type(imputer).__name__} named training rows as candidates at evaluation, where nobody holds them. Keep what it needs in "
                "the state that fit returns, and return Features."
            )
        if len(used):
            for part, values in self._parts(pool, used, imputer, data, modality, index):
                room.write(used[part], values)
        bare = holes[pool.counts()[holes] == 0]
        if len(bare) and role == "train":
            self.unfilled[modality] = len(bare)
            warnings.warn(
                f"{len(bare)} rows have no candidate for {modality!r} in {type(imputer).__name__} and are filled with "
                f"{'zeros' if self.depth == 'pooled' else 'an empty payload'}.",
                RuntimeWarning,
                stacklevel=2,
            )
        if len(bare):
            room.write(np.array([len(pool.items)]), self._nothing(modality, data.kind(modality))[None])
        fills = room.array()
        realised = replace(pool, items=Features(fills))
        return torch.from_numpy(fills), realised.with_default(bare, len(pool.items))

    def _nothing(self, modality: str, kind: str) -> NDArray[np.float32]:
        """Return (size,) what stands where no candidate is: zeros, or of stored features those of an empty payload."""
        backbone = self.backbones[modality]
        if self.depth == "pooled":
            return np.zeros(backbone.size(kind, self.depth), np.float32)
        return self.workspace.embed(backbone, kind, [empty_payload(kind)], self.depth).reshape(-1)

    def _features(
        self,
        pool: Pool,
        used: NDArray[np.int64],
        imputer: Imputer,
        data: MultimodalDataset,
        modality: str,
        index: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return (used, size) features of items."""
        room = Room(len(used), self.backbones[modality].size(data.kind(modality), self.depth), self.workspace.home)
        for part, values in self._parts(pool, used, imputer, data, modality, index):
            room.write(np.arange(part.start, part.stop), values)
        return room.array()

    def _parts(
        self,
        pool: Pool,
        used: NDArray[np.int64],
        imputer: Imputer,
        data: MultimodalDataset,
        modality: str,
        index: NDArray[np.int64],
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield which of the used items, and their features."""
        items, backbone, kind = pool.items, self.backbones[modality], data.kind(modality)
        size, name = backbone.size(kind, self.depth), type(imputer).__name__
        get: Callable[[slice], NDArray[np.float32]]
        if isinstance(items, Features):
            if items.values.ndim != 2 or items.values.shape[1] != size:
                raise PluginError(f"{name} made features of shape {items.values.shape}; {modality!r} needs (items, {size}).")

            def get(part: slice) -> NDArray[np.float32]:
                values: NDArray[np.float32] = items.values[used[part]].astype(np.float32, copy=False)
                if not np.isfinite(values).all():
                    raise PluginError(f"{name} made features for {modality!r} that are not finite.")
                return values

        elif isinstance(items, Rows):
            places = index[items.values[used]] if len(index) else np.full(1, -1)
            if (places < 0).any():
                raise PluginError(f"{name} named rows without {modality!r} as candidates.")
            table, _ = self.workspace.column(data, modality, backbone, self.depth)

            def get(part: slice) -> NDArray[np.float32]:
                rows: NDArray[np.float32] = table[places[part]]
                return rows

        else:
            payloads = self._payloads(items, used, imputer)

            def get(part: slice) -> NDArray[np.float32]:
                return self.workspace.embed(backbone, kind, payloads[part], self.depth)

        for part in parts(len(used), size):
            yield part, get(part)

    def _payloads(self, items: Payloads | Requests, used: NDArray[np.int64], imputer: Imputer) -> list[Payload]:
        """Return payloads of items, made where they are not there yet."""
        if isinstance(items, Payloads):
            return [items.values[i] for i in used]
        if not isinstance(imputer, Generator):
            raise PluginError(f"{type(imputer).__name__} returned requests, but it is no Generator: nobody can make them.")
        paths = self.workspace.items(imputer, items.values, used.tolist(), self.engine, self.allow)
        self.taken.update(paths)
        return [str(path) for path in paths]
