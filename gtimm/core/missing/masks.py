"""Simulated missingness: which rows lose which modality. Exact in count, nested, made before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from gtimm.core.errors import ConfigError, IncompatibleError, MissingnessError, did_you_mean
from gtimm.core.missing.exchange import exchange
from gtimm.core.missing.mechanisms import by_chance, property_of
from gtimm.core.missing.mechanisms import order as order_of_rows
from gtimm.core.missing.patterns import NONE, pattern_masks, read_patterns, shares_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]

OPTIONS = ("stratify", "on", "strength", "patterns", "seed", "allow_empty")


class _Rows(Protocol):
    modalities: tuple[str, ...]
    labels: Any

    def __len__(self) -> int: ...
    def present(self, modality: str) -> Bool: ...


class Missing(BaseModel):
    """Missing ratios by modality: `Missing(image=0.95)`, or `Missing({"my modality": 0.5})`.

    The ratio is of all rows, holes that the data already has included. Rows are ordered by a seeded key and the first
    round(p * n) go, so that the rows missing at p are missing at every larger p too. Two modalities are taken from opposite
    ends of one order, so that no row loses both; with three or more, each has an order of its own and skips rows that
    would be left with nothing, so it is nested only while the ratios of the modalities before it stay as they are. Where that
    leaves too few rows for a ratio, rows are exchanged (not with `on`): exact still, and refused only if no masks could meet it.

    Or `patterns`: which share of the rows keeps which modalities. Counts are exact; rows that lack something already take a pattern
    that they can still have. In data without holes the rows of the fullest pattern only become more with its share.

    Args:
        ratios: modality to ratio in 0..1; also as keywords. 1 is legal (the zero-shot case).
        stratify: keep classes in proportion: the key is (rank within class + jitter) / class size. The default is uniform,
            missing completely at random, where a class may keep nothing.
        on: what decides which rows go first. `"label"`: whole classes in a seeded order (the class at the border in part). Another
            column of the table (missing at random): rows with the largest numbers first, or whole groups of equal words. A property
            such as `"text.length"`: of another modality it is missing at random, of the one that vanishes not at random; image:
            brightness, contrast; audio: length, loudness; text: length; vector: norm. A minus takes the smallest first,
            `"-image.brightness"` the darkest. Also an array of (rows,) numbers, or a function of the data set that returns one. Of
            two modalities the second goes from the other end: where the first takes the largest, it takes the smallest.
        strength: with numbers in `on`, how far they decide: 1 takes exactly the rows with the largest, 0 is at random.
        patterns: what a row keeps to its share of the rows, `{"image+audio": 0.35, "image": 0.35, "audio": 0.3}`; tuples of names serve
            too, and `"none"` keeps nothing. The shares sum to 1, and every modality of the data is in a pattern (of share 0, if need be).
        seed: `None` takes the Pipeline's.
        allow_empty: a row may lose everything.

    Raises:
        MissingnessError: a ratio outside 0..1, an unknown modality, or ratios that the data cannot meet.

    Example:
        >>> Missing(image=0.95, stratify=True).ratios
        {'image': 0.95}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    ratios: dict[str, float]
    stratify: bool = False
    on: Any = None
    strength: float = 1.0
    patterns: dict[str, float] | None = None
    seed: int | None = None
    allow_empty: bool = False

    def __init__(
        self,
        ratios: Mapping[str, float] | None = None,
        /,
        *,
        stratify: bool = False,
        on: Any = None,
        strength: float = 1.0,
        patterns: Mapping[Any, float] | None = None,
        seed: int | None = None,
        allow_empty: bool = False,
        **modalities: float,
    ) -> None:
        if isinstance(named := modalities.get("ratios"), Mapping):  # pydantic's own form
            ratios = named
            del modalities["ratios"]
        if not isinstance(ratios, Mapping | None):
            raise MissingnessError(f"Missing takes its ratios by modality, such as Missing(image=0.95); found {ratios!r}.")
        merged = _ratios({**(ratios or {}), **modalities})
        kept = None if patterns is None else read_patterns(patterns)
        _refuse(merged, stratify, on, strength, kept, seed, allow_empty)
        if hasattr(on, "__array__") or (isinstance(on, Sequence) and not isinstance(on, str)):
            on = tuple(on.tolist() if hasattr(on, "tolist") else on)  # what is frozen holds nothing that can change
        super().__init__(
            ratios=merged, stratify=stratify, on=on, strength=strength, patterns=kept, seed=seed, allow_empty=allow_empty
        )

    @classmethod
    def of(cls, value: Missing | Mapping[str, Any] | None) -> Missing:
        """Read the form of a configuration file: ratios by modality beside the options, `{image: 0.95, stratify: true}`."""
        if value is None:
            return cls()
        if isinstance(value, Missing):
            return value
        if not isinstance(value, Mapping):
            raise MissingnessError(f"missing= must name its modalities, such as Missing(image=0.95); found {value!r}.")
        return cls(**plain_names(value))

    @property
    def mechanism(self) -> str:
        """`"random"`, `"stratified"`, `"classes"`, `"mar"` (at random), `"mnar"` (not at random) or `"patterns"`."""
        if self.patterns is not None:
            return "patterns"
        if self.on is None:
            return "stratified" if self.stratify else "random"
        if isinstance(self.on, str) and self.on == "label":
            return "classes"
        found = property_of(self.on)
        return "mnar" if found is not None and found[0] in self.ratios else "mar"

    @property
    def shares(self) -> dict[str, float]:
        """By modality the share of the rows that lack it: the ratios, or what the patterns amount to."""
        return dict(self.ratios) if self.patterns is None else shares_missing(self.patterns)

    def to_config(self) -> dict[str, Any]:
        """Return the form that `Missing.of` reads.

        Raises:
            ConfigError: `on` is an array or a function, which no file can hold.
        """
        if not isinstance(self.on, str | None):
            raise ConfigError(
                "Missing(on=...) is an array or a function, which a configuration cannot hold. Put the numbers into a column of the "
                "table and name it."
            )
        ratios = {"ratios": self.ratios} if {"ratios", *OPTIONS} & set(self.ratios) else self.ratios
        return {**ratios, **self.model_dump(exclude={"ratios"}, exclude_defaults=True)}

    def masks(self, data: _Rows, seed: int = 0) -> dict[str, Bool]:
        """Return modality to a bool array (rows,), True where the payload is to be sealed (natural holes are not).

        Args:
            data: anything with `modalities`, `labels` (class indices or None), `present` and a length.
            seed: used when the object has no seed of its own.
        """
        for name in self.ratios:
            if name not in data.modalities:
                raise MissingnessError(
                    f"Missing names the modality {name!r}, but the data has {', '.join(data.modalities)}."
                    f"{did_you_mean(name, [*data.modalities, *OPTIONS])}"
                )
        seed = self.seed if self.seed is not None else seed
        if self.patterns is not None:
            rows = by_chance(data, seed, "patterns", self.stratify)
            return pattern_masks(self.patterns, {m: data.present(m) for m in data.modalities}, rows)
        present = {m: data.present(m).copy() for m in data.modalities}
        natural = {m: p.copy() for m, p in present.items()}
        mirrored = len(data.modalities) == 2 and not self.allow_empty
        for name in [m for m in data.modalities if m in self.ratios]:
            wanted = round(self.ratios[name] * len(data)) - int((~natural[name]).sum())
            others = np.zeros(len(data), bool) if len(data.modalities) > 1 else np.ones(len(data), bool)
            for other in data.modalities:
                if other != name:
                    others |= present[other]
            eligible = present[name] & (others | self.allow_empty)
            self._check(name, wanted, natural[name])
            order = order_of_rows(data, self.on, seed, "pair" if mirrored else name, self.stratify, self.strength)
            if mirrored and name == data.modalities[1]:
                order = order[::-1]
            present[name][order[eligible[order]][:wanted]] = False
            if short := max(wanted - int(eligible.sum()), 0):
                left = short if self.on is not None or self.allow_empty else exchange(present, natural, name, short, order)
                self._check(name, wanted, natural[name], wanted - left)
        return {m: natural[m] & ~present[m] for m in data.modalities if m in self.ratios}

    def _check(self, name: str, wanted: int, natural: Bool, eligible: int | None = None) -> None:
        holes, rows = int((~natural).sum()), len(natural)
        if wanted < 0:
            raise MissingnessError(
                f"Missing({name}={self.ratios[name]:g}) asks for {wanted + holes} of {rows} rows without {name!r}, but the data "
                f"already has {holes} ({holes / max(rows, 1):.1%}). Ask for at least that."
            )
        if eligible is not None and wanted > eligible:
            raise MissingnessError(
                f"Missing({name}={self.ratios[name]:g}) asks for {wanted} more rows without {name!r}, but only {eligible} can lose "
                "it and keep another modality. Lower a ratio, or pass allow_empty=True."
            )


