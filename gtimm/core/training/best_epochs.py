"""Which epoch of each run is the best on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from gtimm.core.training.losses import scores_by_row, stacked_targets
from gtimm.core.training.splits import Split, Tables, refuse_not_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.fusion import Head
    from gtimm.core.training.stacking import Stacked, Tensors
    from gtimm.core.training.trainer import Run


class BestEpochs:
    """Keeps each run's weights of its best epoch on validation; of the last epoch where there is no validation set."""

    def __init__(self, runs: list[Run], judged: Tables | None) -> None:
        self.runs = runs
        self.best = torch.full((len(runs),), -1.0)
        self.kept: Tensors = {}
        self.tables = None
        for run in runs:
            run.history, run.diverged = [], None
        if judged is None:
            return
        vals = [cast("Split", run.val) for run in runs]
        self.tables = judged.of(vals)
        if not all(table.finite() for table in self.tables.values.values()):
            for val in vals:
                refuse_not_finite(val, "Validation row")
        placed = [self.tables.first(which) for which in range(len(runs))]
        self.places = {m: torch.stack([p[0][m] for p in placed]) for m in self.tables.modalities}
        self.filled = torch.stack([p[1] for p in placed])
        self.observed = torch.stack([p[2] for p in placed])
        self.rows = 2048
        if all(torch.equal(value, value[:1].expand_as(value)) for value in self.places.values()):
            self.places = {m: value[0] for m, value in self.places.items()}  # one set of features serves all
        else:
            self.rows = max(2048 // len(runs), runs[0].options.batch_size)
        self.targets = stacked_targets([cast("NDArray[np.int64]", val.labels) for val in vals], runs[0].dtype)

    def epoch(self, epoch: int, weights: Tensors, buffers: Tensors, forward: Stacked) -> None:
        """Score an epoch and keep what is better than before."""
        if self.tables is None:
            for run in self.runs:
                run.best_epoch = epoch
            return
        score = self._score(self.tables, weights, buffers, forward)
        alive = torch.tensor([run.diverged is None for run in self.runs])
        better = alive & (score > self.best)
        self.best = torch.where(better, score, self.best)
        for name, value in weights.items():
            kept = self.kept.setdefault(name, torch.empty_like(value))
            kept[better] = value.detach()[better]
        for run, value, improved in zip(self.runs, score.tolist(), better.tolist(), strict=True):
            if run.diverged is None and run.history is not None:
                run.history.append(value)
            if improved:
                run.best_epoch = epoch

    def _score(self, tables: Tables, weights: Tensors, buffers: Tensors, forward: Stacked) -> Tensor:
        total = torch.zeros(len(self.runs))
        with torch.no_grad():
            for begin in range(0, self.targets.shape[1], self.rows):
                chosen = slice(begin, begin + self.rows)
                x = {m: tables.values[m].take(self.places[m][..., chosen]) for m in tables.modalities}
                out = forward(weights, buffers, x, self.filled[:, chosen], self.observed[:, chosen])
                total += scores_by_row(out, self.targets[:, chosen]).sum(1)
        return total / self.targets.shape[1]

    def finish(self, heads: list[Head], weights: Tensors) -> None:
        """Give each run its head with the kept weights, in evaluation mode; none where it diverged before any were kept."""
        kept = weights if self.tables is None else self.kept
        for which, (run, head) in enumerate(zip(self.runs, heads, strict=True)):
            if run.diverged and not run.history:
                continue
            with torch.no_grad():
                for name, parameter in head.named_parameters():
                    parameter.copy_(kept[name][which])
            run.head = head.eval().requires_grad_(False)
