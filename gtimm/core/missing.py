"""Simulated missingness: which rows lose which modality. Exact in count, nested, made before anything reads data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from gtimm.core.errors import IncompatibleError, MissingnessError, did_you_mean
from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]


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
    would be left with nothing, so it is nested only while the ratios of the modalities before it stay as they are.

    Args:
        ratios: modality to ratio in 0..1; also as keywords. 1 is legal (the zero-shot case).
        stratify: keep classes in proportion: the key is (rank within class + jitter) / class size. The default is uniform,
            missing completely at random, where a class may keep nothing.
        on: `"label"` takes whole classes in a seeded order (the class at the border in part).
        seed: `None` takes the Pipeline's.
        allow_empty: a row may lose everything.

    Raises:
        MissingnessError: a ratio outside 0..1, an unknown modality, or ratios that the data cannot meet.

    Example:
        >>> Missing(image=0.95, stratify=True).ratios
        {'image': 0.95}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratios: dict[str, float]
    stratify: bool = False
    on: str | None = None
    seed: int | None = None
    allow_empty: bool = False

    def __init__(
        self,
        ratios: Mapping[str, float] | None = None,
        /,
        *,
        stratify: bool = False,
        on: str | None = None,
        seed: int | None = None,
        allow_empty: bool = False,
        **modalities: float,
    ) -> None:
        if isinstance(named := modalities.get("ratios"), Mapping):  # pydantic's own form
            ratios = named
            del modalities["ratios"]
        merged: dict[str, float] = {}
        for name, value in {**(ratios or {}), **modalities}.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not 0 <= value <= 1:
                raise MissingnessError(
                    f"The missing ratio of {name!r} must be a number in 0..1, where 0.95 means that 95% are missing; found {value!r}."
                )
            merged[str(name)] = float(value)
        if on not in (None, "label"):
            raise MissingnessError(f"on= must be 'label' or None; found {on!r}.")
        if on is not None and stratify:
            raise MissingnessError(
                "stratify=True keeps every class in proportion and on='label' takes whole classes; choose one."
            )
        super().__init__(ratios=merged, stratify=stratify, on=on, seed=seed, allow_empty=allow_empty)

    @classmethod
    def of(cls, value: Missing | Mapping[str, Any] | None) -> Missing:
        """Read the form of a configuration file: ratios by modality beside the options, `{image: 0.95, stratify: true}`."""
        if value is None:
            return cls()
        if isinstance(value, Missing):
            return value
        if not isinstance(value, Mapping):
            raise MissingnessError(f"missing= must name its modalities, such as Missing(image=0.95); found {value!r}.")
        return cls(**dict(value))

    @property
    def mechanism(self) -> str:
        """`"random"`, `"stratified"` or `"classes"`."""
        return "classes" if self.on == "label" else "stratified" if self.stratify else "random"

    def to_config(self) -> dict[str, Any]:
        """Return the form that `Missing.of` reads."""
        return {**self.ratios, **self.model_dump(exclude={"ratios"}, exclude_defaults=True)}

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
                    f"{did_you_mean(name, data.modalities)}"
                )
        seed = self.seed if self.seed is not None else seed
        present = {m: data.present(m).copy() for m in data.modalities}
        natural = {m: p.copy() for m, p in present.items()}
        mirrored = len(data.modalities) == 2 and not self.allow_empty
        sealed: dict[str, Bool] = {}
        for name in [m for m in data.modalities if m in self.ratios]:
            wanted = round(self.ratios[name] * len(data)) - int((~natural[name]).sum())
            others = np.zeros(len(data), bool) if len(data.modalities) > 1 else np.ones(len(data), bool)
            for other in data.modalities:
                if other != name:
                    others |= present[other]
            eligible = present[name] & (others | self.allow_empty)
            self._check(name, wanted, int(eligible.sum()), natural[name])
            reverse = mirrored and name == data.modalities[1]
            order = self._order(data, seed, "pair" if mirrored else name)
            order = (order[::-1] if reverse else order)[eligible[order[::-1] if reverse else order]]
            mask = np.zeros(len(data), bool)
            mask[order[: max(wanted, 0)]] = True
            sealed[name] = mask
            present[name] &= ~mask
        return sealed

    def _check(self, name: str, wanted: int, eligible: int, natural: Bool) -> None:
        holes, rows = int((~natural).sum()), len(natural)
        if wanted < 0:
            raise MissingnessError(
                f"Missing({name}={self.ratios[name]:g}) asks for {wanted + holes} of {rows} rows without {name!r}, but the data "
                f"already has {holes} ({holes / max(rows, 1):.1%}). Ask for at least that."
            )
        if wanted > eligible:
            raise MissingnessError(
                f"Missing({name}={self.ratios[name]:g}) asks for {wanted} more rows without {name!r}, but only {eligible} can lose "
                "it and keep another modality. Lower a ratio, or pass allow_empty=True."
            )

    def _order(self, data: _Rows, seed: int, name: str) -> NDArray[np.int64]:
        random = stream(seed, "missing", name)
        rows = len(data)
        key = random.permutation(rows).astype(np.float64)
        if not (self.stratify or self.on):
            return np.argsort(key, kind="stable")
        labels = data.labels
        if labels is None:
            raise MissingnessError("stratify=True and on='label' need labels; this data set has none.")
        groups = np.unique(np.asarray(labels), return_inverse=True)[1]
        sizes = np.bincount(groups)
        if self.on == "label":
            place = random.permutation(len(sizes)).argsort()
            return np.lexsort((key, place[groups]))
        by_group = np.lexsort((key, groups))
        rank = np.empty(rows, np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        rank[by_group] = np.arange(rows) - starts[groups[by_group]]
        jitter = random.random(len(sizes))
        return np.lexsort((key, (rank + jitter[groups]) / sizes[groups]))


def refuse_holes(modality: str, rows: int) -> None:
    """Raise `IncompatibleError` if rows lack a modality that nothing fills and the fusion needs."""
    if rows:
        raise IncompatibleError(
            f"{rows} rows have no {modality!r}, nothing fills it, and the fusion needs it. Give an imputer for {modality!r}, such as "
            "'zero', or a fusion that accepts absent modalities, such as 'score'."
        )
