"""Fills that are the same for all rows, or for all rows of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from gtimm.core.imputer import Imputer
from gtimm.core.media import empty_payload
from gtimm.core.plugin import Depth, Info
from gtimm.core.pool import Features, Payloads, Pool

if TYPE_CHECKING:
    from gtimm.core.imputer import State, View


class ZeroFill(Imputer):
    """Zeros (section 6.2, "zero-filling imputation"); the paper leaves open at which level.

    Attributes:
        level: `"embedding"` puts a zero vector; `"payload"` a black image, silence or an empty text through the backbone. Left out
            beside a fusion of `last_block` features it is `"payload"`: there a zero vector stands for nothing.
    """

    info: ClassVar[Info] = Info(depths=("pooled", "last_block"))  # items: a vector or a payload, by level

    level: Literal["embedding", "payload"] = "embedding"

    def serves(self) -> tuple[Depth, ...]:
        """Return every depth at payload level, and pooled embeddings only at embedding level."""
        return self.info.depths if self.level == "payload" else ("pooled",)

    def for_depth(self, depth: Depth) -> ZeroFill:
        """Return the level that serves the depth, unless one was chosen."""
        return self if "level" in self.model_fields_set or depth in self.serves() else type(self)(level="payload")

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return one item for every row."""
        if self.level == "payload":
            return Pool.constant(Payloads([empty_payload(view.kind(target))]), view.rows)
        return Pool.constant(Features(np.zeros((1, view.dim(target)), np.float32)), view.rows)


class MeanFill(Imputer):
    """The mean embedding of the training rows that have the modality; zeros where none has."""

    info: ClassVar[Info] = Info(items="feature")

    def fit(self, train: View, target: str) -> State:
        """Return `mean` (dim,)."""
        there = train.features(target)[train.present(target)]
        return {
            "mean": there.mean(0, dtype=np.float64).astype(np.float32) if len(there) else np.zeros(train.dim(target), np.float32)
        }

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return one item for every row."""
        return Pool.constant(Features(np.asarray(state["mean"], np.float32)[None]), view.rows)


class ClassMean(Imputer):
    """The mean embedding of the training rows of the same class; a class without any stays absent (filled as by `zero`)."""

    info: ClassVar[Info] = Info(items="feature", needs_label=True)

    def fit(self, train: View, target: str) -> State:
        """Return `means` (classes found, dim) and `owners` (classes found,)."""
        assert train.labels is not None
        there, features = train.present(target), train.features(target)
        owners = np.unique(train.labels[there])
        means = [features[there & (train.labels == c)].mean(0, dtype=np.float64) for c in owners]
        return {"means": np.array(means, np.float32).reshape(len(owners), train.dim(target)), "owners": owners.astype(np.int64)}

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return one item a class."""
        assert view.labels is not None
        means = Features(np.asarray(state["means"], np.float32))
        return Pool.by_class(means, np.asarray(state["owners"]), view.labels, len(view.classes))
