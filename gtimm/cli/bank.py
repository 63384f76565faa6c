"""`gtimm bank`: generated items, what they are, whether they are sound, and how to bring them in and out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gtimm.cli.interruption import interruptible
from gtimm.cli.options import StoreOption, store_folder
from gtimm.core.terminal import say

if TYPE_CHECKING:
    from gtimm.core.bank.upkeep import BankFacts, Mended

app = typer.Typer(no_args_is_help=True, help="List, verify, import, export and show generated items.")

NAMED = 20  # files that a message names

BankName = Annotated[str, typer.Argument(metavar="BANK", help="A folder's name under <store>/bank, a prefix of it, or a path.")]


@app.command("list", epilog="Examples: [bold]gtimm bank list[/bold]; [bold]gtimm bank list --store features/ --json[/bold]")
def list_(store: StoreOption = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List banks: generator, model, kind, items, failures, rejected ones, size, seconds an item."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from gtimm.core.bank.upkeep import bank_folder, list_banks
    from gtimm.core.terminal import terminal

    home = store_folder(store)
    banks = list_banks(home)
    if as_json:
        plain = [
            {
                "folder": str(b.folder),
                "generator": b.about.get("generator"),
                "model": b.about.get("model"),
                "kind": b.kind,
                "items": b.items,
                "failures": b.failures,
                "rejected": b.rejected,
                "bytes": b.bytes,
                "seconds_per_item": b.seconds_per_item,
            }
            for b in banks
        ]
        print(json.dumps(plain, indent=2))
        return
    table = Table()
    for name in ("bank", "kind"):
        table.add_column(name, overflow="fold")
    for name in ("items", "failures", "rejected", "MB", "s/item"):
        table.add_column(name, justify="right")
    for b in banks:
        speeds = "\n".join(f"{seconds:.2g} {device}" for device, seconds in b.seconds_per_item.items())
        numbers = [f"{n:,}" if n else "" for n in (b.items, b.failures, b.rejected)]
        table.add_row(Text(f"{b.folder.name}\n{_source(b)}"), b.kind or "", *numbers, f"{b.bytes / 1e6:,.1f}", speeds)
    console = terminal(highlight=False)
    console.print(table)
    console.print(
        f"{sum(b.items for b in banks):,} items, {sum(b.bytes for b in banks) / 1e6:,.1f} MB in {escape(str(bank_folder(home)))}"
    )


@app.command(epilog="Examples: [bold]gtimm bank verify[/bold]; [bold]gtimm bank verify stablediffusion-1f --repair[/bold]")
def verify(
    bank: Annotated[
        str | None,
        typer.Argument(metavar="[BANK]", help="A folder's name under <store>/bank, a prefix of it, or a path; default all."),
    ] = None,
    store: StoreOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Remove damaged items and mend the log.")] = False,
) -> None:
    """Read every item and compare files with the log; exit code 2 where something is damaged and was not repaired."""
    from gtimm.core.bank import upkeep as banks

    home = store_folder(store)
    found = banks.list_banks(home) if bank is None else [banks.facts(banks.find_bank(home, bank))]
    damaged = 0
    for one in found:
        damages = banks.verify(one.folder)
        damaged += len(damages)
        for damage in damages:
            say(f"damaged: {one.folder.name}: {damage.name}: {damage.reason}")
        if damages and repair:
            _say_mended(one, banks.repair(one.folder, damages))
    if damaged and not repair:
        say(f"{damaged} files or lines are damaged. `gtimm bank verify --repair` removes damaged items and mends the log.")
        raise typer.Exit(2)
    if not damaged:
        say(f"{sum(b.items for b in found):,} items in {len(found)} banks are sound.")


def _source(bank: BankFacts) -> str:
    """Return generator and model; of a model that is a folder, its name."""
    model = str(bank.about.get("model") or "")
    return " ".join([str(bank.about.get("generator", "?")), Path(model).name if Path(model).is_absolute() else model]).strip()


def _say_mended(bank: BankFacts, done: Mended) -> None:
    """Say what a repair did, and what becomes of what it removed."""
    say(f"{bank.folder.name}: {len(done.removed)} items removed, {done.lines} lines taken out of the log.")
    if done.removed and bank.imported:
        say("These items were imported: they cannot be made again here. Import them again from where they came.")
    elif done.removed:
        say("They are made again when they are needed.")
    if done.kept:
        again = "the next import of their folder" if bank.imported else "the next run that wants them"
        say(f"{done.kept} sound files without a line are kept; {again} writes their lines.")


@app.command(
    "import",
    epilog="Examples: [bold]gtimm bank import pictures/ --name sdxl[/bold]; then in a configuration "
    "[bold]imputer: {name: bank, folder: .../bank/imported-sdxl}[/bold]; interrupted, the same command goes on where it stopped",
)
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Class folders of images or sounds, or a metadata.jsonl of file_name and label.")
    ],
    name: Annotated[str, typer.Option(help="The bank becomes imported-NAME.")],
    store: StoreOption = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Files that cannot be decoded are named, and are no error.")
    ] = False,
) -> None:
    """Copy what any other generator made into a bank, for the imputer `bank`; exit code 2 where a file cannot be decoded."""
    from gtimm.core.bank.transfer import import_folder

    with interruptible("What was imported is kept"):
        done = import_folder(folder.expanduser(), store_folder(store), name)
    for file, reason in list(done.unreadable.items())[:NAMED]:
        say(f"unreadable: {file}: {reason}")
    if len(done.unreadable) > NAMED:
        say(f"and {len(done.unreadable) - NAMED} more unreadable files")
    say(
        f"{done.added:,} items imported, {done.known:,} were there, {done.duplicates:,} duplicates within a class dropped, "
        f"{len(done.unreadable):,} unreadable: {done.folder}"
    )
    if done.unreadable and not skip_unreadable:
        say("Replace the unreadable files and import again, or pass --skip-unreadable to do without them.")
        raise typer.Exit(2)


@app.command(epilog="Example: [bold]gtimm bank export stablediffusion-1f pictures/[/bold]")
def export(
    bank: BankName,
    folder: Annotated[Path, typer.Argument(help="New or empty.")],
    store: StoreOption = None,
) -> None:
    """Copy a bank's items into class folders with a metadata.jsonl, as a Hugging Face imagefolder or audiofolder has it."""
    from gtimm.core.bank.transfer import export_bank
    from gtimm.core.bank.upkeep import find_bank

    count, renamed = export_bank(find_bank(store_folder(store), bank), folder.expanduser())
    for label, name in list(renamed.items())[:NAMED]:
        say(f"the class {label!r} is in the folder {name!r}; metadata.jsonl has its name")
    if len(renamed) > NAMED:
        say(f"and {len(renamed) - NAMED} more classes whose folder has another name")
    say(f"{count:,} items exported to {folder}")


@app.command(
    epilog="Examples: [bold]gtimm bank gallery stablediffusion-1f -o page.html[/bold]; "
    "[bold]gtimm bank gallery pictures/ -o page.html --per-class 50[/bold]"
)
def gallery(
    bank: BankName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")],
    store: StoreOption = None,
    per_class: Annotated[int, typer.Option(help="At most so many items a class.", min=1)] = 20,
) -> None:
    """Write one offline page with a bank's items by class, their prompts and seeds, and what a gate rejected and why."""
    from gtimm.core.bank.upkeep import find_bank
    from gtimm.report.bank_page import write_bank_page

    say(f"{write_bank_page(find_bank(store_folder(store), bank), out.expanduser(), per_class)} written")
