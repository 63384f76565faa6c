"""`gtimm check`: what works on this machine; `check data`: what a data set holds; `check config`: what a configuration may."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gtimm.cli.options import StoreOption
from gtimm.core.terminal import say

app = typer.Typer(
    invoke_without_command=True,
    epilog="Examples: [bold]gtimm check[/bold]; [bold]gtimm check --download imagebind[/bold]; [bold]gtimm check data digits[/bold]",
)


@app.callback()
def check(
    context: typer.Context,
    store: StoreOption = None,
    download: Annotated[str | None, typer.Option(help="Fetch published weights (resumable), such as imagebind.")] = None,
) -> None:
    """Say what works on this machine, what is missing, where it comes from; [bold]check data[/bold]: what a data set lacks."""
    if context.invoked_subcommand is not None:
        return
    from gtimm.cli.checks import print_checks

    if download is not None:
        from gtimm.core.download import REMOTES
        from gtimm.core.download import download as fetch

        if download in REMOTES:
            remote = REMOTES[download]
            say(f"{remote.file}: {remote.size / 1e9:.1f} GB, {remote.licence}, from {remote.url}")
        say(f"{fetch(download)} is there")
        return
    if not print_checks(store):
        raise typer.Exit(2)


@app.command(epilog="Example: [bold]gtimm check config[/bold]")
def config() -> None:
    """Print the fields of a configuration file: types, defaults, what each is."""
    from gtimm.cli.plugins import print_options
    from gtimm.core.config_fields import sections
    from gtimm.core.terminal import terminal

    console = terminal(highlight=False)
    for section in sections():
        console.print(f"[bold]{section.title}[/]", section.says, sep="\n")
        print_options(console, section.fields)
        console.print()


@app.command(
    epilog="Examples: [bold]gtimm check data food101 --root DIR[/bold]; [bold]gtimm check data experiment.yaml -o missing.svg[/bold]; "
    "[bold]gtimm check data rows.csv -m image=photo -m text=caption --label kind --decode[/bold]"
)
def data(
    what: Annotated[
        str,
        typer.Argument(
            help="A data set's name, a configuration (.yaml), a table (.csv, .tsv, .parquet, .jsonl), or class folders."
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(help="The data set's folder; of a table, the folder that paths are relative to.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="Another option of a named data set.", metavar="NAME=VALUE")
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            "-m",
            help="Of a table or folder: a modality and its column, or NAME:KIND=COLUMN; default: columns named image, text, ...",
            metavar="NAME=COLUMN",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Of a table: the column of classes; default label, where there is one.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of a table: the column that says train, val or test.")] = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every file and list those that fail; exit code 2 if any.")
    ] = False,
    duplicates: Annotated[bool, typer.Option(help="Look for equal content in two splits.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A page (.html) or figure (.svg, .png) to write.")] = None,
) -> None:
    """Count rows, classes and holes; compare with published counts; find duplicates across splits and files that do not decode."""
    from gtimm.cli.data_check import load, report, show

    check = load(
        what,
        root=root,
        options=option or [],
        modalities=modality or [],
        label=label,
        split=split,
        decode=decode,
        duplicates=duplicates,
    )
    show(check, as_json=as_json)
    if out is not None:
        say(f"{report(check, out.expanduser())} written", err=as_json)
    if check.unreadable:
        raise typer.Exit(2)
