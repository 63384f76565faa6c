"""Tables as files: CSV with the values in full, Markdown and LaTeX with what people read."""

from __future__ import annotations

import csv
import io

import pytest

from gtimm.report.tables import Cell, Column, Line, Table, write_tables

TABLE = Table(
    "t",
    "Scores in 50% of cases",
    [Column("Method", ("method",)), Column("Mean | 95%", ("mean", "ci_low"), number=True), Column("Plain")],
    [
        Line([Cell("a_b & c|d", ("a_b & c|d",)), Cell("12.3%", (0.12345678901, None)), Cell('say "x", y')]),
        Line([Cell("−1 – {2}", ("−1 – {2}",)), Cell("–", (None, -0.5)), Cell("a\nb \\ ^~")]),
    ],
)


def test_csv_holds_every_value_unrounded():
    assert list(csv.reader(io.StringIO(TABLE.csv()))) == [
        ["method", "mean", "ci_low", "plain"],
        ["a_b & c|d", "0.12345678901", "", 'say "x", y'],
        ["−1 – {2}", "", "-0.5", "a\nb \\ ^~"],
    ]


def test_markdown_has_one_line_a_row_and_no_stray_bars():
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "| Method | Mean \\| 95% | Plain |"
    assert lines[1] == "| --- | ---: | --- |"
    assert lines[2] == '| a_b & c\\|d | 12.3% | say "x", y |'
    assert len(lines) == 4


def test_latex_escapes_what_is_special_and_has_a_rule_between_head_and_rows():
    lines = TABLE.latex().splitlines()
    assert lines[1:4] == ["\\begin{tabular}{lrl}", "\\toprule", "Method & Mean | 95\\% & Plain \\\\"]
    assert lines[4] == "\\midrule"
    assert lines[5] == 'a\\_b \\& c|d & 12.3\\% & say "x", y \\\\'
    assert lines[6] == "$-$1 -- \\{2\\} & -- & a b \\textbackslash{} \\textasciicircum{}\\textasciitilde{} \\\\"
    assert lines[-2:] == ["\\bottomrule", "\\end{tabular}"]


def test_tables_are_written_in_every_form(tmp_path):
    write_tables([TABLE], tmp_path / "tables")
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {"t.csv", "t.md", "t.tex"}
    assert (tmp_path / "tables" / "t.csv").read_bytes() == TABLE.csv().encode()


@pytest.mark.parametrize("name", ["=1+1", "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_text_that_a_spreadsheet_would_compute_is_text_in_csv(name):
    table = Table("t", "T", [Column("Method", (name,)), Column("Plain")], [Line([Cell(name, (name,)), Cell(name)])])
    text = name.replace("\r", "\n")
    assert list(csv.reader(io.StringIO(table.csv(), newline="")))[1] == [f"'{text}", f"'{text}"]
    assert "\r" not in table.csv()
    assert table.csv().split(",")[0].lstrip('"').startswith("'")


def test_numbers_stay_numbers_in_csv_also_as_text():
    table = Table("t", "T", [Column("Plain")], [Line([Cell(text)]) for text in ("-1.5", "+3e-4", "-inf")])
    assert table.csv() == "plain\n-1.5\n+3e-4\n-inf\n"


def test_markdown_holds_no_markup_of_a_page():
    table = Table("t", "T", [Column("Plain")], [Line([Cell("<script>alert(1)</script>")])])
    assert "<" not in table.markdown()
