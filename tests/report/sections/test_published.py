"""The paper's cells beside ours."""

from __future__ import annotations

from report_toys import full

from gtimm.report.results import parse_results
from gtimm.report.sections.published import exhibit_title, published


def section(**parts):
    return published(parse_results(full() | parts))


def test_rows_and_columns_are_the_paper_s_in_its_order():
    table = section().values["exhibits"][0]["table"]
    assert [column.name for column in table.columns] == ["Row", "UCF101, 90%", "UCF101, 95%", "MiT10, 90%", "MiT10, 95%"]
    assert [line.cells[0].text for line in table.lines] == ["audio-only", "visual-only", "zero-fill", "gti-mm"]


def test_cell_says_ours_its_interval_the_paper_s_and_the_difference():
    cell = section().values["exhibits"][0]["table"].lines[2].cells[1]
    assert (cell.text, cell.small) == ("71.0%", ("69.8% to 72.1%", "paper 64.0%, +7.0"))


def test_path_only_is_marked_for_a_whole_row_once_and_for_a_single_cell_in_it():
    first = section().values["exhibits"][0]["table"].lines[0]
    assert first.mark == "path-only"
    assert first.cells[0].small == ("path only",)
    assert not any("path only" in cell.small for cell in first.cells[1:])
    cells = full()["published"]
    cells[8] |= {"path_only": True}
    line = section(published=cells).values["exhibits"][0]["table"].lines[2]
    assert line.mark == ""
    assert line.cells[1].small[-1] == "path only"


def test_what_was_not_run_says_so_and_why():
    exhibit = section().values["exhibits"][0]
    cell = exhibit["table"].lines[1].cells[4]
    assert (cell.text, cell.small) == ("not run", ("paper 51.0%", "note 1"))
    assert exhibit["notes"] == ["Made up: needs the films of the data set, which are not here."]


def test_an_option_that_is_no_one_number_is_not_called_not_run():
    cell = {"exhibit": "table8", "row": "digits", "metric": "option", "unit": "number"}
    cells = [cell | {"column": "Batch Size", "ours": 128.0}, cell | {"column": "Learning Rate", "note": "one of 0.1, 0.2"}]
    (line,) = section(published=cells).values["exhibits"][0]["table"].lines
    assert [(one.text, one.small) for one in line.cells[1:]] == [("128", ()), ("–", ("note 1",))]


def test_row_that_was_not_run_says_so_once_and_shows_the_paper_s_values():
    cells = [
        {"exhibit": "table3", "row": "films", "column": c, "paper": p, "note": "not here"} for c, p in (("x", 0.5), ("y", None))
    ]
    (line,) = section(published=cells).values["exhibits"][0]["table"].lines
    assert line.cells[0].small == ("not run, note 1",)
    assert [(cell.text, cell.small) for cell in line.cells[1:]] == [("paper 50.0%", ()), ("–", ())]


def test_counts_and_numbers_are_no_percentages():
    rows = {"exhibit": "table1", "metric": "rows", "unit": "count", "paper": 13320, "ours": 13321, "difference": 1}
    rate = {"exhibit": "table2", "metric": "rate", "unit": "number", "paper": 0.001, "ours": 0.0005, "difference": -0.0005}
    cells = [{"row": "a", "column": "x"} | cell for cell in (rows, rate)]
    first, second = (e["table"].lines[0].cells[1] for e in section(published=cells).values["exhibits"])
    assert (first.text, first.small) == ("13,321", ("paper 13,320, +1",))
    assert (second.text, second.small) == ("0.0005", ("paper 0.001, −0.0005",))


def test_metrics_of_one_exhibit_are_columns_of_their_own():
    cells = [{"exhibit": "table9", "row": "a", "column": "x", "metric": m, "paper": 0.5} for m in ("accuracy", "top3_accuracy")]
    (exhibit,) = section(published=cells).values["exhibits"]
    assert [column.name for column in exhibit["table"].columns[1:]] == ["x, accuracy", "x, top-3 accuracy"]


def test_file_has_one_line_a_cell_with_the_numbers_in_full():
    table = section().tables[0]
    assert len(table.lines) == 16
    assert table.csv().splitlines()[0] == "row,column,metric,unit,paper,ours,ci_low,ci_high,difference,path_only,note"


def test_many_exhibits_are_folded_but_the_first():
    cells = [{"exhibit": f"table{i}", "row": "a", "column": "x", "paper": 0.5} for i in range(9)]
    assert [e["open"] for e in section(published=cells).values["exhibits"]] == [True] + [False] * 8


def test_exhibits_are_called_as_in_the_paper():
    names = ("table3", "figure12", "table 3 (a)", "appendix")
    assert [exhibit_title(name) for name in names] == ["Table 3", "Figure 12", "Table 3 (a)", "Appendix"]
