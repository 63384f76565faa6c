"""Methods side by side: every method with its number, as figure and as table."""

from __future__ import annotations

from report_toys import full, score

from gtimm.report.results import parse_results
from gtimm.report.scene import Text
from gtimm.report.sections.all_rows import all_rows
from gtimm.report.sections.curves import budget
from gtimm.report.sections.methods import methods


def texts(scene):
    return [t.text for t in scene.drawn() if isinstance(t, Text)]


def test_figures_show_each_method_with_its_number():
    section = methods(parse_results(full()))
    figure = next(f for f in section.figures if f.name == "methods-digits-random-image95")
    shown = texts(figure.scene)
    order = ["audio-only", "multimodal", "zero-fill", "hot-deck", "gti-mm"]
    assert [t for t in shown if t in order] == order
    for method, row in ((r["method"], r) for r in full()["rows"]):
        here = row["missing_train"] == {"image": 0.95} and row["dataset"] == "digits" and not row["missing_test"]
        if here and method in ("zero-fill", "hot-deck"):
            assert shown[shown.index(method) + 1] == f"{100 * row['mean']:.1f}%"
    assert "generation, 100 per class" in shown


def test_table_of_a_paper_has_methods_by_way_of_training_with_intervals():
    table = methods(parse_results(full())).tables[0]
    assert [c.name for c in table.columns] == ["Method", *(f"{r}% of images missing at random" for r in (90, 95, 99))]
    line = next(line for line in table.lines if line.cells[0].text == "gti-mm, 100/class")
    assert line.cells[2].text == "87.0 [85.9, 88.2]"
    assert "gti-mm, 1/class" in [line.cells[0].text for line in table.lines]


def test_budget_figures_say_every_budget_and_what_needs_no_generation():
    figure = next(f for f in budget(parse_results(full())).figures if f.name == "budget-digits-random-image95")
    assert "gti-mm, 5/class: 83.1% (82.0% to 84.3%), 5 seeds" in figure.scene.description
    assert "hot-deck: 78.8%" in figure.scene.description


def test_all_rows_are_in_the_table_with_their_numbers_in_full():
    value = full()
    table = all_rows(parse_results(value)).tables[0]
    ids = [line.id for line in table.lines]
    assert sorted(ids) == sorted(f"row-{i}" for i in range(len(value["rows"])))
    place = next(i for i, column in enumerate(table.columns) if column.name == "Mean")
    for line in table.lines:
        row = value["rows"][int(line.id.removeprefix("row-"))]
        assert line.cells[place].values == (row["mean"],)
        assert line.cells[0].text == row["method"]


def test_columns_for_what_no_row_has_are_left_out():
    plain = parse_results({"schema_version": 1, "rows": [score("a", 0.5)]})
    names = [column.name for column in all_rows(plain).tables[0].columns]
    assert not {"Relative robustness", "Effective robustness", "Path only"} & set(names)
    variant = parse_results({"schema_version": 1, "rows": [score("a", 0.5, variant={"guidance": 2})]})
    assert "Guidance" in [column.name for column in all_rows(variant).tables[0].columns]
