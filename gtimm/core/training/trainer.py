"""Training heads on frozen features: many runs of equal shape as one stacked problem.

A run is one seed of one method. Runs whose heads are pure and of equal shape train together with `torch.func`: each keeps its
own learning rate, weights, order of rows, draws from its pools, dropout and best epoch, so it ends where it would alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gtimm.core.options import TrainOptions
from gtimm.core.training.schedule import train_group
from gtimm.core.training.search import candidates, settle
from gtimm.core.training.splits import Split, Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.balance import Balance
    from gtimm.core.fusion import Fusion, Head

    I64 = NDArray[np.int64]


@dataclass
class Run:
    """One head to train.

    Attributes:
        fusion: makes the head.
        classes: number of classes.
        train: rows to train on; labels are class indices, or (rows, classes) bool for sets of classes.
        val: rows that choose the epoch; without them the last is kept.
        options: with several values of an option the best on `val` is taken.
        seed: of weights, order and draws.
        encoders: handed to `Fusion.build`: what finishes stored features, by modality.
        balance: modulates the gradients.
        may_fail: whether the others go on when this run diverges; otherwise that is an error.
        head: the trained head.
        history: score on `val` by epoch: accuracy, or the mean F1 of the rows' sets of classes.
        best_epoch: from 0; the one whose weights `head` has.
        diverged: why the run was stopped; its head is then that of its best epoch before, if any.
        chosen: the values taken of the searched options.
        tried: each candidate's values and its best score, `None` where it diverged.
    """

    fusion: Fusion
    classes: int
    train: Split
    val: Split | None
    options: TrainOptions
    seed: int
    encoders: Any = None
    balance: Balance | None = None
    may_fail: bool = False
    head: Head | None = None
    history: list[float] | None = None
    best_epoch: int = 0
    diverged: str | None = None
    chosen: dict[str, float] = field(default_factory=dict)
    tried: list[dict[str, float | None]] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """Feature length by modality."""
        return {m: s.own.shape[1] for m, s in self.train.sources.items()}

    @property
    def dtype(self) -> torch.dtype:
        """What the head computes in: that of the features, at least float32."""
        return torch.promote_types(next(iter(self.train.sources.values())).own.dtype, torch.float32)

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return self.options.epochs_for()

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rate and weight decay."""
        return cast("float", self.options.lr), self.options.weight_decay

    @property
    def full_steps(self) -> int:
        """How many steps with a whole batch there will be."""
        return self.epochs * (len(self.train) // self.options.batch_size)

    def signature(self) -> tuple[object, ...]:
        """Runs with one signature train as one problem."""
        val = len(self.val) if self.val is not None else -1
        encoders = tuple(dict(self.encoders or {}).items())
        method = (type(self.fusion), repr(self.fusion), type(self.balance), repr(self.balance))
        shape = (tuple(self.sizes.items()), self.classes, np.ndim(cast("I64", self.train.labels)), self.dtype)
        return (*method, *shape, len(self.train), val, self.epochs, self.options.batch_size, encoders)


def train(runs: Sequence[Run]) -> None:
    """Train every run's head; sets `head`, `history` and `best_epoch`, and where options are searched `chosen` and `tried`.

    Raises:
        ConfigError: several values to choose from and no validation rows.
        DataError: features that are not finite; names the row.
        GtimmError: a run diverged, or all candidates of one.
    """
    tried = [candidates(run) for run in runs]
    groups: dict[tuple[object, ...], list[Run]] = {}
    for position, run in enumerate(one for each in tried for one in each):
        alone = () if run.fusion.capabilities().stackable else (position,)
        groups.setdefault(run.signature() + alone, []).append(run)
    every = sum(group[0].full_steps for group in groups.values())
    for group in groups.values():
        group.sort(key=lambda run: run.rates)
        tables = Tables([run.train for run in group])
        judged = Tables([run.val for run in group if run.val is not None]) if group[0].val is not None else None
        train_group(group, tables, judged, every)
    for run, trained in zip(runs, tried, strict=True):
        if trained[0] is not run:
            settle(run, trained)
