"""The colours of pages and figures: a role has one for the light theme and one for the dark."""

from __future__ import annotations

# Okabe and Ito's colour-blind-safe hues, darkened (light theme) or lightened (dark) until they read as text on the page.
COLOURS = {
    "ink": ("#1c1d1f", "#e8e8e4"),
    "muted": ("#5c6066", "#a6abb1"),
    "grid": ("#e2e2dd", "#33373c"),
    "band": ("#e6f0f8", "#17293a"),
    "generation": ("#00609c", "#69b7ee"),
    "hot-deck": ("#b04a00", "#f0965b"),
    "robust": ("#00735a", "#4fc8a2"),
    "other": ("#94467a", "#de9cc5"),
}
GROUND = ("#fdfdfb", "#14171a")
LEVELS = 9
_ENDS = (("#f1f6fa", "#005088"), ("#1b242c", "#7cc4f4"))  # of the heat ramp, in each theme
_TEXT = ("#101214", "#ffffff")
READABLE = 4.5  # WCAG 2.2, contrast of text, level AA


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb`, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def level(value: float | None, ends: tuple[float, float]) -> int | None:
    """Return the step of the heat ramp, 0 to `LEVELS` - 1, for a value between two ends; `None` for no value."""
    if value is None:
        return None
    span = ends[1] - ends[0]
    share = (value - ends[0]) / span if span > 0 else 0.0
    return min(max(int(share * LEVELS), 0), LEVELS - 1)


def heat(step: int) -> str:
    """Return the role of a step's ground."""
    return f"heat-{step}"


def on_heat(step: int) -> str:
    """Return the role of text on a step."""
    return f"on-heat-{step}"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mixed(start: str, end: str, share: float) -> str:
    parts = [(int(start[i : i + 2], 16), int(end[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def _ramp() -> dict[str, tuple[str, str]]:
    found = {}
    for step in range(LEVELS):
        grounds = [_mixed(*ends, step / (LEVELS - 1)) for ends in _ENDS]
        found[heat(step)] = (grounds[0], grounds[1])
        texts = [max(_TEXT, key=lambda text, ground=ground: contrast(text, ground)) for ground in grounds]  # type: ignore[misc]
        found[on_heat(step)] = (texts[0], texts[1])
    return found


COLOURS |= _ramp()
