"""What pages say in passing is true: files, commands and options that they name exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_blocks import FENCE, ROOT

import gtimm
from gtimm.cli.main import app

PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)
INVENTED = {"gtimm/imputers/median.py", "tests/imputers/test_median.py"}
"""Files of examples."""
LINK = re.compile(r"\]\(([^()\s]+)\)")


def prose(page: str) -> str:
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def spans(page: str) -> list[str]:
    """Return what stands in single backticks."""
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def options_of(words: list[str]) -> set[str]:
    """Return the options of a command, given its first words; raises where there is no such command."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands") or word.startswith("-") or not re.fullmatch(r"[a-z]+", word):
            break
        assert word in command.commands, f"no command {word!r}"
        command = command.commands[word]
    return {"--help", *(name for one in command.params for name in [*one.opts, *one.secondary_opts])}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_passing_exist_with_their_options(page: str) -> None:
    for span in spans(page):
        if span.startswith("gtimm "):
            words = shlex.split(span.replace("'", ""))[1:]
            given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert given <= options_of(words), (span, given)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    for span in spans(page):
        if re.fullmatch(r"(?:gtimm|tests|docs|examples|benchmarks)/[\w./-]*", span):
            installed = Path(gtimm.__file__).parents[1]  # where the package is, should it not be beside its documentation
            root = installed if span.startswith("gtimm/") else ROOT
            assert span in INVENTED or (root / span).exists(), span


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_where_nobody_builds_the_site(page: str) -> None:
    for target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        place = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_commands_that_are_not_there_are_found() -> None:
    assert "--dry-run" in options_of(["generate"])
    assert "--per-class" in options_of(["bank", "gallery"])
    with pytest.raises(AssertionError, match="galery"):
        options_of(["bank", "galery"])


def test_every_page_is_in_the_site() -> None:
    listed = {
        str((path.parent / line).relative_to(ROOT / "docs"))
        for path in (ROOT / "docs" / "index.md", Path(ROOT / "docs" / "decisions" / "index.md"))
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for line in re.findall(r"^(?:.*<)?([\w/*-]+)>?$", block, re.MULTILINE)
    }
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not page.startswith("decisions/0")} - {"index"} == listed - {"decisions/0*"}


def test_the_map_names_every_table_and_figure() -> None:
    from gtimm.experiments.reproduction.paper import published

    text = (ROOT / "docs" / "paper-map.md").read_text(encoding="utf-8")
    for name in published().exhibits:
        assert f"`{name}`" in text, name


def test_the_map_names_every_preset_of_the_paper() -> None:
    from gtimm.experiments.methods import METHODS

    text = (ROOT / "docs" / "paper-map.md").read_text(encoding="utf-8")
    for name in ("audio-only", "low-resource-visual", "zero-fill", "gti-mm", "zs-visual", "zs-multimodal"):
        assert name in METHODS
        assert f"`{name}`" in text
