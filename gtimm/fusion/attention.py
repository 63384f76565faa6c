"""Attention fusion: learned queries look at the modalities that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.fusion.parts import Projections, own, present, share

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers


class AttentionFusion(Fusion):
    """One token a modality, a ReLU projection of its embedding; learned queries attend to the tokens that are there.

    Scaled dot-product attention (Vaswani et al. 2017, equation 1) with a query a head that is a parameter, as in pooling by
    attention (Lee et al. 2019, Set Transformer, section 3.2). Keys are the tokens themselves: a matrix before a constant
    query would be absorbed by it. What is absent gets a weight of exactly zero; a row in which everything is absent gets the
    classifier's bias.

    Attributes:
        width: length of a token.
        heads: number of queries, each with its part of the values; it divides `width`.
    """

    info: ClassVar[Info] = Info(accepts_absent=True)

    width: int = Field(default=256, ge=1)
    heads: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _divides(self) -> AttentionFusion:
        if self.width % self.heads:
            raise ValueError(f"heads must divide width; {self.heads} does not divide {self.width}")
        return self

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head with one projection a modality."""
        return _Attention(sizes, classes, self.width, self.heads)


class _Attention(Head):
    def __init__(self, sizes: dict[str, int], classes: int, width: int, heads: int) -> None:
        super().__init__()
        self.project = Projections(sizes, width)
        self.query = nn.Parameter(torch.randn(heads, width))
        self.values = nn.Linear(width, width, bias=False)
        self.classify = nn.Linear(width, classes)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        there = present(filled, observed)
        tokens = self.project(x, there)
        heads, width = self.query.shape
        weights = share(nn.functional.linear(tokens, self.query) / width**0.5, there)
        values = self.values(tokens).unflatten(-1, (heads, -1))
        return cast("Tensor", self.classify((weights.unsqueeze(-1) * values).sum(-3).flatten(-2)))

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return own(self.project.names, "project.layers")
