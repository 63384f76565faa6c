"""The example of a plain training loop runs on filled data and exports it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_training_loop.py"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    return runpy.run_path(str(EXAMPLE))["main"]


def test_it_trains_on_fills_and_exports_them(main: Any, tmp_path: Path) -> None:
    scores = main(["--epochs", "1", "--per-class", "1", "--export", str(tmp_path / "filled")])
    assert len(scores) == 3
    assert all(0 < score < 1 for score in scores.values())
    assert len(list((tmp_path / "filled" / "image").iterdir())) == 1000


def test_class_folders_are_read(main: Any, tmp_path: Path) -> None:
    import folders

    root = folders.write_digits(tmp_path / "digits", 100)
    assert len(list(root.glob("image/*/*.png"))) == len(list(root.glob("audio/*/*.wav"))) == 100
    scores = main(
        ["--root", str(root), "--missing", "0.8", "--epochs", "1", "--per-class", "1", "--store", str(tmp_path / "store")]
    )
    assert all(0 <= score < 1 for score in scores.values())


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
