"""The wheel, installed where nothing of the source tree is seen, works: commands, the list of strategies, a model."""

from __future__ import annotations

import json
from pathlib import Path

from wheels import ROOT, Environment

import gtimm

FIT = """
import gtimm
from gtimm import Missing, Pipeline, load_dataset

data = load_dataset("digits")
few = data.train.subset(range(120))
pipe = Pipeline("imagebind-tiny", {"image": {"name": "stable-diffusion-tiny", "per_class": 2}, "audio": "zero"}, train={"epochs": 3})
pipe.fit(few, missing=Missing(image=0.9))
scores = pipe.evaluate(data.test.subset(range(50)))
assert 0 <= scores["accuracy"] <= 1
pipe.save("model")
assert (Pipeline.load("model").predict(data.test.subset([0])) == pipe.predict(data.test.subset([0]))).all()
print(gtimm.__file__, gtimm.__version__)
"""


def test_it_is_the_wheels_code_that_runs(installed: Environment, tmp_path: Path) -> None:
    place = installed.run("python", "-c", "import gtimm; print(gtimm.__file__)", cwd=tmp_path).strip()
    assert Path(place) == installed.packages / "gtimm" / "__init__.py"
    assert not Path(place).is_relative_to(ROOT)


def test_these_tests_run_against_the_tree_or_against_an_installed_wheel_and_never_against_another_tree() -> None:
    place = Path(gtimm.__file__)
    assert place.parents[1] == ROOT if (ROOT / "gtimm").exists() else "site-packages" in place.parts


def test_the_commands_are_there(installed: Environment, tmp_path: Path) -> None:
    said = installed.run("gtimm", "--help", cwd=tmp_path)
    assert "compare" in said
    found = json.loads(installed.run("gtimm", "plugins", "--json", cwd=tmp_path))
    assert {entry["distribution"] for entry in found if entry["name"] in ("zero", "imagebind-tiny", "digits")} == {"gtimm"}


def test_it_generates_trains_saves_and_loads(installed: Environment, tmp_path: Path) -> None:
    said = installed.run("python", "-c", FIT, cwd=tmp_path, GTIMM_HOME=str(tmp_path / "home"))
    place, version = said.strip().splitlines()[-1].split()
    assert Path(place).is_relative_to(installed.folder)
    assert version == gtimm.__version__ != "0"


def test_a_report_finds_its_templates_and_the_paper_its_values(installed: Environment, tmp_path: Path) -> None:
    assert "Table" in installed.run("gtimm", "reproduce", "--list", cwd=tmp_path)
    code = "from gtimm.report.html import templates; print(templates().list_templates())"
    said = installed.run("python", "-c", code, cwd=tmp_path)
    assert "page.html.j2" in said
