"""One configuration form, the same in a YAML file, in Python and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from gtimm.core.dataset import Column, MultimodalDataset, Splits, load_dataset
from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.missing import Missing

DEFAULT_VAL = 0.1
DEFAULT_TEST = 0.2
SMALLEST = 5


class Evaluation(BaseModel):
    """How the test split is scored.

    Attributes:
        missing: simulated missingness of the test rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    missing: dict[str, Any] = Field(default_factory=dict)


class RunConfig(BaseModel):
    """One experiment: data, missingness, a Pipeline, seeds.

    Attributes:
        data: a name, `{name: ..., **options}`, or `{frame: rows.csv, modalities: {...}, label: ..., split: ...}`.
        missing: simulated missingness of the training rows, `{image: 0.95, stratify: true}`.
        pipeline: options of `Pipeline`.
        evaluate: how the test split is scored.
        seeds: how many (0, 1, ...), or which.
        method: name in the results; by default the imputer's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str | dict[str, Any]
    missing: dict[str, Any] = Field(default_factory=dict)
    pipeline: dict[str, Any] = Field(default_factory=dict)
    evaluate: Evaluation = Evaluation()
    seeds: StrictInt | list[StrictInt] = 1
    method: str | None = None

    @field_validator("seeds")
    @classmethod
    def _some(cls, seeds: int | list[int]) -> int | list[int]:
        if (isinstance(seeds, int) and seeds < 1) or seeds == []:
            raise ValueError("at least one seed is needed")
        if isinstance(seeds, list) and len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice; each counts as one run")
        return seeds

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> RunConfig:
        """Read the plain form; raises `ConfigError` naming the field."""
        try:
            config = cls(**dict(value))
        except (ValidationError, TypeError) as error:
            raise ConfigError(f"Configuration: {_explain(error, cls)}") from error
        if "seed" in config.pipeline:
            raise ConfigError("pipeline has a 'seed'; give it as seeds: [..], which also says how many runs there are.")
        Missing.of(config.missing)
        Missing.of(config.evaluate.missing)
        return config

    @property
    def seed_list(self) -> list[int]:
        """The seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    def pipeline_options(self) -> dict[str, Any]:
        """Return the options of `Pipeline`, with those of a fusion that follow the missing ratios at test set to them."""
        if "fusion" not in self.pipeline:
            return self.pipeline
        from gtimm.core.fusion import matched

        used = self.pipeline.get("modalities")
        ratios = {m: r for m, r in Missing.of(self.evaluate.missing).shares.items() if used is None or m in used}
        return {**self.pipeline, "fusion": matched(self.pipeline["fusion"], ratios)}

    def load_data(self, folder: Path | None = None) -> Splits:
        """Load the data; paths of a `frame` are relative to `folder`, the configuration file's."""
        if isinstance(self.data, str):
            return load_dataset(self.data)
        if "name" in self.data:
            options = dict(self.data)
            return load_dataset(options.pop("name"), **options)
        return _load_frame(self.data, folder or Path())


def read_yaml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a YAML file of plain values; tags that make objects are refused.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    import yaml

    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not plain YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a mapping with 'data', 'missing', 'pipeline', ...; found {type(value).__name__}.")
    return value


