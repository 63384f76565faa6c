"""Sizes of an ImageBind model: one JSON file, `{"vision": {...}, "audio": {...}, "text": {...}, "out_embed_dim": n}`.

Only `embed_dim`, `num_blocks` and `num_heads` of each branch and `out_embed_dim` are required. Everything else defaults
to the published model, `imagebind_huge`. A branch that the file does not mention does not exist.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.plain import from_json

Kind = Literal["image", "audio", "text"]
Branch = Literal["vision", "audio", "text"]

BRANCH_OF: dict[Kind, Branch] = {"image": "vision", "audio": "audio", "text": "text"}
"""The name that the checkpoint gives to the branch that embeds each kind."""


class _Sizes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Trunk(_Sizes):
    embed_dim: int = Field(gt=0)
    num_blocks: int = Field(gt=0)
    num_heads: int = Field(gt=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "_Trunk":
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        return self


class VisionConfig(_Trunk):
    """The image branch; the input is `(3, image_size, image_size)`, cut into square patches."""

    image_size: int = 224
    patch_size: int = 14
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)  # CLIP's, as in the original
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1


class AudioConfig(_Trunk):
    """The audio branch; the input is `(clips, 1, num_mel_bins, target_length)` of normalised log mel energies."""

    num_mel_bins: int = 128
    target_length: int = 204  # frames of 10 ms
    kernel_size: int = 16
    stride: int = 10
    sample_rate: int = 16000  # Hz
    clip_duration: float = 2.0  # seconds
    clips: int = 3
    mean: float = -4.268
    std: float = 9.138

    @property
    def tokens(self) -> int:
        """Overlapping patches and the class token."""
        rows = (self.num_mel_bins - self.kernel_size) // self.stride + 1
        return rows * ((self.target_length - self.kernel_size) // self.stride + 1) + 1


class TextConfig(_Trunk):
    """The text branch; the input is `(context_length,)` token ids of CLIP's byte-pair vocabulary.

    A model that keeps only some rows of the token embedding lists the ids it keeps, ascending, in `token_ids`; row i
    then belongs to `token_ids[i]`. Other tokens become `unknown`, one of the kept ids.
    """

    context_length: int = 77
    vocab_size: int = 49408
    token_ids: tuple[int, ...] | None = None
    unknown: int | None = None

    @model_validator(mode="after")
    def _kept_tokens(self) -> "TextConfig":
        if self.token_ids is None:
            return self
        if list(self.token_ids) != sorted(set(self.token_ids)) or len(self.token_ids) != self.vocab_size:
            raise ValueError("token_ids must be ascending, without repeats, and vocab_size of them")
        if self.unknown not in self.token_ids:
            raise ValueError("token_ids needs `unknown`, the kept id that stands for every other token")
        return self


class ImageBindConfig(_Sizes):
    """The whole model; kinds are `image`, `audio` and `text`."""

    vision: VisionConfig | None = None
    audio: AudioConfig | None = None
    text: TextConfig | None = None
    out_embed_dim: int = Field(gt=0)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that the model can embed."""
        return tuple(kind for kind, branch in BRANCH_OF.items() if getattr(self, branch) is not None)

    def trunk(self, kind: Kind) -> VisionConfig | AudioConfig | TextConfig:
        """Sizes of the branch for a kind; raises IncompatibleError where the model has no such branch."""
        sizes: VisionConfig | AudioConfig | TextConfig | None = getattr(self, BRANCH_OF[kind])
        if sizes is None:
            raise IncompatibleError(f"this ImageBind model has no branch for {kind!r}; its config has {list(self.kinds)}")
        return sizes


HUGE = ImageBindConfig(
    vision=VisionConfig(embed_dim=1280, num_blocks=32, num_heads=16),
    audio=AudioConfig(embed_dim=768, num_blocks=12, num_heads=12),
    text=TextConfig(embed_dim=1024, num_blocks=24, num_heads=16),
    out_embed_dim=1024,
)
"""The published `imagebind_huge`."""


def load_config(path: Path | None) -> ImageBindConfig:
    """Reads a config file; None is `imagebind_huge`. Keys that are not sizes (file lists and such) are left alone."""
    if path is None:
        return HUGE
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"cannot read the ImageBind config {path}: {error}") from error
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, _size: int, _mtime: int) -> ImageBindConfig:
    """Read once: every prepared payload asks for the sizes."""
    try:
        raw: Any = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the ImageBind config {path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"the ImageBind config {path} holds {type(raw).__name__}, expected an object")
    try:
        return ImageBindConfig(**{key: raw[key] for key in ImageBindConfig.model_fields if key in raw})
    except ValidationError as error:
        raise ConfigError(f"the ImageBind config {path} is not valid: {error}") from error
