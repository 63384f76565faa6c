"""`gtimm reproduce`: its options, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gtimm.cli.options import AddressOption, DeviceOption, EngineOption, Machine, StoreOption, YesOption

if TYPE_CHECKING:
    from rich.console import Console

    from gtimm.experiments.reproduction.outlook import Ahead
    from gtimm.experiments.reproduction.reproduce import Reproduction

OPEN = "What the paper leaves open (docs/open-choices.md)"
PAIR = "NAME=VALUE"
WIDE = 5


def _pairs(help: str) -> Any:
    return typer.Option(metavar=PAIR, rich_help_panel=OPEN, help=f"{help} May stand more than once; the value is YAML.")


def reproduce(
    exhibits: Annotated[
        list[str] | None, typer.Argument(help="table1 to table11, figure4 to figure13, or all.", metavar="NAME...")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="digits (embedded, minutes), or in full: ucf101, activitynet, mit10, mit51, crisismmd, food101.")
    ] = "digits",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder: config.yaml, results.json, report.html, log.jsonl.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set's files.")] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    show: Annotated[bool, typer.Option("--list", help="List the exhibits and what they need; run nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cells, items and cost; run nothing.")] = False,
    yes: YesOption = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many; default the paper's, 3 (MiT: 1).")] = None,
    per_class: Annotated[int | None, typer.Option(min=1, help="Generated items a class; default 100.")] = None,
    zero: Annotated[
        str | None,
        typer.Option(rich_help_panel=OPEN, help="Level at which zero-filling is zero: embedding (default) or payload."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(rich_help_panel=OPEN, help="Epoch that is kept: best on validation (default) or last.")
    ] = None,
    mechanism: Annotated[
        str | None, typer.Option(rich_help_panel=OPEN, help="How values go missing in training: random (default) or stratified.")
    ] = None,
    f1: Annotated[
        str | None, typer.Option(rich_help_panel=OPEN, help="Average of F1 over classes: macro (default), weighted or micro.")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(rich_help_panel=OPEN, help="Food101 is right among the first 3 guesses (default), or by the first: 1."),
    ] = None,
    dropout: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=OPEN, help="Rate of GTI-MM Dropout: match, the missing ratio at test (default), or a number."
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(rich_help_panel=OPEN, help="How often zero-shot models see a class: as in training (default) or uniform."),
    ] = None,
    data: Annotated[list[str] | None, _pairs("Option of the data set, such as split=2 or val_share=0.2.")] = None,
    backbone: Annotated[
        list[str] | None, _pairs("Option of the backbone, such as weights=FILE, feature_point=head or model=ViT-L-14.")
    ] = None,
    generator: Annotated[
        list[str] | None, _pairs("Option of the image generator, such as steps=25, guidance=5 or 'size=[512, 512]'.")
    ] = None,
    sound: Annotated[
        list[str] | None,
        _pairs("Option of the sound generator, such as 'prompts={name: label, templates: [\"a recording of {action}\"]}'."),
    ] = None,
    fusion: Annotated[list[str] | None, _pairs("Option of the head, such as hidden=512; name=gated takes another.")] = None,
    train: Annotated[list[str] | None, _pairs("Option of training, such as epochs=30 or 'lr=[0.0001, 0.0005]'.")] = None,
    descriptions: Annotated[
        list[str] | None, _pairs("Where Table 4's sentences are from: file=FILE, or model=FOLDER of a local language model.")
    ] = None,
) -> None:
    """Compute the paper's tables and figures on a data set, ours beside the paper's."""
    from gtimm.core.errors import ConfigError

    if show:
        _print_exhibits()
        return
    if not exhibits:
        raise ConfigError("Name an exhibit, such as table3, or all; `gtimm reproduce --list` shows them.")
    chosen: dict[str, Any] = {
        name: value
        for name, value in {
            "seeds": seeds, "per_class": per_class, "zero": zero, "select": select, "mechanism": mechanism, "f1": f1, "top": top,
            "dropout": dropout, "prior": prior,
        }.items()
        if value is not None
    }  # fmt: skip
    given = {"data": data, "backbone": backbone, "generator": generator, "sound": sound, "fusion": fusion, "train": train}
    for name, words in {**given, "descriptions": descriptions}.items():
        if words:
            chosen[name] = pairs(f"--{name}", words)
    where: dict[str, Any] = {"root": str(root) if root else None, **Machine(store, device, engine, address, yes).options()}
    if dry_run:
        _print_ahead(exhibits, preset, chosen, where)
        return
    if out is None:
        raise ConfigError("Say where to put the results: -o DIR.")
    from gtimm.cli.tables import progress_line
    from gtimm.experiments.reproduction.reproduce import run_reproduce

    with progress_line("reproduce", out) as say:
        results = run_reproduce(exhibits, preset, out, choices=chosen, say=say, **where)
    print_reproduced(results, out)


def pairs(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Return options from `name=value` words, each value read as YAML.

    Raises:
        ConfigError: a word of another form, a name that stands twice, or a value that is not plain YAML.
    """
    from gtimm.core.errors import ConfigError
    from gtimm.core.plain import from_yaml

    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"{flag} takes {PAIR}, such as {flag} steps=25; found {word!r}.")
        if name in found:
            raise ConfigError(f"{flag} {name} stands twice.")
        try:
            found[name] = from_yaml(text)
        except ValueError as error:
            raise ConfigError(f"{flag} {name}: {text!r} is not plain YAML: {error}") from error
    return found


