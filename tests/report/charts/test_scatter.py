"""Spots over a quantity: at their places, with names that touch nothing."""

from __future__ import annotations

import pytest

from gtimm.report.charts.axes import length
from gtimm.report.charts.scatter import Spot, scatter_chart
from gtimm.report.scene import Mark, Text


def chart(xs, scores, named=None, **more):
    spots = [
        Spot(f"method {i}", x, v, (v - 0.01, v + 0.01), f"tip {i}", named=named is None or i in named)
        for i, (x, v) in enumerate(zip(xs, scores, strict=True))
    ]
    ticks = lambda low, high: [(low, "low"), (high, "high")]  # noqa: E731
    return scatter_chart("n", "t", spots, ticks=ticks, caption="x", axis=(0.0, 1.0), **more)


def named(scene):
    return [item for item in scene.drawn() if isinstance(item, Text) and item.text.startswith("method")]


@pytest.mark.parametrize("log", [True, False])
def test_spots_stand_at_their_x_and_score(log):
    low, middle, high = (m for m in chart([1, 10, 100], [0.2, 0.9, 0.1], log=log).drawn() if isinstance(m, Mark))
    assert (middle.x - low.x) / (high.x - low.x) == pytest.approx(1 / 2 if log else 9 / 99)
    assert middle.y < low.y < high.y


def test_only_what_asks_for_it_is_named():
    assert [text.text for text in named(chart([1, 2, 3], [0.2, 0.5, 0.8], {0, 2}))] == ["method 2", "method 0"]


@pytest.mark.parametrize("spread", [1.0, 1.02, 1.2, 3.0])
def test_names_touch_neither_one_another_nor_the_edges(spread):
    scene = chart([2 * spread**i for i in range(12)], [0.3 + 0.02 * i for i in range(12)])
    areas = [(t.x, t.x + length(t.text, size=11), t.y - 9, t.y + 2) for t in named(scene)]
    assert areas
    for i, one in enumerate(areas):
        assert one[0] >= 0
        assert one[1] <= scene.width
        for other in areas[:i]:
            assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
