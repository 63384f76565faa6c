"""Patterns of missingness: most frequent first, shares of their split."""

from __future__ import annotations

from report_toys import full

from gtimm.report.results import parse_results
from gtimm.report.sections.patterns import patterns


def test_patterns_are_by_split_most_frequent_first_with_their_share():
    section = patterns(parse_results(full()))
    assert section.values["modalities"] == ["image", "audio"]
    assert [(one["split"], one["there"], one["share"]) for one in section.values["lines"]] == [
        ("train", [False, True], 0.95),
        ("train", [True, True], 0.05),
        ("test", [True, True], 1.0),
    ]
    (table,) = section.tables
    assert table.csv().splitlines()[1] == "train,95% of images hidden,False,True,1710,0.95"
