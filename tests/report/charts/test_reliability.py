"""Reliability diagrams: dots on the diagonal are calibrated, their areas are shares."""

from __future__ import annotations

import pytest

from gtimm.report.charts.reliability import Confident, reliability_chart
from gtimm.report.scene import Mark, Rule


def test_calibrated_bins_lie_on_the_diagonal_and_areas_are_shares():
    bins = [Confident(0.25, 0.25, 0.2, "a"), Confident(0.75, 0.75, 0.8, "b")]
    scene = reliability_chart("n", "t", bins)
    (diagonal,) = [r for r in scene.drawn() if isinstance(r, Rule) and r.dash]
    slope = (diagonal.y2 - diagonal.y1) / (diagonal.x2 - diagonal.x1)
    low, high = [m for m in scene.drawn() if isinstance(m, Mark)]
    for mark in (low, high):
        assert mark.y == pytest.approx(diagonal.y1 + slope * (mark.x - diagonal.x1))
    assert (high.scale / low.scale) ** 2 == pytest.approx(4)
