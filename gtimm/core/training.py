"""Training heads on frozen features: many runs of equal shape as one stacked problem.

A run is one seed of one method. Runs whose heads are pure and of equal shape train together with `torch.func`: each keeps its
own weights, order of rows, draws from its pools, dropout and best epoch, so it ends where it would alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy, embedding

from gtimm.core.balancing import Balancer
from gtimm.core.errors import GtimmError
from gtimm.core.seeding import stream, torch_seeded, torch_threads
from gtimm.core.splits import Split, Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.balance import Balance
    from gtimm.core.fusion import Fusion, Head

    I64 = NDArray[np.int64]

STACK_BYTES = 1 << 28
SMALL_STEP = 1 << 27  # multiplications; below it a second thread costs more than it brings, many times more on a busy machine


class TrainOptions(BaseModel):
    """Optimisation: AdamW, as in Tables 8 and 9 of the paper.

    Attributes:
        epochs: passes over the training rows; `None` takes 30 where a modality is text and 15 elsewhere.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        batch_size: rows a step; the last step of an epoch takes what is left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int | None = Field(default=None, ge=1)
    lr: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch_size: int = Field(default=128, ge=1)


@dataclass
class Run:
    """One head to train.

    `encoders` is handed to `Fusion.build`: what finishes stored features, by modality. `balance` modulates the gradients.
    """

    fusion: Fusion
    classes: int
    train: Split
    val: Split | None
    options: TrainOptions
    seed: int
    encoders: Any = None
    balance: Balance | None = None
    head: Head | None = None
    history: list[float] | None = None
    best_epoch: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """Feature length by modality."""
        return {m: s.own.shape[1] for m, s in self.train.sources.items()}

    def signature(self) -> tuple[object, ...]:
        """Runs with one signature train as one problem."""
        val = len(self.val) if self.val is not None else -1
        encoders = tuple(dict(self.encoders or {}).items())
        sizes = tuple(self.sizes.items())
        method = (type(self.fusion), repr(self.fusion), type(self.balance), repr(self.balance))
        return (*method, sizes, self.classes, len(self.train), val, self.options, encoders)


