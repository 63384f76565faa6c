"""The UCF101 example runs without a download, and its real form reads films and prepared folders alike."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from miniatures import write_ucf101

from gtimm.core.errors import DataError, WeightsError

EXAMPLE = Path(__file__).parents[2] / "examples" / "ucf101.py"


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    return runpy.run_path(str(EXAMPLE))["main"]


def test_the_miniature_runs_and_says_that_it_means_nothing(main: Any, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = main(["--miniature", "--seeds", "2", "--per-class", "2"])
    said = capsys.readouterr().out
    assert {method: len(values) for method, values in scores.items()} == {"zero-fill": 2, "GTI-MM": 2}
    assert all(0 < value < 1 for values in scores.values() for value in values)
    for text in (
        "Its scores mean nothing",
        "132 films prepared",
        "read from: prepared frames (PNG)",
        "12 pictures generated now",
    ):
        assert text in said
    assert not home.exists()  # all in a folder of its own, which is removed


def test_the_real_form_reads_films_and_says_what_it_lacks(main: Any, tmp_path: Path) -> None:
    root = write_ucf101(tmp_path / "data", {"train": 4, "test": 1}, seconds=0.3)
    options = [
        "--root",
        str(root),
        "--backbone",
        "imagebind-tiny",
        "--generator",
        "stable-diffusion-tiny",
        "--per-class",
        "1",
        "--steps",
        "1",
    ]
    again = [main([*options, "--seeds", "1", "--missing", "0.5", "--store", str(tmp_path / "store")]) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(DataError, match="nothing was prepared there"):
        main([*options, "--prepared", str(tmp_path / "nowhere")])
    with pytest.raises(DataError, match="nowhere is not a folder"):
        main(["--root", str(tmp_path / "nowhere")])
    with pytest.raises(WeightsError, match="checkpoint"):
        main(["--root", str(root), "--store", str(tmp_path / "store")])


def test_a_mistake_ends_with_a_message_instead_of_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE), "--root", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
