"""`gtimm plugins`: the strategies that are installed, from metadata alone; and all about one, which is imported for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.registry import BASES, misplaced, registry, usable
from gtimm.core.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from gtimm.core.details import Details, Option
    from gtimm.core.plugin import Group

KINDS = {
    "imputers": "imputer",
    "backbones": "backbone",
    "fusion": "fusion",
    "prompts": "prompts",
    "balance": "balancing",
    "datasets": "data set",
    "engines": "engine",
}


def print_list(as_json: bool) -> None:
    """Print every name with its kind and origin; nothing is imported. A name that several packages claim stands once for each."""
    found = [row for group in BASES for row in _rows(cast("Group", group))]
    _warn()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table()
    for column in ("name", "kind", "from", "class"):
        table.add_column(column, overflow="fold")
    for row in found:
        origin = escape(f"{row['distribution']} {row['version']}".strip())
        note = f" [yellow]({row['note']})[/]" if row["note"] else ""
        table.add_row(escape(row["name"]), row["kind"], origin + note, escape(row["target"]))
    terminal().print(table)


def _warn() -> None:
    """Say which plug-ins stand where nobody looks for them; on standard error, beside the list."""
    for words in misplaced():
        terminal(stderr=True).print(f"[yellow]Warning[/]: {escape(words)}", soft_wrap=True)


def _rows(group: Group) -> list[dict[str, str]]:
    rows = []
    for name in registry(group):
        claims = registry(group).claims(name)
        clash = len({entry.target for entry in claims}) > 1
        for place, entry in enumerate(claims if clash else claims[:1]):
            note = "" if usable(name) else "a name that nobody can use"
            if clash:
                note = "clash: nobody's is used" if claims[0].distribution != "gtimm" else ("used" if place == 0 else "not used")
            rows.append(
                {
                    "group": group,
                    "kind": KINDS[group],
                    "name": name,
                    "distribution": entry.distribution,
                    "version": entry.version,
                    "target": entry.target,
                    "note": note,
                }
            )
    return rows


def print_details(name: str | None, as_json: bool) -> bool:
    """Print all about the strategies of a name, of every kind, or about all; return whether those of a name could be loaded.

    Raises:
        ConfigError: no such name.
    """
    from gtimm.core.details import details

    groups = [cast("Group", group) for group in BASES]
    chosen = [(group, one) for group in groups for one in registry(group) if name in (None, one)]
    if not chosen:
        _warn()
        names = {one for group in groups for one in registry(group)}
        raise ConfigError(f"No strategy is called {name!r}.{did_you_mean(str(name), names)} `gtimm plugins` lists all.")
    found = [details(group, one) for group, one in chosen]
    if as_json:
        print(json.dumps([{**asdict(one), "kind": KINDS[one.group], "runs_here": one.runs_here} for one in found], indent=2))
    else:
        console = terminal(highlight=False)
        for one in found:
            _print(console, one)
    return name is None or not any(one.broken for one in found)


def _print(console: Console, one: Details) -> None:
    origin = f"{one.distribution} {one.version}".strip()
    console.print(f"[bold]{escape(one.name)}[/] ({KINDS[one.group]}, {escape(origin)})")
    if one.broken:
        console.print(f"  [red]broken[/]: {escape(one.broken)}\n")
        return
    refused = "; ".join(one.not_commercial)
    if one.group == "datasets":
        refused = refused.replace("weights:", "rows:")
    facts = {
        "": one.summary,
        "class": one.target,
        "file": one.file,
        "modalities": ", ".join(one.modalities) or "any",
        **{name.replace("_", " "): _plain(value) for name, value in one.capabilities.items()},
        "licence": f"code {one.licence}; {'rows' if one.group == 'datasets' else 'weights'} {one.weights_licence or 'none'}",
        "commercial use": refused or "; ".join(["allowed", *one.conditions]),
        "comes from": one.source,
    }
    for name, value in facts.items():
        if value:
            console.print(f"  {name + ': ' if name else ''}{escape(value)}", soft_wrap=True)
    console.print("  [green]can run here[/]" if one.runs_here else "  [yellow]cannot run here as it is[/]")
    for lack in one.lacks:
        console.print(f"    {escape(lack)}", soft_wrap=True)
    print_options(console, one.options)
    console.print()


def print_options(console: Console, options: Iterable[Option]) -> None:
    """Print each option with its type, default and help."""
    for option in options:
        default = "required" if option.required else json.dumps(option.default, ensure_ascii=False, default=str)
        kind = f"{option.type} = {default}" if option.type else default
        console.print(f"  [bold]{escape(option.name)}[/]: {escape(kind)}", soft_wrap=True)
        if option.help:
            console.print(Padding(escape(option.help), (0, 0, 0, 6)))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return "depends on the options" if value is None else str(value)
