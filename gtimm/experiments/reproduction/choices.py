"""What the paper leaves open, with our defaults: the options of `gtimm reproduce`. docs/open-choices.md speaks of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from gtimm.core.config import absolute_paths
from gtimm.core.errors import ConfigError
from gtimm.core.options import Options, by_name

STRATEGIES = ("backbone", "generator", "sound", "fusion", "descriptions")


class Choices(Options):
    """Options of a reproduction; those that are mappings win over the preset's one by one.

    Attributes:
        data: options of the data set, such as `split` of UCF101 or `clips` of ActivityNet.
        backbone: options of the backbone, such as `feature_point` of ImageBind or `model` of CLIP; with a `name` another backbone.
        generator: options of the image generator, such as `steps`, `size` or `guidance`; with a `name` another generator.
        sound: options of the sound generator, such as `prompts`; with a `name` another one.
        fusion: options of the head, such as `hidden` of late fusion; with a `name` another fusion.
        train: options of training, such as `epochs` or `lr`.
        descriptions: options of the prompts `descriptions` (`file` or `model`), the sentences of Table 4.
        zero: level at which zero-filling is zero, in training and at test.
        select: epoch that is kept, the best on validation or the last.
        mechanism: how values go missing in training.
        f1: average of F1 over the classes, for CrisisMMD.
        top: of Food101, whether the class must be the first guess or among the first 3.
        dropout: rate of GTI-MM Dropout; `match` is the missing ratio at test, as for MM-Dropout.
        prior: how often each class is seen by zero-shot models: as in training, or all alike.
        per_class: items a class.
        seeds: how many; `None` takes the paper's.
    """

    model_config = ConfigDict(title="reproduce")

    data: dict[str, Any] = Field(default_factory=dict)
    backbone: dict[str, Any] = Field(default_factory=dict)
    generator: dict[str, Any] = Field(default_factory=dict)
    sound: dict[str, Any] = Field(default_factory=dict)
    fusion: dict[str, Any] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    descriptions: dict[str, Any] = Field(default_factory=dict)
    zero: Literal["embedding", "payload"] = "embedding"
    select: Literal["best", "last"] = "best"
    mechanism: Literal["random", "stratified"] = "random"
    f1: Literal["macro", "weighted", "micro"] = "macro"
    top: Literal[1, 3] = 3
    dropout: Literal["match"] | float = "match"
    prior: Literal["training", "uniform"] = "training"
    per_class: int = Field(default=100, ge=1)
    seeds: int | None = Field(default=None, ge=1)

    @classmethod
    def of(cls, value: Choices | Mapping[str, Any] | None) -> Choices:
        """Return choices from choices, their fields or `None`; raises `ConfigError` naming the field."""
        if isinstance(value, Choices):
            return value
        found = cls(**by_name(value or {}))
        if found.dropout != "match" and not 0 <= found.dropout <= 1:
            raise ConfigError(f"dropout is a rate in 0..1, or 'match'; found {found.dropout!r}.")
        if "per_class" in found.generator or "per_class" in found.sound:
            raise ConfigError("per_class is an option of its own: the budgets of Figure 6 end there.")
        return found

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as plain values."""
        return self.model_dump(mode="json", exclude_defaults=True)


def absolute(choices: Choices, folder: Path) -> Choices:
    """Return choices whose relative paths are as from a folder, so that a copy of them reads the same files from elsewhere."""
    named = {name: {"name": name, **getattr(choices, name)} for name in STRATEGIES}
    found = absolute_paths({"data": choices.data, "pipeline": named}, folder)
    options = {
        name: {key: value for key, value in found["pipeline"][name].items() if key in getattr(choices, name)}
        for name in STRATEGIES
    }
    return choices.model_copy(update={"data": found["data"], **options})


def merged(spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a strategy's spec with options; options that name another strategy stand alone.

    Example:
        >>> merged({"name": "clip", "model": "ViT-B-32"}, {"model": "ViT-L-14"})
        {'name': 'clip', 'model': 'ViT-L-14'}
        >>> merged({"name": "clip", "model": "ViT-B-32"}, {"name": "imagebind-tiny"})
        {'name': 'imagebind-tiny'}
    """
    other = "name" in options and options["name"] != spec.get("name")
    return dict(options) if other else {**spec, **options}
