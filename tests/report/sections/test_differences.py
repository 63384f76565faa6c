"""Differences: whatever their sign, with p-values, methods or opponents by line."""

from __future__ import annotations

from report_toys import full

from gtimm.report.results import parse_results
from gtimm.report.scene import Mark, Text
from gtimm.report.sections.differences import differences
from gtimm.report.sections.methods import elsewhere


def test_many_methods_against_one_stand_by_their_names():
    figures = differences(parse_results(full())).figures
    assert [f.title for f in figures] == [f"{share}% of images missing at random" for share in (90, 95, 99)]
    texts = [t.text for t in figures[0].scene.drawn() if isinstance(t, Text)]
    assert texts[:3] == ["minus hot-deck", "zero-fill", "−4.0"]


def test_one_method_against_many_stands_by_their_names():
    found = full()
    one = found["comparisons"][3]
    found["comparisons"] = [one | {"against": name} for name in ("zero-fill", "hot-deck")]
    (figure,) = differences(parse_results(found)).figures
    texts = [t.text for t in figure.scene.drawn() if isinstance(t, Text)]
    assert texts[:4:2] == ["gti-mm, 100/class, minus", "+2.0"]
    assert "hot-deck" in texts


def test_hollow_dots_are_those_that_correction_leaves_unsure():
    found = full()
    section = differences(parse_results(found))
    own = [c for c in found["comparisons"] if c["dataset"] == "digits"]
    hollow = [m.hollow for f in section.figures for m in f.scene.drawn() if isinstance(m, Mark)]
    assert hollow == [c["p_adjusted"] >= 0.05 for c in own]
    assert section.values["significant"] == sum(c["p_adjusted"] < 0.05 for c in found["comparisons"])
    assert section.values["correction"] == "holm"


def test_table_leaves_out_columns_that_nothing_fills():
    found = full()
    assert "Corrected p" in [c.name for c in differences(parse_results(found)).tables[0].columns]
    for one in found["comparisons"]:
        one |= {"p_value": None, "p_adjusted": None}
    names = [c.name for c in differences(parse_results(found)).tables[0].columns]
    assert names == ["Method", "Against", "Difference", "95% interval", "Data", "Setting"]


def test_other_data_keep_their_sign():
    (part,) = elsewhere(parse_results(full())).values["parts"]
    assert part["sentences"] == [
        "99% of images missing at random: gti-mm with 100 per class is below hot-deck, −2.3 points (−3.3 to −1.3)."
    ]
