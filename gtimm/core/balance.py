"""Balancing: gradients of each modality's own parameters, modulated so that no modality outruns the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import nn
from torch.func import functional_call

from gtimm.core.errors import IncompatibleError, PluginError
from gtimm.core.fusion import alone
from gtimm.core.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.fusion import Head

    State = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One batch of one run, and the head with the weights that met it.

    Attributes:
        head: gives the computation; its own weights are not read.
        weights: parameters and buffers by name.
        x: modality to (n, size) features, in the order of the masks' columns.
        filled: (n, modalities) bool.
        observed: (n, modalities) bool.
        labels: (n,) class indices.
    """

    head: Head
    weights: Mapping[str, Tensor]
    x: dict[str, Tensor]
    filled: Tensor
    observed: Tensor
    labels: Tensor

    @property
    def there(self) -> Tensor:
        """(n, modalities) bool, True where a value was filled or is the row's own."""
        return self.filled | self.observed

    def logits(self, kept: Collection[str]) -> Tensor:
        """Return (n, classes) logits with all modalities but `kept` absent, as zeros."""
        return cast("Tensor", functional_call(self.head, dict(self.weights), alone(self.x, self.filled, self.observed, kept)))

    def unimodal(self) -> Tensor:
        """Return (modalities, n, classes): what the head says by each modality alone."""
        weights = {f"head.{name}": value for name, value in self.weights.items()}
        return cast("Tensor", functional_call(_Unimodal(self.head), weights, (self.x, self.filled, self.observed)))

    def mean_by_modality(self, values: Tensor) -> Tensor:
        """Average (modalities, n) values over the rows in which each modality is there; 0 where it is in none."""
        there = self.there.T
        return (values * there).sum(1) / there.sum(1).clamp(min=1)


class Balance(Plugin, ABC):
    """A way to modulate gradients. Write `coefficients`, and `start` if it remembers anything between steps.

    All functions are pure, of tensors, without branches on their values: many runs may go through them at once with
    `torch.func.vmap`. Encoders are frozen, so what is modulated are the parameters of the head that act on one modality alone
    (`Head.own_parameters`), after the gradient and before the optimiser. AdamW, which divides by a running size of the
    gradient, sees changes of a coefficient over the steps and between parameters with noise, not its constant part.

    Attributes:
        starts: first epoch that is modulated, from 0.
        ends: first epoch that is no longer; `None` modulates to the end.

    Example:
        >>> class Halve(Balance):
        ...     def coefficients(self, step, state):
        ...         return torch.full((len(step.x),), 0.5), state
    """

    starts: int = Field(default=0, ge=0)
    ends: int | None = Field(default=None, ge=1)

    @property
    def noisy(self) -> bool:
        """Whether noise is added to the modulated gradients."""
        return False

    def active(self, epoch: int) -> bool:
        """Return whether this epoch, from 0, is modulated."""
        return self.starts <= epoch and (self.ends is None or epoch < self.ends)

    def start(self, modalities: int) -> State:
        """Return what `coefficients` remembers, before the first step: tensors by name; by default nothing."""
        return {}

    @abstractmethod
    def coefficients(self, step: Step, state: State) -> tuple[Tensor, State]:
        """Return (modalities,) factors of the gradients of this step, and what to remember; called without gradients."""

    def check(self, head: Head, modalities: Collection[str]) -> None:
        """Raise unless there is something to balance: two modalities or more, each with parameters of its own.

        Raises:
            IncompatibleError: nothing would be modulated.
            PluginError: the head names parameters that it does not have.
        """
        name, kind = type(self).__name__, type(head).__name__.lstrip("_")
        if len(modalities) < 2:
            raise IncompatibleError(f"{name} balances modalities against each other; the model has only {', '.join(modalities)}.")
        own, parameters = head.own_parameters(), dict(head.named_parameters())
        for m in modalities:
            parts = own.get(m, {})
            if unknown := [n for n in parts if n not in parameters]:
                raise PluginError(
                    f"The head {kind} names {unknown[0]!r} as a parameter of {m!r} alone, and has no such parameter."
                )
            if not any(parameters[n].requires_grad and parameters[n][..., part].numel() for n, part in parts.items()):
                raise IncompatibleError(
                    f"{name} would change nothing of {m!r}: the head {kind} has no parameters that act on it alone "
                    "(Head.own_parameters). Use a fusion that has, such as 'late', 'score', 'sum', 'gated' or 'attention', or no balance."
                )

    def modulate(
        self, gradients: Mapping[str, Tensor], step: Step, state: State, noise: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], State]:
        """Return modulated gradients.

        Args:
            gradients: by name of the parameter; those of the batch's loss.
            step: the batch.
            state: from `start`, or the step before.
            noise: by name of the parameter, standard normal, of the shape of the gradient; empty unless `noisy`.

        Returns:
            The gradients, new tensors where they changed, and what to remember for the next step.
        """
        factors, after = self.coefficients(step, state)
        changed = dict(gradients)
        for place, parts in enumerate(step.head.own_parameters()[m] for m in step.x):
            for name, columns in parts.items():
                gradient = gradients[name][..., columns]
                modulated = gradient * factors[place]
                if noise and gradient.numel() > 1:
                    modulated = modulated + noise[name][..., columns] * (gradient.std() + 1e-8)
                if changed[name] is gradients[name]:
                    changed[name] = gradients[name].clone()
                changed[name][..., columns] = modulated
        return changed, after


class _Unimodal(nn.Module):
    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        found = self.head.unimodal(x, filled, observed)
        return torch.stack([found[m] for m in x])


def against_others(values: Tensor, counted: Tensor) -> Tensor:
    """Return, for each of (modalities,) values, the mean of the others that are counted; 0 where there is none."""
    kept = torch.where(counted, values, 0)
    return (kept.sum() - kept) / (counted.sum() - counted.long()).clamp(min=1)
