"""From data set and imputer to a split that a head can be trained on: pools are realised as features here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from gtimm.core.asking import asking, fitted, pooled
from gtimm.core.errors import PluginError
from gtimm.core.features.room import Room
from gtimm.core.media import empty_payload
from gtimm.core.missing import refuse_holes
from gtimm.core.offers import Offer
from gtimm.core.pool import Features, Requests, Rows
from gtimm.core.training.splits import Source, Split
from gtimm.core.view import DatasetView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.backbone import Backbone
    from gtimm.core.bank import Allow
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.fusion import Finishers
    from gtimm.core.imputer import Imputer, State
    from gtimm.core.plugin import Depth
    from gtimm.core.pool import Pool
    from gtimm.core.workspace import Workspace

Role = Literal["train", "eval"]


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
        return fitted(imputer, self.view(imputer, data, "train", items), modality)

    def pool(self, imputer: Imputer, data: MultimodalDataset, modality: str, role: Role, state: State) -> Pool:
        """Return the candidates of every row; what is to be generated is planned, not made.

        Args:
            imputer: whose.
            data: the data set, sealed.
            modality: to fill.
            role: labels are seen in training alone.
            state: from `fit`.

        Raises:
            PluginError: no pool, one for another number of rows, or training rows as candidates at evaluation.
        """
        pool = pooled(imputer, self.view(imputer, data, role), modality, state)
        if role == "eval" and isinstance(pool.items, Rows):
            raise PluginError(
                f"{type(imputer).__name__} named training rows as candidates at evaluation, where nobody holds them. Keep what it needs in "
                "the state that fit returns, and return Features."
            )
        return pool

    def offer(self, imputer: Imputer, data: MultimodalDataset, modality: str, role: Role, state: State) -> Offer:
        """Return the candidates of every row and what gives their payloads or features; arguments and errors as for `pool`."""
        return Offer(self, imputer, data, modality, self.pool(imputer, data, modality, role, state))

    def items(self, source: Imputer, data: MultimodalDataset, modality: str) -> NDArray[np.float32]:
        """Return (items, size) features of all that an imputer offers for training data, made first where they are not there yet."""
        offer = self.offer(source, data, modality, "train", self.fit(source, data, modality))
        return offer.features(np.unique(offer.pool.members))

    def check(self, imputer: Imputer, data: MultimodalDataset, modality: str) -> None:
        """Raise what an imputer has against filling a modality of training data."""
        with asking(imputer, "in check"):
            imputer.check(self.view(imputer, data, "train"), modality)

    def split(
        self,
        data: MultimodalDataset,
        imputers: Mapping[str, Imputer | None],
        states: Mapping[str, State],
        role: Role,
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
                    fills, pool = self._realise(self.offer(imputer, data, modality, role, states.get(modality, {})), role)
                elif not self.accepts_absent:
                    refuse_holes(modality, int((index < 0).sum()))
            sources[modality] = Source(own, index, fills, pool, (hidden or {}).get(modality))
        return Split(data.labels, sources)

    def constant(self, imputer: Imputer | None, state: State, data: MultimodalDataset, modality: str) -> Tensor | None:
        """Return (size,) what an evaluation imputer puts in every hole; as by `zero` where it differs by row, `None` without one."""
        if imputer is None:
            return None
        offer = self.offer(imputer, data, modality, "eval", state)
        pool = offer.pool
        if len(pool.items) != 1 or pool.group.any() or isinstance(pool.items, Requests):
            return torch.from_numpy(self._nothing(offer))
        return torch.from_numpy(offer.features(np.zeros(1, np.int64)))[0]

    def view(
        self,
        imputer: Imputer,
        data: MultimodalDataset,
        role: Role,
        items: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> DatasetView:
        """Return what an imputer sees of a data set; `items` answers for its source while it is fitted."""
        visible = role == "train" and imputer.needs_label()
        return DatasetView(data, self.workspace, self.backbones, self.depth, visible, items)

    def _realise(self, offer: Offer, role: Role) -> tuple[Tensor, Pool]:
        """Return (items + 1, size) features of what holes may take, the last what fills bare rows, and the pool of them."""
        pool, bare = offer.pool, offer.bare()
        used = pool.used(np.flatnonzero(~offer.data.present(offer.modality)))
        room = Room(len(pool.items) + 1, offer.size, self.workspace.home)
        for part, values in offer.parts(used):
            room.write(used[part], values)
        if len(bare):
            room.write(np.array([len(pool.items)]), self._nothing(offer)[None])
            if role == "train":
                self.unfilled[offer.modality] = len(bare)
                offer.warn_of(bare, "zeros" if self.depth == "pooled" else "an empty payload")
        fills = room.array()
        return torch.from_numpy(fills), replace(pool, items=Features(fills)).with_default(bare, len(pool.items))

    def _nothing(self, offer: Offer) -> NDArray[np.float32]:
        """Return (size,) what stands where no candidate is: zeros, or of stored features those of an empty payload."""
        if self.depth == "pooled":
            return np.zeros(offer.size, np.float32)
        kind = offer.data.kind(offer.modality)
        return self.workspace.embed(self.backbones[offer.modality], kind, [empty_payload(kind)], self.depth).reshape(-1)
