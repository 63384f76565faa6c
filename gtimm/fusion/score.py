"""Score fusion: one classifier a modality, and the mean of their logits over what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.fusion.parts import only, own, present

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers


class ScoreFusion(Fusion):
    """A linear classifier for each modality; the prediction is the mean of their logits over filled and observed ones.

    A row in which everything is absent gets logits of zero: the uniform prediction.
    """

    info: ClassVar[Info] = Info(accepts_absent=True)

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head with one linear layer a modality."""
        return _Score(sizes, classes)


class _Score(Head):
    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__()
        self.names = list(sizes)
        self.heads = nn.ModuleList(nn.Linear(size, classes) for size in sizes.values())

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        there = present(filled, observed)
        each = torch.stack([head(x[name]) for name, head in zip(self.names, self.heads, strict=True)], dim=-2)
        return only(each, there).sum(-2) / there.sum(-2).clamp(min=1)

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return own(self.names, "heads")
