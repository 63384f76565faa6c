"""Axes and labels that fit."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gtimm.report.charts.axes import apart, bounds, fit, length, nice_ticks, number_ticks, scale, spread


@pytest.mark.parametrize("values", [[0.5], [0.0, 1.0], [0.911, 0.9115], [-0.03, 0.012], []])
def test_axis_holds_its_values_between_two_ticks_or_more(values):
    low, high = bounds(values, within=(-1.0, 1.0))
    assert all(low <= value <= high for value in values)
    assert 2 <= len(nice_ticks((low, high))) <= 8


def test_scale_is_the_line_through_both_ends():
    at = scale((0.2, 0.4), (100, 0))
    assert [at(v) for v in (0.2, 0.3, 0.4)] == pytest.approx([100, 50, 0])


def test_labels_that_would_touch_are_thinned_evenly():
    wide = length("0.5", size=11) + 7.01
    assert apart([(wide * i, "0.5") for i in range(11)]) == [True] * 11
    assert apart([((wide - 1) * i, "0.5") for i in range(11)]) == [i % 2 == 0 for i in range(11)]
    assert apart([(10.0 * i, "a long label") for i in range(8)]) == [i == 0 for i in range(8)]
    assert apart([]) == []


def test_quantity_is_marked_at_its_own_values_or_at_round_ones():
    assert number_ticks([1, 5, 20, 100]) == [(1, "1"), (5, "5"), (20, "20"), (100, "100")]
    assert [text for _, text in number_ticks([0, 2.459889, 12.3456])] == ["0", "5", "10"]
    assert [text for _, text in number_ticks([0.123456, 2.459889, 12.3456], log=True)] == ["0.2", "0.5", "1", "2", "5", "10"]


def test_names_at_the_end_of_lines_keep_a_line_apart_and_inside():
    found = spread([10, 11, 12, 100], (0, 60), line=15)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(found))
    assert max(found) <= 60


@pytest.mark.parametrize("width", [20, 60, 100])
def test_label_that_is_too_wide_says_that_it_was_cut_and_fits(width):
    text = "gti-mm-dropout, dropout 0.5"
    cut = fit(text, width, bold=True)
    assert length(cut, bold=True) <= width
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
    assert fit(text, 400, bold=True) == text
