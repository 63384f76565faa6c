"""Class by class: changes, confusions, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from report_toys import detail, full

from gtimm.report.results import parse_results
from gtimm.report.scene import Text
from gtimm.report.sections.classes import SHOWN, classes


def section(details, **parts):
    return classes(parse_results(full() | {"details": details} | parts))


def test_recommended_method_comes_first():
    found = section([detail("ab", "hot-deck", None), detail("ab", "gti-mm")])
    assert [d["title"].split(",")[0] for d in found.values["details"]] == ["gti-mm", "hot-deck: 95% of images missing at random"]


def test_those_tested_whole_come_first():
    found = section([detail("ab", missing_test={"image": 0.5}), detail("ab", "hot-deck", None)])
    assert [d["title"].split(":")[0] for d in found.values["details"]] == ["hot-deck", "gti-mm, 100/class"]


def test_gains_are_drawn_largest_first_with_their_sign_and_absent_ones_left_out():
    one = detail(["a", "b", "c"], gain=[-0.1, 0.25, None])
    (shown,) = section([one]).values["details"]
    texts = [t.text for t in shown["panels"][0].scene.drawn() if isinstance(t, Text)]
    assert texts[:4] == ["b", "+25.0", "a", "−10.0"]


def test_of_many_classes_the_ends_are_drawn_and_all_are_in_the_table():
    names = [f"class {i}" for i in range(150)]
    found = section([detail(names)])
    (shown,) = found.values["details"]
    drawn = {t.text for t in shown["panels"][0].scene.drawn() if isinstance(t, Text)} & set(names)
    assert len(drawn) == 20
    assert {"class 0", "class 148"} <= drawn
    assert len(shown["table"].lines) == 150
    assert shown["confusion"] is None


def test_confusion_shows_percent_of_the_true_class_and_keeps_the_counts_in_the_file():
    one = detail(["a", "b"], confusion=[[3, 1], [0, 7]])
    found = section([one])
    table = found.values["details"][0]["confusion"]
    assert [[cell.text for cell in line.cells] for line in table.lines] == [["a", "75", "25"], ["b", "", "100"]]
    assert table.csv() == "true_class,a,b\na,3,1\nb,0,7\n"
    assert table.lines[0].cells[1].mark.startswith("heat-")


def test_most_frequent_confusions_are_the_largest_off_the_diagonal():
    size = 40
    counts = np.eye(size, dtype=int) * 50
    counts[3, 7], counts[5, 1] = 9, 4
    (shown,) = section([detail([str(i) for i in range(size)], confusion=counts.tolist())]).values["details"]
    assert [[cell.text for cell in line.cells] for line in shown["pairs"].lines] == [
        ["3", "7", "9", "15.3%"],
        ["5", "1", "4", "7.4%"],
    ]
    taken = next(line for line in shown["table"].lines if line.cells[0].text == "3").cells[-1]
    assert taken.text == "7 (15.3%)"


@pytest.mark.parametrize("drop", ["gain", "confusion", "calibration", "ece", "recall"])
def test_any_part_may_be_missing(drop):
    one = detail(["a", "b", "c"])
    del one[drop]
    assert section([one]).values["details"][0]["table"].lines


def test_only_the_first_details_are_on_the_page_and_the_tables_of_all_are_files():
    found = section([detail("ab", f"method-{i}", None) for i in range(SHOWN + 3)])
    assert (len(found.values["details"]), found.values["more"]) == (SHOWN, 3)
    assert len([table for table in found.tables if table.name.endswith("recall")]) == SHOWN + 3
