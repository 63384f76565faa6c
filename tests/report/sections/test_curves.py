"""Sweeps as curves, with the paper's values."""

from __future__ import annotations

from report_toys import full

from gtimm.report.results import parse_results
from gtimm.report.scene import Mark, Path, Text
from gtimm.report.sections.curves import missing_at_test, sweeps


def found(**parts):
    return parse_results(full() | parts)


def test_numbers_are_curves_and_anything_else_is_dots():
    quantity, prompts, _ = sweeps(found()).figures
    assert [item for item in quantity.scene.drawn() if isinstance(item, Path)]
    assert not [item for item in prompts.scene.drawn() if isinstance(item, Path)]
    assert "descriptions by a language model" in [t.text for t in prompts.wide.drawn() if isinstance(t, Text)]


def test_the_paper_s_values_are_drawn_and_listed():
    section = sweeps(found())
    assert section.values["published"]
    assert sum(m.hollow for m in section.figures[0].scene.drawn() if isinstance(m, Mark)) == 2
    assert "gti-mm,1.0,0.86,0.85,0.87,0.81" in section.tables[0].csv()
    assert "; the paper: 81.0%" in section.figures[0].scene.description


def test_lines_of_one_chart_have_colours_of_their_own():
    _, _, shares = sweeps(found()).figures
    roles = [t.role for t in shares.scene.drawn() if isinstance(t, Text) and t.text in ("zero-fill", "gti-mm", "gti-mm-dropout")]
    assert len(set(roles)) == 3
    assert "generation" in roles


def test_sweeps_of_one_name_do_not_overwrite_each_other():
    twice = [full()["sweeps"][0]] * 2
    section = sweeps(found(sweeps=twice))
    assert len({table.name for table in section.tables}) == 2
    assert len({figure.name for figure in section.figures}) == 2


def test_sweep_without_a_number_is_a_table_only():
    point = {"x": 1, "mean": None}
    one = {"name": "n", "title": "N", "x": "x", "dataset": "digits", "series": [{"name": "s", "points": [point]}]}
    section = sweeps(found(sweeps=[one]))
    assert section.figures == []
    assert section.values["sweeps"][0]["figure"] is None


def test_ways_of_training_without_a_line_of_their_own_make_no_panel():
    assert [figure.name for figure in missing_at_test(found()).figures] == [
        f"missing-test-image-digits-random-image{share}" for share in (90, 95, 99)
    ]
