"""The example of an imputer of one's own runs by name."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_imputer.py"


@pytest.fixture
def main() -> Any:
    return runpy.run_path(str(EXAMPLE))["main"]


def test_the_imputer_is_used_by_name(main: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from gtimm.core.registry import registry

    imputers = registry("imputers")
    monkeypatch.setattr(imputers, "_entries", dict(imputers._entries))
    monkeypatch.setattr(imputers, "_loaded", dict(imputers._loaded))
    scores = main(["--seeds", "1"])
    assert all(score > 0.8 for values in scores.values() for score in values)
    assert "'name': 'noisy-deck'" in capsys.readouterr().out


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
