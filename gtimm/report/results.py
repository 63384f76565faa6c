"""What a run folder's `results.json` says, read leniently in what may be absent and strictly in what is there."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gtimm.core.errors import DataError
from gtimm.report.methods import GENERATION, REFERENCES, ROBUST, family, method_order

SCHEMA_VERSION = 1
_MECHANISMS = ("random", "stratified", "classes", "mar", "mnar", "patterns")
# What neither XML nor UTF-8 can hold: C0 controls but tab and line ends, DEL to C1, lone surrogates, the two non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_zeros(shares: dict[str, float]) -> dict[str, float]:
    return {name: share for name, share in shares.items() if share}


Number = Annotated[float | None, BeforeValidator(_finite)]
Shares = Annotated[dict[str, float], AfterValidator(_without_zeros)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Setting(NamedTuple):
    """One way of training: a data set, a mechanism and the missing ratios by modality."""

    dataset: str
    mechanism: str
    missing: tuple[tuple[str, float], ...]


class _Trained(_Part):
    method: str
    dataset: str = "data"
    mechanism: str = "random"
    missing_train: Shares = {}
    missing_test: Shares = {}
    budget: int | None = None
    ci_low: Number = None
    ci_high: Number = None

    @property
    def setting(self) -> Setting:
        """How it was trained."""
        return Setting(self.dataset, self.mechanism, tuple(sorted(self.missing_train.items())))

    @property
    def label(self) -> str:
        """The method, with its budget."""
        return self.method if self.budget is None else f"{self.method}, {self.budget}/class"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The confidence interval, where there is one."""
        return None if self.ci_low is None or self.ci_high is None else (self.ci_low, self.ci_high)


class Row(_Trained):
    """One score: a method in one setting. Scores are fractions in 0..1; None is a run that gave no number."""

    mean: Number
    metric: str = "accuracy"
    std: Number = None
    seeds: int | None = None
    seconds: Number = None

    @property
    def family(self) -> str:
        """The family of methods that it belongs to; a row with a budget was generated."""
        return GENERATION if self.budget is not None else family(self.method)


class Comparison(_Trained):
    """A difference between two methods, in fractions; above zero favours `method`."""

    against: str
    difference: Number


class Verdict(_Part):
    """Whether the run's claim holds, in words."""

    sentence: str
    holds: bool | None = None


class Generated(_Part):
    """A generated item of the gallery and where it came from."""

    file: str
    prompt: str = ""
    seed: int | str | None = None


class Exhibit(_Part):
    """The items of one class."""

    name: str = Field("", alias="class")
    real: list[str] = []
    generated: list[Generated] = []


class Results(_Part):
    """A run's results; every part but the rows may be empty."""

    schema_version: int
    rows: list[Row]
    title: str = ""
    command: str = ""
    data: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    counters: dict[str, Any] = {}
    seconds: Number = None
    comparisons: list[Comparison] = []
    verdict: Verdict | None = None
    notes: list[str] = []
    gallery: list[Exhibit] = []

    @property
    def dataset(self) -> str:
        """The main data set: the one that the run names, else the first."""
        names = [row.dataset for row in self.rows]
        return str(self.data["name"]) if self.data.get("name") in names else next(iter(names), "")

    @property
    def metric(self) -> str:
        """The metric of the figures: accuracy if it is there, else the first."""
        names = [row.metric for row in self.rows]
        return "accuracy" if "accuracy" in names else next(iter(names), "")

    def settings(self, dataset: str) -> list[Setting]:
        """Return the ways of training on a data set, in order; those with nothing missing only if there are no others."""
        found = {row.setting for row in self.rows if row.dataset == dataset and row.metric == self.metric}
        return sorted({s for s in found if s.missing} or {Setting(dataset, "", ()) for _ in found}, key=_setting_order)

    def trained(self, setting: Setting, *, tested_whole: bool = True) -> list[Row]:
        """Return the rows to show for a setting, in the order of methods.

        References that were trained with nothing missing belong to every setting that has no row of its own for them.
        """
        rows = [r for r in self.rows if r.dataset == setting.dataset and r.metric == self.metric and r.mean is not None]
        rows = [r for r in rows if not (tested_whole and r.missing_test)]
        if not setting.missing:
            own = [r for r in rows if not r.missing_train]
        else:
            own = [r for r in rows if r.setting == setting]
            names = {r.method for r in own}
            families = (REFERENCES,) if tested_whole else (REFERENCES, ROBUST)
            whole = [r for r in rows if not r.missing_train and r.family in families and r.method not in names]
            nearest = {r.method: r.mechanism for r in sorted(whole, key=lambda r: r.mechanism == setting.mechanism)}
            own += [r for r in whole if r.mechanism == nearest[r.method]]
        return sorted(_unique(own), key=row_order)

    def ordered(self) -> list[Row]:
        """Return all rows: main data set first, then by training, method, budget and test."""
        names = list(dict.fromkeys([self.dataset, *(row.dataset for row in self.rows)]))
        return sorted(
            self.rows, key=lambda r: (names.index(r.dataset), r.metric != self.metric, _setting_order(r.setting), row_order(r))
        )


def _unique(rows: list[Row]) -> list[Row]:
    return list({row.model_dump_json(exclude={"mechanism", "seconds"}): row for row in rows}.values())


def row_order(row: Row) -> tuple[Any, ...]:
    """Return the sort key of a row within its setting."""
    return (method_order(row.method, row.family), row.budget or 0, sorted(row.missing_test.items()))


def largest_budget(rows: list[Row]) -> list[Row]:
    """Keep, of each method, the rows with its largest budget."""
    top: dict[str, int] = {}
    for row in rows:
        top[row.method] = max(top.get(row.method, 0), row.budget or 0)
    return [row for row in rows if row.budget is None or row.budget == top[row.method]]


def _setting_order(setting: Setting) -> tuple[Any, ...]:
    known = setting.mechanism in _MECHANISMS
    rank = _MECHANISMS.index(setting.mechanism) if known else len(_MECHANISMS)
    return (not setting.missing, rank, setting.mechanism, setting.missing)


def parse_results(value: Any, source: str = "results") -> Results:
    """Return the checked results of a JSON value; text that no file can hold is replaced by U+FFFD.

    Raises:
        DataError: not of this schema; the message names the first key that is wrong.
    """
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{source} has schema_version {version!r}; this gtimm reads {SCHEMA_VERSION}. Write it again with this version."
        )
    try:
        return Results.model_validate(_printable(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{source}: {place}: {first['msg']} (found {str(first['input'])[:80]!r}).") from error


def read_results(path: Path) -> Results:
    """Read a `results.json`.

    Raises:
        DataError: absent, not JSON, or not of this schema.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. A run folder holds results.json, written by gtimm run."
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}. Run the experiment again to write it anew.") from error
    return parse_results(value, str(path))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {
            _printable(str(key)): _printable(item)
            for key, item in value.items()
            if item is not None or key in ("mean", "difference")
        }
    return [_printable(item) for item in value] if isinstance(value, list) else value