def train(runs: Sequence[Run]) -> None:
    """Train every run's head; sets `head`, `history` (validation accuracy by epoch) and `best_epoch`.

    Raises:
        GtimmError: the loss stopped being finite.
    """
    groups: dict[tuple[object, ...], list[Run]] = {}
    for position, run in enumerate(runs):
        alone = () if run.fusion.capabilities().stackable else (position,)
        groups.setdefault(run.signature() + alone, []).append(run)
    for group in groups.values():
        for chunk in _chunks(group):
            _train_stack(chunk)


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
    options, sizes = group[0].options, group[0].sizes
    rows = max(options.batch_size, len(group[0].val) if group[0].val is not None else 0)
    each = 4 * rows * (sum(sizes.values()) + group[0].classes) * 3
    step = max(1, STACK_BYTES // max(each, 1))
    for begin in range(0, len(group), step):
        yield group[begin : begin + step]


def _build(run: Run) -> Head:
    with torch_seeded(run.seed, "weights"):
        return run.fusion.build(run.sizes, run.classes, run.encoders)


def _train_stack(runs: list[Run]) -> None:
    width = sum(runs[0].sizes.values()) * runs[0].classes
    with torch_threads(1 if len(runs) * runs[0].options.batch_size * width < SMALL_STEP else None):
        _train_together(runs)


def _train_together(runs: list[Run]) -> None:
    options, rows = runs[0].options, len(runs[0].train)
    epochs = options.epochs or 15
    heads = [_build(run) for run in runs]
    weights, buffers = stack_module_state(cast("list[torch.nn.Module]", heads))
    skeleton = copy.deepcopy(heads[0]).to("meta")

    def forward(w: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], f: Tensor, o: Tensor) -> Tensor:
        return cast("Tensor", functional_call(skeleton, (w, b), (x, f, o)))

    stacked = _stacked(forward) if runs[0].fusion.capabilities().stackable else _one_by_one(forward)
    optimiser = torch.optim.AdamW(list(weights.values()), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    tables = Tables([run.train for run in runs])
    labels = torch.stack([torch.from_numpy(cast("I64", run.train.labels)) for run in runs])
    streams = [stream(run.seed, "epochs") for run in runs]
    judge = _Judge(runs, weights)
    balancer = _balancer(runs, skeleton, tables)
    for epoch in range(epochs):
        places, filled, observed, order = _epoch(runs, tables, streams)
        total = torch.zeros(len(runs))
        for begin in range(0, rows, options.batch_size):
            chosen = order[:, begin : begin + options.batch_size]
            x = {m: embedding(places[m].gather(1, chosen), tables.values[m]) for m in tables.modalities}
            each = torch.arange(len(runs))[:, None]
            f, o, y = filled[each, chosen], observed[each, chosen], labels.gather(1, chosen)
            out = stacked(weights, buffers, x, f, o)
            losses = cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none").view(chosen.shape)
            optimiser.zero_grad(set_to_none=True)
            losses.mean(1).sum().backward()  # type: ignore[no-untyped-call]
            if balancer is not None:
                balancer(epoch, weights, buffers, x, f, o, y)
            optimiser.step()
            total += losses.detach().sum(1)
        _check_finite(runs, total, epoch)
        judge.epoch(epoch, weights, buffers, stacked)
    judge.finish(heads, weights)


def _balancer(runs: list[Run], head: Head, tables: Tables) -> Balancer | None:
    balance, stackable = runs[0].balance, runs[0].fusion.capabilities().stackable
    seeds = [run.seed for run in runs]
    return None if balance is None else Balancer(balance, head, tables.modalities, seeds, stackable=stackable)


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

    def __init__(self, runs: list[Run], weights: dict[str, Tensor]) -> None:
        self.runs = runs
        self.best = torch.full((len(runs),), -1.0)
        self.kept = {name: value.detach().clone() for name, value in weights.items()}
        vals = [run.val for run in runs if run.val is not None]
        self.tables = Tables(vals) if vals else None
        if self.tables is not None:
            placed = [self.tables.first(which) for which in range(len(runs))]
            self.places = {m: torch.stack([p[0][m] for p in placed]) for m in self.tables.modalities}
            self.filled = torch.stack([p[1] for p in placed])
            self.observed = torch.stack([p[2] for p in placed])
            if all(torch.equal(value, value[:1].expand_as(value)) for value in self.places.values()):
                self.places = {m: value[0] for m, value in self.places.items()}  # one set of features serves all
            self.labels = torch.stack([torch.from_numpy(cast("I64", val.labels)) for val in vals])
        for run in runs:
            run.history = []

    def epoch(self, epoch: int, weights: dict[str, Tensor], buffers: dict[str, Tensor], stacked: _Stacked) -> None:
        """Score an epoch and keep what is better than before."""
        if self.tables is None:
            better = torch.ones(len(self.runs), dtype=torch.bool)
        else:
            right = torch.zeros(len(self.runs))
            with torch.no_grad():
                for begin in range(0, self.labels.shape[1], 2048):
                    chosen = slice(begin, begin + 2048)
                    x = {m: embedding(self.places[m][..., chosen], self.tables.values[m]) for m in self.tables.modalities}
                    out = stacked(weights, buffers, x, self.filled[:, chosen], self.observed[:, chosen])
                    right += (out.argmax(2) == self.labels[:, chosen]).sum(1)
            score = right / self.labels.shape[1]
            better = score > self.best
            self.best = torch.where(better, score, self.best)
            for run, value in zip(self.runs, score.tolist(), strict=True):
                assert run.history is not None
                run.history.append(value)
        for name, value in weights.items():
            self.kept[name][better] = value.detach()[better]
        for run, improved in zip(self.runs, better.tolist(), strict=True):
            if improved:
                run.best_epoch = epoch

    def finish(self, heads: list[Head], weights: dict[str, Tensor]) -> None:
        """Give each run its head with the kept weights, in evaluation mode."""
        for which, (run, head) in enumerate(zip(self.runs, heads, strict=True)):
            with torch.no_grad():
                for name, parameter in head.named_parameters():
                    parameter.copy_(self.kept[name][which])
            run.head = head.eval().requires_grad_(False)


class _Stacked(Protocol):
    def __call__(self, w: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], f: Tensor, o: Tensor) -> Tensor: ...


def _stacked(forward: _Stacked) -> _Stacked:
    """Run all heads at once; features (rows, size) without a run dimension are shared by all."""
    alone = _one_by_one(forward)

    def run(w: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], f: Tensor, o: Tensor) -> Tensor:
        shared = next(iter(x.values())).dim() == 2
        if len(f) == 1:  # plain matrix products are several times faster than batched ones of one
            return alone(w, b, x, f, o)
        return vmap(forward, in_dims=(0, 0, None if shared else 0, 0, 0), randomness="error")(w, b, x, f, o)

    return run


def _one_by_one(forward: _Stacked) -> _Stacked:
    """Run the heads in turn; arguments as for `_stacked`."""

    def of(values: dict[str, Tensor], i: int) -> dict[str, Tensor]:
        return {name: value[i] for name, value in values.items()}

    def run(w: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], f: Tensor, o: Tensor) -> Tensor:
        shared = next(iter(x.values())).dim() == 2
        return torch.stack([forward(of(w, i), of(b, i), x if shared else of(x, i), f[i], o[i]) for i in range(len(f))])

    return run


def _check_finite(runs: list[Run], total: Tensor, epoch: int) -> None:
    bad = torch.isfinite(total).logical_not().nonzero().flatten().tolist()
    if bad:
        raise GtimmError(
            f"The loss of seed {runs[bad[0]].seed} is not finite after epoch {epoch + 1}. Lower the learning rate "
            f"(lr={runs[bad[0]].options.lr:g}) or check the features."
        )
