"""Type checkers see what users rely on: mypy --strict on their code, against the installed wheel, without this project's settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wheels import LEFT_OUT, ROOT, TEMPLATE, Distributions, Environment, build, clean

FILES = ("README.md", "CONTRIBUTING.md")
NAMES = """from gtimm import Missing, MultimodalDataset, Pipeline, load_dataset
data = load_dataset("digits")
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, distributions: Distributions) -> Environment:
    """An environment with gtimm and the template's plug-ins, in a folder with the code of users."""
    folder = tmp_path_factory.mktemp("typing")
    plugins = build(TEMPLATE, folder / "template")
    return Environment.make(folder / "venv", distributions.wheel, plugins.wheel)


def mypy(user: Environment, *arguments: str, cwd: Path) -> list[str]:
    """Run it as a user would, and return what it says; what it found out of the dependencies is kept: the first run takes longest."""
    cache = ROOT / ".mypy_cache" / "users"
    program = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    places = ["--python-executable", str(user.python), "--cache-dir", str(cache)]
    done = subprocess.run(
        [*program, *places, *arguments], check=False, capture_output=True, text=True, env=clean(), cwd=cwd, timeout=300
    )
    assert not done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stdout
    return done.stdout.splitlines()


def blocks(file: str) -> list[str]:
    """Return the examples of a Markdown file; those that go on with what others made get it first."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    texts = ["\n".join(line.removeprefix(indent) for line in text.splitlines()) + "\n" for indent, text in found]
    return [text if re.search(r"^(from|import) ", text, flags=re.MULTILINE) else NAMES + text for text in texts]


def test_documented_code_is_typed(user: Environment, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("documented.py"), tmp_path / "documented.py")
    assert mypy(user, "documented.py", cwd=tmp_path) == []


@pytest.mark.parametrize("file", FILES)
def test_examples_of_the_pages_are_typed(file: str, user: Environment, tmp_path: Path) -> None:
    found = [text for text in blocks(file) if "def test_" not in text]  # tests of pytest are not annotated
    assert found
    for number, text in enumerate(found):
        (tmp_path / f"example_{number}.py").write_text(text, encoding="utf-8")
    assert mypy(user, *(f"example_{number}.py" for number in range(len(found))), cwd=tmp_path) == []


def test_a_package_of_plug_ins_is_typed_without_our_settings(user: Environment, tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE / "src", tmp_path / "src", ignore=LEFT_OUT)
    assert mypy(user, "gtimm_example", cwd=tmp_path / "src") == []


def test_the_scripts_are_typed(user: Environment, tmp_path: Path) -> None:
    scripts = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    for name in scripts:
        shutil.copy(ROOT / "examples" / name, tmp_path / name)
    errors = [line for line in mypy(user, *scripts, cwd=tmp_path) if ": error: " in line]
    theirs = ("[import-untyped]", "[no-untyped-call]")  # soundfile and open_clip have no types, nor has torch everywhere
    assert [line for line in errors if not line.endswith(theirs)] == []


def test_every_exported_name_is_seen_and_a_wrong_one_is_not(user: Environment, tmp_path: Path) -> None:
    import gtimm
    import gtimm.testing

    lines = [f"from gtimm import {name}; reveal_type({name})" for name in gtimm.__all__]
    lines += [f"from gtimm.testing import {name} as _{name}; reveal_type(_{name})" for name in gtimm.testing.__all__]
    (tmp_path / "names.py").write_text("\n".join(lines))
    said = mypy(user, "names.py", cwd=tmp_path)
    assert [line for line in said if "Revealed type is" not in line] == []
    assert len(said) == len(lines)
    assert [line for line in said if 'is "Any"' in line] == []
    (tmp_path / "wrong.py").write_text("from gtimm import Piepline\nimport gtimm\ngtimm.Pipeline(draws='five')\n")
    said = mypy(user, "wrong.py", cwd=tmp_path)
    assert [line.rpartition(" ")[2] for line in said] == ["[attr-defined]", "[arg-type]"], said
