"""The `imagebind-tiny` plug-in: the small model that comes with the library."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gtimm.backbones.imagebind.backbone import ImageBind
from gtimm.core.plugin import Info

ASSET = Path(__file__).resolve().parents[2] / "assets" / "imagebind-tiny"


class ImageBindTiny(ImageBind):
    """ImageBind's architecture at a hundredth of a percent of its size, trained on letters and words, never on digits.

    Images are glyphs of 28 x 28 pixels, white on black; sounds are spoken words of up to one second; texts are their names.
    Any other word reads as "something": for real text take `imagebind` or `clip`.
    `provenance.json` beside the weights lists all that it was trained on. Made by `training/imagebind_tiny.py`.

    Example:
        >>> ImageBindTiny().size("image") == ImageBindTiny().size("audio")
        True
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio", "text", "video"),
        one_space=("image", "audio", "text", "video"),
        depths=("pooled", "last_block"),
        weights_licence="Apache-2.0",
    )

    weights: Path | None = ASSET / "imagebind_tiny.safetensors"
    config: Path | None = ASSET / "config.json"
