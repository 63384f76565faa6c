"""The fields of a configuration file, from what reads them: what `gtimm check config` prints, and the reference says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gtimm.core.details import Option, described

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Section:
    """A mapping of the file: where it stands, what it is, and its fields."""

    title: str
    says: str
    fields: tuple[Option, ...]


def sections() -> list[Section]:
    """Return the mappings of a configuration file."""
    from gtimm.core.comparing import CompareOptions
    from gtimm.core.config import DATA_FIELDS, DATA_NEEDED, Evaluation, RunConfig, SplitOptions
    from gtimm.core.missing import Missing
    from gtimm.core.options import EmbedOptions, TrainOptions
    from gtimm.core.pipeline import Pipeline

    table = tuple(Option(name, "", None, name in DATA_NEEDED, says) for name, (_, says) in DATA_FIELDS.items())
    missing = tuple(field for field in _fields(Missing) if field.name != "ratios")
    pipeline = tuple(one for one in _arguments(Pipeline) if one.name != "seed")
    return [
        Section("the file", _prose(RunConfig), _fields(RunConfig)),
        Section("data", "Of a table; a data set by name takes its own options instead.", table),
        Section("missing and evaluate.missing", "Ratios by modality, beside these options.", missing),
        Section("pipeline", "What `Pipeline` takes. Its `seed` is `seeds` of the file.", pipeline),
        Section("pipeline.train", _prose(TrainOptions), _fields(TrainOptions)),
        Section("pipeline.embed", _prose(EmbedOptions), _fields(EmbedOptions)),
        Section("data.split", _prose(SplitOptions), _fields(SplitOptions)),
        Section("evaluate", _prose(Evaluation), _fields(Evaluation)),
        Section("compare", _prose(CompareOptions), _fields(CompareOptions)),
    ]


def _fields(model: type[BaseModel]) -> tuple[Option, ...]:
    return tuple(described(model, name, info) for name, info in model.model_fields.items())


def _arguments(cls: type) -> Iterator[Option]:
    """Yield what a constructor takes, from its signature and the arguments in the class's docstring."""
    lines = (inspect.getdoc(cls) or "").partition("\nArgs:\n")[2]
    said = dict(re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", lines, re.MULTILINE))
    for name, one in inspect.signature(cls).parameters.items():
        yield Option(name, "", one.default, one.default is one.empty, " ".join(said[name].split()))


def _prose(cls: type) -> str:
    """Return a docstring up to its first section."""
    return (inspect.getdoc(cls) or "").partition("\n\nAttributes:\n")[0]
