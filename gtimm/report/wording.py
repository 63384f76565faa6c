"""Numbers and settings in words: percent with one decimal, missing ratios, durations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLURAL = {"image": "images", "text": "texts", "video": "videos"}
_METRICS = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "samples F1",
    "weighted_f1": "weighted F1",
    "ece": "calibration error",
    "auroc": "AUROC",
    "macro_auroc": "macro AUROC",
}
_TOP = re.compile(r"^top ?(\d+)")
_HOW = {
    "random": "at random",
    "stratified": "evenly in every class",
    "classes": "as whole classes",
    "mar": "by what else the row holds",
    "mnar": "by the very value that is missing",
    "patterns": "by patterns",
}


def percent(value: float | None) -> str:
    """Return a fraction as percent with one decimal; an en dash for None."""
    return "–" if value is None else f"{100 * value:.1f}%"


def points(value: float | None) -> str:
    """Return a difference of fractions in signed percentage points, with a true minus."""
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def interval(pair: tuple[float, float] | None, *, difference: bool = False) -> str:
    """Return both ends of an interval; an en dash for None."""
    if pair is None:
        return "–"
    return f"{points(pair[0])} to {points(pair[1])}" if difference else f"{percent(pair[0])} to {percent(pair[1])}"


def gain(value: float, low: float, high: float) -> str:
    """Return a difference of fractions in points with its interval.

    Example:
        >>> gain(0.034, 0.01, 0.058)
        '+3.4 [+1.0, +5.8]'
    """
    return f"{points(value)} [{points(low)}, {points(high)}]"


def p_value(value: float | None) -> str:
    """Return a p-value with two digits, `< 0.001` below that; an en dash for None."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.095 else f"{value:.2f}"


def metric(name: str) -> str:
    """Return a metric's name in a sentence: `macro F1`, `top-3 accuracy`, `calibration error`."""
    if name in _METRICS:
        return _METRICS[name]
    words = name.replace("_", " ")
    return _TOP.sub(r"top-\1", words)


def plural(modality: str) -> str:
    """Return what the items of a modality are called."""
    return _PLURAL.get(modality, modality)


def ratios(missing: Mapping[str, float]) -> str:
    """Return missing ratios, as in `95% of images, 5% of audio`; `none` if nothing is missing."""
    return ", ".join(f"{100 * share:.4g}% of {plural(name)}" for name, share in missing.items()) or "none"


def mechanism(name: str) -> str:
    """Return how the missing ones were chosen."""
    return _HOW.get(name, f"by {name}")


def setting(missing: Mapping[str, float], how: str) -> str:
    """Return a way of training, as in `95% of images missing at random`; the data's own holes are not told."""
    return f"{ratios(missing)} missing {mechanism(how)}" if missing else "no holes simulated in training"


def duration(seconds: float | None) -> str:
    """Return seconds for people, in two units at most, from 10 hours in one; an en dash for None.

    Example:
        >>> duration(1.25), duration(130), duration(900), duration(3900), duration(12 * 5100)
        ('1.25 s', '2 min 10 s', '15 min', '1 h 5 min', '17 h')
    """
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    if seconds >= 36_000:
        return f"{seconds / 3600:,.0f} h"
    large, small, part = ("min", "s", 1) if round(seconds) < 3600 else ("h", "min", 60)
    whole, rest = divmod(round(seconds / part), 60)
    return f"{whole} {large}" + (f" {rest} {small}" if rest else "")


def sentence(text: str) -> str:
    """Return the text with its first letter large."""
    return text[:1].upper() + text[1:]


def plain(value: Any) -> str:
    """Return any JSON value as text, lists and mappings in a row."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return ", ".join(plain(item) for item in value) if isinstance(value, list) else str(value)
