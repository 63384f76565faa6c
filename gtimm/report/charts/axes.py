"""What all charts share: axes that end on round values, ticks, and labels that fit.

A chart is as wide in its units as it is on the screen, so that letters keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

NARROW, WIDE = 360, 560
_SHORT = 5  # letters of a number that can stand at every point
_THIN, _WIDE = frozenset("ijl.,:;|'!()[] "), frozenset("mwMW%+−–")
CAPPED = 9  # units: a shorter interval has no caps, they would hide its dot


def bounds(values: Sequence[float], *, within: tuple[float, float] = (0.0, 1.0), least: float = 0.02) -> tuple[float, float]:
    """Return an axis that holds the values and ends on ticks or halfway between."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    step = _step(high - low) / 2
    return max(math.floor(low / step) * step, min(within[0], low)), min(math.ceil(high / step) * step, max(within[1], high))


def nice_ticks(axis: tuple[float, float], *, most: float = 6.0) -> list[float]:
    """Return round values on an axis, no more than fit."""
    step = _step(axis[1] - axis[0])
    if (axis[1] - axis[0]) / step + 1 > most:
        step *= 2
    return [i * step for i in range(math.ceil(axis[0] / step - 1e-6), math.floor(axis[1] / step + 1e-6) + 1)]


def number_ticks(xs: Sequence[float], *, log: bool = False) -> list[tuple[float, str]]:
    """Return where to mark a quantity that was varied: at its own values where they are short, else at round ones."""
    own = [(x, f"{x:,.6g}") for x in sorted(set(xs))]
    if all(len(text) <= _SHORT for _, text in own):
        return own
    low, high = own[0][0], own[-1][0]
    if not log:
        return [(x, f"{x:,.6g}") for x in nice_ticks((low, high))]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [(x, f"{x:,.6g}") for power in powers for m in (1, 2, 5) if low <= (x := m * 10.0**power) <= high] or own


def _step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span / 4))
    return min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(span / step - 3.6))


def scale(source: tuple[float, float], target: tuple[float, float]) -> Callable[[float], float]:
    """Return the straight line from one range to another."""
    span = source[1] - source[0] or 1.0
    return lambda value: target[0] + (value - source[0]) / span * (target[1] - target[0])


def fit(text: str, width: float, *, bold: bool = False, size: int = 12) -> str:
    """Return text that is about as wide or less, an ellipsis at its end where it was cut."""
    if length(text, bold=bold, size=size) <= width:
        return text
    cut = len(text)
    while cut > 1 and length(text[:cut] + "…", bold=bold, size=size) > width:
        cut -= 1
    return text[:cut].rstrip() + "…"


def length(text: str, *, bold: bool = False, size: int = 12) -> float:
    """Return about how wide a label is, in units, in a wide font."""
    ems = sum(0.36 if letter in _THIN else 0.84 if letter in _WIDE else 0.64 if letter.isdigit() else 0.58 for letter in text)
    return ems * size * (1.13 if bold else 1)


def apart(places: Sequence[tuple[float, str]], *, size: int = 11, gap: float = 7) -> list[bool]:
    """Return which labels, centred on x and in its order, are shown: every one, every second, ..., so that none touches the next."""
    for step in range(1, len(places) + 1):
        kept = places[::step]
        halves = [length(text, size=size) / 2 for _, text in kept]
        ends = [x + half + gap for (x, _), half in zip(kept, halves, strict=True)]
        starts = [x - half for (x, _), half in zip(kept, halves, strict=True)]
        if all(end <= start for end, start in zip(ends, starts[1:], strict=False)):
            return [number % step == 0 for number in range(len(places))]
    return [False] * len(places)


def spread(places: Sequence[float], ends: tuple[float, float], *, line: float = 15) -> list[float]:
    """Move labels at places, in order, apart until each is a line below the one before, none below the last end."""
    found = list(places)
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + line)
    limit = ends[1]
    for i in reversed(range(len(found))):
        found[i] = min(found[i], limit)
        limit = found[i] - line
    return [max(place, ends[0]) for place in found]
