"""One configuration form, the same in a YAML file, in Python and on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, StrictInt, field_validator

from gtimm.core.comparing import CompareOptions
from gtimm.core.dataset import Column, Splits, load_dataset
from gtimm.core.errors import ConfigError, DataError, Together, did_you_mean
from gtimm.core.missing import Missing
from gtimm.core.missing.masks import plain_names
from gtimm.core.options import Options, PipelineOptions, by_name, refuse_unknown
from gtimm.core.plain import from_yaml
from gtimm.core.row_names import RowNames
from gtimm.core.splitting import DEFAULT_TEST, DEFAULT_VAL, PARTS, make_splits, read_splits
from gtimm.core.table_files import TABLES, read_table
from gtimm.core.tables import read_frame

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Evaluation", "RunConfig", "SplitOptions", "make_splits", "read_table", "read_yaml"]

Simulated = Annotated[dict[str, Any], BeforeValidator(plain_names)]


class Evaluation(Options):
    """How the test split is scored.

    Attributes:
        missing: simulated missingness of the test rows.
    """

    model_config = ConfigDict(title="evaluate")

    missing: Simulated = Field(default_factory=dict)


class SplitOptions(Options):
    """How a table is split where no column says it; see `gtimm.core.splitting.make_splits`.

    Attributes:
        val: share that validates.
        test: share that tests.
        stratify: keep each class's share.
        group: column whose equal values stay together.
        seed: of the order.
    """

    model_config = ConfigDict(title="data.split")

    val: float = DEFAULT_VAL
    test: float = DEFAULT_TEST
    stratify: bool = True
    group: str | None = None
    seed: StrictInt = 0


class RunConfig(Options):
    """One experiment: data, missingness, a Pipeline, seeds.

    Attributes:
        data: a name, `{name: ..., **options}`, or `{frame: rows.csv, modalities: {...}, label: ...}`, there perhaps `split`: the column
            that says train, val or test, or `SplitOptions`, `{val: 0.1, test: 0.2, group: user, seed: 0}`. Of data in three tables
            `frame` is `{train: a.csv, val: b.csv, test: c.csv}`.
        missing: simulated missingness of the training rows, `{image: 0.95, stratify: true}`.
        pipeline: options of `Pipeline`.
        evaluate: how the test split is scored.
        seeds: how many (0, 1, ...), or which.
        method: name in the results; by default the imputer's.
        compare: methods and missing ratios to compare, instead of `missing`, `evaluate` and `method`; `pipeline` then holds the options
            that all methods share.
    """

    model_config = ConfigDict(title="Configuration")

    data: str | dict[str, Any]
    missing: Simulated = Field(default_factory=dict)
    pipeline: dict[str, Any] = Field(default_factory=dict)
    evaluate: Evaluation = Evaluation()
    seeds: StrictInt | list[StrictInt] = 1
    method: str | None = None
    compare: CompareOptions | None = None

    @field_validator("seeds")
    @classmethod
    def _some(cls, seeds: int | list[int]) -> int | list[int]:
        if (isinstance(seeds, int) and seeds < 1) or seeds == []:
            raise ValueError("at least one seed is needed")
        if isinstance(seeds, list) and len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice; each counts as one run")
        return seeds

    @classmethod
    def of(cls, value: Mapping[str, Any], source: Any = None) -> RunConfig:
        """Read the plain form.

        Args:
            value: the plain form.
            source: where it is from; a path is named in errors.

        Raises:
            ConfigError: a field is wrong; names it, and what else is wrong.
        """
        try:
            return cls._of(value)
        except ConfigError as error:
            if not isinstance(source, str | PathLike):
                raise
            raise ConfigError(f"{source}: {error}") from error

    @classmethod
    def _of(cls, value: Mapping[str, Any]) -> RunConfig:
        together = Together()
        with together.check():
            config = cls(**by_name(value))
        with together.check():
            _check_data(value.get("data"))
        for check in (_check_names, _check_options):
            with together.check():
                check(value.get("pipeline"))
        together.finish()
        if "seed" in config.pipeline:
            raise ConfigError("pipeline has a 'seed'; give it as seeds: [..], which also says how many runs there are.")
        if config.compare is not None and (both := {"missing", "evaluate", "method"} & config.model_fields_set):
            raise ConfigError(
                f"A configuration with 'compare' has no {sorted(both)[0]!r}: what is missing, and in which methods, stands in compare."
            )
        holes: list[Any] = [config.missing, config.evaluate.missing]
        if config.compare is not None:
            holes = [*config.compare.training(), *config.compare.testing()]
        for missing in holes:
            Missing.of(missing).to_config()  # refuses what the run folder could not hold
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
        """Load the data; relative paths of a `frame` are as from `folder`, by default the working folder."""
        if isinstance(self.data, str):
            return load_dataset(self.data)
        if "name" in self.data:
            options = dict(self.data)
            return load_dataset(options.pop("name"), **options)
        return _load_frame(self.data, folder or Path())

    def read_frames(self, folder: Path) -> tuple[dict[str, tuple[Path, DataFrame]], dict[str, str | Column], Path]:
        """Read the tables of a `frame`.

        Returns:
            Part to path and table, the table's name where there is one; modality to column; the folder that paths are relative to.
        """
        if isinstance(self.data, str) or "name" in self.data:
            raise ConfigError("data has a name, and no frame.")
        tables, modalities, root = _read_frames(self.data, folder)
        return {part or path.stem: (path, frame) for part, (path, frame) in tables.items()}, modalities, root


def read_yaml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a YAML file of plain values, its relative paths as from its folder; tags that make objects are refused.

    Paths are `data.frame` and `data.root`, `pipeline.store`, the options in `PATH_OPTIONS` of whatever has a `name`, and of its other
    options those that begin with `./` or `../`, such as `model: ./finetuned`; a leading `~` is the user's home.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    try:
        value = from_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not plain YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a mapping with 'data', 'missing', 'pipeline', ...; found {type(value).__name__}.")
    return absolute_paths(value, Path(path).resolve().parent)


PATH_OPTIONS = frozenset({"root", "prepared", "images", "speech", "folder", "file", "names", "save", "weights", "config"})
"""Options of data sets, backbones, imputers and prompts that are paths."""


def absolute_paths(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a configuration's plain form with its relative paths as from `folder`; see `read_yaml` for what is a path."""
    found = dict(config)
    if isinstance(data := config.get("data"), Mapping):
        form = {"frame", "root"} if "frame" in data else PATH_OPTIONS
        found["data"] = {name: _from_folder(value, folder) if name in form else value for name, value in data.items()}
    if isinstance(pipeline := config.get("pipeline"), Mapping):
        found["pipeline"] = {name: _of_spec(value, folder) for name, value in pipeline.items()}
        if "store" in pipeline:
            found["pipeline"]["store"] = _from_folder(pipeline["store"], folder)
    if isinstance(compared := config.get("compare"), Mapping):
        specs = {name: _of_spec(compared[name], folder) for name in ("methods", "generator") if name in compared}
        found["compare"] = {**compared, **specs}
    if "experiment" in config and "speech" in config:
        found["speech"] = _from_folder(config["speech"], folder)
    return found


