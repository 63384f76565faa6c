"""docs/open-choices.md: each command in it is understood, down to the option that it hands to a data set, backbone or generator."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from films import film
from miniatures import write_crisismmd, write_food101, write_ucf101
from typer.testing import CliRunner

from gtimm.cli.main import app

TEXT = (Path(__file__).parents[2] / "docs" / "open-choices.md").read_text(encoding="utf-8")
COMMANDS = [re.sub(r" {2,}#.*", "", line).strip() for line in re.findall(r"^ {4,}(gtimm reproduce .*)$", TEXT, re.MULTILINE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Miniatures of every corpus, called as in the page, and the files that it names."""
    root = tmp_path_factory.mktemp("open")
    write_ucf101(root / "UCF101", {"train": 3, "test": 1}, clips=1)
    write_crisismmd(root / "CrisisMMD", {"train": 3, "dev": 1, "test": 1})
    write_food101(root / "Food101", {"train": 3, "test": 1})
    content = film(root / "film.mp4", 0.6).read_bytes()
    for part, name in (("training", "trainingSet.csv"), ("validation", "validationSet.csv")):
        lines = []
        for label in (*(f"class{i}" for i in range(10)), "cooking", "hiking"):
            (root / "Moments" / part / label).mkdir(parents=True)
            for number in range(2):
                (root / "Moments" / part / label / f"{label}-{number}_0.mp4").write_bytes(content)
                lines.append(f"{label}/{label}-{number}_0.mp4,{label},3,0\n")
        (root / "Moments" / name).write_text("".join(lines))
    (root / "ActivityNet" / "videos").mkdir(parents=True)
    database = {}
    for number in range(6):
        (root / "ActivityNet" / "videos" / f"v_film{number}.mp4").write_bytes(content)
        note = {"label": f"act {number % 2}", "segment": [0.1, 0.4]}
        database[f"film{number}"] = {"subset": "training" if number < 4 else "validation", "annotations": [note]}
    (root / "ActivityNet" / "activity_net.v1-3.min.json").write_text(json.dumps({"database": database}))
    (root / "names.yaml").write_text("Bowling: bowling in an alley\n")
    classes = (root / "UCF101" / "ucfTrainTestlist" / "classInd.txt").read_text().split()[1::2]
    (root / "sentences.json").write_text(json.dumps({name: ["Somebody does it."] for name in classes}))
    for part in ("train", "test"):
        (root / "UCF101" / "ucfTrainTestlist" / f"{part}list02.txt").write_text(
            (root / "UCF101" / "ucfTrainTestlist" / f"{part}list01.txt").read_text()
        )
    return root


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 30


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_understood(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = shlex.split(command)[1:]
    done = CliRunner().invoke(app, words if {"--dry-run", "--list"} & set(words) else [*words, "--dry-run"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert not (folder / "runs").exists()
