"""In which order rows lose a modality: by chance, by class, by a column, or by a property of a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from gtimm.core.errors import MissingnessError, did_you_mean
from gtimm.core.readable import in_threads
from gtimm.core.row_names import PLACES
from gtimm.core.seeding import stream
from gtimm.core.targets import label_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.media import Payload

    F64 = NDArray[np.float64]


def _brightness(payload: Payload) -> float:
    return float(_grey(payload).mean())


def _contrast(payload: Payload) -> float:
    return float(_grey(payload).std())


def _seconds(payload: Payload) -> float:
    from gtimm.core.media import load_audio

    samples, rate = load_audio(payload)
    return float(samples.shape[-1] / rate)


def _loudness(payload: Payload) -> float:
    from gtimm.core.media import load_audio

    return float(np.sqrt(np.mean(np.square(load_audio(payload)[0], dtype=np.float64))))


def _characters(payload: Payload) -> float:
    from gtimm.core.media import load_text

    return float(len(load_text(payload)))


def _norm(payload: Payload) -> float:
    return float(np.linalg.norm(np.asarray(payload, np.float64)))


def _grey(payload: Payload) -> F64:
    from gtimm.core.media import load_image

    return np.asarray(load_image(payload).convert("L"), np.float64) / 255


PROPERTIES: Mapping[str, Mapping[str, Callable[[Payload], float]]] = {
    "image": {"brightness": _brightness, "contrast": _contrast},
    "audio": {"length": _seconds, "loudness": _loudness},
    "text": {"length": _characters},
    "vector": {"norm": _norm},
}
"""By kind: mean and standard deviation of the grey values (0..1); seconds and root mean square; characters; Euclidean norm."""

_KNOWN: WeakKeyDictionary[Any, dict[str, F64]] = WeakKeyDictionary()


def by_chance(data: Any, seed: int, name: str, stratify: bool) -> NDArray[np.int64]:
    """Return rows in a seeded order, uniform or with every class in proportion: by (rank within class + jitter) / class size."""
    random = stream(seed, "missing", name)
    rows = len(data)
    key = random.permutation(rows).astype(np.float64)
    if not stratify:
        return np.argsort(key, kind="stable")
    groups = _classes(data)
    sizes = np.bincount(groups)
    by_group = np.lexsort((key, groups))
    rank = np.empty(rows, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank[by_group] = np.arange(rows) - starts[groups[by_group]]
    jitter = random.random(len(sizes))
    return np.lexsort((key, (rank + jitter[groups]) / sizes[groups]))


def by_group(groups: NDArray[np.int64], seed: int, name: str) -> NDArray[np.int64]:
    """Return rows by whole groups, these in a seeded order, and in a seeded order within."""
    random = stream(seed, "missing", name)
    key = random.permutation(len(groups)).astype(np.float64)
    place = random.permutation(int(groups.max()) + 1).argsort()
    return np.lexsort((key, place[groups]))


def by_value(values: F64, seed: int, name: str, strength: float) -> NDArray[np.int64]:
    """Return rows by value, the largest first.

    The key is strength * r + (1 - strength) * u, with r the rank of the row's value among the distinct ones, from 0 to 1, and u
    uniform in 0..1; equal values are in a seeded order.

    Args:
        values: (rows,); NaN, where a row has no value, comes last of all.
        seed: of u and of ties.
        name: of the stream.
        strength: 1 goes by value alone, 0 by chance alone.
    """
    random = stream(seed, "missing", name)
    u = random.random(len(values))
    known = ~np.isnan(values)
    rank = np.full(len(values), -np.inf)
    found = np.unique(values[known], return_inverse=True)[1]
    rank[known] = strength * found / max(int(found.max(initial=0)), 1) + (1 - strength) * u[known]
    return np.lexsort((u, -rank))


def order(data: Any, on: Any, seed: int, name: str, stratify: bool, strength: float) -> NDArray[np.int64]:
    """Return the rows in the order in which they lose a modality.

    Args:
        data: a data set.
        on: as for `Missing`.
        seed: of all that is random.
        name: of the stream.
        stratify: keep classes in proportion.
        strength: how far values decide.

    Raises:
        MissingnessError: what `on` names is not there, or is no number.
    """
    if on is None:
        return by_chance(data, seed, name, stratify)
    if isinstance(on, str) and on == "label":
        return by_group(_classes(data), seed, name)
    descending = not (isinstance(on, str) and on.startswith("-"))
    values = _values(data, on.removeprefix("-") if isinstance(on, str) else on)
    if values.dtype == object:  # words: whole groups of rows
        if not descending:
            raise MissingnessError(
                f"on={on!r} names a column of words, whose groups go whole and in a seeded order: a minus means nothing. "
                "Leave it out, or name a column of numbers."
            )
        return by_group(np.unique(values.astype(str), return_inverse=True)[1], seed, name)
    return by_value(values if descending else -values, seed, name, strength)


def property_of(on: Any) -> tuple[str, str] | None:
    """Return modality and property of `"image.brightness"` or `"-image.brightness"`, `None` where `on` is anything else."""
    if not isinstance(on, str) or "." not in on:
        return None
    modality, _, name = on.removeprefix("-").rpartition(".")
    return modality, name


def _classes(data: Any) -> NDArray[np.int64]:
    if data.labels is None:
        raise MissingnessError("stratify=True and on='label' need labels; this data set has none.")
    labels = np.asarray(data.labels)
    groups = label_groups(labels, [str(i) for i in range(labels.shape[1])])[0] if labels.ndim == 2 else labels
    return np.unique(groups, return_inverse=True)[1]


def _values(data: Any, on: Any) -> Any:
    """Return (rows,) numbers, or (rows,) words as objects."""
    if isinstance(on, str):
        extra = getattr(data, "extra", {})
        if on in extra:
            return _column(list(extra[on]), on, data)
        found = property_of(on)
        if found is None or found[0] not in data.modalities:
            known = [*extra, *(f"{m}.{p}" for m in data.modalities for p in PROPERTIES.get(data.kind(m), {}))]
            raise MissingnessError(
                f"on={on!r} is neither 'label', nor another column of the table, nor a property of a modality."
                f"{did_you_mean(on, known)} There is: {', '.join(['label', *known])}."
            )
        return _property(data, *found)
    try:
        values = np.asarray(on(data) if callable(on) else on)
    except Exception as error:  # of a user's function
        raise MissingnessError(
            f"on= must give a number for each of the {len(data)} rows; it failed with {type(error).__name__}: {error}"
        ) from error
    if values.shape != (len(data),):
        raise MissingnessError(
            f"on= must give a number for each of the {len(data)} rows; found an array of shape {values.shape}."
        )
    return _column(values.tolist(), "on", data)


def _column(cells: list[Any], name: str, data: Any) -> Any:
    from gtimm.core.targets import is_missing

    row = getattr(data, "row_names", PLACES).within
    if empty := [row for row, cell in enumerate(cells) if is_missing(cell)]:
        raise MissingnessError(
            f"{name!r} has no value in {row(empty[0])} ({len(empty)} rows), and says which rows lose a modality. Fill it first."
        )
    try:
        values = np.asarray(cells, np.float64)
    except (TypeError, ValueError):
        words = [row for row, cell in enumerate(cells) if not _is_number(cell)]
        if len(words) < len(cells):
            raise MissingnessError(
                f"{name!r} holds numbers, and in {row(words[0])} {cells[words[0]]!r} ({len(words)} rows). Make all numbers, or all words."
            ) from None
        return np.array([str(cell) for cell in cells], object)
    if not np.isfinite(values).all():
        raise MissingnessError(f"{name!r} is not finite in {row(int(np.flatnonzero(~np.isfinite(values))[0]))}.")
    return values


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _property(data: Any, modality: str, name: str) -> F64:
    """Return (rows,) a property of a modality's payloads, NaN where there is none; computed once for a data set."""
    kind = data.kind(modality)
    known = PROPERTIES.get(kind, {})
    if name not in known:
        raise MissingnessError(
            f"{modality!r} is {kind}, which has no property {name!r}.{did_you_mean(name, known)} It has {', '.join(known) or 'none'}."
        )
    memo = _KNOWN.setdefault(data, {})
    key = f"{modality}.{name}"
    if key not in memo:
        values = np.full(len(data), np.nan)
        rows = np.flatnonzero(data.present(modality)).tolist()
        values[rows] = list(in_threads(lambda row: known[name](data.payload(modality, row)), rows, f"Reading {key}"))
        memo[key] = values
    return memo[key]
