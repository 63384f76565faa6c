"""What a comparison compares: the `compare` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StrictInt, ValidationInfo, field_validator

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.missing import Missing
from gtimm.core.missing.masks import plain_names
from gtimm.core.options import Options

MECHANISMS: Mapping[str, Mapping[str, Any]] = {"random": {}, "stratified": {"stratify": True}, "classes": {"on": "label"}}
"""Mechanisms that a word says, as options of `Missing`."""

Ratio = Annotated[float, Field(ge=0, le=1)]
Holes = Annotated[Ratio | dict[str, Any], BeforeValidator(plain_names)]
"""A missing ratio of the target, or the form of `Missing`, `{image: 0.95, audio: 0.05}`."""


def listed(value: Any) -> Any:
    """Return a lone name, number or description of holes as a list of it; anything else as it is."""
    return [value] if isinstance(value, str | int | float | Mapping | Missing) else value


class CompareOptions(Options):
    """Methods, and what is missing while they are trained and tested; of one thing no list is needed.

    Attributes:
        methods: names of presets or of imputers; or names of your own to a preset, an imputer or options of a Pipeline. By default every
            way to fill, and generation where there is a generator.
        missing: in training. Of the ratios by default those that the data's own holes exceed are dropped.
        test_missing: at test, at random where it is a number; by default likewise.
        target: the modality that numbers are of.
        mechanism: how numbers in `missing` go: `random`, `stratified`, `classes`, or options of `Missing`, `{on: text.length}`.
        budgets: generated items a class; by default the generator's `per_class`.
        generator: what generates.
        baselines: whether the baselines that an honest comparison needs are added.
    """

    model_config = ConfigDict(title="compare")

    methods: list[str] | dict[str, str | dict[str, Any]] | None = None
    missing: list[Holes] = Field(default=[0.9, 0.95])
    test_missing: list[Holes] = Field(default=[0.0, 0.5])
    target: str = "image"
    mechanism: str | dict[str, Any] = "random"
    budgets: list[Annotated[StrictInt, Field(ge=1)]] | None = None
    generator: str | dict[str, Any] | None = None
    baselines: bool = True

    @field_validator("missing", "test_missing", "methods", "budgets", mode="before")
    @classmethod
    def _listed(cls, value: Any, field: ValidationInfo) -> Any:
        return value if field.field_name == "methods" and isinstance(value, Mapping) else listed(value)

    @field_validator("missing", "test_missing", "methods", "budgets")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value is not None and not len(value):
            raise ValueError("must not be empty")
        if isinstance(value, list) and any(one in value[:place] for place, one in enumerate(value)):
            raise ValueError("holds something twice")
        return value

    def training(self) -> list[Missing]:
        """Return what is missing in training, in order."""
        how = self.mechanism if isinstance(self.mechanism, dict) else MECHANISMS.get(self.mechanism)
        if how is None:
            raise ConfigError(
                f"mechanism is one of {', '.join(MECHANISMS)}, or options of Missing such as {{'on': 'text.length'}}; found "
                f"{self.mechanism!r}.{did_you_mean(str(self.mechanism), MECHANISMS)}"
            )
        return [self._holes(value, how) for value in self.missing]

    def testing(self) -> list[Missing]:
        """Return what is missing at test, in order."""
        return [self._holes(value, {}) for value in self.test_missing]

    def within(self, own: Mapping[str, float]) -> tuple[CompareOptions, list[str]]:
        """Return the options without those default ratios that the data's own holes exceed, and a line about each list that lost some.

        Args:
            own: share of rows that lack the target as the data is, of the rows that `missing` and `test_missing` are of.
        """
        kept, notes = {}, []
        for name, share in own.items():
            values = getattr(self, name)
            if name in self.model_fields_set or not (dropped := [one for one in values if 0 < one < share]):
                continue
            kept[name] = [one for one in values if one not in dropped] or [0.0]
            notes.append(
                f"{share:.1%} of the rows lack {self.target} as they are, so {name} is {', '.join(f'{one:g}' for one in kept[name])}: "
                f"{', '.join(f'{one:g}' for one in dropped)} of the default cannot be."
            )
        return self.model_copy(update=kept), notes

    def _holes(self, value: float | dict[str, Any], how: Mapping[str, Any]) -> Missing:
        if isinstance(value, dict):
            return Missing.of(value)
        return Missing({self.target: value}, **how) if value else Missing()
