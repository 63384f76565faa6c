"""Missing-aware prompts before the last block of each encoder (section 8.2, appendix B)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.fusion import Finisher, Fusion, Head
from gtimm.core.plugin import Info, Plugin
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers

MOST = 4
SCALE = 0.02


class MissingAwareFusion(Fusion):
    """Learnable tokens before the last block of each frozen encoder, chosen by which modalities a row has; any fusion behind.

    Section 8.2 puts 5 tokens before the tokens that enter the last block of the image and of the audio encoder, and trains
    them with the head, after Lee et al. 2023 (arXiv 2303.03369), where each case of missing modalities has its own. Every
    encoder is prompted in every row: in place of a missing modality it sees what fills it, a black image for one.

    A row's case is the set of modalities that it has itself. What an imputer puts counts as missing, in training and at
    test: the paper calls its imputed training rows complete and does not say which tokens they get; whether a fill was
    made or is zero a head is not told.

    The stored `last_block` features of a payload stand for all its tokens exactly, so training costs as much as that of a
    head with the last block's layers on one token. Zero fills and dropout act on payloads: a vector of zeros is none.

    Attributes:
        tokens: number of tokens a modality and case. They begin as normal noise of deviation 0.02.
        base: the fusion of the embeddings: a name or `{"name": ..., **options}`. Modality dropout stands around, not inside:
            `{"name": "dropout", "base": "missing-aware"}`.
    """

    info: ClassVar[Info] = Info(depths=("last_block",))

    tokens: int = Field(default=5, ge=1)
    base: str | dict[str, Any] = "late"

    @field_validator("base")
    @classmethod
    def _fits_inside(cls, base: str | dict[str, Any]) -> str | dict[str, Any]:
        inner = registry("fusion").create(base)
        if type(inner).hide is not Fusion.hide:
            raise ValueError('modality dropout stands around it: fusion={"name": "dropout", "base": "missing-aware"}')
        if "pooled" not in inner.capabilities().depths:
            raise ValueError("a base takes embeddings, as late, score, gated and attention do")
        return base

    def inside(self) -> tuple[Plugin, ...]:
        """Return the base."""
        return (self._inner(),)

    def capabilities(self) -> Info:
        """Return the inner fusion's, but for the depth."""
        return replace(self._inner().capabilities(), depths=self.info.depths)

    def check(self, modalities: tuple[str, ...]) -> None:
        """Raise `ConfigError` for more modalities than cases can be learnt for."""
        if len(modalities) > MOST:
            raise ConfigError(
                f"missing-aware learns tokens for each of the 2^{len(modalities)} sets of modalities that a row can have; the data has "
                f"{', '.join(modalities)}, and at most {MOST} are sensible. Choose some with modalities=, or another fusion."
            )
        self._inner().check(modalities)

    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return the head; only tokens and base are its parameters.

        Raises:
            IncompatibleError: no encoders were given.
        """
        if encoder is None:
            raise IncompatibleError(
                "missing-aware finishes stored last_block features with the encoders; give encoder=, by modality a "
                "gtimm.core.fusion.Finisher, as Pipeline does."
            )
        base = self._inner().build({m: encoder[m].dim for m in sizes}, classes, None)
        return _MissingAware({m: encoder[m] for m in sizes}, self.tokens, base)

    def _inner(self) -> Fusion:
        return cast("Fusion", registry("fusion").create(self.base))


class _MissingAware(Head):
    def __init__(self, finishers: dict[str, Finisher], tokens: int, base: Head) -> None:
        super().__init__()
        self.finishers, self.base = finishers, base
        cases = 2 ** len(finishers)
        self.prompts = nn.ParameterList(SCALE * torch.randn(cases, tokens, one.width) for one in finishers.values())

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        return cast("Tensor", self.base(self.embeddings(x, filled, observed), filled, observed))

    def embeddings(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Finish stored features, modality to (n, size), with the tokens of each row's case; zeros where nothing is."""
        bits = torch.tensor([1 << i for i in range(len(self.finishers))], device=observed.device)
        case, there = (observed * bits).sum(-1), filled | observed
        found = {}
        for column, (m, one) in enumerate(self.finishers.items()):
            embedding = one.finish(x[m], self.prompts[column][case])
            found[m] = torch.where(
                there[..., column, None], embedding, torch.zeros((), dtype=embedding.dtype, device=case.device)
            )
        return found

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        own = self.base.own_parameters()
        return {
            m: {f"prompts.{i}": slice(None)} | {f"base.{name}": part for name, part in own.get(m, {}).items()}
            for i, m in enumerate(self.finishers)
        }

    def unimodal(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Return what the base says of each modality's embedding, with the tokens of the row's own case."""
        return self.base.unimodal(self.embeddings(x, filled, observed), filled, observed)
