"""On-the-fly gradient modulation with generalisation enhancement (Peng et al., CVPR 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from gtimm.core.balance import Balance, Step, against_others

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.balance import State


class OgmGe(Balance):
    """Slows the modality that does better, and adds noise to every modality's gradients (arXiv 2203.15332).

    With s_m the mean probability that modality m alone gives the true class, `rho_m = s_m / s_other` and
    `k_m = 1 - tanh(alpha * rho_m)` where rho_m > 1, else 1 (equation 10); the gradients of modality m's own parameters become
    `k_m * g + N(0, std(g)**2)`, the noise as in the authors' code. For more than two modalities, which the paper does not
    have, rho_m compares with the mean of the others. A modality counts on the rows that have it; one that no row of the batch
    has is left out of the comparison.

    The paper modulates encoders, its code only their convolutions; here encoders are frozen and the head's parameters of one
    modality alone take their place.

    Attributes:
        alpha: strength; the authors tune it by data set.
        enhance: add the noise (OGM-GE); without it the method is OGM.
        starts: first epoch that is modulated, from 0.
        ends: first epoch that is no longer; `None` modulates to the end.
    """

    alpha: float = Field(default=0.3, gt=0)
    enhance: bool = True

    @property
    def noisy(self) -> bool:
        """Whether noise is added: `enhance`."""
        return self.enhance

    def coefficients(self, step: Step, state: State) -> tuple[Tensor, State]:
        """Return k by modality; nothing is remembered."""
        true = step.unimodal().softmax(-1).gather(-1, step.labels.expand(len(step.x), -1).unsqueeze(-1)).squeeze(-1)
        score, counted = step.mean_by_modality(true), step.there.any(0)
        others = against_others(score, counted)
        rho = score / others.clamp(min=torch.finfo(score.dtype).tiny)
        slowed = counted & (others > 0) & (rho > 1)
        return torch.where(slowed, 1 - torch.tanh(self.alpha * rho), 1.0), state
