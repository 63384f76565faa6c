"""The example of an imputer of one's own runs by name."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from gtimm.core.registry import registry
from gtimm.testing import check_imputer

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_imputer.py"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    return runpy.run_path(str(EXAMPLE))["main"]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    imputers = registry("imputers")
    monkeypatch.setattr(imputers, "_entries", dict(imputers._entries))
    monkeypatch.setattr(imputers, "_loaded", dict(imputers._loaded))


def test_the_imputer_is_used_by_name(main: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scores = main(["--seeds", "1"])
    assert all(score > 0.8 for values in scores.values() for score in values)
    assert "'name': 'noisy-deck'" in capsys.readouterr().out


def test_the_miniature_runs(main: Any, tmp_path: Path) -> None:
    scores = main(["--miniature", "--seeds", "1", "--missing", "0.9", "--store", str(tmp_path)])
    assert all(0.3 < score < 1 for values in scores.values() for score in values)


def test_it_keeps_every_promise_of_an_imputer() -> None:
    check_imputer(runpy.run_path(str(EXAMPLE))["NoisyDeck"](copies=3))


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
