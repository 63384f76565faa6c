"""Paths of a configuration file are as from its folder, wherever the command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from gtimm.core.config import RunConfig, absolute_paths, read_yaml
from gtimm.core.pipeline import Pipeline

BASE = Path("/project")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"data": {"name": "food101", "root": "food"}}, {"data": {"name": "food101", "root": "/project/food"}}),
        ({"data": {"name": "digits", "speech": "/fsdd"}}, {"data": {"name": "digits", "speech": "/fsdd"}}),
        ({"data": "digits"}, {"data": "digits"}),
        (
            {"data": {"frame": {"train": "a.csv", "val": "b.csv"}, "root": "p"}},
            {"data": {"frame": {"train": "/project/a.csv", "val": "/project/b.csv"}, "root": "/project/p"}},
        ),
        (
            {"data": {"frame": "rows.csv", "modalities": {"speech": "file", "image": "root"}, "label": "folder"}},
            {"data": {"frame": "/project/rows.csv", "modalities": {"speech": "file", "image": "root"}, "label": "folder"}},
        ),
        (
            {"pipeline": {"backbone": {"name": "imagebind", "weights": "w.pth"}, "store": "../s"}},
            {"pipeline": {"backbone": {"name": "imagebind", "weights": "/project/w.pth"}, "store": "/project/../s"}},
        ),
        (
            {"pipeline": {"imputer": {"speech": "zero", "image": {"name": "bank", "folder": "pictures"}}}},
            {"pipeline": {"imputer": {"speech": "zero", "image": {"name": "bank", "folder": "/project/pictures"}}}},
        ),
        (
            {
                "pipeline": {
                    "imputer": {
                        "name": "stable-diffusion",
                        "model": "org/model",
                        "prompts": {"name": "descriptions", "file": "d.json"},
                    }
                }
            },
            {
                "pipeline": {
                    "imputer": {
                        "name": "stable-diffusion",
                        "model": "org/model",
                        "prompts": {"name": "descriptions", "file": "/project/d.json"},
                    }
                }
            },
        ),
        (
            {"pipeline": {"imputer": {"name": "stable-diffusion", "model": "./tuned"}, "seed": 3}},
            {"pipeline": {"imputer": {"name": "stable-diffusion", "model": "/project/tuned"}, "seed": 3}},
        ),
        ({"missing": {"speech": 0.5}, "seeds": 2}, {"missing": {"speech": 0.5}, "seeds": 2}),
        ({"experiment": "demo", "speech": "fsdd"}, {"experiment": "demo", "speech": "/project/fsdd"}),
        ({"data": {"name": "food101", "root": None}}, {"data": {"name": "food101", "root": None}}),
    ],
)
def test_paths_and_nothing_else_become_absolute(config: dict[str, Any], expected: dict[str, Any]) -> None:
    before = json.dumps(config)
    assert absolute_paths(config, BASE) == expected
    assert json.dumps(config) == before
    assert absolute_paths(expected, Path("/elsewhere")) == expected


def test_a_home_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute_paths({"data": {"name": "x", "root": "~/food"}}, BASE)["data"]["root"] == "/home/me/food"


def test_a_configuration_reads_the_files_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    for label in ("a", "b"):
        (folder / "pictures" / label).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "pictures" / label / "0.png")
    (folder / "rows.csv").write_text(
        "image,label\n" + "".join(f"pictures/{'ab'[i % 2]}/0.png,{'ab'[i % 2]}\n" for i in range(20))
    )
    config = {
        "data": {"frame": "rows.csv", "modalities": {"image": "image"}, "label": "label"},
        "pipeline": {"backbone": "toy", "imputer": {"name": "bank", "folder": "pictures"}},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(folder)
    parsed = RunConfig.of(read_yaml("run.yaml"))
    monkeypatch.chdir(tmp_path)
    data = parsed.load_data()
    missing = data.train.with_missing({"image": 0.5})
    pipe = Pipeline.from_config({**parsed.pipeline_options(), "train": {"epochs": 1}})
    assert pipe.fit(missing).evaluate(data.test)["accuracy"] >= 0
