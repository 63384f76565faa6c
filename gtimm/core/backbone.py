"""Backbones: frozen encoders that turn payloads into embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gtimm.core.errors import GtimmError, IncompatibleError
from gtimm.core.plugin import Depth, Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.media import Payload


class Encoder(Protocol):
    """A loaded backbone on a device. Deterministic, in eval mode, its parameters frozen."""

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """Encode stacked prepared payloads, `(n, *prepared)`, to float features (n, size), flat at any depth."""
        ...


@runtime_checkable
class PromptEncoder(Encoder, Protocol):
    """An encoder with `"last_block"` in its `info.depths`."""

    def width(self, kind: str) -> int:
        """Return the length of a prompt token: the width of the kind's last block."""
        ...

    def finish(self, kind: str, stored: Tensor, tokens: Tensor | None) -> Tensor:
        """Run the last block on stored `last_block` features (n, size) with prompt tokens (n, p, width) or None: (n, dim).

        Differentiable in the tokens, and pure: nothing is changed in place, and no branch depends on values, so that the heads of
        many runs go through as one (`torch.func.vmap`).
        """
        ...


class Backbone(Plugin, ABC):
    """A frozen encoder of one or more kinds of payload. Write `fingerprint`, `size`, `prepare` and `open`.

    Example:
        >>> import torch
        >>> from gtimm.core.plugin import Info
        >>> class Mean(Backbone):
        ...     info = Info(kinds=("vector",))
        ...     def fingerprint(self): return "mean-1"
        ...     def size(self, kind, depth="pooled"): return 1
        ...     def prepare(self, kind, payload): return torch.as_tensor(payload, dtype=torch.float32)
        ...     def open(self, device="cpu", dtype="float32"): return self
        ...     def encode(self, kind, batch, depth="pooled"): return batch.mean(1, keepdim=True)
        >>> Mean().embed({"vector": [[1.0, 3.0]]})["vector"].tolist()
        [[2.0]]
    """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a string that changes with the weights, the configuration, the options and the preprocessing version.

        Computed from files, without loading the model.
        """

    @abstractmethod
    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Return the length of a feature vector of this kind and depth, without loading the model."""

    @abstractmethod
    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Turn one payload into the encoder's input tensor. Runs in worker processes, without the weights."""

    @abstractmethod
    def open(self, device: str = "cpu", dtype: str = "float32") -> Encoder:
        """Load the weights and return an encoder on a device such as `"cpu"` or `"cuda:0"`."""

    def preprocess(self, kind: str, payload: Payload) -> Tensor:
        """Return the encoder's input tensor for one payload; raises `IncompatibleError` for a kind it cannot embed."""
        self.check_kind(kind)
        return self.prepare(kind, payload)

    def embed(self, payloads: Mapping[str, Sequence[Payload]], *, device: str = "cpu", batch_size: int = 64) -> dict[str, Tensor]:
        """Embed payloads by kind, `{"image": [paths], "text": [strings]}`, to `{kind: (n, dim)}` float32 tensors on the CPU."""
        import torch

        for kind in payloads:
            self.check_kind(kind)
        encoder = self.open(device, "float32")
        result: dict[str, Tensor] = {}
        for kind, items in payloads.items():
            parts = []
            for start in range(0, len(items), batch_size):
                batch = torch.stack([self.prepare(kind, item) for item in items[start : start + batch_size]])
                with torch.inference_mode():
                    parts.append(encoder.encode(kind, batch.to(device), "pooled").float().cpu())
            result[kind] = torch.cat(parts).clone() if parts else torch.zeros(0, self.size(kind))
        return result

    def lacks(self) -> tuple[str, ...]:
        """Return what the fingerprint does not find."""
        try:
            self.fingerprint()
        except GtimmError as error:
            return (str(error),)
        return ()

    def check_kind(self, kind: str) -> None:
        """Raise `IncompatibleError` if this backbone cannot embed the kind."""
        if self.info.kinds and kind not in self.info.kinds:
            raise IncompatibleError(
                f"{type(self).__name__} cannot embed {kind!r}; it embeds {', '.join(self.info.kinds)}. "
                "Choose another backbone, or one by modality: backbone={'image': 'imagebind', ...}."
            )


def comparable(target: str, kinds: Mapping[str, str], backbones: Mapping[str, Backbone]) -> tuple[str, ...]:
    """Return the modalities whose embeddings lie in one space with the target's: of the same backbone, both kinds in `info.one_space`.

    Args:
        target: a modality.
        kinds: kind by modality.
        backbones: by modality.
    """
    own = backbones[target]
    if kinds[target] not in own.info.one_space:
        return ()
    return tuple(m for m, other in backbones.items() if m != target and other == own and kinds[m] in own.info.one_space)
