"""An imputer: embeddings drawn from a normal distribution."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from gtimm.core.imputer import Imputer, State, View
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.seeding import stream


class GaussianFill(Imputer):
    """Vectors from a normal distribution with the mean and the spread, number by number, of the training rows that have the modality.

    Training draws one of them for each hole, afresh each epoch; evaluation takes the first, which is the mean itself.

    Attributes:
        draws: vectors to choose from.
        seed: of the vectors.
    """

    info: ClassVar[Info] = Info(items="feature", licence="Apache-2.0")

    draws: int = Field(default=10, ge=1)
    seed: int = 0

    def fit(self, train: View, target: str) -> State:
        """Return `mean` and `spread` (dim,): all that `pool` needs, and saved with the model."""
        there = train.features(target)[train.present(target)]
        if not len(there):
            there = np.zeros((1, train.dim(target)), np.float32)
        return {"mean": there.mean(0), "spread": there.std(0)}

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the vectors; every row may take each."""
        noise = stream(self.seed, "gaussian", target).standard_normal((self.draws, view.dim(target)), np.float32)
        noise[0] = 0
        return Pool.constant(Features(state["mean"] + state["spread"] * noise), view.rows)
