"""What is uploaded: the wheel holds gtimm and nothing else, the sdist all that its tests read, and an index page can show the README."""

from __future__ import annotations

import re
import runpy
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

import pytest
from readme_renderer import markdown
from wheels import ROOT, Distributions, call

import gtimm

SUFFIXES = {".py", ".typed", ".json", ".npz", ".flac", ".safetensors", ".md", ".j2", ".yaml"}


def in_wheel(distributions: Distributions) -> set[str]:
    with zipfile.ZipFile(distributions.wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def in_sdist(distributions: Distributions) -> set[str]:
    with tarfile.open(distributions.sdist) as archive:
        return {str(PurePosixPath(*PurePosixPath(member.name).parts[1:])) for member in archive if member.isfile()}


def metadata(distributions: Distributions) -> tuple[dict[str, list[str]], str]:
    with zipfile.ZipFile(distributions.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        message = message_from_bytes(archive.read(name))
    text = message.get_payload()
    assert isinstance(text, str)
    return {key: message.get_all(key, []) for key in set(message.keys())}, text


def files(folder: Path, root: Path) -> set[str]:
    """Return the files below a folder, but what tools leave there."""
    names = [path.relative_to(root) for path in folder.rglob("*") if path.is_file()]
    return {name.as_posix() for name in names if not any(part == "__pycache__" or part.startswith(".") for part in name.parts)}


def test_the_wheel_holds_the_files_of_gtimm_and_nothing_else(distributions: Distributions) -> None:
    held = in_wheel(distributions)
    theirs = {name for name in held if not re.match(r"gtimm-[^/]+\.dist-info/", name)}
    installed = Path(gtimm.__path__[0])  # the tree's, or where the tests run against an installed wheel, that
    assert theirs == files(installed, installed.parent)
    assert {PurePosixPath(name).suffix for name in theirs} <= SUFFIXES
    assert {name for name in theirs if name.endswith(("py.typed", "paper.yaml", "page.html.j2", "unet/config.json"))} == {
        "gtimm/py.typed",
        "gtimm/experiments/reproduction/paper.yaml",
        "gtimm/report/templates/page.html.j2",
        "gtimm/assets/stable-diffusion-tiny/unet/config.json",
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)


@pytest.mark.parametrize("folder", ["tests", "examples", "docs", "training", "benchmarks"])
def test_the_sdist_holds_what_the_tests_read(folder: str, distributions: Distributions) -> None:
    ours = {name for name in files(ROOT / folder, ROOT) if "/_build/" not in name}
    assert ours <= in_sdist(distributions)


def test_the_sdist_holds_what_a_checkout_has_at_its_top(distributions: Distributions) -> None:
    top = {
        path.name for path in ROOT.iterdir() if path.is_file() and path.suffix in {".md", ".txt", ".toml", ".cff", ".py", ".in"}
    }
    assert {"README.md", "SECURITY.md", "CITATION.cff", "constraints.txt", "setup.py"} <= top
    assert top | {"LICENSE", "Makefile", ".ci/run", ".ci/release"} <= in_sdist(distributions)


def test_an_index_would_take_them(distributions: Distributions) -> None:
    said = call(sys.executable, "-m", "twine", "--no-color", "check", "--strict", distributions.sdist, distributions.wheel)
    assert said.count("PASSED") == 2


def test_the_long_description_renders_and_none_of_its_links_is_dead(distributions: Distributions) -> None:
    fields, text = metadata(distributions)
    assert fields["Description-Content-Type"] == ["text/markdown"]
    page = markdown.render(text)
    assert page is not None
    assert page.count("<pre") == text.count("```") / 2
    targets = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert "arxiv.org/abs/2402.09036" in page


def test_links_lead_to_the_files_of_the_version_where_a_source_is_stated() -> None:
    mend = runpy.run_path(str(ROOT / "setup.py"))["index_page"]
    text = "See [the `API`](docs/a.md#b) and ![a picture](docs/p.png), [us](https://example.org).\n```\n[code](stays.md)\n```\n"
    assert mend(text, "https://host.example/us/it/", "1.2") == (
        "See [the `API`](https://host.example/us/it/blob/v1.2/docs/a.md#b) and "
        "![a picture](https://host.example/us/it/raw/v1.2/docs/p.png), [us](https://example.org).\n```\n[code](stays.md)\n```\n"
    )
    assert mend(text, None, "1.2") == "See the `API` and , [us](https://example.org).\n```\n[code](stays.md)\n```\n"


def test_every_relative_link_of_the_readme_leads_to_a_file() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path
