"""What the paper publishes, at its place: `paper.yaml` read and checked. Shown beside our numbers, never in their place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gtimm.core.errors import ConfigError, did_you_mean

At = Mapping[str, str | int]
"""Where a line stands in an exhibit, such as `{"dataset": "UCF101", "p": 95}`."""

NAMED = ("dataset", "method", "prompt")
"""Fields of a line whose values say what they are."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SameAs(_Part):
    """Where the values of an experiment stand that a figure repeats.

    Attributes:
        exhibit: its table.
        at: the line there.
        columns: the figure's column to the table's, where they are called differently.
    """

    exhibit: str
    at: dict[str, str | int]
    columns: dict[str, str] = {}


class Line(_Part):
    """One line of an exhibit.

    Attributes:
        at: where it stands.
        values: in the order of the exhibit's columns, as printed; empty where `same_as` says where they are.
        std: standard deviations, as printed.
        metric: where it differs from the exhibit's.
        same_as: the table that has the values.
        notes: what is wrong or unclear with them.
    """

    at: dict[str, str | int]
    values: list[float | str] = []
    std: list[float] = []
    metric: str | None = None
    same_as: SameAs | None = None
    notes: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _place(cls, value: dict[str, Any]) -> dict[str, Any]:
        known = {name for name in cls.model_fields if name != "at"}
        at = {name: part for name, part in value.items() if name not in known}
        return {"at": at, **{name: part for name, part in value.items() if name in known}}


class Exhibit(_Part):
    """A table or a figure.

    Attributes:
        title: what it shows.
        section: of the paper that speaks of it.
        columns: their labels.
        metric: of the values.
        unit: `percent`, `count` or `number`.
        lines: with values, or with the place of values.
        notes: where the paper contradicts itself or leaves a reader in doubt.
    """

    title: str
    section: str
    columns: list[str]
    metric: str
    unit: Literal["percent", "count", "number"]
    lines: list[Line]
    notes: list[str] = []

    @model_validator(mode="after")
    def _square(self) -> Exhibit:
        for line in self.lines:
            if line.same_as is None and len(line.values) != len(self.columns):
                raise ValueError(f"line {line.at} has {len(line.values)} values for {len(self.columns)} columns")
            if line.std and len(line.std) != len(self.columns):
                raise ValueError(f"line {line.at} has {len(line.std)} deviations for {len(self.columns)} columns")
        places = [tuple(line.at.items()) for line in self.lines]
        if len(set(places)) < len(places):
            raise ValueError("two lines stand at one place")
        return self

    def line(self, at: At) -> Line | None:
        """Return the line at a place; the order of its fields does not matter."""
        return next((line for line in self.lines if line.at == dict(at)), None)


class Value(_Part):
    """A published value.

    Attributes:
        value: a fraction for scores, else as printed.
        unit: as in `schema.Published`.
        metric: such as `accuracy` or `top3_accuracy`.
        source: the exhibit that prints it, such as `Table 3`.
        notes: what is wrong or unclear with it.
    """

    value: float | str
    unit: Literal["fraction", "count", "number"]
    metric: str
    source: str
    notes: list[str] = []


class Source(_Part):
    """The paper, and what is odd about it as a whole."""

    title: str
    authors: str
    arxiv: str
    notes: list[str] = []


class Paper(_Part):
    """All that the paper publishes in numbers.

    Example:
        >>> published().value("table3", {"dataset": "UCF101", "p": 95}, "GTI-MM (Ours)").value
        0.7817
        >>> published().value("figure6", {"dataset": "UCF101", "images per class": 20}, "GTI-MM (Ours)") is None
        True
    """

    paper: Source
    exhibits: dict[str, Exhibit] = Field(min_length=1)

    def exhibit(self, name: str) -> Exhibit:
        """Return a table or figure by name, such as `table3`; raises `ConfigError` with the nearest name."""
        if name not in self.exhibits:
            raise ConfigError(
                f"Unknown exhibit {name!r}.{did_you_mean(name, self.exhibits)} Known: {', '.join(self.exhibits)}, or all."
            )
        return self.exhibits[name]

    def value(self, name: str, at: At, column: str) -> Value | None:
        """Return what stands in an exhibit's line and column; `None` where the paper prints nothing.

        Args:
            name: the exhibit.
            at: the line's place.
            column: the column's label.
        """
        exhibit = self.exhibit(name)
        line = exhibit.line(at)
        if line is None or column not in exhibit.columns:
            return None
        if line.same_as is not None:
            same = line.same_as
            found = self.value(same.exhibit, same.at, same.columns.get(column, column))
            return None if found is None else found.model_copy(update={"notes": [*line.notes, *found.notes]})
        value = line.values[exhibit.columns.index(column)]
        metric, source = line.metric or exhibit.metric, heading(name)
        if isinstance(value, str):
            return Value(value=value, unit="number", metric=metric, source=source, notes=line.notes)
        if exhibit.unit == "percent":
            return Value(value=round(value / 100, 6), unit="fraction", metric=metric, source=source, notes=line.notes)
        return Value(value=value, unit=exhibit.unit, metric=metric, source=source, notes=line.notes)


@lru_cache(maxsize=1)
def published() -> Paper:
    """Return the paper's values; the file is read once."""
    import yaml

    text = files("gtimm.experiments.reproduction").joinpath("paper.yaml").read_text(encoding="utf-8")
    return Paper.model_validate(yaml.safe_load(text))


def heading(name: str) -> str:
    """Return an exhibit's name for people.

    Example:
        >>> heading("table3")
        'Table 3'
    """
    kind = name.rstrip("0123456789")
    return f"{kind.capitalize()} {name[len(kind) :]}"


def label(at: At) -> str:
    """Return a line's place for people.

    Example:
        >>> label({"dataset": "UCF101", "method": "GTI-MM Dropout", "p": 95})
        'UCF101, GTI-MM Dropout, p = 95%'
        >>> label({"dataset": "MiT10", "images per class": 20})
        'MiT10, images per class: 20'
    """
    parts = []
    for name, value in at.items():
        if name in NAMED:
            parts.append(str(value))
        elif name in ("p", "q", "p = q"):
            parts.append(f"{name} = {value}%")
        else:
            parts.append(f"{name}: {value}")
    return ", ".join(parts)
