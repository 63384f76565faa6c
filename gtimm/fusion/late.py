"""Late fusion: concatenated embeddings and a small classifier, the paper's default (section 5.3)."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers


class LateFusion(Fusion):
    """Concatenates the embeddings and classifies them.

    The paper says "late fusion" and a light head without giving its layers; one linear layer is our default.

    Attributes:
        hidden: width of a hidden ReLU layer; 0 means none.
    """

    hidden: int = Field(default=0, ge=0)

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head; its input is the sum of `sizes`."""
        return _Late(sizes, classes, self.hidden)


class _Late(Head):
    def __init__(self, sizes: dict[str, int], classes: int, hidden: int) -> None:
        super().__init__()
        self.names = list(sizes)
        width = sum(sizes.values())
        self.sizes = list(sizes.values())
        self.first = nn.Linear(width, hidden or classes)
        self.last = nn.Linear(hidden, classes) if hidden else None

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        out = self.first(torch.cat([x[name] for name in self.names], -1))
        return out if self.last is None else cast("Tensor", self.last(out.relu()))

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        ends = list(accumulate(self.sizes, initial=0))
        return {m: {"first.weight": slice(*place)} for m, place in zip(self.names, pairwise(ends), strict=True)}

    def unimodal(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Return each modality's part of the logits, which add up to all, as OGM-GE has it; with a hidden layer no such parts exist."""
        if self.last is not None:
            return super().unimodal(x, filled, observed)
        parts = torch.split(self.first.weight, self.sizes, dim=-1)
        bias = self.first.bias / len(parts)
        return {m: torch.nn.functional.linear(x[m], part, bias) for m, part in zip(self.names, parts, strict=True)}
