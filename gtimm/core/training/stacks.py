"""Runs of one form, trained together: epochs, draws, batches, steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import stack_module_state

from gtimm.core.asking import asking, built
from gtimm.core.errors import GtimmError, PluginError
from gtimm.core.seeding import stream, torch_seeded
from gtimm.core.training.balancing import Balancer
from gtimm.core.training.best_epochs import BestEpochs
from gtimm.core.training.losses import row_weights, stacked_targets
from gtimm.core.training.splits import Tables, refuse_not_finite
from gtimm.core.training.stacking import Batches, Stacked, StackedAdamW, Tensors, stack
from gtimm.core.training.steps import Step, worth_recording

if TYPE_CHECKING:
    from threading import Event

    from numpy.typing import NDArray

    from gtimm.core.fusion import Head
    from gtimm.core.training.trainer import Run

    I64 = NDArray[np.int64]

DIVERGED = 100
"""A run has diverged when its mean loss over an epoch is above this many times that of its first step."""


def build(run: Run) -> Head:
    """Return a run's untrained head."""
    with torch_seeded(run.seed, "weights"):
        return built(run.fusion, run.sizes, run.classes, run.encoders).to(run.dtype)


def _held(forward: Stacked, run: Run) -> Stacked:
    """Return heads whose errors name their fusion, and whose logits are held to the shape that they must have."""

    def run_heads(w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor) -> Tensor:
        with asking(run.fusion, "in its head's forward"):
            logits = forward(w, b, x, f, o)
        if logits.shape[1:] != (f.shape[1], run.classes):
            found = tuple(logits.shape[1:])
            raise PluginError(
                f"The head of {type(run.fusion).__name__} returned logits {found}; expected ({f.shape[1]}, {run.classes})."
            )
        return logits

    return run_heads