def _of_spec(value: Any, folder: Path) -> Any:
    """Return a strategy's plain form, or those of several by modality, with absolute paths."""
    if not isinstance(value, Mapping):
        return value
    if "name" not in value:
        return {name: _of_spec(one, folder) for name, one in value.items()}
    return {
        name: _from_folder(one, folder)
        if name in PATH_OPTIONS or (isinstance(one, str) and one.startswith(("./", "../")))
        else _of_spec(one, folder)
        for name, one in value.items()
    }


def _from_folder(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {name: _from_folder(one, folder) for name, one in value.items()}
    return str(folder / Path(value).expanduser()) if isinstance(value, str) and value else value


def _load_frame(data: Mapping[str, Any], folder: Path) -> Splits:
    split = data.get("split", {})
    options = None if isinstance(split, str) else SplitOptions(**by_name(split))
    tables, modalities, root = _read_frames(data, folder)
    frames = {part: frame for part, (_, frame) in tables.items()}
    paths = {part: path for part, (path, _) in tables.items()}
    first = next(iter(paths.values()))
    frame = _joined(frames, paths)
    sizes = [len(one) for one in frames.values()]
    alike = len({path.name for path in paths.values()}) < len(paths)
    common = {
        "root": root,
        "classes": data.get("classes"),
        "label_separator": data.get("label_separator"),
        "id": data.get("id"),
        "unreadable": data.get("unreadable", "error"),
        "name": first.stem if len(paths) == 1 else first.parent.name,
        "row_names": RowNames.joined(
            [RowNames.of(one, str(paths[part]) if alike else paths[part].name) for part, one in frames.items()], sizes
        ),
    }
    if options is None:
        return read_splits(frame, modalities, data["label"], split, **common)
    whole = read_frame(frame, modalities, data["label"], **common)
    if len(paths) > 1:
        train, val, test = (whole.subset(rows) for rows in np.split(np.arange(len(whole)), np.cumsum(sizes)[:-1]))
        return Splits(train, val, test, facts={"name": whole.name})
    return make_splits(whole, **options.model_dump())


def _read_frames(
    data: Mapping[str, Any], folder: Path
) -> tuple[dict[str, tuple[Path, DataFrame]], dict[str, str | Column], Path]:
    """Return part (`""` of a single table) to path and table, the modalities' columns, and the folder that paths are relative to."""
    tables = data["frame"]
    paths = {part: folder / tables[part] for part in PARTS} if isinstance(tables, Mapping) else {"": folder / tables}
    frames = {part: (path, read_table(path)) for part, path in paths.items()}
    if "root" not in data and len({path.parent for path in paths.values()}) > 1:
        raise ConfigError(
            "data.frame names tables in several folders; say in data.root which folder their paths are relative to."
        )
    root = folder / data["root"] if "root" in data else next(iter(paths.values())).parent
    return frames, {m: _column(m, c) for m, c in data["modalities"].items()}, root


def _joined(frames: Mapping[str, DataFrame], paths: Mapping[str, Path]) -> DataFrame:
    import pandas as pd

    if len(frames) == 1:
        return next(iter(frames.values()))
    for part, frame in frames.items():
        if not len(frame):
            raise DataError(f"{paths[part]} has no rows.")
        if absent := set(frames["train"].columns) - set(frame.columns):
            name = sorted(map(str, absent))[0]
            raise DataError(
                f"{paths[part]} has no column {name!r}, which {paths['train']} has.{did_you_mean(name, frame.columns)}"
            )
    return pd.concat([frame[frames["train"].columns] for frame in frames.values()], ignore_index=True)


def _check_names(pipeline: Any) -> None:
    """Raise `ConfigError` for an option of a Pipeline that there is not; other kinds of values are another's to refuse."""
    from gtimm.core.pipeline import Pipeline

    if isinstance(pipeline, Mapping):
        refuse_unknown(pipeline, inspect.signature(Pipeline).parameters, "Pipeline")


def _check_options(pipeline: Any) -> None:
    """Raise `ConfigError` for options of a Pipeline that cannot be; strategies are checked when they are made."""
    if isinstance(pipeline, Mapping):
        PipelineOptions(**{name: value for name, value in pipeline.items() if name in PipelineOptions.model_fields})


def _check_data(data: Any) -> None:
    """Raise `ConfigError` for a description of data that no data set can be read by; other kinds of values are another's to refuse."""
    if isinstance(data, str) and Path(data).suffix.lower() in TABLES:
        raise ConfigError(
            f"data: {data!r} is a table, whose columns must be named: {{frame: {data}, modalities: {{image: COLUMN, text: COLUMN}}, "
            "label: COLUMN}."
        )
    if isinstance(data, Mapping) and not {"name", "in_memory"} & set(data):
        _check_fields(data)


DATA_FIELDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "frame": ((str, Mapping), "the path of a table, or {train: a.csv, val: b.csv, test: c.csv}"),
    "modalities": (Mapping, "a mapping of each modality to its column, {image: photo}"),
    "label": ((str, list), "the name of a column, or a list of columns of 0 and 1"),
    "label_separator": (str, "text such as '|'"),
    "root": (str, "the path of a folder"),
    "split": ((str, Mapping), "the name of a column, or {val: 0.1, test: 0.2, group: user, seed: 0}"),
    "classes": (list, "a list of names"),
    "id": (str, "the name of a column"),
    "unreadable": (str, "error or missing"),
}


