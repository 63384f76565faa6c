"""Robustness matrices: every cell at its place, colours shared where they may be compared."""

from __future__ import annotations

from report_toys import full, matrix

from gtimm.report.colours import LEVELS
from gtimm.report.results import parse_results
from gtimm.report.scene import Text
from gtimm.report.sections.matrices import matrices


def section(*found):
    return matrices(parse_results(full() | {"matrices": list(found)}))


def test_cells_are_the_values_by_training_and_test():
    one = matrix("m", "matched", 0.08) | {"ci_low": [[0.5] * 5] * 5, "ci_high": [[0.6] * 5] * 5}
    (shown,) = section(one).values["matrices"]
    table = shown["table"]
    assert [column.name for column in table.columns[1:]] == ["0%", "25%", "50%", "75%", "100%"]
    assert [line.cells[0].text for line in table.lines] == ["0%", "50%", "90%", "95%", "99%"]
    assert [cell.text for cell in table.lines[0].cells[1:]] == [f"{100 * v:.1f}" for v in one["values"][0]]
    assert table.lines[-1].cells[-1].text == "–"
    assert table.csv().splitlines()[1].startswith("0.0,0.97,0.5,0.6,")


def test_matrices_of_one_data_set_share_their_colours_and_of_another_do_not():
    low = matrix("fixed", "fixed", 0.0)
    low["values"] = [[v and v - 0.3 for v in line] for line in low["values"]]
    high, other = matrix("matched", "matched", 0.08), matrix("o", "none", 0.0) | {"dataset": "other"}
    first, second, third = (one["table"] for one in section(high, low, other).values["matrices"])
    top = f"heat-{LEVELS - 1}"
    assert first.lines[0].cells[1].mark == top
    assert second.lines[0].cells[1].mark != top
    assert third.lines[0].cells[1].mark == top


def test_figure_has_the_same_numbers_as_the_table():
    found = section(matrix("m", "matched", 0.08))
    table = {cell.text for line in found.tables[0].lines for cell in line.cells}
    assert table <= {t.text for t in found.figures[0].scene.drawn() if isinstance(t, Text)}
