"""`gtimm reproduce`, `gtimm sweep`, and `gtimm run` of what they wrote: options, lists, plans, and exit codes."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import gtimm.cli.sweep
from gtimm.cli.main import app
from gtimm.cli.reproduce import pairs
from gtimm.core.errors import ConfigError
from gtimm.experiments.reproduction import presets
from gtimm.experiments.reproduction.choices import Choices
from gtimm.experiments.reproduction.paper import published

QUICK = ("--seeds", "1", "--per-class", "2", "--train", "epochs=1", "--backbone", "name=toy", "--generator", "name=toy-generator")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_the_list_names_every_exhibit_and_what_presets_need() -> None:
    done = call("reproduce", "--list")
    assert done.exit_code == 0
    words = done.output.split()
    assert set(published().exhibits) <= set(words)
    for name in presets.PRESETS:
        assert f"- {name}:" in done.output
    assert "gtimm[speech]" in done.output


def test_a_dry_run_without_the_data_counts_by_what_the_paper_says_and_writes_nothing(home: Path) -> None:
    done = call("reproduce", "table3", "figure7", "--preset", "activitynet", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "Table 3 9, Figure 7 4" in done.output
    assert "12 different ones, 36 heads over 3 seeds" in done.output
    assert done.output.count("20,000") == 4
    assert done.output.count("~67 h") == 4  # 20,000 images of 12 s
    assert not home.exists()


@pytest.mark.usefixtures("small")
def test_exhibits_are_printed_with_the_papers_value_where_there_is_one_and_run_again(tmp_path: Path) -> None:
    done = call("reproduce", "table2", "table8", "-o", str(tmp_path / "out"), *QUICK, "--zero", "payload")
    assert done.exit_code == 0, done.output
    assert "Table 2: Audio-only, visual-only" in done.output
    assert "Learning Rate" in done.output
    assert "notes on the paper itself are in the report" in done.output
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["choices"]["zero"] == "payload"
    again = call("run", str(tmp_path / "out" / "config.yaml"), "-o", str(tmp_path / "again"))
    assert again.exit_code == 0, again.output
    assert "Table 2" in again.output
    assert yaml.safe_load((tmp_path / "again" / "config.yaml").read_text()) == config


@pytest.mark.usefixtures("small")
def test_the_command_that_a_run_notes_makes_it_again(tmp_path: Path) -> None:
    import json

    done = call("reproduce", "table2", "-o", str(tmp_path / "out"), *QUICK, "--fusion", "hidden=3", "--data", "noise_db=null")
    assert done.exit_code == 0, done.output
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    words = shlex.split(saved["command"])
    assert words[0] == "gtimm"
    again = call(*[str(tmp_path / "again") if word == str(tmp_path / "out") else word for word in words[1:]])
    assert again.exit_code == 0, again.output
    other = json.loads((tmp_path / "again" / "results.json").read_text())
    assert other["published"] == saved["published"]
    assert saved["data"]["noise"] == "none"


def test_values_are_yaml_and_other_words_are_refused() -> None:
    found = pairs(
        "--generator", ["steps=25", "size=[512, 512]", "guidance={low: 1, high: 5}", "model=a/b=c", "negative_prompt=null"]
    )
    assert found == {
        "steps": 25,
        "size": [512, 512],
        "guidance": {"low": 1, "high": 5},
        "model": "a/b=c",
        "negative_prompt": None,
    }
    for word, says in (("steps", "takes NAME=VALUE"), ("a=1", "a stands twice"), ("b=[1", "not plain YAML")):
        with pytest.raises(ConfigError, match=says):
            pairs("--generator", ["a=1", word])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "out"], "Name an exhibit"),
        (["table3"], "-o DIR"),
        (["table33", "-o", "out"], "Did you mean 'table3'"),
        (["table3", "--preset", "ucf11", "-o", "out"], "Did you mean 'ucf101'"),
        (["table3", "--zero", "pixels", "-o", "out"], "zero"),
        (["table3", "--preset", "ucf101", "-o", "out"], "needs --root"),
        (["table3", "--generator", "stepss=2", "-o", "out"], "stepss"),
    ],
)
def test_what_the_user_can_mend_is_an_error_of_ours(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("reproduce", *arguments)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_every_choice_has_a_flag_and_a_place_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "open-choices.md").read_text(encoding="utf-8")
    from typer.main import get_command

    command = get_command(app).commands["reproduce"]  # type: ignore[attr-defined]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    for name in Choices.model_fields:
        flag = f"--{name.replace('_', '-')}"
        assert flag in flags
        assert re.search(rf"{flag}\b", text), flag
    assert set(re.findall(r"`(--[a-z0-9-]+)", text)) <= flags


@pytest.mark.usefixtures("small")
def test_a_sweep_prints_its_curves_and_runs_again(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("caption,more,kind\n" + "".join(f"word {i},other {i},{'ab'[i % 2]}\n" for i in range(60)))
    (tmp_path / "experiment.yaml").write_text(
        "data: {frame: rows.csv, modalities: {text: caption, other: {name: more, kind: text}}, label: kind}\n"
        "missing: {text: 0.5}\npipeline: {backbone: toy, train: {epochs: 1}}\n"
    )
    done = call(
        "sweep",
        "training",
        str(tmp_path / "experiment.yaml"),
        "--values",
        "0,50",
        "--methods",
        "zero-fill,hot-deck",
        "-o",
        str(tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    assert "Missing in training: text" in done.output
    assert "hot-deck" in done.output
    again = call("run", str(tmp_path / "out" / "config.yaml"), "-o", str(tmp_path / "again"))
    assert again.exit_code == 0, again.output
    assert "Missing in training: text" in again.output


def test_values_of_sweeps_are_words_numbers_or_yaml() -> None:
    assert doctest.testmod(gtimm.cli.sweep).failed == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("experiment: demoo", "Did you mean 'demo'"),
        ("experiment: demo\nsed: 1", "no field 'sed'"),
        ("experiment: reproduce\npreset: digits", "needs exhibits"),
        ("experiment: sweep\ndata: digits", "needs sweep"),
    ],
)
def test_a_configuration_of_an_experiment_is_checked(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    done = call("run", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "out"))
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()
