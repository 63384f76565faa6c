"""`gtimm run`: a configuration into a run folder, repeatably."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import gtimm.core.workspace
from gtimm.core.errors import ConfigError, DataError, MissingnessError
from gtimm.experiments.folder import RunFolder
from gtimm.experiments.run import run_config
from gtimm.report.join import Run, join
from gtimm.report.results import read_results

VARIES = ("seconds", "counters", "environment")


def table(folder: Path, rows: int = 40) -> dict[str, Any]:
    """Write a small CSV of images and captions with holes, and return its configuration."""
    random = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        label = ("red", "blue")[row % 2]
        colour = (200, 0, 0) if label == "red" else (0, 0, 200)
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8) + random.integers(0, 9, (4, 4, 3), np.uint8)).save(
            folder / f"{row}.png"
        )
        lines.append({"photo": f"{row}.png" if row % 5 else "", "caption": f"{label} {row}" if row % 7 else "", "kind": label})
    pd.DataFrame(lines).to_csv(folder / "rows.csv", index=False)
    modalities = {"image": "photo", "text": "caption"}
    return {
        "data": {"frame": "rows.csv", "modalities": modalities, "label": "kind"},
        "missing": {"image": 0.5},
        "pipeline": {"backbone": "toy", "imputer": {"image": "toy-generator", "text": "zero"}, "train": {"epochs": 2}},
        "evaluate": {"missing": {"image": 0.5}},
        "seeds": 2,
    }


def write(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def stable(folder: Path) -> dict[str, Any]:
    """What results.json holds but for times and machine."""
    results = json.loads((folder / "results.json").read_text())
    results = {k: v for k, v in results.items() if k not in VARIES and k != "command"}
    for part in ("rows", "costs"):
        results[part] = [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in results[part]]
    return results


def test_runs_on_the_same_test_rows_are_known_to_be_and_on_others_not(tmp_path: Path) -> None:
    found = []
    for which, rows in enumerate((40, 40, 41)):
        folder = tmp_path / str(which)
        folder.mkdir()
        config = table(folder, rows) | {"seeds": 1, "missing": {"image": 0.5 + 0.1 * which}}
        run_config(write(folder, config), folder / "out")
        found.append(read_results(folder / "out" / "results.json"))
    assert found[0].tests == found[1].tests
    same, other = (join([Run("a", tmp_path, found[0]), Run("b", tmp_path, found[i])]) for i in (1, 2))
    assert {row.dataset for row in same.rows} == {"rows"}
    assert not any("test rows" in note for note in same.notes)
    assert {row.dataset for row in other.rows} == {"rows (a)", "rows (b)"}
    assert any("other test rows" in note for note in other.notes)


def test_a_run_folder_has_everything_and_says_what_was_run(tmp_path: Path) -> None:
    results = run_config(write(tmp_path, table(tmp_path)), tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"config.yaml", "results.json", "report.html", "log.jsonl"}
    row = results["rows"][0]
    assert (row["method"], row["budget"], row["mechanism"]) == ("gti-mm", 3, "random")
    assert (row["missing_train"], row["missing_test"], row["seeds"]) == ({"image": 0.5}, {"image": 0.5}, 2)
    assert row["ci_low"] <= row["mean"] <= row["ci_high"]
    assert {r["metric"] for r in results["rows"]} == {"accuracy", "macro_f1", "top3_accuracy", "ece"}
    assert results["counters"]["generated"] == 6
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    assert saved["schema_version"] == 1
    assert [json.loads(line)["event"] for line in (tmp_path / "out" / "log.jsonl").open()] == ["start", "scored", "scored", "end"]


def test_the_copied_configuration_runs_again_from_anywhere_with_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_config(write(tmp_path, table(tmp_path)), tmp_path / "one")
    gtimm.core.workspace._open.cache_clear()
    monkeypatch.setenv("GTIMM_HOME", str(tmp_path / "other-home"))
    monkeypatch.chdir("/")
    run_config(tmp_path / "one" / "config.yaml", tmp_path / "two")
    assert stable(tmp_path / "one") == stable(tmp_path / "two")


def test_a_second_run_embeds_and_generates_nothing(tmp_path: Path) -> None:
    config = write(tmp_path, table(tmp_path))
    first = run_config(config, tmp_path / "one")
    gtimm.core.workspace._open.cache_clear()
    second = run_config(config, tmp_path / "two")
    assert first["counters"]["embedded"] > 0
    assert second["counters"] == {"generated": 0, "embedded": 0}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"dat": 1}, ConfigError, "Did you mean 'data'"),
        ({"seeds": 0}, ConfigError, "at least one seed"),
        ({"missing": {"image": 1.5}}, MissingnessError, "0..1"),
        ({"missing": {"imag": 0.5}}, MissingnessError, "Did you mean 'image'"),
        ({"missing": {"image": 0.1}}, MissingnessError, "already has"),
        ({"data": {"frame": "rows.csv", "label": "kind"}}, ConfigError, "modalities"),
        ({"data": {"frame": "none.csv", "modalities": {"image": "photo"}, "label": "kind"}}, ConfigError, "none.csv"),
        ({"data": {"frame": "rows.csv", "modalities": {"image": "foto"}, "label": "kind"}}, DataError, "Did you mean 'photo'"),
        ({"data": "digit"}, ConfigError, "Did you mean 'digits'"),
        ({"pipeline": {"backbone": "toy", "imputer": "zeros"}}, ConfigError, "Did you mean 'zero'"),
        ({"pipeline": {"backbone": "toy", "train": {"lr": -1}}}, ConfigError, "lr"),
        ({"pipeline": {"backbon": "toy"}}, ConfigError, "Did you mean 'backbone'"),
        ({"pipeline": {"backbone": "toy", "embed": {"batch_size": "many"}}}, ConfigError, "batch_size.*found 'many'"),
        ({"pipeline": {"backbone": "toy", "device": "gpu"}}, ConfigError, "found 'gpu'"),
        (
            {"data": {"frame": "rows.csv", "modalities": {"image": {"column": "photo"}}, "label": "kind"}},
            ConfigError,
            "kind: image",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left_behind(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    config = {**table(tmp_path), **change}
    with pytest.raises(error, match=says):
        run_config(write(tmp_path, config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_foreign_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not a run folder"):
        run_config(write(tmp_path, table(tmp_path)), tmp_path / "out")


def test_yaml_that_makes_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("data: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="plain YAML"):
        run_config(path, tmp_path / "out")


def test_given_splits_are_kept(tmp_path: Path) -> None:
    config = table(tmp_path)
    frame = pd.read_csv(tmp_path / "rows.csv", keep_default_na=False)
    frame["part"] = ["train"] * 20 + ["val"] * 8 + ["test"] * 12
    frame.to_csv(tmp_path / "rows.csv", index=False)
    config["data"]["split"] = "part"
    from gtimm.core.config import RunConfig

    data = RunConfig.of(config).load_data(tmp_path)
    assert (len(data.train), len(data.val), len(data.test)) == (20, 8, 12)


def test_a_folder_of_another_configuration_is_left_alone(tmp_path: Path) -> None:
    config = table(tmp_path)
    run_config(write(tmp_path, config), tmp_path / "out")
    before = (tmp_path / "out" / "results.json").read_bytes()
    with pytest.raises(ConfigError, match=r"another configuration .seeds was 2, is 1.*another folder with -o"):
        run_config(write(tmp_path, {**config, "seeds": 1}), tmp_path / "out")
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_a_configuration_that_no_run_began_with_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("mine: true\n")
    with pytest.raises(ConfigError, match=r"another configuration .data was not given"):
        run_config(write(tmp_path, table(tmp_path)), tmp_path / "out")
    assert (tmp_path / "out" / "config.yaml").read_text() == "mine: true\n"


def test_a_run_that_did_not_end_goes_on_with_a_mended_configuration(tmp_path: Path) -> None:
    config = table(tmp_path)
    run_config(write(tmp_path, config), tmp_path / "out")
    (tmp_path / "out" / "results.json").unlink()
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}
    results = run_config(write(tmp_path, {**config, "seeds": 1}), tmp_path / "out")
    assert results["rows"][0]["seeds"] == 1
    assert {path: path.stat().st_mtime_ns for path in cells} == cells
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["seeds"] == 1


def test_the_page_of_a_run_with_holes_at_test_begins_with_its_score(tmp_path: Path) -> None:
    run_config(write(tmp_path, table(tmp_path)), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no row that can be shown" not in page


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [
        ({"imputer": {"image": "class-mean", "text": "zero"}}, "class-mean"),
        ({"imputer": {"text": "zero", "image": "toy-generator"}}, "gti-mm"),
        ({"imputer": "zero", "rows": "complete"}, "complete rows"),
        ({"imputer": "zero", "modalities": ["text"]}, "zero-fill (text only)"),
        ({"imputer": "hot-deck", "fusion": "dropout"}, "hot-deck-dropout"),
    ],
)
def test_results_name_what_was_run(tmp_path: Path, pipeline: dict[str, Any], name: str) -> None:
    config = {**table(tmp_path), "pipeline": {"backbone": "toy", "train": {"epochs": 1}, **pipeline}, "evaluate": {}, "seeds": 1}
    assert run_config(write(tmp_path, config), tmp_path / "out")["rows"][0]["method"] == name


def test_dropout_can_match_the_missing_ratio_at_test(tmp_path: Path) -> None:
    config = table(tmp_path)
    rates = {}
    for rate in ("match", {"image": 0.5}, {"image": 0.9}):
        config["pipeline"] = {**config["pipeline"], "fusion": {"name": "dropout", "rate": rate}}
        name = str(rate)
        run_config(write(tmp_path, config), tmp_path / name)
        assert yaml.safe_load((tmp_path / name / "config.yaml").read_text())["pipeline"]["fusion"]["rate"] == rate
        rates[name] = stable(tmp_path / name)["rows"]
    assert rates["match"] == rates["{'image': 0.5}"]


def test_a_rate_to_match_needs_missing_ratios_at_test(tmp_path: Path) -> None:
    config = {**table(tmp_path), "evaluate": {}}
    config["pipeline"]["fusion"] = {"name": "dropout", "rate": "match"}
    with pytest.raises(ConfigError, match="evaluate"):
        run_config(write(tmp_path, config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_that_runs_a_folder_again_is_one_that_a_shell_reads(tmp_path: Path) -> None:
    out = tmp_path / "which way"
    folder = RunFolder(out)
    assert shlex.split(folder.command) == ["gtimm", "run", str(out / "config.yaml"), "-o", str(out)]


def test_a_balanced_run_says_so(tmp_path: Path) -> None:
    config = table(tmp_path)
    config["pipeline"]["balance"] = {"name": "ogm-ge", "alpha": 0.5}
    results = run_config(write(tmp_path, config), tmp_path / "out")
    assert {row["method"] for row in results["rows"]} == {"gti-mm-ogm-ge"}


def test_a_run_that_was_killed_at_its_first_file_goes_on(tmp_path: Path) -> None:
    config = write(tmp_path, table(tmp_path) | {"seeds": 1})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".config-abc.tmp.yaml").write_text("data: [")
    run_config(config, tmp_path / "out")
    assert read_results(tmp_path / "out" / "results.json").kind == "run"


def test_a_configuration_that_cannot_be_read_back_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("data: [")
    with pytest.raises(ConfigError, match=r"config\.yaml cannot be read"):
        run_config(write(tmp_path, table(tmp_path)), tmp_path / "out")
