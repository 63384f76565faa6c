"""The example of images missing at test says where filling helps and where it does not."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_time.py"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    return runpy.run_path(str(EXAMPLE))["main"]


def test_it_says_both_what_helps_and_what_does_not(main: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scores = main(["--missing", "0.9"])
    said = capsys.readouterr().out
    assert len(scores) == 2
    assert scores["complete training rows"]["regression"][1] > scores["complete training rows"]["zero"][1]
    assert " helps: " in said
    assert " HURTS: " in said


def test_the_miniature_runs(main: Any, tmp_path: Path) -> None:
    scores = main(["--miniature", "--missing", "0.9", "--epochs", "8", "--store", str(tmp_path)])
    assert all(0 < score <= 1 for found in scores.values() for values in found.values() for score in values)


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