def read_table(path: Path) -> Any:
    """Read CSV, TSV, Parquet or JSON lines into a DataFrame of strings and objects, by the file's ending."""
    import pandas as pd

    readers: dict[str, Any] = {
        ".csv": lambda p: pd.read_csv(p, dtype=str, keep_default_na=False),
        ".tsv": lambda p: pd.read_csv(p, dtype=str, sep="\t", quoting=3, keep_default_na=False),
        ".parquet": pd.read_parquet,
        ".jsonl": lambda p: pd.read_json(p, lines=True),
    }
    if path.suffix.lower() not in readers:
        raise ConfigError(f"{path}: tables end in {', '.join(readers)}.")
    try:
        return readers[path.suffix.lower()](path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _load_frame(data: Mapping[str, Any], folder: Path) -> Splits:
    known = {"frame", "modalities", "label", "label_separator", "root", "split", "classes", "unreadable"}
    if unknown := set(data) - known:
        name = sorted(unknown)[0]
        raise ConfigError(f"data has no field {name!r}.{did_you_mean(name, known)} Fields: {', '.join(sorted(known))}.")
    for need in ("frame", "modalities", "label"):
        if need not in data:
            raise ConfigError(f"data needs 'name', or 'frame' with 'modalities' and 'label'; {need!r} is missing.")
    if not isinstance(data["frame"], str) or not isinstance(data.get("root", ""), str):
        raise ConfigError("data.frame and data.root are paths in quotes or plain words.")
    if not isinstance(data["modalities"], Mapping):
        raise ConfigError(f"data.modalities maps each modality to its column, {{image: photo}}; found {data['modalities']!r}.")
    frame = read_table(folder / data["frame"])
    root = folder / data["root"] if "root" in data else (folder / data["frame"]).parent
    modalities = {m: _column(m, c) for m, c in data["modalities"].items()}
    whole = MultimodalDataset.from_frame(
        frame,
        modalities,
        data["label"],
        root=root,
        classes=data.get("classes"),
        label_separator=data.get("label_separator"),
        unreadable=data.get("unreadable", "error"),
        name=Path(data["frame"]).stem,
    )
    if "split" in data:
        return _given_splits(whole, frame, data["split"])
    return make_splits(whole)


def _column(modality: str, value: Any) -> str | Column:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and set(value) == {"name", "kind"} and all(isinstance(part, str) for part in value.values()):
        return Column(**value)
    raise ConfigError(
        f"data.modalities.{modality} is the name of a column, or {{name: column, kind: image}} where the modality's name is not its "
        f"kind; found {value!r}."
    )


def _given_splits(whole: MultimodalDataset, frame: Any, column: str) -> Splits:
    if column not in frame.columns:
        raise ConfigError(f"data.split names the column {column!r}, which the table lacks.{did_you_mean(column, frame.columns)}")
    parts = {name: (frame[column] == name).to_numpy() for name in ("train", "val", "test")}
    if lacking := [name for name, mask in parts.items() if not mask.any()]:
        raise ConfigError(f"Column {column!r} must hold 'train', 'val' and 'test'; it has no {', '.join(lacking)}.")
    return Splits(whole.subset(parts["train"]), whole.subset(parts["val"]), whole.subset(parts["test"]), {"name": whole.name})


def make_splits(whole: MultimodalDataset, val: float = DEFAULT_VAL, test: float = DEFAULT_TEST, seed: int = 0) -> Splits:
    """Split rows at random, each class in proportion where every class has rows enough.

    Args:
        whole: labelled rows.
        val: share that validates.
        test: share that tests.
        seed: of the order.
    """
    from sklearn.model_selection import train_test_split

    if whole.labels is None:
        raise ConfigError("Splits need labels: name the column in data.label.")
    if len(whole) < SMALLEST:
        raise ConfigError(
            f"{len(whole)} rows are too few to split in three; {SMALLEST} are the least, or name a column in data.split."
        )
    rest, labels = np.arange(len(whole)), whole.groups()[0]
    parts = []
    for share in (test, val):
        count = max(round(share * len(whole)), 1)
        alike = (
            labels[rest]
            if min(np.bincount(labels[rest])[np.unique(labels[rest])]) > 1 and count >= len(np.unique(labels))
            else None
        )
        rest, part = train_test_split(rest, test_size=count, random_state=seed, stratify=alike)
        parts.append(whole.subset(np.sort(part)))
    return Splits(whole.subset(np.sort(rest)), parts[1], parts[0], facts={"name": whole.name})


def _explain(error: Exception, model: type[BaseModel]) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"no field {field!r}.{did_you_mean(field, model.model_fields)} Fields: {', '.join(model.model_fields)}."
    return f"{field}: {first['msg']} (found {first['input']!r})."
