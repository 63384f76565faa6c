"""Training heads on frozen features: many runs of equal shape as one stacked problem.

A run is one seed of one method. Runs whose heads are pure and of equal shape train together with `torch.func`: each keeps its
own learning rate, weights, order of rows, draws from its pools, dropout and best epoch, so it ends where it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor
from torch.func import stack_module_state
from torch.nn.functional import embedding

from gtimm.core.errors import GtimmError
from gtimm.core.seeding import stream, torch_seeded, torch_threads
from gtimm.core.training.balancing import Balancer
from gtimm.core.training.losses import by_row, row_weights, scores_by_row, stacked_targets
from gtimm.core.training.search import candidates, settle
from gtimm.core.training.splits import Split, Tables, refuse_not_finite
from gtimm.core.training.stacking import Batches, Stacked, StackedAdamW, Tensors, stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.balance import Balance
    from gtimm.core.fusion import Fusion, Head

    I64 = NDArray[np.int64]

STACK_BYTES = 1 << 28
SMALL_STEP = 1 << 27  # multiplications; below it a second thread costs more than it brings, many times more on a busy machine
DIVERGED = 100
"""A run has diverged when its mean loss over an epoch is above this many times that of its first step."""


class TrainOptions(BaseModel):
    """Optimisation: AdamW, as in Tables 8 and 9 of the paper.

    Attributes:
        epochs: passes over the training rows; `None` takes 30 where a modality is text and 15 elsewhere.
        lr: learning rate; of several, such as the paper's `[1e-4, 2e-4, 5e-4]`, the best on validation is taken.
        weight_decay: decoupled weight decay.
        batch_size: rows a step; the last step of an epoch takes what is left.
        fill_weight: loss weight of the rows in which an imputer fills something, beside 1 of the others; a batch's loss is the
            weighted mean. Of several the best on validation is taken.
        class_weights: a loss weight a class in their order, or `"balanced"`: rows / (classes * rows of the class).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int | None = Field(default=None, ge=1)
    lr: float | tuple[float, ...] = 5e-4
    weight_decay: float = Field(default=1e-4, ge=0)
    batch_size: int = Field(default=128, ge=1)
    fill_weight: float | tuple[float, ...] = 1.0
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None

    @field_validator("lr", "fill_weight", "class_weights")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if value == () or (not isinstance(value, str | None) and not all(0 < v < float("inf") for v in np.atleast_1d(value))):
            raise ValueError(f"must be above 0 and finite; found {value!r}")
        return value


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
    def rates(self) -> tuple[float, float]:
        """Learning rate and weight decay."""
        return cast("float", self.options.lr), self.options.weight_decay

    def signature(self) -> tuple[object, ...]:
        """Runs with one signature train as one problem."""
        val = len(self.val) if self.val is not None else -1
        encoders = tuple(dict(self.encoders or {}).items())
        method = (type(self.fusion), repr(self.fusion), type(self.balance), repr(self.balance))
        shape = (tuple(self.sizes.items()), self.classes, np.ndim(cast("I64", self.train.labels)), self.dtype)
        return (*method, *shape, len(self.train), val, self.options.epochs, self.options.batch_size, encoders)


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
    for group in groups.values():
        group.sort(key=lambda run: run.rates)
        tables = Tables([run.train for run in group])
        judged = Tables([run.val for run in group if run.val is not None]) if group[0].val is not None else None
        for chunk in _chunks(group):
            _Stack(chunk, tables, judged).train()
    for run, trained in zip(runs, tried, strict=True):
        if trained[0] is not run:
            settle(run, trained)


def logits(head: Head, split: Split) -> Tensor:
    """Return (rows, classes) logits with each hole filled by its first candidate."""
    tables = Tables([split])
    places, filled, observed = tables.first(0)
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(split), 4096):
            chosen = slice(begin, begin + 4096)
            x = {m: tables.values[m][places[m][chosen]] for m in tables.values}
            parts.append(head(x, filled[chosen], observed[chosen]))
    return torch.cat(parts)


