"""How payloads are embedded: options that hold for a whole workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from gtimm.core.errors import ConfigError, did_you_mean

Precision = Literal["float32", "bfloat16"]
FeatureDtype = Literal["float32", "float16"]


@dataclass(frozen=True)
class EmbedOptions:
    """How payloads are embedded. Features that differ by `precision` or `feature_dtype` are stored apart.

    Attributes:
        batch_size: items a batch. None: 64. It is part of the plan, so it is never searched: features made in batches of another size agree
            to rounding. More may pay for a small encoder on a large GPU. Halved when memory runs out, whatever it is.
        workers: processes that decode; 0: none. None: threads or processes, one a core, as suits the encoder (see
            `gtimm.core.features.preparing`), and none for what takes less than a quarter of a second. On a cluster: threads of each
            worker that decode; None: as many as torch has here.
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

    @classmethod
    def of(cls, value: EmbedOptions | Mapping[str, Any] | None) -> EmbedOptions:
        """Return options from options, their fields or `None`; raises `ConfigError` for an unknown field."""
        if isinstance(value, EmbedOptions):
            return value
        if not isinstance(value, Mapping | None):
            raise ConfigError(f"embed= holds options such as {{'batch_size': 64}}; found {value!r}.")
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in value or {} if name not in known]:
            raise ConfigError(
                f"embed has no option {unknown[0]!r}.{did_you_mean(unknown[0], known)} Options: {', '.join(known)}."
            )
        return cls(**dict(value or {}))

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
