"""Commands that embed or generate say where, with the same options, which win over the configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from gtimm.cli.main import app
from gtimm.core.errors import GenerationError

GENERATING = ("run", "compare", "sweep", "reproduce", "generate")


def flags(command: str) -> set[str]:
    return {flag for one in get_command(app).commands[command].params for flag in one.opts}


@pytest.mark.parametrize("command", [*GENERATING, "embed", "demo"])
def test_whatever_embeds_or_generates_has_the_options_of_the_machine(command: str) -> None:
    assert {"--store", "--device", "--engine", "--address"} <= flags(command)
    assert ("--yes" in flags(command)) == (command in GENERATING)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that may not generate, on a device that is not there."""
    lines = []
    for row in range(30):
        Image.fromarray(np.full((4, 4, 3), (200 * (row % 2), 0, row), np.uint8)).save(tmp_path / f"{row}.png")
        lines.append({"photo": f"{row}.png", "caption": f"{row}", "kind": ("blue", "red")[row % 2]})
    pd.DataFrame(lines).to_csv(tmp_path / "rows.csv", index=False)
    pipeline = {"backbone": "toy", "train": {"epochs": 2}, "device": "nowhere", "generate": False}
    plain = {
        "data": {"frame": "rows.csv", "modalities": {"image": "photo", "text": "caption"}, "label": "kind"},
        "pipeline": pipeline,
        "seeds": 1,
    }
    compared = {"methods": ["gti-mm"], "generator": "toy-generator", "missing": 0.5, "test_missing": 0, "baselines": False}
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump({**plain, "compare": compared}))
    made = {**pipeline, "imputer": {"image": "toy-generator", "text": "zero"}}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({**plain, "missing": {"image": 0.5}, "pipeline": made}))
    return path


@pytest.mark.parametrize(
    "command",
    [["run", "experiment.yaml"], ["run", "compare.yaml"], ["compare", "compare.yaml"], ["sweep", "training", "experiment.yaml"]],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_options_win_over_the_configuration(command: list[str], config: Path, tmp_path: Path, home: Path) -> None:
    *words, file = command
    words += [str(config.with_name(file)), "-o", str(tmp_path / "out"), "--store", str(tmp_path / "own")]
    words += ["--values", "50", "--methods", "gti-mm"] if "sweep" in command else []
    refused = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert isinstance(refused.exception, GenerationError)
    done = CliRunner().invoke(app, [*words, "--device", "cpu", "--yes", "--engine", "local"], catch_exceptions=False)
    assert done.exit_code == 0
    assert list((tmp_path / "own" / "bank").glob("toygenerator-*/*/*.png"))
    assert not (home / "bank").exists()
    assert CliRunner().invoke(app, [*words, "--yes", "-o", str(tmp_path / "other")]).exit_code
