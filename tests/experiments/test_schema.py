"""The published form of `results.json`, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gtimm.experiments.folder import RunFolder
from gtimm.experiments.schema import json_schema

ROW = {"dataset": "toys", "method": "zero-fill", "metric": "accuracy", "mean": 0.5}


def test_the_published_schema_is_that_of_the_models() -> None:
    published = Path(__file__).parents[2] / "docs" / "results.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == json_schema(), (
        "Write it anew: python -m gtimm.experiments.schema > docs/results.schema.json"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": [{**ROW, "means": 1}]}, "means"),
        ({"kind": "rerun"}, "kind"),
        ({"rows": [{**ROW, "missing_test": {"image": 2}}]}, "image"),
    ],
)
def test_results_of_another_form_are_not_written(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ValidationError, match=says):
        folder.results({"rows": [ROW], **change})
    assert not (tmp_path / "run" / "results.json").exists()


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    written = RunFolder(tmp_path / "run").results({"rows": [{**ROW, "mean": float("nan")}]})
    text = (tmp_path / "run" / "results.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == written
    assert written["rows"][0]["mean"] is None
    assert written["schema_version"] == 1