DATA_NEEDED = ("frame", "modalities", "label")


def _check_fields(data: Mapping[str, Any]) -> None:
    refuse_unknown(data, DATA_FIELDS, "data")
    for need in DATA_NEEDED:
        if need not in data:
            raise ConfigError(f"data needs 'name', or 'frame' with 'modalities' and 'label'; {need!r} is missing.")
    for name, value in data.items():
        kind, wanted = DATA_FIELDS[name]
        if not isinstance(value, kind):
            raise ConfigError(
                f"data.{name} must be {wanted}; found {value!r}. Put text that looks like something else in quotes."
            )
    if isinstance(tables := data["frame"], Mapping):
        if set(tables) != set(PARTS) or not all(isinstance(path, str) for path in tables.values()):
            raise ConfigError(f"data.frame names one table, or one each for train, val and test; found {dict(tables)!r}.")
        if "split" in data:
            raise ConfigError("data.frame names the splits' tables already; leave data.split out.")
    for name in ("label", "classes"):
        for value in data.get(name) or []:
            if not isinstance(value, str):
                raise ConfigError(f"data.{name} holds {value!r}, which YAML does not read as text. Put it in quotes.")


def _column(modality: str, value: Any) -> str | Column:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and set(value) == {"name", "kind"} and all(isinstance(part, str) for part in value.values()):
        return Column(**value)
    raise ConfigError(
        f"data.modalities.{modality} is the name of a column, or {{name: column, kind: image}} where the modality's name is not its "
        f"kind; found {value!r}."
    )
