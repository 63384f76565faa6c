"""Patterns of missingness: which share of the rows keeps which modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import MissingnessError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bool = NDArray[np.bool_]

NONE = "none"
"""The pattern of rows that keep nothing."""


def read_patterns(value: Any) -> dict[str, float]:
    """Return patterns as `"audio+image"`, what a row keeps, to shares that sum to 1; those that keep most come first.

    The order in which they were written changes nothing.

    Raises:
        MissingnessError: anything else was given.
    """
    if not isinstance(value, Mapping) or not value:
        raise MissingnessError(
            "patterns= maps what a row keeps to a share of the rows, such as "
            f"{{'image+audio': 0.35, 'image': 0.35, 'audio': 0.3}}; found {value!r}."
        )
    found: dict[str, float] = {}
    for key, share in value.items():
        name = _pattern(key)
        if name in found:
            raise MissingnessError(f"patterns= names {name!r} twice.")
        if isinstance(share, bool) or not isinstance(share, (int, float, np.number)) or not 0 <= share <= 1:
            raise MissingnessError(f"The share of pattern {name!r} must be a number in 0..1; found {share!r}.")
        found[name] = float(share)
    if abs(sum(found.values()) - 1) > 1e-6:
        raise MissingnessError(f"The shares of patterns= must sum to 1; they sum to {sum(found.values()):g}.")
    return dict(sorted(found.items(), key=lambda item: (item[0] == NONE, -item[0].count("+"), item[0])))


def pattern_masks(patterns: Mapping[str, float], present: Mapping[str, Bool], order: NDArray[np.int64]) -> dict[str, Bool]:
    """Return modality to (rows,) bool, True where the payload is to be sealed.

    Rows that lack something already take patterns that they can still have; the counts are exact: the largest remainders get the
    rows that are left over.

    Args:
        patterns: from `read_patterns`.
        present: by modality, what the data has.
        order: the rows in a seeded order.

    Raises:
        MissingnessError: an unknown modality, or the data's own holes leave too few rows for a pattern.
    """
    names = list(present)
    kept = {pattern: _modalities(pattern, names) for pattern in patterns}
    _check_named(patterns, names)
    counts = _counts(list(patterns.values()), len(order))
    has = np.stack([present[m] for m in names])
    codes = (has * (1 << np.arange(len(names)))[:, None]).sum(0)[order]
    wanted = [sum(1 << names.index(m) for m in chosen) for chosen in kept.values()]
    kinds = np.unique(codes)
    flow = _flow([int((codes == kind).sum()) for kind in kinds], counts, [[w & ~int(k) == 0 for w in wanted] for k in kinds])
    if flow.sum() < len(order):
        short = int(np.argmax(np.array(counts) - flow.sum(0)))
        raise MissingnessError(
            f"Pattern {list(patterns)[short]!r} asks for {counts[short]} of {len(order)} rows, and the holes that the data already has "
            f"leave {int(flow[:, short].sum())} for it beside the others. Lower its share."
        )
    sealed = {m: np.zeros(len(order), bool) for m in names}
    for kind, given in zip(kinds, flow, strict=True):
        rows, begin = order[codes == kind], 0
        for chosen, count in zip(kept.values(), given.tolist(), strict=True):
            part = rows[begin : begin + count]
            begin += count
            for m in names:
                if m not in chosen:
                    sealed[m][part] = present[m][part]
    return sealed


def shares_missing(patterns: Mapping[str, float]) -> dict[str, float]:
    """Return by modality the share of the rows that lack it."""
    names = sorted({m for pattern in patterns if pattern != NONE for m in pattern.split("+")})
    return {m: round(sum(share for p, share in patterns.items() if m not in p.split("+")), 9) for m in names}


def _pattern(key: Any) -> str:
    """Return a pattern's modalities as one name, in alphabetical order."""
    parts = key.split("+") if isinstance(key, str) else key
    if not isinstance(parts, (list, tuple, frozenset)) or not all(isinstance(part, str) for part in parts):
        raise MissingnessError(
            f"A pattern is what a row keeps, 'image+audio' or ('image', 'audio'), or 'none'; found {key!r} as a key of patterns=."
        )
    names = sorted(part.strip() for part in parts)
    if len(set(names)) < len(names) or "" in names or (NONE in names and len(names) > 1):
        raise MissingnessError(f"Pattern {key!r} must name each of its modalities once, or be 'none'.")
    return "+".join(names) if names else NONE


def _check_named(patterns: Mapping[str, float], names: Sequence[str]) -> None:
    """Raise for a modality that no pattern names: it would vanish from every row without a word."""
    named = {m for pattern in patterns for m in pattern.split("+")}
    if left_out := [m for m in names if m not in named]:
        whole = "+".join(sorted(names))
        raise MissingnessError(
            f"No pattern names {left_out[0]!r}, so no row would keep it. Name it in those that keep it; if none is to, say so with a "
            f"pattern of share 0: {{{whole!r}: 0}}."
        )


def _modalities(pattern: str, known: Sequence[str]) -> set[str]:
    chosen = set() if pattern == NONE else set(pattern.split("+"))
    for name in chosen:
        if name not in known:
            raise MissingnessError(
                f"patterns= names the modality {name!r}, but the data has {', '.join(known)}.{did_you_mean(name, known)}"
            )
    return chosen


def _counts(shares: list[float], rows: int) -> list[int]:
    exact = np.array(shares) * rows
    counts = np.floor(exact + 1e-9).astype(int)
    for place in np.argsort(-(exact - counts), kind="stable")[: rows - counts.sum()]:
        counts[place] += 1
    return [int(count) for count in counts]


def _flow(supply: list[int], demand: list[int], fits: list[list[bool]]) -> NDArray[np.int64]:
    """Return (kinds, patterns) how many rows of each kind take each pattern: a largest flow, whole numbers."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    kinds, patterns = len(supply), len(demand)
    graph = np.zeros((kinds + patterns + 2, kinds + patterns + 2), np.int32)
    graph[0, 1 : kinds + 1] = supply
    for kind in range(kinds):
        for pattern in range(patterns):
            if fits[kind][pattern]:
                graph[1 + kind, 1 + kinds + pattern] = min(supply[kind], demand[pattern])
    graph[1 + kinds : -1, -1] = demand
    flow = maximum_flow(csr_array(graph), 0, len(graph) - 1).flow.toarray()
    return np.asarray(flow[1 : kinds + 1, kinds + 1 : -1], np.int64)
