"""Fusions: how the modalities' embeddings become one prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import nn

from gtimm.core.plugin import Info, Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.backbone import Encoder


class Head(nn.Module, ABC):
    """A pure classifier of features: no randomness, no buffers that change, so that many train as one stacked problem."""

    @abstractmethod
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        """Classify a batch.

        Args:
            x: modality to (n, size) features; zeros where a modality is neither filled nor observed.
            filled: (n, modalities) bool, True where an imputer filled the value.
            observed: (n, modalities) bool, True where the value is the row's own.

        Returns:
            (n, classes) logits.
        """


class Fusion(Plugin, ABC):
    """A recipe for heads. Write `build`; `hide` only for modality dropout.

    Example:
        >>> class First(Fusion):
        ...     def build(self, sizes, classes, encoder):
        ...         class Linear(Head):
        ...             def __init__(self):
        ...                 super().__init__()
        ...                 self.name = next(iter(sizes))
        ...                 self.out = nn.Linear(sizes[self.name], classes)
        ...             def forward(self, x, filled, observed):
        ...                 return self.out(x[self.name])
        ...         return Linear()
    """

    def capabilities(self) -> Info:
        """Return `info`, or what these options make of it: a fusion around another answers for the inner one."""
        return self.info

    def check(self, modalities: tuple[str, ...]) -> None:
        """Raise `ConfigError` if the options do not fit data with these modalities."""

    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor | None:
        """Choose what modality dropout hides in training; the trainer puts the evaluation fill in its place.

        Args:
            modalities: names of the columns.
            u: (n, modalities) uniform in [0, 1), fresh for each epoch.

        Returns:
            (n, modalities) bool, True where hidden; `None` hides nothing.
        """
        return None

    @abstractmethod
    def build(self, sizes: dict[str, int], classes: int, encoder: Encoder | None) -> Head:
        """Return a new head for modalities of these feature lengths; its initial weights come from torch's generator."""
