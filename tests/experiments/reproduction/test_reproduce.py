"""`gtimm reproduce` on a small scale: every exhibit on digits, and the full presets on miniatures of their data sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from miniatures import write_clip, write_crisismmd, write_food101, write_ucf101

import gtimm.core.workspace
from gtimm.core.dataset import load_dataset
from gtimm.core.errors import ConfigError, IncompatibleError, PluginError
from gtimm.experiments.grid import Grid
from gtimm.experiments.reproduction import presets, reproduce
from gtimm.experiments.reproduction.outlook import ahead
from gtimm.experiments.reproduction.paper import published
from gtimm.experiments.reproduction.reproduce import Reproduction, run_reproduce
from gtimm.imputers import speech

VARY = ("seconds", "counters", "environment", "command", "costs")
QUICK: dict[str, Any] = {
    "per_class": 2,
    "seeds": 1,
    "train": {"epochs": 2},
    "generator": {"steps": 2, "batch_size": 20},
    "sound": {"voices": ["en-us", "en+croak"]},
}


def stable(results: dict[str, Any]) -> dict[str, Any]:
    """What must not differ from run to run."""
    found = {key: value for key, value in results.items() if key not in VARY}
    return {**found, "rows": [{**row, "seconds": None} for row in found["rows"]]}


def fresh() -> None:
    """Forget what this process holds of the store."""
    gtimm.core.workspace._open.cache_clear()


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_all_exhibits_come_from_one_run_that_makes_nothing_twice_and_runs_again_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader", reason="Table 7 needs the extra gtimm[speech]")
    trained: list[str] = []
    run = Grid._run
    monkeypatch.setattr(
        Grid,
        "_run",
        lambda self, group, which: (
            trained.extend(job.model for job in {j.model: j for j in group}.values()),
            run(self, group, which),
        )[1],
    )
    first = run_reproduce(["all"], "digits", tmp_path / "one", choices=QUICK)
    assert len(trained) == len(set(trained))  # no model twice
    assert {one["exhibit"] for one in first["published"]} == set(published().exhibits) - {"figure13"}
    assert all(one["ours"] is not None for one in first["published"] if one["row"].startswith("digits"))
    assert all(one["difference"] is None for one in first["published"])  # the paper has no digits
    assert {one["exhibit"] for one in first["published"] if one["path_only"]} == set(presets.preset("digits").path_only)
    assert [(m["dropout"], m["rate"]) for m in first["matrices"]] == [("matched", None), ("fixed", 0.5), ("none", None)]
    assert {s["name"] for s in first["sweeps"]} >= {
        "quantity, 95% missing",
        "frontier, 99% missing",
        "missing in training",
        "tricks",
        "missing alike",
        "performers",
    }
    assert len(first["gallery"]) == 10
    assert len({made["prompt"] for made in first["gallery"][0]["generated"]}) > 2
    assert all((tmp_path / "one" / made["file"]).is_file() for entry in first["gallery"] for made in entry["generated"])
    assert "conclusions" in first["verdict"]["sentence"]
    saved = json.loads((tmp_path / "one" / "results.json").read_text())
    assert saved == first
    assert (tmp_path / "one" / "report.html").is_file()

    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    assert config.pop("experiment") == "reproduce"
    fresh()
    monkeypatch.chdir(tmp_path)
    again = run_reproduce(config["exhibits"], config["preset"], tmp_path / "two", choices=config["choices"])
    assert again["counters"] == {"generated": 0, "embedded": 0}
    assert stable(again) == stable(first)


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_all_brings_and_cannot_be_made_is_left_out_aloud_and_an_error_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(package: str) -> str:
        raise speech.PackageNotFoundError(package)

    monkeypatch.setattr(speech, "version", gone)
    work = Reproduction.of(["all"], "digits", choices=QUICK)
    assert "table7" not in [one.name for one in work.plans]
    assert "Table 7 is left out" in work.left_out[0]
    assert "pip install 'gtimm[speech]'" in work.left_out[0]
    with pytest.raises(PluginError, match="speech"):
        run_reproduce(["table7"], "digits", tmp_path / "out", choices=QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_interrupted_run_goes_on_and_ends_as_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {**QUICK, "backbone": {"name": "toy"}, "generator": {"name": "toy-generator"}}
    whole = run_reproduce(["table3", "table5"], "digits", tmp_path / "whole", choices=quick)
    run, done = Grid._run, []

    def stop(self: Grid, group: Sequence[Any], which: str) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(which)
        run(self, group, which)

    monkeypatch.setattr(Grid, "_run", stop)
    with pytest.raises(KeyboardInterrupt):
        run_reproduce(["table3", "table5"], "digits", tmp_path / "cut", choices=quick)
    monkeypatch.setattr(Grid, "_run", run)
    assert not (tmp_path / "cut" / "results.json").exists()
    assert list((tmp_path / "cut" / "cells").iterdir())
    assert stable(run_reproduce(["table3", "table5"], "digits", tmp_path / "cut", choices=quick)) == stable(whole)


TINY = {"name": "toy-generator"}


@pytest.mark.parametrize(
    ("preset", "write", "exhibit", "metric"),
    [
        ("ucf101", write_ucf101, "table3", "accuracy"),
        ("crisismmd", write_crisismmd, "table10", "macro_f1"),
        ("food101", write_food101, "table11", "top3_accuracy"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_full_presets_put_ours_beside_the_papers_with_the_difference(
    preset: str, write: Callable[[Path], Path], exhibit: str, metric: str, tmp_path: Path
) -> None:
    root = write(tmp_path / "data")
    quick = {"backbone": {"name": "toy"}, "generator": TINY, "per_class": 2, "seeds": 2, "train": {"epochs": 1}}
    found = run_reproduce([exhibit], preset, tmp_path / "out", root=str(root), choices=quick)
    name = presets.preset(preset).label
    lines = [line for line in published().exhibit(exhibit).lines if line.at["dataset"] == name]
    beside = {(one["row"], one["column"]): one for one in found["published"] if one["paper"] is not None}
    assert len(beside) == sum(len(line.values) for line in lines)
    for one in beside.values():
        assert one["metric"] == metric
        assert one["difference"] == pytest.approx(one["ours"] - one["paper"])
        assert one["ci_low"] <= one["ours"] <= one["ci_high"]
        assert not one["path_only"]
    assert {row["metric"] for row in found["rows"]} == {metric}
    assert all(row["seeds"] == 2 for row in found["rows"])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_prompts_are_learnt_and_counts_of_the_data_stand_beside_the_papers(tmp_path: Path) -> None:
    root = write_ucf101(tmp_path / "data")
    drawn = {"name": "stable-diffusion-tiny", "steps": 1}
    quick = {"backbone": {"name": "imagebind-tiny"}, "generator": drawn, "per_class": 1, "seeds": 1, "train": {"epochs": 1}}
    found = run_reproduce(["table1", "table6", "table8"], "ucf101", tmp_path / "out", root=str(root), choices=quick)
    cells = {(one["exhibit"], one["row"], one["column"]): one for one in found["published"]}
    size = cells["table1", "UCF101", "Data Size"]
    rows = sum(
        len(part)
        for part in (
            load_dataset("ucf101", root=str(root)).train,
            load_dataset("ucf101", root=str(root)).val,
            load_dataset("ucf101", root=str(root)).test,
        )
    )
    assert (size["ours"], size["paper"], size["unit"], size["difference"]) == (rows, 6837, "count", rows - 6837)
    assert cells["table8", "UCF101", "Learning Rate"]["difference"] == 0
    assert "AdamW" in cells["table8", "UCF101", "Weight Decay"]["note"]
    assert cells["table6", "UCF101, prompt learning: yes, p = 95%", "q = 90%"]["paper"] == 0.537


def test_the_outlook_counts_what_will_be_made_and_what_is_there(tmp_path: Path) -> None:
    root = write_crisismmd(tmp_path / "data", {"train": 6, "dev": 2, "test": 2})
    clip = {"name": "clip", "model": f"local-dir:{write_clip(tmp_path / 'clip')}"}
    choices = {"backbone": clip, "generator": TINY, "per_class": 2, "seeds": 1, "train": {"epochs": 1}}
    work = Reproduction.of(["table10"], "crisismmd", root=str(root), choices=choices)
    data = work.bench.preset.load(str(root), work.bench.choices)
    before = ahead(work, data)
    assert (before.cells, before.distinct, before.heads) == ({"table10": 3}, 3, 3)
    assert [(one.items, one.there, one.seconds) for one in before.items] == [(12, 0, None)]
    assert before.payloads == 2 * (36 + 12 + 12)
    run_reproduce(["table10"], "crisismmd", tmp_path / "out", root=str(root), choices=choices)
    after = ahead(work, data)
    assert [(one.there, one.seconds) for one in after.items] == [(12, 0.0)]
    assert after.seconds == 0.0
    unseen = ahead(Reproduction.of(["table3", "figure7"], "ucf101"), None)
    assert [(one.items, one.there, one.seconds) for one in unseen.items] == [(5_100, None, 61_200.0)] * 4  # 12 s each


def test_what_cannot_go_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    root = write_ucf101(tmp_path / "data")
    with pytest.raises(IncompatibleError, match="last_block"):
        run_reproduce(
            ["table6"], "ucf101", tmp_path / "out", root=str(root), choices={"backbone": {"name": "toy"}, "generator": TINY}
        )
    assert not (tmp_path / "out").exists()


def test_data_is_asked_for_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs --root: the folder that holds UCF-101/"):
        run_reproduce(["table1"], "ucf101", tmp_path / "out")
    with pytest.raises(ConfigError, match="takes no --root"):
        run_reproduce(["table1"], "digits", tmp_path / "out", root="somewhere")
    assert not (tmp_path / "out").exists()


def test_the_command_of_a_run_says_every_choice() -> None:
    import shlex

    config = {
        "exhibits": ["table3", "figure6"],
        "preset": "ucf101",
        "root": "/data/UCF 101",
        "choices": {
            "zero": "payload",
            "per_class": 5,
            "data": {"split": 2},
            "generator": {"guidance": {"low": 1, "high": 5}, "model": "some/model"},
        },
    }
    words = shlex.split(reproduce.command(config, "out"))
    assert words[:5] == ["gtimm", "reproduce", "table3", "figure6", "--preset"]
    given = dict(pairwise(words))
    assert (given["--root"], given["--zero"], given["--per-class"], given["--data"]) == (
        "/data/UCF 101",
        "payload",
        "5",
        "split=2",
    )
    assert 'guidance={"low": 1, "high": 5}' in words
    assert "model=some/model" in words
