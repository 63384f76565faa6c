"""Gated multimodal units: every modality decides how much of each is let through (Arevalo et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.fusion.parts import only, own, present, share

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers


class GatedFusion(Fusion):
    """Gated multimodal unit of Arevalo et al. 2017 (arXiv 1702.01992, figure 2) and a linear classifier.

    `h_m = tanh(W_m x_m)`, `h = sum_m z_m * h_m`, where the gates z_m, one a unit, are made from all modalities together.
    With `softmax` they sum to 1 over the modalities: for two modalities that is the paper's bimodal unit,
    `z h_1 + (1 - z) h_2` with `z = sigmoid(W_z [x_1, x_2])`. With `sigmoid` each gate stands alone, the paper's unit for
    any number. No layer but the classifier has a bias, as there.

    What is absent neither passes a gate nor moves one; with `softmax` the others share its part. A row in which
    everything is absent gets the classifier's bias.

    Attributes:
        width: number of units.
        gate: `"softmax"` or `"sigmoid"`.
    """

    info: ClassVar[Info] = Info(accepts_absent=True)

    width: int = Field(default=256, ge=1)
    gate: Literal["softmax", "sigmoid"] = "softmax"

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head; its gates read the sum of `sizes` values."""
        return _Gated(sizes, classes, self.width, tied=self.gate == "softmax")


class _Gated(Head):
    def __init__(self, sizes: dict[str, int], classes: int, width: int, *, tied: bool) -> None:
        super().__init__()
        self.names, self.tied = list(sizes), tied
        self.project = nn.ModuleList(nn.Linear(size, width, bias=False) for size in sizes.values())
        self.gates = nn.ModuleList(nn.Linear(size, width * len(sizes), bias=False) for size in sizes.values())
        self.classify = nn.Linear(width, classes)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        there = present(filled, observed)
        h = only(torch.stack([layer(x[m]) for m, layer in zip(self.names, self.project, strict=True)], dim=-2).tanh(), there)
        # One matrix on the concatenation of all modalities, column block by column block.
        votes = torch.stack([layer(x[m]) for m, layer in zip(self.names, self.gates, strict=True)], dim=-2)
        scores = only(votes, there).sum(-2).view(*h.shape)
        z = share(scores, there) if self.tied else scores.sigmoid()
        return cast("Tensor", self.classify((z * h).sum(-2)))

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return own(self.names, "project", "gates", bias=False)
