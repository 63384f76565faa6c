"""Pieces that fusions share: which modalities are there, their projections, and a softmax over what is there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def present(filled: Tensor, observed: Tensor) -> Tensor:
    """Return (n, modalities, 1) bool, True where a value was filled or is the row's own."""
    return (filled | observed).unsqueeze(-1)


def only(values: Tensor, there: Tensor) -> Tensor:
    """Return values (n, modalities, k) with exact zeros where `there` (n, modalities, 1) is False, whatever stood there."""
    return torch.where(there, values, torch.zeros((), dtype=values.dtype, device=values.device))


def share(scores: Tensor, there: Tensor) -> Tensor:
    """Softmax over the modalities that are there.

    Args:
        scores: (n, modalities, k).
        there: (n, modalities, 1) bool.

    Returns:
        (n, modalities, k) weights that sum to 1 over the modalities; all zero in a row in which nothing is there.
    """
    kept = scores.masked_fill(~there, -torch.inf)
    top = kept.detach().amax(-2, keepdim=True)
    each = (kept - torch.where(top.isinf(), 0, top)).exp()
    total = each.sum(-2, keepdim=True)
    return each / torch.where(total > 0, total, 1)  # not clamp, whose gradient is not the sum's where one modality is there


class Projections(nn.Module):
    """A linear layer and ReLU for each modality, all of one width."""

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        super().__init__()
        self.names = list(sizes)
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes.values())

    def forward(self, x: dict[str, Tensor], there: Tensor) -> Tensor:
        """Return (n, modalities, width), zeros where `there` (n, modalities, 1) is False."""
        each = torch.stack([layer(x[name]) for name, layer in zip(self.names, self.layers, strict=True)], dim=-2)
        return only(each.relu(), there)


def own(names: Sequence[str], *lists: str, bias: bool = True) -> dict[str, dict[str, slice]]:
    """Return `Head.own_parameters` of heads that keep a linear layer a modality in module lists of these names."""
    kinds = ("weight", "bias") if bias else ("weight",)
    return {m: {f"{part}.{i}.{kind}": slice(None) for part in lists for kind in kinds} for i, m in enumerate(names)}
