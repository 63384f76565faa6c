"""`gtimm sweep`: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gtimm.cli.engine import configured_engine
from gtimm.cli.options import AddressOption, DeviceOption, EngineOption, Machine, OutOption, StoreOption, YesOption

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = "quantity, guidance, domains, performers, prompts, training, test or robustness"


def sweep(
    name: Annotated[str, typer.Argument(help=f"What is varied: {NAMES}.")],
    config: Annotated[Path, typer.Argument(help="YAML file: data, missing, pipeline, evaluate, seeds.")],
    out: OutOption,
    values: Annotated[
        str | None,
        typer.Option(
            help="1,5,20, or YAML: '[1, [1, 5]]' for guidance, '{named: label, told: {name: descriptions, file: x.json}}' for prompts, "
            "'{p: [0, 90], q: [0, 50]}' for robustness. Missing ratios are percent."
        ),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="To be compared, such as zero-fill,hot-deck,gti-mm.")] = None,
    rate: Annotated[float, typer.Option(help="The one dropout rate, for robustness.", min=0.0, max=1.0)] = 0.5,
    target: Annotated[
        str | None, typer.Option(help="The modality that goes missing, where the configuration does not say it.")
    ] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    yes: YesOption = False,
) -> None:
    """Vary one quantity on your data: generated items, guidance, prompts, or what is missing in training and at test."""
    from gtimm.cli.tables import progress_line
    from gtimm.experiments.sweeps.sweep import run_sweep

    chosen = [one.strip() for one in methods.split(",") if one.strip()] if methods else []
    options = {"values": read_values(values), "methods": chosen, "rate": rate, "target": target}
    place = Machine(store, device, engine, address, yes).options(configured_engine(config))
    with progress_line("sweep", out) as say:
        results = run_sweep(name, config, out, **options, **place, say=say)
    print_sweeps(results, out)


def read_values(text: str | None) -> Any:
    """Return the values of `--values`: YAML, or words and numbers between commas.

    Example:
        >>> read_values("1,5,20"), read_values("label, domain"), read_values("[1, [1, 5]]")
        ([1, 5, 20], ['label', 'domain'], [1, [1, 5]])
    """
    from gtimm.core.errors import ConfigError
    from gtimm.core.plain import from_yaml

    if text is None:
        return None
    try:
        found = from_yaml(text)
        if isinstance(found, str):
            return [from_yaml(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--values {text!r} is not plain YAML: {error}") from error
    return [found] if isinstance(found, int | float) else found


def print_sweeps(results: Mapping[str, Any], folder: Path) -> None:
    """Print each curve and matrix as a table, with its sentence."""
    from rich.markup import escape
    from rich.table import Table

    from gtimm.cli.tables import print_end
    from gtimm.core.terminal import terminal

    console = terminal(highlight=False)
    for one in results["sweeps"]:
        places = list(dict.fromkeys(point["x"] for series in one["series"] for point in series["points"]))
        if one["name"].startswith("frontier"):
            continue
        table = Table(title=escape(f"{one['title']} ({one['metric']}, %)"), title_justify="left", title_style="bold")
        table.add_column(escape(one["x"]))
        for series in one["series"]:
            table.add_column(escape(series["name"]), justify="right")
        for place in places:
            found = [next((p for p in series["points"] if p["x"] == place), None) for series in one["series"]]
            label = place if isinstance(place, str) else f"{place:g}"
            table.add_row(escape(label), *("" if p is None or p["mean"] is None else f"{100 * p['mean']:.1f}" for p in found))
        console.print(table)
        console.print(escape(one["sentence"]))
    for one in results["matrices"]:
        table = Table(title=escape(f"{one['title']} ({one['metric']}, %)"), title_justify="left", title_style="bold")
        table.add_column("missing in training")
        for q in one["q"]:
            table.add_column(f"{q:.0%} at test", justify="right")
        for p, row in zip(one["p"], one["values"], strict=True):
            table.add_row(f"{p:.0%}", *(f"{100 * value:.1f}" for value in row))
        console.print(table)
    print_end(console, results, folder)
