"""Score over cost: names that touch nothing, times that people read."""

from __future__ import annotations

import pytest

from gtimm.report.charts.axes import length
from gtimm.report.charts.costs import Bought, cost_chart
from gtimm.report.scene import Mark, Text


def chart(seconds, scores, best=None):
    methods = [
        Bought(f"method {i}", s, v, (v - 0.01, v + 0.01), f"tip {i}", best=best is None or i in best)
        for i, (s, v) in enumerate(zip(seconds, scores, strict=True))
    ]
    return cost_chart("n", "t", methods, axis=(0.0, 1.0))


def named(scene):
    return [item for item in scene.drawn() if isinstance(item, Text) and item.text.startswith("method")]


def test_cheaper_is_left_better_is_up_and_what_is_beaten_is_hollow():
    marks = sorted((m for m in chart([1, 100, 10], [0.2, 0.9, 0.1], {0, 1}).drawn() if isinstance(m, Mark)), key=lambda m: m.x)
    assert [m.hollow for m in marks] == [False, True, False]
    assert marks[2].y < marks[0].y < marks[1].y


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


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((1, 30), {"1 s", "5 s", "20 s"}),
        ((50, 5000), {"1 min", "1 h"}),
        ((36_000, 400_000), {"20 h", "100 h"}),
        ((1.1, 1.11), {"1 s"}),
    ],
)
def test_time_axis_has_round_times_in_their_units(seconds, expected):
    texts = {item.text for item in chart(seconds, [0.5] * len(seconds)).drawn() if isinstance(item, Text)}
    assert expected <= texts
