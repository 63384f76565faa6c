"""Loaded encoders, which all that embed in this process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone, Encoder

LOADED = 3
"""Encoders that stay loaded, the last used ones; others go with their last user."""


def loaded(backbone: Backbone, device: str, *, channels_last: bool = False) -> Encoder:
    """Return a backbone's float32 encoder, loaded where it is not yet.

    Args:
        backbone: what opens it.
        device: such as `"cpu"` or `"cuda:0"`.
        channels_last: its weights are laid out for images in that memory format.
    """
    return _loaded(_Wanted(type(backbone), backbone.fingerprint(), device, channels_last, backbone))


@dataclass(frozen=True)
class _Wanted:
    """What decides an encoder, and the backbone that opens it."""

    cls: type[Backbone]
    fingerprint: str
    device: str
    channels_last: bool
    backbone: Backbone = field(compare=False)


@lru_cache(maxsize=LOADED)
def _loaded(wanted: _Wanted) -> Encoder:
    import torch

    encoder = wanted.backbone.open(wanted.device, "float32")
    if wanted.channels_last and isinstance(module := getattr(encoder, "model", None), torch.nn.Module):
        module.to(memory_format=torch.channels_last)
    return encoder
