"""`gtimm cache`: the stored features, what they are, whether they are sound, and how to be rid of them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gtimm.cli.options import StoreOption, store_folder
from gtimm.core.terminal import say

app = typer.Typer(no_args_is_help=True, help="List, verify and prune stored features.")


@app.command("list", epilog="Examples: [bold]gtimm cache list[/bold]; [bold]gtimm cache list --store features/ --json[/bold]")
def list_(store: StoreOption = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List feature stores: backbone, kind, depth, dtype, rows, size, days since the last use."""
    from rich.markup import escape
    from rich.table import Table

    from gtimm.core.features.upkeep import list_stores
    from gtimm.core.terminal import terminal

    home = store_folder(store)
    stores = list_stores(home)
    if as_json:
        names = ("backbone", "kind", "depth", "dtype", "precision", "size", "fingerprint")
        print(
            json.dumps(
                [
                    {
                        "folder": str(s.folder),
                        **{n: s.about.get(n) for n in names},
                        "rows": s.rows,
                        "bytes": s.bytes,
                        "used": s.used,
                    }
                    for s in stores
                ],
                indent=2,
            )
        )
        return
    table = Table()
    for name in ("backbone", "kind", "depth", "dtype"):
        table.add_column(name)
    for name in ("rows", "MB", "days unused", "damaged"):
        table.add_column(name, justify="right")
    for s in stores:
        facts = [str(s.about.get(name, "?")) for name in ("backbone", "kind", "depth", "dtype")]
        table.add_row(*facts, f"{s.rows:,}", f"{s.bytes / 1e6:,.1f}", f"{s.days:.0f}", str(len(s.damaged) or ""))
    console = terminal(highlight=False)
    console.print(table)
    console.print(f"{sum(s.rows for s in stores):,} rows, {sum(s.bytes for s in stores) / 1e6:,.1f} MB in {escape(str(home))}")


@app.command(epilog="Examples: [bold]gtimm cache verify[/bold]; [bold]gtimm cache verify --repair[/bold]")
def verify(
    store: StoreOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop what is damaged; it is embedded again when it is needed.")
    ] = False,
) -> None:
    """Read everything and compare checksums; exit code 2 where something is damaged and was not repaired."""
    from gtimm.core.features import upkeep as stores
    from gtimm.core.progress import progress_bar

    found = stores.list_stores(store_folder(store))
    damages = []
    with progress_bar("Verifying", len(found), "stores") as advance:
        for one in found:
            damages += stores.verify(one)
            advance(1)
    for damage in damages:
        say(f"damaged: {damage.path}: {damage.reason}")
    if damages and repair:
        stores.repair(damages)
        say(f"{len(damages)} shards repaired; what they lost is embedded again when it is needed.")
    elif damages:
        say(f"{len(damages)} shards are damaged. `gtimm cache verify --repair` drops what is damaged.")
        raise typer.Exit(2)
    else:
        say(f"{sum(s.rows for s in found):,} rows in {len(found)} stores are sound.")


@app.command(
    epilog="Examples: [bold]gtimm cache prune --days 90[/bold] shows what would go; "
    "[bold]gtimm cache prune --backbone imagebind --yes[/bold] removes it"
)
def prune(
    store: StoreOption = None,
    days: Annotated[float | None, typer.Option(help="Only stores not used for so many days.", min=0)] = None,
    backbone: Annotated[str | None, typer.Option(help="Only stores of this backbone: part of a name or fingerprint.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it nothing is removed, only shown.")] = False,
) -> None:
    """Remove feature stores by age or backbone, and what dead writers left. Shows what would go unless --yes is given."""
    from gtimm.core.errors import ConfigError
    from gtimm.core.features import upkeep as stores

    if days is None and backbone is None:
        raise ConfigError("Say what may go: --days 90, --backbone imagebind, or both; --days 0 is everything.")
    home = store_folder(store)
    chosen = stores.unused(stores.list_stores(home), days, backbone)
    for one in chosen:
        say(f"{one.folder.name}: {one.rows:,} rows, {one.bytes / 1e6:,.1f} MB, unused for {one.days:.0f} days")
    if not yes:
        say(f"{sum(s.bytes for s in chosen) / 1e6:,.1f} MB in {len(chosen)} stores would go. Add --yes to remove them.")
        return
    freed = stores.remove(chosen) + stores.sweep_all(home)
    say(f"{freed / 1e6:,.1f} MB freed, {len(chosen)} stores removed.")
