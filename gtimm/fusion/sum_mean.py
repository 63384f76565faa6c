"""Sum and mean fusion: projections to one width, added up or averaged over what is there, and a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field
from torch import Tensor, nn

from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.fusion.parts import Projections, own, present

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers


class SumFusion(Fusion):
    """The sum of a ReLU projection of each modality that is there, then a linear classifier.

    A row in which everything is absent gets the classifier's bias.

    Attributes:
        width: length of the projections.
    """

    info: ClassVar[Info] = Info(accepts_absent=True)

    width: int = Field(default=256, ge=1)

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head with one projection a modality."""
        return _Pooled(sizes, classes, self.width, mean=False)


class MeanFusion(Fusion):
    """The mean of a ReLU projection of each modality that is there, then a linear classifier.

    Unlike the sum it keeps its scale, however many modalities are there. A row in which everything is absent gets the
    classifier's bias.

    Attributes:
        width: length of the projections.
    """

    info: ClassVar[Info] = Info(accepts_absent=True)

    width: int = Field(default=256, ge=1)

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head with one projection a modality."""
        return _Pooled(sizes, classes, self.width, mean=True)


class _Pooled(Head):
    def __init__(self, sizes: dict[str, int], classes: int, width: int, *, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.project = Projections(sizes, width)
        self.classify = nn.Linear(width, classes)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        there = present(filled, observed)
        pooled = self.project(x, there).sum(-2)
        if self.mean:
            pooled = pooled / there.sum(-2).clamp(min=1)
        return cast("Tensor", self.classify(pooled))

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        return own(self.project.names, "project.layers")
