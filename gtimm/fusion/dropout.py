"""Modality dropout around any other fusion (section 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import torch
from pydantic import field_validator

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info, Plugin
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.fusion import Finishers


_UNKNOWN = (
    "dropout's rate 'match' stands for the missing ratio at test, which a pipeline does not know. Give a number or a rate by modality, "
    "or gtimm.core.fusion.matched(fusion, {'image': 0.7}); `gtimm run` takes it from evaluate.missing."
)


class DropoutFusion(Fusion):
    """Hides modalities at random in training, real and imputed values alike; the evaluation fill takes their place.

    An evaluation fill that differs by row, such as that of `"retrieval"`, is stood for by what `"zero"` gives.

    The paper drops the visual modality only, at a rate equal to the test missing ratio: one model a ratio (tables 5, 6, 11).
    `rate="match"` says that: `gtimm run` takes the rate of each modality from `evaluate.missing`, and `core.fusion.matched`
    does so for a fusion by itself.

    Attributes:
        rate: chance that a value is hidden, each row and epoch anew; a number for `modalities`, a rate by modality, or
            `"match"`, each modality's missing ratio at test.
        modalities: what a plain number or `"match"` applies to; by default a number applies to `image` where there is one, else
            to every modality, and `"match"` to every modality that is missing at test.
        base: the fusion inside: a name or `{"name": ..., **options}`.
    """

    info: ClassVar[Info] = Info()

    rate: float | dict[str, float] | Literal["match"] = 0.5
    modalities: tuple[str, ...] | None = None
    base: str | dict[str, Any] = "late"

    @field_validator("rate")
    @classmethod
    def _in_range(cls, rate: float | dict[str, float] | Literal["match"]) -> float | dict[str, float] | Literal["match"]:
        for value in () if rate == "match" else rate.values() if isinstance(rate, dict) else (rate,):
            if not 0 <= value <= 1:
                raise ValueError(f"a dropout rate must be in 0..1, found {value}")
        return rate

    @field_validator("base")
    @classmethod
    def _known_base(cls, base: str | dict[str, Any]) -> str | dict[str, Any]:
        inner = registry("fusion").create(base)
        if type(inner).hide is not Fusion.hide:
            raise ValueError("a base that drops modalities itself would never be asked; give one dropout with all the rates")
        return base

    def inside(self) -> tuple[Plugin, ...]:
        """Return the base."""
        return (self._inner(),)

    def capabilities(self) -> Info:
        """Return the inner fusion's."""
        return self._inner().capabilities()

    def check(self, modalities: tuple[str, ...]) -> None:
        """Raise `ConfigError` for a rate of an unknown modality, for `"match"`, which only the test set can tell, and as the base does."""
        if self.rate == "match":
            raise ConfigError(_UNKNOWN)
        for name in [*(self.rate if isinstance(self.rate, dict) else ()), *(self.modalities or ())]:
            if name not in modalities:
                raise ConfigError(
                    f"dropout names the modality {name!r}; the data has {', '.join(modalities)}.{did_you_mean(name, modalities)}"
                )
        self._inner().check(modalities)

    def matched(self, missing_test: Mapping[str, float]) -> DropoutFusion:
        """Return this fusion with `rate="match"` replaced by the missing ratio at test of each modality.

        Raises:
            ConfigError: nothing of what it applies to is said to be missing at test.
        """
        if self.rate != "match":
            return self
        rates = {m: ratio for m, ratio in missing_test.items() if self.modalities is None or m in self.modalities}
        if not rates:
            among = f" of {', '.join(self.modalities)}" if self.modalities is not None else ""
            raise ConfigError(
                f"dropout's rate 'match' needs the missing ratios at test{among}; found {dict(missing_test)!r}. Give them, such as "
                "evaluate: {missing: {image: 0.7}}, or a number as rate."
            )
        return type(self)(**{**self.model_dump(), "rate": rates})

    def rates(self, modalities: tuple[str, ...]) -> list[float]:
        """Return the rate of each of these modalities."""
        if self.rate == "match":
            raise ConfigError(_UNKNOWN)
        if isinstance(self.rate, dict):
            return [self.rate.get(m, 0.0) for m in modalities]
        chosen = self.modalities or (("image",) if "image" in modalities else modalities)
        return [self.rate if m in chosen else 0.0 for m in modalities]

    def hide(self, modalities: tuple[str, ...], u: Tensor) -> Tensor | None:
        """Return where u (n, modalities) falls below the rate."""
        return u < torch.tensor(self.rates(modalities))

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the inner fusion's head."""
        return self._inner().build(sizes, classes, encoder)

    def _inner(self) -> Fusion:
        return cast("Fusion", registry("fusion").create(self.base))
