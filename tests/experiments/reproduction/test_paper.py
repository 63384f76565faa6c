"""The file of the paper's values: complete, square, and without what the paper does not print."""

from __future__ import annotations

import doctest
import math
from pathlib import Path

import pytest

import gtimm.experiments.reproduction.paper
from gtimm.core.errors import ConfigError
from gtimm.experiments.reproduction.paper import heading, label, published

TABLES = {
    "table1": (4, 3),
    "table2": (4, 3),
    "table3": (4, 5),
    "table4": (8, 1),
    "table5": (12, 3),
    "table6": (8, 3),
    "table7": (4, 2),
    "table8": (4, 5),
    "table9": (2, 5),
    "table10": (2, 2),
    "table11": (8, 3),
}
SUMS = {
    "table1": 232_623,
    "table2": 736.36,
    "table3": 878.44,
    "table4": 510.43,
    "table5": 1_613.9,
    "table6": 1_065.5,
    "table7": 501.22,
    "table8": 572.0024,
    "table9": 316.0012,
    "table10": 248.87,
    "table11": 1_457.2,
}
"""Of all numbers of a table, added up from the paper by themselves."""


def test_every_table_and_figure_from_4_on_is_there_with_its_size() -> None:
    paper = published()
    assert list(paper.exhibits) == [*(f"table{i}" for i in range(1, 12)), *(f"figure{i}" for i in range(4, 14))]
    assert {name: (len(e.lines), len(e.columns)) for name, e in paper.exhibits.items() if name in TABLES} == TABLES


@pytest.mark.parametrize("name", SUMS)
def test_the_numbers_of_a_table_add_up(name: str) -> None:
    values = [v for line in published().exhibit(name).lines for v in line.values if not isinstance(v, str)]
    assert math.fsum(values) == pytest.approx(SUMS[name], abs=1e-6)


def test_figures_have_no_number_of_their_own() -> None:
    for name, exhibit in published().exhibits.items():
        if name.startswith("figure"):
            assert all(line.same_as is not None and not line.values for line in exhibit.lines), name


def test_what_a_figure_repeats_is_found_in_its_table() -> None:
    paper = published()
    for name, exhibit in paper.exhibits.items():
        for line in exhibit.lines:
            if line.same_as is not None:
                found = [paper.value(name, line.at, column) for column in exhibit.columns]
                assert any(value is not None and value.unit == "fraction" for value in found), (name, line.at)
    value = paper.value("figure8", {"dataset": "UCF101", "p = q": 90}, "GTI-MM Dropout")
    assert value is not None
    assert (value.value, value.source) == (0.538, "Table 5")
    assert paper.value("figure8", {"dataset": "UCF101", "p = q": 90}, "MM-Zero Imputation") is None


def test_scores_are_fractions_and_other_numbers_are_as_printed() -> None:
    paper = published()
    for name, exhibit in paper.exhibits.items():
        for line in exhibit.lines:
            for column in exhibit.columns:
                value = paper.value(name, line.at, column)
                if value is not None and value.unit == "fraction":
                    assert isinstance(value.value, float)
                    assert 0 < value.value < 1
    rate = paper.value("table8", {"dataset": "MiT10"}, "Learning Rate")
    rows = paper.value("table1", {"dataset": "UCF101"}, "Data Size")
    assert rate is not None
    assert rows is not None
    assert (rate.value, rate.unit, rows.value, rows.unit) == (5e-4, "number", 6837, "count")


def test_tables_5_and_6_agree_where_they_show_the_same_experiment() -> None:
    paper = published()
    for dataset, p in (("UCF101", 95), ("ActivityNet", 95), ("MiT10", 99), ("MiT51", 99)):
        dropout = paper.exhibit("table5").line({"dataset": dataset, "method": "GTI-MM Dropout", "p": p})
        without = paper.exhibit("table6").line({"dataset": dataset, "prompt learning": "no", "p": p})
        assert dropout is not None
        assert without is not None
        assert dropout.values == without.values


@pytest.mark.parametrize(
    ("exhibit", "words"),
    [
        ("table3", "zero-filling improves on low-resource visual"),
        ("table5", "MiT51"),
        ("table6", "MiT10 at q = 70%"),
        ("table10", "two of four"),
        ("table11", "No metric"),
        ("figure11", "Figure ??"),
    ],
)
def test_what_is_odd_is_noted_at_its_place(exhibit: str, words: str) -> None:
    assert any(words in note for note in published().exhibit(exhibit).notes)


@pytest.mark.parametrize(
    ("exhibit", "at", "words"),
    [
        ("table3", {"dataset": "MiT51", "p": 99}, "49.87"),
        ("table4", {"dataset": "MiT51", "prompt": "Label prompt"}, "49.70"),
        ("table6", {"dataset": "MiT10", "prompt learning": "yes", "p": 99}, "below the 56.4"),
        ("table10", {"dataset": "Food101", "p": 95}, "top-1"),
    ],
)
def test_what_is_odd_about_a_value_comes_with_it(exhibit: str, at: dict[str, str | int], words: str) -> None:
    column = published().exhibit(exhibit).columns[-1]
    value = published().value(exhibit, at, column)
    assert value is not None
    assert any(words in note for note in value.notes)


def test_an_unknown_exhibit_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'table3'"):
        published().exhibit("tabel3")


def test_names_for_people() -> None:
    assert heading("figure10") == "Figure 10"
    assert label({"dataset": "MiT51", "p = q": 70}) == "MiT51, p = q = 70%"
    assert doctest.testmod(gtimm.experiments.reproduction.paper).failed == 0


def test_no_published_value_stands_in_the_code() -> None:
    """The numbers of the comparison live in one file; a result can only come from a run."""
    folder = Path(gtimm.experiments.reproduction.paper.__file__).parent
    numbers = {f"{v}" for line in published().exhibit("table3").lines for v in line.values}
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [number for number in numbers if number in text], path.name
