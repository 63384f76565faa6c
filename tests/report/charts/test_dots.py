"""Dot charts: dots where their values are."""

from __future__ import annotations

import pytest

from gtimm.report.charts.dots import Dot, dot_chart
from gtimm.report.scene import Box, Mark, Rule, Text


def test_dots_lie_by_value_under_their_headings_with_the_paper_s_mark_beside():
    dots = [
        Dot("low", 0.2, (0.1, 0.3), "low tip"),
        Dot("high", 0.6, None, "high tip", strong=True, role="generation", published=0.4),
    ]
    scene = dot_chart("n", "t", [("group", dots)], axis=(0.0, 1.0))
    low = next(m for m in scene.drawn() if isinstance(m, Mark))
    high, paper = [m for m in scene.drawn() if isinstance(m, Mark)][:0:-1]
    assert paper.hollow
    assert paper.x == pytest.approx((low.x + high.x) / 2)
    (bar,) = [r for r in scene.drawn() if isinstance(r, Rule) and r.width == 2]
    assert (bar.x1 + bar.x2) / 2 == pytest.approx(low.x)
    texts = [t.text for t in scene.drawn() if isinstance(t, Text)]
    assert texts[:3] == ["group", "low", "20.0%"]
    assert [b.role for b in scene.drawn() if isinstance(b, Box) and b.role] == ["band"]
    assert scene.description == "low tip; high tip"


def test_stems_start_at_zero():
    dots = [Dot("a", -0.1, None, "", stem=True), Dot("b", 0.2, None, "", stem=True)]
    scene = dot_chart("n", "t", [("", dots)], axis=(-0.2, 0.2), zero=True)
    zero = next(r for r in scene.drawn() if isinstance(r, Rule) and r.role == "muted")
    stems = [r for r in scene.drawn() if isinstance(r, Rule) and r.width == 2]
    assert [s.x1 for s in stems] == [zero.x1] * 2
    assert stems[0].x2 < zero.x1 < stems[1].x2
