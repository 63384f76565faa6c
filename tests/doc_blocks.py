"""The code of a Markdown page: found, run in order, and compared with what the page says that it prints.

Blocks of a page run one after another in one empty folder, those in Python in one namespace:

- `python` is executed; `text` after it, or after commands, is what they print: words and whole numbers exactly, others
  roughly (`_close`), and `...` stands for anything;
- a fence without a language holds commands: those of `gtimm` run in this process;
- a block whose first line is `# name.ext` is that file.

A comment before the fence says why a block does not run here, `<!-- no-run: needs the published weights -->`, or that its commands run with
`--dry-run` only, `<!-- dry-run: takes minutes -->`. Both are read as closely as can be without running: see `check`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(?:^ *<!-- (?P<how>no-run|dry-run): (?P<reason>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks)$",
    re.DOTALL | re.MULTILINE,
)
NAME = re.compile(r"# ([\w./-]+\.(?:yaml|py|toml|csv))\b")
NUMBER = re.compile(r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: its path from the repository's root.
        line: of its first line of text, from 1.
        language: `python`, `yaml`, `toml`, `text`, or `""` for commands.
        text: without the fence and its indent.
        how: `run`, `no-run` or `dry-run`.
        reason: why it does not run.
    """

    page: str
    line: int
    language: str
    text: str
    how: str = "run"
    reason: str = ""

    @property
    def file(self) -> str | None:
        """The name of the file that it is."""
        found = NAME.match(self.text)
        return found[1] if found and self.language != "" else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order; those of the site's own directives are left out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        if match["language"].startswith("{"):
            continue
        line = text.count("\n", 0, match.start("text")) + 1
        inside = "".join(one.removeprefix(match["indent"]) for one in match["text"].splitlines(keepends=True))
        found.append(Block(page, line, match["language"].strip(), inside, match["how"] or "run", match["reason"] or ""))
    assert len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)) / 2 - len(re.findall(r"^ *```\{", text, re.MULTILINE)), (
        page
    )
    return found


@dataclass
class Run:
    """What the blocks of one page have done so far; the working folder is theirs."""

    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    printed: str | None = None
    """What the last block printed; `None` if it did not run."""

    def __call__(self, block: Block) -> None:
        """Run a block, or read it as closely as can be."""
        if block.language == "text":
            assert self.printed is None or matches(block.text, self.printed), f"{block.page}:{block.line}\n{self.printed}"
            return
        if block.file is not None and not Path(block.file).exists():
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        self.printed = None
        check(block)
        if block.how == "no-run":
            return
        if block.language == "python":
            with _printed() as out:
                exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), self.names)
            self.printed = out.getvalue()
        if block.language == "":
            with _printed() as out:
                for words in block.commands:
                    gtimm(words[1:] + (["--dry-run"] if block.how == "dry-run" and "--dry-run" not in words else []))
            self.printed = out.getvalue() if block.how == "run" else None


@contextlib.contextmanager
def _printed() -> Iterator[io.StringIO]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        yield out


def gtimm(words: list[str], code: int = 0) -> None:
    """Run a command in this process, as `gtimm` does."""
    from gtimm.cli.main import main

    before, sys.argv = sys.argv, ["gtimm", *words]
    found: Any = 0
    try:
        main()
    except SystemExit as done:
        found = done.code or 0
    finally:
        sys.argv = before
    assert found == code, f"gtimm {shlex.join(words)} ended with {found}"


def check(block: Block) -> None:
    """Read a block without running it: Python compiles and what it imports of gtimm is there, commands and options exist, YAML is valid."""
    where = f"{block.page}:{block.line}"
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text, where)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gtimm":
                for alias in node.names:
                    assert hasattr(import_module(node.module or ""), alias.name), f"{where}: no {node.module}.{alias.name}"
    elif block.language == "yaml":
        import yaml

        from gtimm.core.config import RunConfig
        from gtimm.core.pipeline import Pipeline

        config = RunConfig.of(yaml.safe_load(block.text))
        if config.compare is None:
            Pipeline.from_config(config.pipeline_options())
    elif block.language == "toml":
        import tomllib

        tomllib.loads(block.text)
    elif block.language == "":
        for words in block.commands:
            known(words, where, runs=block.how != "no-run")
    else:
        assert block.language in ("text", "json"), f"{where}: what is to be done with {block.language!r}?"


def known(words: list[str], where: str, *, runs: bool) -> None:
    """Hold that a command exists: of `gtimm` down to its options, of `make` the target, of `python` the file."""
    if words[0] == "gtimm":
        import typer

        from gtimm.cli.main import app

        command, rest = typer.main.get_command(app), words[1:]
        context = None
        while True:
            context = command.make_context(command.name, list(rest), parent=context, resilient_parsing=False)
            rest = [*context._protected_args, *context.args]
            if not hasattr(command, "commands") or not rest:
                return
            _, command, rest = command.resolve_command(context, rest)
    assert not runs, f"{where}: {words[0]} cannot run here; put <!-- no-run: REASON --> before the fence"
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{where}: no target {words[1]}"
    if words[0] == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), f"{where}: no file {words[1]}"


def matches(promised: str, printed: str) -> bool:
    """Return whether a text was printed: numbers with a point roughly, `...` for anything, blanks and line breaks alike."""
    words, at = printed.split(), 0
    chunks = [chunk.split() for chunk in re.split(r"(?:^|(?<=\s))\.\.\.(?=\s|$)", promised)]
    for place, wanted in enumerate(chunks):
        last, size = place == len(chunks) - 1, len(wanted)
        starts = (
            range(len(words) - size, len(words) - size + 1)
            if last and place
            else range(at, at + 1 if not place else len(words) + 1)
        )
        found = next((start for start in starts if start >= at and _all(wanted, words[start : start + size])), None)
        if found is None:
            return False
        at = found + size
    return at == len(words) or chunks[-1] == []


def _all(wanted: list[str], words: list[str]) -> bool:
    return len(wanted) == len(words) and all(map(_same, wanted, words))


def _same(one: str, other: str) -> bool:
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    return all(_close(a, b) for a, b in zip(NUMBER.findall(one), NUMBER.findall(other), strict=True))


def _close(one: str, other: str) -> bool:
    a, b = (float(x.replace(",", "").replace("−", "-")) for x in (one, other))
    room = max(0.03 * abs(a), 0.02 if abs(a) < 1 else 0.5)
    return a == b or ("." in one and "." in other and abs(a - b) <= room)