def _name(key: Any) -> str:
    """Return a field's name as it was meant: YAML 1.1 reads the bare word `on` as true."""
    return "on" if key is True else str(key)


def plain_names(value: Any) -> Any:
    """Return a mapping from a YAML file with the names that `Missing` knows; anything else as it is."""
    return {_name(key): content for key, content in value.items()} if isinstance(value, Mapping) else value


def _ratios(values: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not 0 <= value <= 1:
            raise MissingnessError(
                f"The missing ratio of {name!r} must be a number in 0..1, where 0.95 means that 95% are missing; found {value!r}."
                f"{did_you_mean(str(name), OPTIONS)}"
            )
        found[str(name)] = float(value)
    return found


def _refuse(
    ratios: Mapping[str, float],
    stratify: Any,
    on: Any,
    strength: Any,
    patterns: Mapping[str, float] | None,
    seed: Any,
    allow_empty: Any,
) -> None:
    """Raise `MissingnessError` for options of a wrong type, or that contradict one another."""
    for name, value in (("stratify", stratify), ("allow_empty", allow_empty)):
        if not isinstance(value, bool):
            raise MissingnessError(f"{name}= must be True or False; found {value!r}.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise MissingnessError(f"seed= must be a whole number, or None for the Pipeline's; found {seed!r}.")
    if isinstance(strength, bool) or not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
        raise MissingnessError(f"strength= must be a number in 0..1; found {strength!r}.")
    if on is not None and not (isinstance(on, (str, Sequence)) or hasattr(on, "__array__") or callable(on)):
        raise MissingnessError(
            f"on= must be 'label', a column, a property such as 'text.length', an array of numbers or a function; found {on!r}."
        )
    if strength != 1 and on is None:
        raise MissingnessError(
            f"strength={strength!r} says how far the numbers of on= decide, and there is no on=. Leave strength= out, or name a column "
            "or a property in on=."
        )
    if on is not None and stratify:
        raise MissingnessError(
            "stratify=True keeps every class in proportion and on= goes by something else, such as whole classes; choose one."
        )
    if patterns is not None and (ratios or on is not None):
        raise MissingnessError("patterns= says what every row keeps; leave ratios and on= out.")
    if patterns and patterns.get(NONE) and not allow_empty:
        raise MissingnessError("The pattern 'none' leaves rows with nothing. Pass allow_empty=True if that is meant.")


def refuse_holes(modality: str, rows: int) -> None:
    """Raise `IncompatibleError` if rows lack a modality that nothing fills and the fusion needs."""
    if rows:
        raise IncompatibleError(
            f"{rows} row{'s have' if rows > 1 else ' has'} no {modality!r}, nothing fills it, and the fusion needs it. Give an imputer for "
            f"{modality!r}, such as 'zero', or a fusion that accepts absent modalities, such as 'score'."
        )
