"""Adaptive gradient modulation (Li et al., ICCV 2023)."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from gtimm.core.balance import Balance, Step, against_others

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.balance import State

LEAST = 1e-8  # probability below which the authors' code cuts a logarithm
MOST = 10.0  # difference of the ratios above which it cuts an exponential: without, a modality far behind gets an infinite factor


class Agm(Balance):
    """Modulates each modality by how far it is ahead now, against how far it has been ahead so far (arXiv 2308.07686).

    A modality's own answer is its Shapley value among the logits of all sets of modalities, the absent ones zero, so that any
    fusion can be asked, not only one that adds parts. With s_m the mean of `-log p(true class)` of that answer, the
    others' mean `o_m`, and both again as averages over all steps before, `r_m = exp(o_m - s_m)` and the reference `t_m` alike;
    the gradients of modality m's own parameters are multiplied by `exp(alpha * min(t_m - r_m, 10))`, as in the authors' code (the
    empty set counts as zero logits, t_m is 1 at the first step). A modality counts on the rows that have it.

    It asks the head for 2**modalities - 1 sets a step.

    Attributes:
        alpha: strength; the authors tune it by data set.
        starts: first epoch that is modulated, from 0.
        ends: first epoch that is no longer; `None` modulates to the end.
    """

    alpha: float = Field(default=1.0, gt=0)

    def start(self, modalities: int) -> State:
        """Return the mean score of each modality, over how many steps."""
        return {"score": torch.zeros(modalities), "steps": torch.zeros(modalities)}

    def coefficients(self, step: Step, state: State) -> tuple[Tensor, State]:
        """Return the factor of each modality, and the means with this step's scores in them."""
        answers = torch.stack(shapley({kept: step.logits(kept) for kept in subsets(tuple(step.x))}, tuple(step.x)))
        true = answers.softmax(-1).gather(-1, step.labels.expand(len(step.x), -1).unsqueeze(-1)).squeeze(-1)
        score, counted = step.mean_by_modality(-true.clamp(min=LEAST).log()), step.there.any(0)
        before, steps = state["score"].to(score), state["steps"].to(score)
        ratio, reference = _ahead(score, counted), _ahead(before, steps > 0)
        after = torch.where(counted, (before * steps + score) / (steps + 1), before)
        factors = torch.where(counted, (self.alpha * (reference - ratio).clamp(max=MOST)).exp(), 1.0)
        return factors, {"score": after, "steps": steps + counted}


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return every set of names but the empty one, each in the order of `names`."""
    return [kept for size in range(1, len(names) + 1) for kept in combinations(names, size)]


def shapley(values: dict[tuple[str, ...], Tensor], names: tuple[str, ...]) -> list[Tensor]:
    """Return each name's Shapley value; the empty set is worth zero.

    Args:
        values: what each set of `subsets(names)` is worth.
        names: the players.
    """
    found = []
    for name in names:
        total = torch.zeros_like(values[names])
        for kept, value in values.items():
            if name not in kept:
                continue
            rest = tuple(n for n in kept if n != name)
            weight = factorial(len(rest)) * factorial(len(names) - len(kept)) / factorial(len(names))
            total = total + weight * (value - values[rest] if rest else value)
        found.append(total)
    return found


def _ahead(score: Tensor, counted: Tensor) -> Tensor:
    """Return exp(mean score of the others - own score) of (modalities,) losses; 1 where there is nothing to compare."""
    compared = counted & (counted.sum() > 1)
    return torch.where(compared, (against_others(score, counted) - score).exp(), 1.0)
