"""Fusions: how the modalities' embeddings become one prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gtimm.core.backbone import PromptEncoder
from gtimm.core.errors import PluginError
from gtimm.core.plugin import Info, Plugin
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.backbone import Backbone
    from gtimm.core.workspace import Workspace


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

    def own_parameters(self) -> dict[str, dict[str, slice]]:
        """Say which parameters act on one modality's features alone: what balancing modulates.

        Returns:
            modality to parameter name to its columns, a slice of the last dimension; `slice(None)` for all of it. Empty
            where the head has none, the default.
        """
        return {}

    def unimodal(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Classify by each modality alone; by default what `forward` says with the others absent, as zeros.

        Args:
            x: features as for `forward`, in the order of the masks' columns.
            filled: as for `forward`.
            observed: as for `forward`.

        Returns:
            modality to (n, classes) logits.
        """
        return {m: self(*alone(x, filled, observed, {m})) for m in x}


def alone(
    x: dict[str, Tensor], filled: Tensor, observed: Tensor, kept: Collection[str]
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return a head's arguments with all modalities but `kept` made absent; `x` is in the order of the masks' columns."""
    columns = torch.tensor([m in kept for m in x], device=filled.device)
    return {m: value if m in kept else torch.zeros_like(value) for m, value in x.items()}, filled & columns, observed & columns


@dataclass(frozen=True)
class Finisher:
    """What turns one modality's stored `last_block` features into embeddings: its backbone's last block and output.

    The encoder is frozen and shared. Held by a head it is neither among its parameters nor saved or copied with it.

    Attributes:
        encoder: loaded, on `device`.
        kind: of the modality.
        width: length of a prompt token.
        dim: length of an embedding.
        device: where the encoder computes; features and tokens may be elsewhere, and embeddings return to the features' place.
    """

    encoder: PromptEncoder
    kind: str
    width: int
    dim: int
    device: str = "cpu"

    @classmethod
    def of(cls, backbone: Backbone, kind: str, workspace: Workspace) -> Finisher:
        """Return a backbone's, with the workspace's loaded encoder.

        Raises:
            PluginError: the backbone says that it gives `last_block` features, and its encoder cannot finish them.
        """
        encoder = workspace.encoder(backbone)
        if not isinstance(encoder, PromptEncoder):
            raise PluginError(
                f"{type(backbone).__name__} lists 'last_block' in info.depths, and its encoder lacks `finish` or `width`. Write both "
                "(gtimm.core.backbone.PromptEncoder), or take 'last_block' out of the depths."
            )
        return cls(encoder, kind, encoder.width(kind), backbone.size(kind), workspace.device)

    def finish(self, stored: Tensor, tokens: Tensor | None) -> Tensor:
        """Stored features (n, size) and prompt tokens (n, p, width) or None -> embeddings (n, dim); differentiable in the tokens."""
        found = None if tokens is None else tokens.to(self.device)
        return self.encoder.finish(self.kind, stored.to(self.device), found).to(stored.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> Finisher:
        return self


Finishers = Mapping[str, Finisher]
"""By modality."""


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

    def matched(self, missing_test: Mapping[str, float]) -> Fusion:
        """Return this fusion with options that follow the missing ratios at test set to them; by default none do."""
        return self

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
    def build(self, sizes: dict[str, int], classes: int, encoder: Finishers | None) -> Head:
        """Return a new head; its initial weights come from torch's generator.

        Args:
            sizes: modality to feature length, at the fusion's depth (`info.depths`).
            classes: number of classes.
            encoder: at depth `"last_block"`, modality to what finishes its stored features; `None` at depth `"pooled"`.
        """


def matched(spec: Any, missing_test: Mapping[str, float]) -> Any:
    """Return a fusion whose options that follow the missing ratios at test are set to them, so that there is one model a ratio.

    Args:
        spec: a name, `{"name": ..., **options}` or an instance.
        missing_test: modality to missing ratio at test.

    Returns:
        The spec as it was where nothing in it follows the test; else `{"name": ..., **options}`, or an instance for an instance.

    Example:
        >>> matched({"name": "dropout", "rate": "match"}, {"image": 0.7})
        {'name': 'dropout', 'rate': {'image': 0.7}}
        >>> matched("late", {"image": 0.7})
        'late'
    """
    found: Fusion = registry("fusion").create(spec)
    fixed = found.matched(missing_test)
    if fixed is found:
        return spec
    return fixed if isinstance(spec, Fusion) else registry("fusion").spec(fixed)
