"""Colours: every text can be read on what it stands on, in both themes."""

from __future__ import annotations

import pytest

from gtimm.report.colours import COLOURS, GROUND, LEVELS, READABLE, contrast, heat, level, on_heat


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)  # the known grey just below 4.5


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("role", ["ink", "muted", "generation", "hot-deck", "robust", "other"])
def test_text_can_be_read_on_the_page_and_on_a_band(role, theme):
    for behind in (GROUND[theme], COLOURS["band"][theme]):
        assert contrast(COLOURS[role][theme], behind) >= READABLE


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("step", range(LEVELS))
def test_numbers_can_be_read_on_every_step_of_the_ramp(step, theme):
    assert contrast(COLOURS[on_heat(step)][theme], COLOURS[heat(step)][theme]) >= READABLE


def test_levels_go_from_the_lowest_to_the_highest_value():
    assert [level(v, (0.2, 0.8)) for v in (None, 0.2, 0.5, 0.8, 0.1, 0.9)] == [None, 0, LEVELS // 2, LEVELS - 1, 0, LEVELS - 1]
    assert level(0.5, (0.5, 0.5)) == 0
