"""The example of a table of one's own runs, and predicts rows with any holes."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "your_own_data.py"


@pytest.fixture
def main() -> Any:
    return runpy.run_path(str(EXAMPLE))["main"]


def test_the_miniature_compares_and_predicts_every_pattern_of_holes(
    main: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = main(["--miniature", "--per-class", "2"])
    said = capsys.readouterr().out
    assert list(scores) == ["zero", "hot-deck", "retrieval", "regression", "generation"]
    assert all(0.2 < score < 1 for score in scores.values())  # chance is 0.1
    assert f"Best: {max(scores, key=scores.get)}" in said
    assert said.count("True") == 1  # the row with nothing
    assert not home.exists()


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
