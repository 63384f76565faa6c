"""The plug-in template: its wheel, installed beside gtimm, is listed, runs by name from a file, and keeps its promises."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from wheels import TEMPLATE, Distributions, Environment, build


@pytest.fixture(scope="module")
def both(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheels of gtimm and of the template."""
    folder = tmp_path_factory.mktemp("template")
    return Environment.make(folder / "venv", distributions.wheel, build(TEMPLATE, folder).wheel)


def test_it_is_listed_with_its_origin(both: Environment, tmp_path: Path) -> None:
    found = json.loads(both.run("gtimm", "plugins", "--json", cwd=tmp_path))
    theirs = {entry["name"]: entry for entry in found if entry["distribution"] == "gtimm-example"}
    assert list(theirs) == ["gaussian", "colour-histogram"]
    assert theirs["gaussian"]["group"] == "imputers"
    assert theirs["gaussian"]["version"] == "0.1.0"


def test_it_runs_by_name_from_the_file_in_its_readme(both: Environment, tmp_path: Path) -> None:
    readme = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    assert block is not None
    (tmp_path / "experiment.yaml").write_text(block[1])
    random, lines = np.random.default_rng(0), ["front,back,animal"]
    for row in range(200):
        names = [f"{side}-{row}.png" for side in ("front", "back")]
        for name in names:
            pixels = 60 + 130 * (row % 2) + random.normal(0, 30, (8, 8, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / name)
        lines.append(f"{names[0]},{names[1]},{('cat', 'dog')[row % 2]}")
    (tmp_path / "pictures.csv").write_text("\n".join(lines))
    both.run("gtimm", "run", "experiment.yaml", "-o", "out", cwd=tmp_path)
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["pipeline"]["imputer"] == {"name": "gaussian", "draws": 5}
    scores = {row["metric"]: row["mean"] for row in json.loads((tmp_path / "out" / "results.json").read_text())["rows"]}
    assert scores["accuracy"] > 0.9


def test_its_tests_pass_and_there_is_one_for_every_promise(both: Environment, tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE / "tests", tmp_path / "tests")
    said = both.run("python", "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, "-q", "-rA", "tests", cwd=tmp_path)
    assert "test_promises[GaussianFill-check_sealed_payloads_are_never_read]" in said
    assert "test_promises[ColourHistogram(bins=8)-check_batch_invariance]" in said
    assert re.search(r"\b[1-9]\d+ passed", said)
    assert "failed" not in said


@pytest.mark.parametrize("file", ["gaussian.py", "colour_histogram.py"])
def test_a_strategy_takes_less_than_sixty_lines(file: str) -> None:
    assert len((TEMPLATE / "src" / "gtimm_example" / file).read_text(encoding="utf-8").splitlines()) < 60


def test_its_tests_are_the_kit_in_three_lines() -> None:
    text = (TEMPLATE / "tests" / "test_promises.py").read_text(encoding="utf-8")
    assert len(text.split("@parametrize_with_checks")[1].strip().splitlines()) == 3
