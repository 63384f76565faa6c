"""The Food-101 example runs without a download, and its real form reads real folders."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from miniatures import write_clip, write_food101

EXAMPLE = Path(__file__).parents[2] / "examples" / "food101.py"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    return runpy.run_path(str(EXAMPLE))["main"]


def test_the_miniature_runs_and_says_that_it_means_nothing(main: Any, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = main(["--miniature", "--seeds", "2", "--per-class", "2"])
    said = capsys.readouterr().out
    assert {method: len(values) for method, values in scores.items()} == {"zero-fill": 2, "GTI-MM": 2}
    assert all(0 <= top1 <= top3 <= 1 for values in scores.values() for top1, top3 in values)
    assert "Its accuracy means nothing" in said
    assert "16 pictures generated now" in said
    assert "95% of the training pictures missing" in said
    assert not home.exists()  # all in a folder of its own, which is removed


def test_the_real_form_reads_real_folders(main: Any, tmp_path: Path) -> None:
    root = write_food101(tmp_path / "data", {"train": 6, "test": 2})
    model = f"local-dir:{write_clip(tmp_path / 'clip')}"
    options = ["--root", str(root), "--clip", model, "--generator", "stable-diffusion-tiny", "--per-class", "1", "--steps", "1"]
    main([*options, "--seeds", "1", "--missing", "0.5", "--store", str(tmp_path / "store"), "--remove-class-words"])


def test_a_mistake_ends_with_a_message_instead_of_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE), "--root", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
