"""Modality dropout around any other fusion (section 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from pydantic import field_validator

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.backbone import Encoder


class DropoutFusion(Fusion):
    """Hides modalities at random in training, real and imputed values alike; the evaluation fill takes their place.

    The paper drops the visual modality only, at a rate equal to the test missing ratio.

    Attributes:
        rate: chance that a value is hidden, each row and epoch anew; a number for `modalities`, or a rate by modality.
        modalities: what a plain number applies to; by default `image` where there is one, else every modality.
        base: the fusion inside: a name or `{"name": ..., **options}`.
    """

    info: ClassVar[Info] = Info()

    rate: float | dict[str, float] = 0.5
    modalities: tuple[str, ...] | None = None
    base: str | dict[str, Any] = "late"

    @field_validator("rate")
    @classmethod
    def _in_range(cls, rate: float | dict[str, float]) -> float | dict[str, float]:
        for value in rate.values() if isinstance(rate, dict) else (rate,):
            if not 0 <= value <= 1:
                raise ValueError(f"a dropout rate must be in 0..1, found {value}")
        return rate

    @field_validator("base")
    @classmethod
    def _known_base(cls, base: str | dict[str, Any]) -> str | dict[str, Any]:
        registry("fusion").create(base)
        return base

    def capabilities(self) -> Info:
        """Return the inner fusion's."""
        return self._inner().capabilities()

    def check(self, modalities: tuple[str, ...]) -> None:
        """Raise `ConfigError` for a rate of a modality that is not there."""
        for name in [*(self.rate if isinstance(self.rate, dict) else ()), *(self.modalities or ())]:
            if name not in modalities:
                raise ConfigError(
                    f"dropout names the modality {name!r}; the data has {', '.join(modalities)}.{did_you_mean(name, modalities)}"
                )

    def rates(self, modalities: tuple[str, ...]) -> list[float]:
        """Return the rate of each of these modalities."""
        if isinstance(self.rate, dict):
            return [self.rate.get(m, 0.0) for m in modalities]
        chosen = self.modalities or (("image",) if "image" in modalities else modalities)
        return [self.rate if m in chosen else 0.0 for m in modalities]

    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor | None:
        """Return where u (n, modalities) falls below the rate."""
        return u < torch.tensor(self.rates(modalities))

    def build(self, sizes: dict[str, int], classes: int, encoder: Encoder | None) -> Head:
        """Return the inner fusion's head."""
        return self._inner().build(sizes, classes, encoder)

    def _inner(self) -> Fusion:
        return cast("Fusion", registry("fusion").create(self.base))
