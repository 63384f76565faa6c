"""Line charts: points where their values are, the paper's values beside them."""

from __future__ import annotations

import math

import pytest

from gtimm.report.charts.lines import Level, Line, Place, line_chart
from gtimm.report.scene import Group, Mark, Path, Rule, Text


def chart(**more):
    points = [Place(x, y, (y - 0.05, y + 0.05), f"at {x}", p) for x, y, p in ((1, 0.5, 0.4), (10, 0.6, 0.5), (100, 0.9, None))]
    lines = [Line("ours", points, "generation")]
    ticks = [(float(x), str(x)) for x in (1, 10, 100)]
    return line_chart("n", "t", lines, ticks=ticks, caption="x", axis=(0.0, 1.0), levels=[Level("flat", 0.25)], **more)


def marks(scene, hollow):
    return [item for item in scene.drawn() if isinstance(item, Mark) and item.hollow is hollow]


def test_points_lie_evenly_on_a_logarithmic_axis():
    first, second, third = marks(chart(log=True), hollow=False)
    assert second.x - first.x == pytest.approx(third.x - second.x)
    plain = marks(chart(), hollow=False)
    assert (plain[1].x - plain[0].x) / (plain[2].x - plain[0].x) == pytest.approx(9 / 99)


def test_heights_are_the_values():
    scene = chart()
    first, _, third = marks(scene, hollow=False)
    (level,) = [item for item in scene.drawn() if isinstance(item, Rule) and item.dash]
    per_unit = (first.y - third.y) / 0.4
    assert level.y1 - third.y == pytest.approx(0.65 * per_unit)
    assert math.isclose(first.y - marks(scene, hollow=True)[0].y, -0.1 * per_unit, abs_tol=1e-6)


def test_the_paper_s_values_are_hollow_and_dashed_in_the_line_s_colour():
    scene = chart()
    assert [mark.role for mark in marks(scene, hollow=True)] == ["generation", "generation"]
    dashed = [item for item in scene.drawn() if isinstance(item, Path) and item.dash]
    assert [len(path.points) for path in dashed] == [2]


def test_every_line_bears_its_name_and_every_point_its_words():
    scene = chart()
    texts = [item.text for item in scene.drawn() if isinstance(item, Text)]
    assert {"ours", "flat", "x", "1", "100"} <= set(texts)
    assert [item.tip for item in scene.items if isinstance(item, Group)] == ["at 1", "at 10", "at 100"]
    assert "flat: 25.0%" in scene.description