class Stack:
    """Runs of one signature, trained together.

    Args:
        runs: one after another of equal rates.
        tables: features of their training rows, and of others.
        judged: features of their validation rows, and of others.
        every: steps that all stacks of this training take.
        like: another stack of as many runs of this signature, if there is one: what it recorded serves this one too.
    """

    def __init__(self, runs: list[Run], tables: Tables, judged: Tables | None, every: int = 0, like: Stack | None = None) -> None:
        self.runs, self.options = runs, runs[0].options
        stackable = runs[0].fusion.capabilities().stackable
        self.heads = [build(run) for run in runs]
        self.weights, self.buffers = stack_module_state(cast("list[torch.nn.Module]", self.heads))
        learnt = {name: value for name, value in self.weights.items() if value.requires_grad}
        self.optimiser = StackedAdamW(learnt, [run.rates for run in runs])
        self.learnt = self.optimiser.weights
        self.weights = {name: self.learnt.get(name, value) for name, value in self.weights.items()}
        forward = _held(stack(self.heads[0], stackable=stackable), runs[0])
        self.step: Step = Step(forward, like.step.recording if like else None)
        self.tables = tables.of([run.train for run in runs])
        self.targets = stacked_targets([cast("I64", run.train.labels) for run in runs], runs[0].dtype)
        self.row_weights = self._row_weights()
        self.streams = [stream(run.seed, "epochs") for run in runs]
        self.best = BestEpochs(runs, judged)
        self.first: Tensor | None = None
        balance, seeds = runs[0].balance, [run.seed for run in runs]
        self.balancer = (
            Balancer(balance, self.heads[0], self.tables.modalities, seeds, stackable=stackable) if balance is not None else None
        )
        if like is None and stackable and len(runs) > 1 and worth_recording(runs[0].full_steps, every):
            self._record()

    def train(self, stop: Event) -> None:
        """Train all epochs and give each run its head; return early, without heads, once `stop` is set."""
        batches = Batches(self.tables.values, len(self.runs) * min(self.options.batch_size, len(self.runs[0].train)))
        for epoch in range(self.runs[0].epochs):
            loss = self._epoch(epoch, batches, stop)
            if loss is None:
                return
            self._check(loss, epoch)
            if all(run.diverged for run in self.runs):
                break
            self.best.epoch(epoch, self.weights, self.buffers, self.step.forward)
        self.best.finish(self.heads, self.weights)

    def _record(self) -> None:
        """Record the step on the first rows, which are as good as any."""
        rows = slice(0, self.options.batch_size)
        placed = [self.tables.first(which) for which in range(len(self.runs))]
        places = {m: torch.stack([p[0][m][rows] for p in placed]) for m in self.tables.modalities}
        x = Batches(self.tables.values, len(self.runs) * self.options.batch_size)(places)
        filled, observed = torch.stack([p[1][rows] for p in placed]), torch.stack([p[2][rows] for p in placed])
        weights = None if self.row_weights is None else self.row_weights[:, rows]
        self.step.record(self.weights, self.buffers, x, filled, observed, self.targets[:, rows], weights)

    def _epoch(self, epoch: int, batches: Batches, stop: Event) -> Tensor | None:
        """Pass over all rows once; return the mean loss of each run, NaN where its weights are no longer finite; `None` if stopped."""
        places, filled, observed, order = draw(self.runs, self.tables, self.streams)
        places = {m: place.gather(1, order) for m, place in places.items()}
        filled, observed, targets = (_ordered(value, order) for value in (filled, observed, self.targets))
        weights = None if self.row_weights is None else self.row_weights.gather(1, order)
        total = torch.zeros(len(self.runs))
        for begin in range(0, order.shape[1], self.options.batch_size):
            if stop.is_set():
                return None
            part = (slice(None), slice(begin, begin + self.options.batch_size))
            x, f, o, y = batches({m: place[part] for m, place in places.items()}), filled[part], observed[part], targets[part]
            losses, found = self.step(self.weights, self.buffers, x, f, o, y, None if weights is None else weights[part])
            if self.balancer is not None:
                found = self._balanced(found, epoch, x, f, o, y)
            self.optimiser.step(found)
            total += losses.sum(1)
            if self.first is None:
                self.first = losses.mean(1)
        finite = torch.stack([value.detach().reshape(len(value), -1).isfinite().all(1) for value in self.learnt.values()]).all(0)
        return torch.where(finite, total / order.shape[1], torch.nan)

    def _balanced(
        self, gradients: Sequence[Tensor | None], epoch: int, x: Tensors, f: Tensor, o: Tensor, y: Tensor
    ) -> tuple[Tensor | None, ...]:
        assert self.balancer is not None
        for value, gradient in zip(self.learnt.values(), gradients, strict=True):
            value.grad = gradient
        self.balancer(epoch, self.weights, self.buffers, x, f, o, y)
        return tuple(value.grad for value in self.learnt.values())

    def _row_weights(self) -> Tensor | None:
        """Return (runs, rows) loss weights, `None` where all are 1."""
        if all(run.options.fill_weight == 1 and run.options.class_weights is None for run in self.runs):
            return None
        found = []
        for which, run in enumerate(self.runs):
            imputed, options = self.tables.first(which)[1].any(1).numpy(), run.options
            fill = cast("float", options.fill_weight)
            found.append(row_weights(cast("I64", run.train.labels), run.classes, imputed, fill, options.class_weights))
        return torch.from_numpy(np.stack(found)).to(self.runs[0].dtype)

    def _check(self, loss: Tensor, epoch: int) -> None:
        """Mark the runs that diverged in this epoch, or raise for one that may not fail."""
        least = torch.log(torch.tensor(float(max(self.runs[0].classes, 2))))
        assert self.first is not None
        for run, value, first in zip(self.runs, loss.tolist(), self.first.tolist(), strict=True):
            if run.diverged or value <= DIVERGED * max(first, float(least)):
                continue
            refuse_not_finite(run.train, "Training row")
            how = f"{value:.3g}, from {first:.3g} at the first step," if np.isfinite(value) else "not finite"
            run.diverged = (
                f"The loss of seed {run.seed} is {how} after epoch {epoch + 1}. Lower the learning rate "
                f"(lr={run.rates[0]:g}) or check the features."
            )
            if not run.may_fail:
                raise GtimmError(run.diverged)


def _ordered(values: Tensor, order: Tensor) -> Tensor:
    """Return values (runs, rows, ...) with each run's rows in its order."""
    runs, rows = order.shape
    flat = (order + torch.arange(0, runs * rows, rows)[:, None]).flatten()
    return values.flatten(0, 1).index_select(0, flat).view(values.shape)


def draw(runs: list[Run], tables: Tables, streams: list[np.random.Generator]) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Return what an epoch draws for each run: places of features by modality, (runs, rows) filled, observed, and the rows' order."""
    every = []
    for which, (run, random) in enumerate(zip(runs, streams, strict=True)):
        order = torch.from_numpy(random.permutation(len(run.train)))
        places, filled, observed = tables.drawn(which, random)
        with asking(run.fusion, "in hide"):
            hidden = run.fusion.hide(tables.modalities, torch.from_numpy(random.random(filled.shape, dtype=np.float32)))
        if hidden is not None:
            tables.hide(which, hidden, places, filled, observed)
        every.append((places, filled, observed, order))
    return (
        {m: torch.stack([e[0][m] for e in every]) for m in tables.modalities},
        torch.stack([e[1] for e in every]),
        torch.stack([e[2] for e in every]),
        torch.stack([e[3] for e in every]),
    )