def _chunks(group: list[Run]) -> Iterator[list[Run]]:
    """Cut runs into stacks that fit the memory limit; the features are shared by all and not counted."""
    step = 1 if len(group) == 1 else max(1, STACK_BYTES // _bytes(group[0], _build(group[0])))
    for begin in range(0, len(group), step):
        yield group[begin : begin + step]


def _bytes(run: Run, head: Head) -> int:
    """Return what one more run takes at its peak: weights, gradients and moments, one batch, and an epoch's draws."""
    saved = 0

    def count(value: Tensor) -> Tensor:
        nonlocal saved
        saved += value.numel() * value.element_size()
        return value

    x = {m: torch.zeros(2, size, dtype=run.dtype) for m, size in run.sizes.items()}
    masks = torch.zeros(2, len(x), dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        head(x, masks, ~masks)
    weights = sum(value.numel() * value.element_size() for value in head.parameters())
    batch = run.dtype.itemsize * (sum(run.sizes.values()) + 6 * run.classes) + (saved - weights if saved > weights else saved)
    return 6 * weights + run.options.batch_size * batch + len(run.train) * (40 + 36 * len(x))


def _build(run: Run) -> Head:
    with torch_seeded(run.seed, "weights"):
        return run.fusion.build(run.sizes, run.classes, run.encoders).to(run.dtype)


class _Stack:
    """Runs of one signature, trained together.

    Args:
        runs: one after another of equal rates.
        tables: features of their training rows, and of others.
        judged: features of their validation rows, and of others.
    """

    def __init__(self, runs: list[Run], tables: Tables, judged: Tables | None) -> None:
        self.runs, self.options = runs, runs[0].options
        stackable = runs[0].fusion.capabilities().stackable
        self.heads = [_build(run) for run in runs]
        self.weights, self.buffers = stack_module_state(cast("list[torch.nn.Module]", self.heads))
        self.learnt = {name: value for name, value in self.weights.items() if value.requires_grad}
        self.forward = stack(self.heads[0], stackable=stackable)
        self.optimiser = StackedAdamW(self.learnt, [run.rates for run in runs])
        self.tables = tables.of([run.train for run in runs])
        self.targets = stacked_targets([cast("I64", run.train.labels) for run in runs], runs[0].dtype)
        self.row_weights = self._row_weights()
        self.streams = [stream(run.seed, "epochs") for run in runs]
        self.judge = _Judge(runs, judged)
        self.first: Tensor | None = None
        balance, seeds = runs[0].balance, [run.seed for run in runs]
        self.balancer = (
            Balancer(balance, self.heads[0], self.tables.modalities, seeds, stackable=stackable) if balance is not None else None
        )

    def train(self) -> None:
        """Train all epochs and give each run its head."""
        size = sum(value.numel() for value in self.learnt.values())
        batches = Batches(self.tables.values, len(self.runs) * min(self.options.batch_size, len(self.runs[0].train)))
        with torch_threads(1 if self.options.batch_size * size < SMALL_STEP else None):
            for epoch in range(self.options.epochs or 15):
                self._check(self._epoch(epoch, batches), epoch)
                if all(run.diverged for run in self.runs):
                    break
                self.judge.epoch(epoch, self.weights, self.buffers, self.forward)
        self.judge.finish(self.heads, self.weights)

    def _epoch(self, epoch: int, batches: Batches) -> Tensor:
        """Pass over all rows once; return the mean loss of each run, NaN where its weights are no longer finite."""
        places, filled, observed, order = _epoch(self.runs, self.tables, self.streams)
        places = {m: place.gather(1, order) for m, place in places.items()}
        filled, observed, targets = (_ordered(value, order) for value in (filled, observed, self.targets))
        weights = None if self.row_weights is None else self.row_weights.gather(1, order)
        total = torch.zeros(len(self.runs))
        for begin in range(0, order.shape[1], self.options.batch_size):
            part = (slice(None), slice(begin, begin + self.options.batch_size))
            x, f, o, y = batches({m: place[part] for m, place in places.items()}), filled[part], observed[part], targets[part]
            losses = by_row(self.forward(self.weights, self.buffers, x, f, o), y)
            mean = losses.mean(1) if weights is None else (losses * weights[part]).sum(1) / weights[part].sum(1)
            found: Sequence[Tensor | None] = torch.autograd.grad(mean.sum(), list(self.learnt.values()), allow_unused=True)
            if self.balancer is not None:
                found = self._balanced(found, epoch, x, f, o, y)
            self.optimiser.step(found)
            total += losses.detach().sum(1)
            if self.first is None:
                self.first = losses.detach().mean(1)
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


def _epoch(
    runs: list[Run], tables: Tables, streams: list[np.random.Generator]
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    every = []
    for which, (run, random) in enumerate(zip(runs, streams, strict=True)):
        order = torch.from_numpy(random.permutation(len(run.train)))
        places, filled, observed = tables.drawn(which, random)
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


class _Judge:
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
        if not all(value.sum().isfinite() for value in self.tables.values.values()):
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
        self.targets = stacked_targets([cast("I64", val.labels) for val in vals], runs[0].dtype)

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
                x = {m: embedding(self.places[m][..., chosen], tables.values[m]) for m in tables.modalities}
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
