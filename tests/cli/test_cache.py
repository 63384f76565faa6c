"""`gtimm embed` and `gtimm cache`: embedding ahead, and looking after what is stored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from toys import calls
from typer.testing import CliRunner

from gtimm.cli.main import app
from gtimm.core.errors import ConfigError
from gtimm.core.features import ABOUT, shard_files
from gtimm.core.features.upkeep import list_stores


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("caption,kind\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(40)))
    path = tmp_path / "experiment.yaml"
    path.write_text("data: {frame: rows.csv, modalities: {text: caption}, label: kind}\npipeline: {backbone: toy}\n")
    return path


@pytest.fixture
def folder(config: Path, home: Path) -> Path:
    """The one feature store, filled."""
    assert call("embed", str(config)).exit_code == 0
    (facts,) = list_stores(home)
    return facts.folder


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_embed_embeds_every_split_once(config: Path, home: Path) -> None:
    done = call("embed", str(config))
    assert done.exit_code == 0, done.output
    assert "train text: 28 payloads, 28 embedded now" in done.output
    assert "test text: 8 payloads, 8 embedded now" in done.output
    assert calls["encoded"] == 40
    from gtimm.core.workspace import _open

    _open.cache_clear()
    again = call("embed", str(config), "--store", str(home))
    assert "train text: 28 payloads, 0 embedded now" in again.output
    assert calls["encoded"] == 40


def test_list_says_what_each_store_is(folder: Path) -> None:
    (entry,) = json.loads(call("cache", "list", "--json").output)
    assert {
        "backbone": "ToyBackbone",
        "kind": "text",
        "depth": "pooled",
        "dtype": "float32",
        "size": 4,
        "rows": 40,
    }.items() <= entry.items()
    assert entry["fingerprint"] == "toy-4-1.0"
    text = call("cache", "list").output
    assert "ToyBackbone" in text
    assert "40 rows" in text
    assert "Safe to delete" in json.loads((folder / ABOUT).read_text())["what"]


def test_an_empty_store_is_listed_and_verified(home: Path) -> None:
    assert json.loads(call("cache", "list", "--json").output) == []
    assert call("cache", "verify").exit_code == 0
    assert not home.exists()


def test_verify_finds_damage_and_repair_mends_it(folder: Path, config: Path) -> None:
    assert "40 rows in 1 stores are sound" in call("cache", "verify").output
    path = shard_files(folder)[0]
    flip(path, -1)
    done = call("cache", "verify")
    assert done.exit_code == 2
    assert str(path) in done.output.replace("\n", "")
    assert "1 of" in done.output
    rows = list_stores(folder.parents[1])[0].rows
    assert call("cache", "verify", "--repair").exit_code == 0
    assert call("cache", "verify").exit_code == 0
    assert list_stores(folder.parents[1])[0].rows == rows - 1
    flip(shard_files(folder)[0], 70)
    assert "changed index" in call("cache", "verify").output
    assert call("cache", "verify", "--repair").exit_code == 0
    assert call("cache", "verify").exit_code == 0


def test_prune_shows_first_and_removes_by_age_and_backbone(folder: Path, home: Path) -> None:
    assert isinstance(call("cache", "prune").exception, ConfigError)
    assert "0.0 MB in 0 stores" in call("cache", "prune", "--days", "30").output
    assert "in 0 stores" in call("cache", "prune", "--backbone", "imagebind").output
    os.utime(folder / ABOUT, (0, 0))
    shown = call("cache", "prune", "--days", "30", "--backbone", "TOY")
    assert "40 rows" in shown.output
    assert folder.is_dir()
    done = call("cache", "prune", "--days", "30", "--backbone", "toy", "--yes")
    assert done.exit_code == 0
    assert "1 stores removed" in done.output
    assert not folder.exists()


@pytest.mark.parametrize("name", ["list", "verify", "prune"])
def test_help_shows_an_example(name: str) -> None:
    assert f"gtimm cache {name}" in call("cache", name, "--help").output.replace("\n", " ")
