"""The demo on a small scale: the same path, fewer rows and settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gtimm.core.workspace
from gtimm.core.dataset import Splits, load_dataset
from gtimm.experiments import demo


def _small(name: str, **options: Any) -> Splits:
    whole = load_dataset(name, **options)
    rows = np.arange(60)
    return Splits(whole.train.subset(rows), whole.val.subset(rows[:30]), whole.test.subset(rows[:30]), whole.facts)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "load_dataset", _small)
    monkeypatch.setattr(demo, "BUDGETS", (1, 2))
    monkeypatch.setattr(demo, "SETTINGS", (("random", 0.95), ("random", 0.99)))
    monkeypatch.setattr(demo, "TEST_RATIOS", (0.5,))
    monkeypatch.setattr(demo, "TRAIN", {"epochs": 2, "lr": 5e-3})
    monkeypatch.setattr(demo, "GENERATOR", {"name": "stable-diffusion-tiny", "steps": 2, "batch_size": 20})


@pytest.mark.usefixtures("small")
def test_the_demo_writes_results_gallery_and_page_and_repeats_exactly(tmp_path: Path) -> None:
    first = demo.run_demo(tmp_path / "one", seeds=2)
    gtimm.core.workspace._open.cache_clear()
    second = demo.run_demo(tmp_path / "two", seeds=2, store=tmp_path / "elsewhere")
    assert first["counters"]["generated"] == 20
    for key in ("rows", "comparisons", "verdict", "gallery", "notes", "data"):
        one, two = ([{**r, "seconds": 0} for r in x[key]] if key == "rows" else x[key] for x in (first, second))
        assert one == two, key
    page = (tmp_path / "one" / "report.html").read_text()
    assert "synthetic" in page
    assert all((tmp_path / "one" / name).is_file() for entry in first["gallery"] for name in entry["real"])
    assert json.loads((tmp_path / "one" / "results.json").read_text())["schema_version"] == 1


def _comparison(ratio: float, against: str, low: float) -> dict[str, Any]:
    setting = {"dataset": "digits", "mechanism": "random", "missing_train": {"image": ratio}, "against": against}
    return {**setting, "difference": low + 0.01, "ci_low": low, "ci_high": low + 0.02}


@pytest.mark.parametrize("worst", ["zero-fill", "zero-fill-payload", "hot-deck", None])
def test_the_verdict_needs_every_interval_above_zero(worst: str | None) -> None:
    found = [
        _comparison(ratio, against, -0.001 if (against, ratio) == (worst, 0.99) else 0.03)
        for ratio in (0.95, 0.99)
        for against in ("zero-fill", "zero-fill-payload", "hot-deck")
    ]
    assert demo._verdict(found)["holds"] == (worst is None)
