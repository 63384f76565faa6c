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


def line(name, *points):
    return {"name": name, "points": [{"x": x, "mean": y, "ci_low": y - 0.1, "ci_high": y + 0.1} for x, y in points]}


def test_series_that_is_the_same_everywhere_is_a_horizontal_line():
    series = [line("gti-mm", (1, 0.5), (2, 0.6)), line("hot-deck", (1, 0.4), (2, 0.4))]
    one = {"name": "n", "title": "N", "x": "x", "dataset": "digits", "series": series}
    scene = sweeps(found(sweeps=[one])).figures[0].scene
    assert sum(isinstance(item, Mark) for item in scene.drawn()) == 2
    assert "hot-deck: 40.0% (30.0% to 50.0%)" in scene.description


def test_single_points_are_spots_with_their_names_and_the_longest_series_their_line():
    series = [line("frontier", (0, 0.4), (9.87654321, 0.8)), line("hot-deck", (0, 0.4)), line("zero-fill", (5.4321, 0.3))]
    series.append(line("gti-mm, 100 a class", (9.87654321, 0.8)))
    one = {"name": "n", "title": "N", "x": "seconds", "dataset": "digits", "series": series}
    scene = sweeps(found(sweeps=[one])).figures[0].scene
    marks = [item for item in scene.drawn() if isinstance(item, Mark)]
    assert [(mark.role, mark.hollow) for mark in marks] == [("hot-deck", False), ("ink", True), ("generation", False)]
    assert [len(item.points) for item in scene.drawn() if isinstance(item, Path)] == [2]
    texts = [item.text for item in scene.drawn() if isinstance(item, Text)]
    assert {"hot-deck", "gti-mm, 100 a class"} <= set(texts)
    assert max(len(text) for text in texts if text.replace(".", "").isdigit()) <= 4
