"""Which rows stand together: settings, references, budgets, names."""

from __future__ import annotations

import pytest
from report_toys import full, rows, score

from gtimm.report.results import parse_results
from gtimm.report.rows import label, largest_budget, ordered, settings, spoken, trained


def results(found):
    return parse_results({"schema_version": 1, "rows": found})


def test_reference_without_gap_stands_in_every_setting_once():
    own = score("multimodal", 0.5, mechanism="stratified")
    found = results([*rows(), own, score("zero-fill", 0.6, missing={"image": 0.9}, mechanism="stratified")])
    means = {s: [r.mean for r in trained(found, s) if r.method == "multimodal"] for s in settings(found, "digits")}
    assert [(s.mechanism, m) for s, m in means.items()] == [("random", [0.97])] * 3 + [("stratified", [0.5])]


def test_the_modality_that_most_rows_lack_comes_first():
    missing = [{"audio": 0.5}, {"image": 0.9}, {"image": 0.5}]
    found = results([score("zero-fill", 0.5, missing=m) for m in missing])
    assert [dict(s.missing) for s in settings(found, "digits")] == [{"image": 0.5}, {"image": 0.9}, {"audio": 0.5}]


def test_rows_tested_with_holes_are_shown_only_where_nothing_was_tested_whole():
    tested = [score("zero-fill", 0.5, missing={"image": 0.9}, test={"image": q}) for q in (0.5, 0.9)]
    alone = results(tested)
    (setting,) = settings(alone, "digits")
    assert [r.missing_test for r in trained(alone, setting)] == [{"image": 0.5}]
    both = results([*tested, score("hot-deck", 0.6, missing={"image": 0.9})])
    assert [r.method for r in trained(both, setting)] == ["hot-deck"]


def test_variants_of_a_method_keep_each_its_largest_budget_and_say_what_they_are():
    found = results([score("gti-mm", 0.1 * b, budget=b, variant={"guidance": g}) for b in (1, 5) for g in (1, "2 to 4")]).rows
    kept = largest_budget(found)
    assert [label(row) for row in kept] == ["gti-mm, 5/class, guidance 1", "gti-mm, 5/class, guidance 2 to 4"]
    assert spoken(kept[1]) == "gti-mm with 5 per class (guidance 2 to 4)"


def test_ordered_keeps_every_row_with_its_place():
    found = parse_results(full())
    numbers = ordered(found)
    assert sorted(number for number, _ in numbers) == list(range(len(found.rows)))
    assert all(found.rows[number] is row for number, row in numbers)
    assert [row.dataset for _, row in numbers] == sorted(row.dataset for row in found.rows)


@pytest.mark.parametrize("name", ["digits", "other"])
def test_main_data_set_is_the_one_that_the_run_names_if_it_has_rows(name):
    from gtimm.report.rows import main_dataset

    found = parse_results({"schema_version": 1, "data": {"name": name}, "rows": [score("a", 0.5, dataset="z"), score("a", 0.5)]})
    assert main_dataset(found) == ("digits" if name == "digits" else "z")
