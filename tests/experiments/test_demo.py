"""The demo on a small scale: the same path, fewer rows and settings."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gtimm.core.workspace
from gtimm.core.dataset import Splits, load_dataset
from gtimm.core.errors import ConfigError, PluginError
from gtimm.core.media import load_audio
from gtimm.experiments import demo
from gtimm.imputers import speech


def _small(name: str, **options: Any) -> Splits:
    whole = load_dataset(name, **options)
    rows = np.arange(60)
    return Splits(whole.train.subset(rows), whole.val.subset(rows[:30]), whole.test.subset(rows[:30]), whole.facts)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "load_dataset", _small)
    monkeypatch.setattr(demo, "BUDGETS", (1, 2))
    monkeypatch.setattr(demo, "AUDIO_SETTINGS", (("random", 0.95), ("random", 0.99)))
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


@pytest.mark.usefixtures("small")
def test_the_demo_of_missing_sound_writes_sounds_and_its_configuration_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra gtimm[speech]")
    monkeypatch.setattr(demo, "SPEECH", {"name": "speech", "voices": ["en-us", "en+croak"]})
    first = demo.run_demo(tmp_path / "one", missing="audio", seeds=2)
    assert first["counters"]["generated"] == 20
    methods = {row["method"] for row in first["rows"]}
    assert {"multimodal", "visual-only", "audio-only", "low-resource-audio", "hot-deck", "gti-mm"} <= methods
    assert "low-resource-visual" not in methods
    assert {tuple(row["missing_train"]) for row in first["rows"]} == {(), ("audio",)}
    assert "sound" in first["title"]
    assert first["verdict"]["sentence"]
    assert first["command"].endswith("--missing audio")
    for entry in first["gallery"]:
        files = [*entry["real"], *(made["file"] for made in entry["generated"])]
        assert len(entry["generated"]) == 2
        for name in files:
            samples, _ = load_audio(tmp_path / "one" / name)
            assert samples.std() > 0.01
    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    assert config.pop("experiment") == "demo"
    assert config["missing"] == "audio"
    second = demo.run_demo(tmp_path / "two", store=tmp_path / "elsewhere", **config)
    for key in ("comparisons", "verdict", "gallery", "notes"):
        assert first[key] == second[key], key
    assert (tmp_path / "one" / "report.html").is_file()


@pytest.mark.usefixtures("small")
def test_sound_alone_and_images_alone_are_called_so_whatever_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra gtimm[speech]")
    monkeypatch.setattr(demo, "SPEECH", {"name": "speech", "voices": ["en-us", "en+croak"]})
    found = []
    for missing in ("image", "audio"):
        rows = demo.run_demo(tmp_path / missing, missing=missing, seeds=1)["rows"]
        rows = [row for row in rows if row["dataset"] == "digits" and not row["missing_train"] and not row["missing_test"]]
        found.append({row["method"]: row["mean"] for row in rows if row["method"].endswith("-only")})
    assert found[0] == found[1]


def test_what_cannot_be_missing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing must be one of image, audio; found 'sound'"):
        demo.run_demo(tmp_path / "out", missing="sound")
    assert not (tmp_path / "out").exists()


def test_without_the_extra_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(speech, "version", gone)
    with pytest.raises(PluginError, match=r"pip install 'gtimm\[speech\]'"):
        demo.run_demo(tmp_path / "out", missing="audio")
    assert not (tmp_path / "out").exists()


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
