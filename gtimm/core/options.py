"""Options as frozen fields, checked when they are made; those of a Pipeline that are no strategies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from gtimm.core.errors import ConfigError, did_you_mean

Precision = Literal["float32", "bfloat16"]
FeatureDtype = Literal["float32", "float16"]
Whole = Annotated[StrictInt, BeforeValidator(lambda value: int(value) if isinstance(value, np.integer) else value)]
"""A whole number, numpy's too; text, fractions and truth values are none."""


class Options(BaseModel):
    """Options whose constructor raises `ConfigError`: it names the option, what was found and what it may be."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def __init__(self, /, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise ConfigError(" ".join(_explain(type(self), error.title, item) for item in error.errors())) from error

    @model_validator(mode="wrap")
    @classmethod
    def _by_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return handler(by_name(value) if isinstance(value, Mapping) else value)


def by_name(options: Mapping[Any, Any]) -> dict[str, Any]:
    """Return options with names that are text, as a file's need not be, so that an unknown one is refused by name."""
    return {str(name): value for name, value in options.items()}


def refuse_unknown(names: Iterable[Any], known: Collection[str], owner: str) -> None:
    """Raise `ConfigError` for the first name that is no option of its owner; the message suggests the nearest."""
    for name in names:
        if name not in known:
            raise ConfigError(_unknown(str(name), known, owner))


def _unknown(name: str, known: Collection[str], owner: str) -> str:
    return f"{owner} has no option {name!r}.{did_you_mean(name, known)} Options: {', '.join(sorted(known)) or 'none'}."


def _explain(model: type[BaseModel], owner: str, item: ErrorDetails) -> str:
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return _unknown(field, model.model_fields, owner)
    where = f"{owner} option {field!r}" if field else owner
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # of options within these; it says what was found
        return f"{where}: {cause}"
    found = "" if item["type"] == "missing" else f" (found {item['input']!r})"  # else it is all the other options
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{found}."


class TrainOptions(Options):
    """Optimisation: AdamW, as in Tables 8 and 9 of the paper.

    Attributes:
        epochs: passes over the training rows; `None` takes 30 where a modality is text and 15 elsewhere.
        lr: learning rate; of several, such as the paper's `[1e-4, 2e-4, 5e-4]`, the best on validation is taken.
        weight_decay: decoupled weight decay.
        batch_size: rows a step; the last step of an epoch takes what is left.
        fill_weight: loss weight of the rows in which an imputer fills something, beside 1 of the others; a batch's loss is the
            weighted mean. Of several the best on validation is taken.
        class_weights: a loss weight a class in their order, or `"balanced"`: rows / (classes * rows of the class).
    """

    epochs: int | None = Field(default=None, ge=1)
    lr: float | tuple[float, ...] = 5e-4
    weight_decay: float = Field(default=1e-4, ge=0)
    batch_size: int = Field(default=128, ge=1)
    fill_weight: float | tuple[float, ...] = 1.0
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None

    @field_validator("lr", "fill_weight", "class_weights")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if value == () or (not isinstance(value, str | None) and not all(0 < v < float("inf") for v in np.atleast_1d(value))):
            raise ValueError("must be above 0 and finite")
        return value

    def epochs_for(self, kinds: Collection[str] = ()) -> int:
        """Return the passes over the training rows of data with modalities of these kinds."""
        return self.epochs or (30 if "text" in kinds else 15)


class EmbedOptions(Options):
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

    batch_size: StrictInt | None = Field(default=None, ge=1)
    workers: StrictInt | None = Field(default=None, ge=0)
    precision: Precision = "float32"
    channels_last: StrictBool = False
    compile: StrictBool = False
    feature_dtype: FeatureDtype = "float32"


class PipelineOptions(Options):
    """The options of a Pipeline that are no strategies; its docstring says what each is."""

    model_config = ConfigDict(title="Pipeline")

    modalities: tuple[str, ...] | None = None
    rows: Literal["all", "complete"] = "all"
    unseen: tuple[str, ...] = ()
    draws: Whole = Field(default=1, ge=1)
    calibrate: StrictBool = False
    commercial: StrictBool = False
    train: TrainOptions = TrainOptions()
    embed: EmbedOptions = EmbedOptions()
    seed: Whole = 0
    store: Path | None = None
    device: Annotated[str, BeforeValidator(lambda value: str(value) if type(value).__name__ == "device" else value)] = "auto"
    generate: Literal[True, False, "ask"] = "ask"

    @field_validator("modalities", "unseen", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"a list of names is needed; write [{value}]")
        return value

    @field_validator("train", "embed", mode="before")
    @classmethod
    def _or_defaults(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("unseen")
    @classmethod
    def _used(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        used = info.data.get("modalities")
        if used and (others := [name for name in value if name not in used]):
            raise ValueError(f"the model uses only {', '.join(used)}; leave {others[0]!r} out, or name it in modalities= too")
        return value

    def plain(self) -> dict[str, Any]:
        """Return what a configuration holds: what differs from the defaults, but not where and with which seed it runs."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"seed", "store", "device", "generate"})
