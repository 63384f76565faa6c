"""Accuracy over confidence: whether a model is as sure as it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import scale
from gtimm.report.scene import Drawn, Group, Mark, Path, Rule, Scene, Text

_TELLING = 0.005  # share of the predictions: the line passes over bins with fewer


@dataclass(frozen=True)
class Confident:
    """Predictions of about equal confidence: mean confidence, accuracy, their share of all."""

    confidence: float
    accuracy: float
    share: float
    tip: str


def reliability_chart(name: str, title: str, bins: Sequence[Confident], role: str = "generation") -> Scene:
    """Return accuracy over confidence; a dot's area is the share of its predictions, the dashed line is perfect calibration."""
    left, top, side = 46.0, 8.0, 230.0
    over, up = scale((0, 1), (left, left + side)), scale((0, 1), (top + side, top))
    items: list[Drawn | Group] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        items += [Rule(left, up(tick), left + side, up(tick), "grid"), Rule(over(tick), top, over(tick), top + side, "grid")]
        items.append(Text(left - 6, up(tick) + 4, f"{100 * tick:.0f}%", "muted", "end", 11))
        items.append(Text(over(tick), top + side + 16, f"{100 * tick:.0f}%", "muted", "middle", 11))
    items.append(Rule(over(0), up(0), over(1), up(1), "muted", 1, (4, 4)))
    items.append(Path([(over(b.confidence), up(b.accuracy)) for b in bins if b.share >= _TELLING], role, 1.25))
    for one in bins:
        size = max(0.55, 3.2 * math.sqrt(one.share))
        items.append(Group([Mark(over(one.confidence), up(one.accuracy), "circle", role, scale=size)], one.tip))
    items.append(Text(left + side / 2, top + side + 34, "mean confidence; upwards: accuracy", "muted", "middle", 11))
    return Scene(name, title, "; ".join(one.tip for one in bins), left + side + 20, top + side + 42, items)
