"""How payloads are embedded: options that hold for a whole workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gtimm.core.errors import ConfigError

Precision = Literal["float32", "bfloat16"]
FeatureDtype = Literal["float32", "float16"]


@dataclass(frozen=True)
class EmbedOptions:
    """How payloads are embedded. Features that differ by `precision` or `feature_dtype` are stored apart.

    Attributes:
        batch_size: items a batch. None: 64 on a CPU, where larger ones are no faster; elsewhere doubled from 64 on while that
            raises the rate by a tenth. Halved when memory runs out, whatever it is.
        workers: processes that decode; 0: none. None: threads or processes, one a core, as suits the encoder (see
            `gtimm.core.embedding`), and none for what takes less than a quarter of a second.
        precision: `"bfloat16"` encodes under autocast; for GPUs. Features differ in the third digit.
        channels_last: encode images in that memory format; helps convolutional encoders.
        compile: `torch.compile` the encoder; takes a minute or more, for many items and a GPU.
        feature_dtype: of the stored values; `"float16"` halves the space and rounds to 3 digits.
    """

    batch_size: int | None = None
    workers: int | None = None
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False
    feature_dtype: FeatureDtype = "float32"

    def __post_init__(self) -> None:
        for name, value, least in (("batch_size", self.batch_size, 1), ("workers", self.workers, 0)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ConfigError(f"{name} must be a whole number of at least {least}; found {value!r}.")
        for name in ("channels_last", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false; found {getattr(self, name)!r}.")
        for name, known in (("precision", get_args(Precision)), ("feature_dtype", get_args(FeatureDtype))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}; found {getattr(self, name)!r}.")
