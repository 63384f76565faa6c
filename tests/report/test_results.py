"""Reading results.json: lenient in what may be absent, clear about what is wrong."""

from __future__ import annotations

import json

import pytest

from gtimm.core.errors import DataError
from gtimm.report.results import parse_results, read_results

ROW = {"dataset": "d", "method": "m", "metric": "accuracy", "mean": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "schema_version None"),
        ('{"schema_version": 2, "rows": []}', "schema_version 2"),
        ('{"schema_version": 1}', "rows: Field required"),
        (json.dumps({"schema_version": 1, "rows": [ROW, ROW | {"mean": "much"}]}), r"rows\.1\.mean.*'much'"),
        (json.dumps({"schema_version": 1, "rows": [ROW | {"missing_train": {"image": 2}}]}), r"missing_train\.image"),
    ],
)
def test_wrong_results_are_an_error_that_names_the_place(tmp_path, text, message):
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "results.json")


def test_unknown_keys_are_passed_over_at_every_depth():
    value = {"schema_version": 1, "new": 1, "rows": [ROW | {"newer": 2}], "gallery": [{"class": "a", "newest": 3}]}
    results = parse_results(value)
    assert results.rows[0].mean == 0.5
    assert results.gallery[0].name == "a"


def test_numbers_that_are_not_finite_are_absent_and_ratios_of_zero_are_not_given():
    row = ROW | {"mean": float("nan"), "ci_low": float("inf"), "missing_train": {"image": 0.0, "audio": 0.1}}
    (found,) = parse_results({"schema_version": 1, "rows": [row]}).rows
    assert (found.mean, found.ci_low, found.missing_train) == (None, None, {"audio": 0.1})
