"""No name commands the terminal: escape sequences, line ends and turned text of files, classes and plug-ins are written out."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from rich.markup import escape
from rich.table import Table
from typer.testing import CliRunner

from gtimm.cli import plugins
from gtimm.cli.main import app
from gtimm.cli.tables import progress_line
from gtimm.core.registry import Registry
from gtimm.core.terminal import harmless, say, terminal

MEAN = "cat\x1b[2J\x1b]0;owned\x07\r\x08\x7f\x9b31m\u202egnp.exe"


def test_control_characters_are_written_out_and_text_is_as_it_was() -> None:
    assert harmless(MEAN) == r"cat\x1b[2J\x1b]0;owned\x07\r\x08\x7f\x9b31m\u202egnp.exe"
    for text in ("ä, 猫, عربي, 🐱", "two\nlines\tand a tab", "back\\slash [bold]"):
        assert harmless(text) == text


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"damaged: {MEAN}\nsound: all")
    say("to the other", err=True)
    found = capsys.readouterr()
    assert found.out.count("\n") == 1
    assert found.out.startswith(r"damaged: cat\x1b[2J")
    assert found.out.endswith("\\nsound: all\n")
    assert found.err == "to the other\n"


@pytest.mark.parametrize("colours", [False, True])
def test_tables_keep_their_own_colours_and_nothing_else(colours: bool) -> None:
    file = io.StringIO()
    console = terminal(
        file=file, force_terminal=colours, color_system="standard" if colours else None, width=200, highlight=False
    )
    table = Table("name")
    table.add_row(f"[red]{escape(MEAN)}[/red]")
    console.print(table)
    console.print(f"[bold]{escape(MEAN)}[/bold]")
    for harm in ("\x1b[2J", "\x1b]0", "\x07", "\r", "\x08", "\x9b", "\u202e"):
        assert harm not in file.getvalue()
    assert ("\x1b[" in file.getvalue()) == colours
    assert file.getvalue().count(r"\x1b[2J") == 2


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_line("demo", Path("runs")) as step:
        step("preparing [/nothing] [red]class[/red]")
    assert "preparing [/nothing] [red]class[/red]" in " ".join(capsys.readouterr().err.split())


def test_a_plug_in_with_a_mean_name_is_listed_and_harmless(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [EntryPoint(name, "nowhere:Thing", "gtimm.imputers") for name in (MEAN, "../../up", "[/x]", "two\nlines")]
    real = plugins.registry
    monkeypatch.setattr(
        plugins, "registry", lambda group: Registry("imputers", points=points) if group == "imputers" else real(group)
    )
    plugins.print_list(False)
    plugins.print_list(True)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert r"\x1b[2J" in said.replace("\n", "")


def test_errors_and_warnings_name_files_without_obeying_them(tmp_path: Path) -> None:
    name = "a\x1b[2Jb\u202e.yaml"
    (tmp_path / name).write_text("data: [")
    call = [sys.executable, "-m", "gtimm.cli.main", "embed", str(tmp_path / name)]
    done = subprocess.run(call, capture_output=True, check=False)
    assert done.returncode == 2
    assert rb"a\x1b[2Jb\u202e.yaml is not plain YAML" in done.stderr
    assert b"\x1b" not in done.stderr


def test_warnings_of_a_command_show_no_source(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nx,three\ny, three\n")
    call = [sys.executable, "-m", "gtimm.cli.main", "check", "data", str(tmp_path / "rows.csv")]
    done = subprocess.run(call, capture_output=True, check=True, text=True)
    assert done.stderr == (
        "warning: Classes ' three' and 'three' differ in case or spaces alone. If they are one, mend the labels.\n"
    )


def test_damage_of_a_bank_is_listed_in_lines_of_its_own(tmp_path: Path, home: Path) -> None:
    folder = home / "bank" / "toy-1"
    folder.mkdir(parents=True)
    (folder / "metadata.jsonl").write_text('{"file_name": "x\\u001b[2J\\nall is sound.png"}\n')
    done = CliRunner().invoke(app, ["bank", "verify"])
    assert done.exit_code == 2
    assert "\x1b" not in done.output
    assert "damaged: toy-1: x\\x1b[2J\\nall is sound.png: is in metadata.jsonl" in done.output
