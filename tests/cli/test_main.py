"""The command line: every command, exit codes, and what importing costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gtimm
from gtimm.cli.main import app, main
from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Imputer

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "sklearn")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_help_shows_every_command_and_an_example() -> None:
    text = call("--help").output
    assert all(name in text for name in ("demo", "run", "compare", "plugins", "check"))
    for name in ("demo", "run", "compare", "plugins", "check"):
        assert f"gtimm {name}" in call(name, "--help").output


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["--version"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom gtimm.cli.main import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")


def test_plugins_lists_names_and_origin() -> None:
    found = json.loads(call("plugins", "--json").output)
    assert {"group": "imputers", "name": "hot-deck"}.items() <= next(e for e in found if e["name"] == "hot-deck").items()
    assert next(e for e in found if e["name"] == "late")["distribution"] == "gtimm"
    assert "stable-diffusion-tiny" in call("plugins").output.replace("\n", "")


def test_check_says_what_is_there_and_what_is_not() -> None:
    done = call("check")
    assert done.exit_code == 0
    assert "torch" in done.output
    assert "CC BY-NC-SA" in done.output.replace("\n", " ")


def test_check_fails_where_the_store_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtimm.cli.checks.os.access", lambda *_: False)
    assert call("check", "--store", str(tmp_path / "no")).exit_code == 2


def test_run_trains_prints_and_writes(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("caption,kind\n" + "".join(f"word {i},{'ab'[i % 2]}\n" for i in range(40)))
    config = tmp_path / "experiment.yaml"
    config.write_text(
        "data: {frame: rows.csv, modalities: {text: caption}, label: kind}\n"
        "pipeline: {backbone: toy, imputer: zero, train: {epochs: 1}}\n"
    )
    done = call("run", str(config), "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "zero-fill" in done.output
    assert (tmp_path / "out" / "results.json").is_file()


def test_what_the_user_can_mend_exits_with_2_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gtimm", "run", str(tmp_path / "none.yaml"), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "none.yaml cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fault_of_ours_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gtimm.experiments.demo.run_demo", broken)
    monkeypatch.setattr(sys, "argv", ["gtimm", "demo", "-o", str(tmp_path / "out")])
    with pytest.raises(ZeroDivisionError):
        main()


def test_strict_demo_exits_with_1_where_the_verdict_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = {"rows": [], "counters": {}, "seconds": 1.0, "verdict": {"holds": False, "sentence": "no"}}
    monkeypatch.setattr("gtimm.experiments.demo.run_demo", lambda *_, **__: results)
    assert call("demo", "-o", str(tmp_path), "--strict").exit_code == 1
    assert call("demo", "-o", str(tmp_path)).exit_code == 0


def test_a_demo_configuration_runs_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake(out: Path, **options: Any) -> dict[str, Any]:
        seen.update(options)
        return {"rows": [], "counters": {}, "seconds": 1.0}

    monkeypatch.setattr("gtimm.experiments.demo.run_demo", fake)
    (tmp_path / "config.yaml").write_text("experiment: demo\nmissing: audio\nseeds: 3\n")
    assert call("run", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "out")).exit_code == 0
    assert (seen["missing"], seen["seeds"]) == ("audio", 3)
    assert call("demo", "--missing", "image", "-o", str(tmp_path / "out")).exit_code == 0
    assert seen["missing"] == "image"
    (tmp_path / "config.yaml").write_text("experiment: demo\nsedes: 3\n")
    done = call("run", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "out"))
    assert isinstance(done.exception, ConfigError)


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gtimm", "--help"], capture_output=True, text=True, check=True)
    assert "plugins" in done.stdout


def test_an_error_of_a_plug_in_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Raises(Imputer):
        def fit(self, train: Any, target: str) -> Any:
            return {}["oops"]

        def pool(self, view: Any, target: str, state: Any) -> Any:
            return None

    gtimm.register("imputers", "raises", Raises)
    config = tmp_path / "experiment.yaml"
    config.write_text(
        "data: digits-uci\nmissing: {image: 0.9}\npipeline: {backbone: imagebind-tiny, imputer: raises, modalities: [image]}\nseeds: 1\n"
    )
    monkeypatch.setattr(
        sys, "argv", ["gtimm", "run", str(config), "-o", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("gtimm: Imputer raises (registered in this session) raised KeyError in fit, test_main.py line ")
    assert said.endswith(
        ": 'oops'. gtimm.testing.check_imputer shows what it must hold. With GTIMM_TRACEBACK=1 the traceback is shown."
    )
    monkeypatch.setenv("GTIMM_TRACEBACK", "1")
    with pytest.raises(KeyError, match="oops"):
        main()
