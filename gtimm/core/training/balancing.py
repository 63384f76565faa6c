"""Balancing of many runs at once: the trainer's side of `core.balance`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.func import vmap

from gtimm.core.asking import asking
from gtimm.core.balance import Step
from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.balance import Balance, State
    from gtimm.core.fusion import Head

    Tensors = dict[str, Tensor]


class Balancer:
    """Modulates the gradients of a stack of runs; each has its own noise and memory, so that it ends where it would alone.

    Args:
        balance: the method.
        head: one of the runs' heads; all are of one form.
        modalities: in the order of the masks' columns.
        seeds: of the runs.
        stackable: whether the heads may go through `vmap`; otherwise they are asked in turn.

    Raises:
        IncompatibleError: the method would change nothing of this head.
    """

    def __init__(self, balance: Balance, head: Head, modalities: Sequence[str], seeds: Sequence[int], *, stackable: bool) -> None:
        with asking(balance, "in check"):
            balance.check(head, modalities)
        self.balance, self.head, self.stackable = balance, head, stackable
        self.names = sorted({name for parts in head.own_parameters().values() for name in parts})
        self.streams = [stream(seed, "balance") for seed in seeds]
        self.state: State = {n: torch.stack([v] * len(seeds)) for n, v in balance.start(len(modalities)).items()}

    def __call__(
        self, epoch: int, weights: Tensors, buffers: Tensors, x: Tensors, filled: Tensor, observed: Tensor, labels: Tensor
    ) -> None:
        """Replace the gradients of the weights, (runs, ...) each, by modulated ones.

        Args:
            epoch: from 0.
            weights: parameters of all runs, with their gradients.
            buffers: of all runs.
            x: modality to (runs, n, size).
            filled: (runs, n, modalities) bool.
            observed: (runs, n, modalities) bool.
            labels: (runs, n) class indices.
        """
        if not self.balance.active(epoch):
            return
        gradients = {name: cast("Tensor", weights[name].grad) for name in self.names}
        noise = {name: self._normal(value) for name, value in gradients.items()} if self.balance.noisy else {}
        given = (weights, buffers, gradients, noise, self.state, x, filled, observed, labels)
        with asking(self.balance, "in modulate"), torch.no_grad():
            changed, self.state = vmap(self._one)(*given) if self.stackable else self._in_turn(*given)
        for name, value in changed.items():
            weights[name].grad = value

    def _one(
        self, w: Tensors, b: Tensors, g: Tensors, noise: Tensors, state: State, x: Tensors, f: Tensor, o: Tensor, y: Tensor
    ) -> tuple[Tensors, State]:
        return self.balance.modulate(g, Step(self.head, {**w, **b}, x, f, o, y), state, noise)

    def _in_turn(self, *given: Any) -> tuple[Tensors, State]:
        def of(value: Any, i: int) -> Any:
            return {n: v[i] for n, v in value.items()} if isinstance(value, dict) else value[i]

        every = [self._one(*(of(value, i) for value in given)) for i in range(len(self.streams))]
        first = {name: torch.stack([changed[name] for changed, _ in every]) for name in every[0][0]}
        return first, {name: torch.stack([state[name] for _, state in every]) for name in every[0][1]}

    def _normal(self, like: Tensor) -> Tensor:
        drawn = [torch.from_numpy(random.standard_normal(like.shape[1:], dtype="float32")) for random in self.streams]
        return torch.stack(drawn).to(like)
