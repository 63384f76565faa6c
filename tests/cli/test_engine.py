"""`--engine` and `--address`: names, options as in YAML, and what a configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gtimm.cli.engine import engine_spec
from gtimm.cli.main import app
from gtimm.core.errors import ConfigError, EngineError


@pytest.mark.parametrize(
    ("engine", "address", "configured", "expected"),
    [
        (None, None, None, None),
        (None, None, "ray", "ray"),
        ("ray", None, None, {"name": "ray"}),
        ("ray", "auto", None, {"name": "ray", "address": "auto"}),
        ("ray", None, {"name": "ray", "workers": 4}, {"name": "ray", "workers": 4}),
        ("{name: ray, gpus: 0.5}", None, {"name": "ray", "workers": 4}, {"name": "ray", "workers": 4, "gpus": 0.5}),
        ("name: ray", None, "local", {"name": "ray"}),
        ("local", None, {"name": "ray", "workers": 4}, {"name": "local"}),
        (None, "ray://head:10001", {"name": "ray", "workers": 4}, {"name": "ray", "workers": 4, "address": "ray://head:10001"}),
    ],
)
def test_the_command_line_completes_the_configuration(engine: Any, address: Any, configured: Any, expected: Any) -> None:
    assert engine_spec(engine, address, configured) == expected


@pytest.mark.parametrize(
    ("engine", "address", "message"),
    [
        ("{workers: 4}", None, "YAML such as"),
        ("{name: ray", None, "YAML such as"),
        ("ray: 4", None, "YAML such as"),
        (None, "auto", "Say which engine runs there: --engine ray"),
        ("local", "auto", "Say which engine runs there: --engine ray"),
    ],
)
def test_mistakes_are_named(engine: Any, address: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        engine_spec(engine, address)


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is connected, and nothing answers where Ray would connect to."""
    ray = pytest.importorskip("ray", reason="the extra gtimm[ray] is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")


def config(folder: Path, engine: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(
        "data: digits-uci\nmissing: {image: 0.9}\n"
        "pipeline: {backbone: {audio: imagebind-tiny, image: toy}, imputer: {image: toy-generator}, modalities: [image], "
        f"engine: {engine}}}\n"
    )
    return path


@pytest.mark.parametrize("command", ["generate", "embed"])
@pytest.mark.parametrize(
    ("engine", "arguments"), [("local", ["--engine", "ray"]), ("{name: ray, workers: 2}", []), ("ray", ["--device", "cpu"])]
)
def test_commands_run_on_the_engine_of_the_command_line_or_the_configuration(
    tmp_path: Path, command: str, engine: str, arguments: list[str], no_cluster: None
) -> None:
    done = CliRunner().invoke(app, [command, str(config(tmp_path, engine)), *arguments])
    assert isinstance(done.exception, EngineError), done.output
    assert "No Ray cluster at 127.0.0.1:9" in str(done.exception)


def test_films_are_prepared_on_the_engine_too(tmp_path: Path, no_cluster: None) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "rows.csv").write_text("film\na.mp4\n")
    arguments = ["prepare", str(tmp_path / "rows.csv"), "-m", "video=film", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, "--engine", "ray", "--address", "127.0.0.1:9"])
    assert isinstance(done.exception, EngineError), done.output
    assert "No Ray cluster at 127.0.0.1:9" in str(done.exception)


def test_an_unknown_engine_is_named_with_the_known(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["generate", str(config(tmp_path, "local")), "--engine", "rey"])
    assert isinstance(done.exception, ConfigError)
    assert "Did you mean 'ray'?" in str(done.exception)


@pytest.mark.parametrize("command", ["generate", "embed", "prepare", "reproduce"])
def test_help_shows_the_options_and_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for text in ("--engine", "--address", "{name: ray, workers: 4"):
        assert text in shown
    if command != "reproduce":
        assert "--engine ray --address auto" in " ".join(shown.split())