def print_reproduced(results: Mapping[str, Any], folder: Path) -> None:
    """Print each exhibit as a table, ours with the paper's in brackets, then what was found."""
    from rich.markup import escape
    from rich.table import Table

    from gtimm.cli.tables import print_end
    from gtimm.core.terminal import terminal
    from gtimm.experiments.reproduction.beside import ODD
    from gtimm.experiments.reproduction.paper import heading, published

    console = terminal(highlight=False)
    exhibits: dict[str, list[Mapping[str, Any]]] = {}
    for one in results["published"]:
        exhibits.setdefault(one["exhibit"], []).append(one)
    for name, cells in exhibits.items():
        there = [one for one in cells if one["ours"] is not None]
        path = " (path only: these numbers mean nothing on this data)" if there and all(one["path_only"] for one in there) else ""
        title = f"{heading(name)}: {published().exhibit(name).title}{path}"
        rows, columns = (list(dict.fromkeys(one[side] for one in there)) for side in ("row", "column"))
        found = {(one["row"], one["column"]): _value(one) for one in there}
        if len(columns) > WIDE:  # more columns than a screen is wide: the other way round
            rows, columns, found = columns, rows, {(c, r): text for (r, c), text in found.items()}
        table = Table(title=escape(title), title_justify="left", title_style="bold")
        table.add_column("")
        for column in columns:
            table.add_column(escape(column), justify="right", overflow="fold")
        for row in rows:
            table.add_row(escape(row), *(found.get((row, column), "") for column in columns))
        console.print(table)
    shown = [note for note in results["notes"] if ODD not in note and not note.startswith("The paper: ")]
    for note in shown:
        console.print(f"- {escape(note)}")
    console.print(f"{len(results['notes']) - len(shown)} notes on the paper itself are in the report.")
    if results.get("verdict"):
        console.print(f"[bold]{escape(results['verdict']['sentence'])}[/bold]")
    print_end(console, results, folder)


def _value(cell: Mapping[str, Any]) -> str:
    """Return our value with the paper's in brackets."""

    def text(value: float) -> str:
        return f"{100 * value:.1f}" if cell["unit"] == "fraction" else f"{value:,g}"

    return text(cell["ours"]) + (f" ({text(cell['paper'])})" if cell["paper"] is not None else "")


def _print_exhibits() -> None:
    from rich.markup import escape
    from rich.table import Table

    from gtimm.core.terminal import terminal
    from gtimm.experiments.reproduction.paper import published
    from gtimm.experiments.reproduction.presets import PRESETS

    table = Table(box=None, pad_edge=False)
    for name in ("name", "what it shows", "presets"):
        table.add_column(name, overflow="fold")
    for name, exhibit in published().exhibits.items():
        table.add_row(name, exhibit.title, ", ".join(p.name for p in PRESETS.values() if name in p.exhibits))
    console = terminal(highlight=False)
    console.print(table)
    console.print("\nWhat presets need:")
    for one in PRESETS.values():
        needs = f"--root, {one.root}" if one.root else "nothing, it is embedded; Table 7 the extra gtimm[speech]"
        console.print(f"- {one.name}: {escape(needs)}", soft_wrap=True)


def _print_ahead(exhibits: Sequence[str], preset: str, choices: Mapping[str, Any], where: Mapping[str, Any]) -> None:
    from gtimm.core.terminal import terminal
    from gtimm.experiments.reproduction.outlook import ahead
    from gtimm.experiments.reproduction.reproduce import Reproduction

    work = Reproduction.of(exhibits, preset, choices=choices, **where)
    known = not work.bench.preset.root or work.root is not None
    data = work.bench.preset.load(work.root, work.bench.choices) if known else None
    _print_plan(terminal(highlight=False), work, ahead(work, data))


def _print_plan(console: Console, work: Reproduction, found: Ahead) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from gtimm.experiments.reproduction.paper import heading
    from gtimm.report import wording

    cells = ", ".join(f"{heading(name)} {count}" for name, count in found.cells.items())
    console.print(f"Cells: {cells}.")
    console.print(
        f"{found.distinct} different ones, {found.heads:,} heads over {work.seeds} seed{'s' if work.seeds > 1 else ''}."
    )
    if found.payloads is not None:
        console.print(f"At most {found.payloads:,} payloads of the data set to embed, and the items below.")
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in ("generator", "for", "modality"):
        table.add_column(name, overflow="fold")
    for name in ("items", "there", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.items:
        there = "?" if one.there is None else f"{one.there:,}"
        time = "?" if one.seconds is None else ("" if one.measured or not one.seconds else "~") + wording.duration(one.seconds)
        table.add_row(one.generator, one.variant or "most cells", one.modality, f"{one.items:,}", there, time)
    if found.items:
        console.print(table)
        console.print(
            "~ by the paper's 12 s an image on an A40. ? unknown: nothing was made on this device yet, or no --root was given."
        )
    for line in work.left_out:
        console.print(line)
    for exhibit in work.plans:
        for why in exhibit.absent:
            console.print(f"{heading(exhibit.name)}, left out. {why}.")
