"""`gtimm`: the command line. Exit code 2 for what the user, or the author of a plug-in, can mend, 1 for a fault of ours."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from gtimm.cli import bank, cache, check, reproduce, sweep
from gtimm.cli.interruption import Commands, heed_sigterm
from gtimm.cli.options import AddressOption, DeviceOption, EngineOption, Machine, OutOption, StoreOption, YesOption
from gtimm.core.terminal import harmless, notes_of

app = typer.Typer(
    name="gtimm",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Learn from multi-modal data with missing modalities: fill the gaps, train, see whether it helped.",
    epilog="Start with: [bold]gtimm demo[/bold]",
)

app.add_typer(cache.app, name="cache")
app.add_typer(bank.app, name="bank")
app.add_typer(check.app, name="check")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    """Learn from multi-modal data with missing modalities: fill the gaps, train, see whether it helped."""
    if version:
        from gtimm import __version__

        typer.echo(f"gtimm {__version__}")
        raise typer.Exit


@app.command(
    epilog="Examples: [bold]gtimm demo[/bold]; [bold]gtimm demo --missing audio[/bold]; [bold]gtimm demo --speech recordings/[/bold]"
)
def demo(
    out: OutOption = Path("runs/demo"),
    missing: Annotated[str, typer.Option(help="What is missing and generated: image, or audio (needs gtimm[speech]).")] = "image",
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 8,
    speech: Annotated[
        Path | None, typer.Option(help="Folder of real spoken digits, {digit}_{speaker}_{index}.wav, instead of synthetic ones.")
    ] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if the verdict does not hold.")] = False,
) -> None:
    """Fill missing images by a real diffusion pipeline (or sound by speech), train, and show on real handwriting whether it helped."""
    from gtimm.cli.tables import print_results, progress_line
    from gtimm.experiments.demo import run_demo

    with progress_line("demo", out) as say:
        heard = str(speech) if speech else None
        place = Machine(store, device, engine, address)
        results = run_demo(out, missing=missing, seeds=seeds, speech=heard, say=say, **place.options())
    print_results(results, out)
    if strict and not results["verdict"]["holds"]:
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]gtimm run experiment.yaml -o runs/first[/bold]")
def run(
    config: Annotated[Path, typer.Argument(help="YAML file: data, missing, pipeline, evaluate, seeds.")],
    out: OutOption,
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    yes: YesOption = False,
) -> None:
    """Train and score a configuration over its seeds; or run again what a run folder's config.yaml says."""
    from gtimm.cli.run import run_file

    run_file(config, out, Machine(store, device, engine, address, yes))


@app.command(
    epilog="Examples: [bold]gtimm compare digits --missing 0.95 --missing 0.99[/bold]; "
    "[bold]gtimm compare experiment.yaml --dry-run[/bold]; [bold]gtimm compare experiment.yaml -o runs/first[/bold]; interrupted, the same "
    "command goes on where it stopped"
)
def compare(
    what: Annotated[
        str, typer.Argument(help="YAML file: data, pipeline, compare, seeds; or a data set by name.", metavar="CONFIG|NAME")
    ],
    out: OutOption = Path("runs/compare"),
    missing: Annotated[list[float] | None, typer.Option(help="Missing ratio in training; several.", min=0, max=1)] = None,
    test_missing: Annotated[list[float] | None, typer.Option(help="Missing ratio at test; several.", min=0, max=1)] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="A preset or an imputer; several. Default: all fills.")
    ] = None,
    budgets: Annotated[list[int] | None, typer.Option("--budget", help="Generated items a class; several.", min=1)] = None,
    target: Annotated[str | None, typer.Option(help="The modality that is missing; default image.")] = None,
    mechanism: Annotated[str | None, typer.Option(help="random, stratified or classes.")] = None,
    generator: Annotated[str | None, typer.Option(help="What generates, such as stable-diffusion.")] = None,
    backbone: Annotated[str | None, typer.Option(help="What embeds, such as imagebind or clip.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds; default 5.", min=1)] = None,
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print models, cells and generation with its hours; run nothing.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Compare ways to fill what is missing on your data, with every baseline, and recommend one, or say that none is better."""
    from gtimm.cli.compare import compare_command

    given = {
        "missing": missing,
        "test_missing": test_missing,
        "methods": methods,
        "budgets": budgets,
        "target": target,
        "mechanism": mechanism,
        "generator": generator,
        "backbone": backbone,
    }
    compare_command(what, out, given, Machine(store, device, engine, address, yes), seeds=seeds, dry_run=dry_run)


@app.command(
    epilog="Examples: [bold]gtimm prepare ucf101 --root UCF101 --out prepared[/bold]; "
    "[bold]gtimm prepare clips.csv -m video=film -m audio=film --out prepared[/bold]; "
    "[bold]gtimm prepare experiment.yaml --out prepared[/bold]; on a cluster [bold]gtimm prepare ucf101 --root UCF101 --out prepared "
    "--engine ray --address auto[/bold]; interrupted, the same command goes on where it stopped"
)
def prepare(
    what: Annotated[
        str,
        typer.Argument(
            help="A data set of films by name, a table (.csv, .tsv, .parquet, .jsonl), class folders, or a YAML file whose data is one.",
            metavar="NAME|TABLE|FOLDER|CONFIG",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of frames, sounds and their index.")],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set, or that a table's paths are relative to; default the configuration's."),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            "-m",
            metavar="NAME=COLUMN",
            help="Of a table or folder: a modality and its column, or NAME:KIND=COLUMN; default: those named video, audio, ...",
        ),
    ] = None,
    frames: Annotated[str, typer.Option(help="png: every pixel as in the film; jpeg: quality 95, smaller.")] = "png",
    sound: Annotated[str, typer.Option(help="wav or flac: 16 kHz, first channel, 16 bits.")] = "wav",
    workers: Annotated[int | None, typer.Option(help="Processes of this machine; default the cores.", min=1)] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Take what cannot be decoded as holes instead of exiting with code 2.")
    ] = False,
    engine: EngineOption = None,
    address: AddressOption = None,
) -> None:
    """Take the middle frame and the sound of every film once, so that training never decodes a film again."""
    from gtimm.cli.prepare import prepare_films

    prepare_films(what, out, root, modality or [], frames, sound, workers, skip_unreadable, engine, address)


@app.command(
    epilog="Examples: [bold]gtimm embed experiment.yaml[/bold]; on a cluster [bold]gtimm embed experiment.yaml --engine ray --address "
    "auto[/bold]; interrupted, the same command goes on where it stopped"
)
def embed(
    config: Annotated[Path, typer.Argument(help="YAML file: data, pipeline.")],
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
) -> None:
    """Embed all payloads of a configuration's data, so that training finds them in the store."""
    from gtimm.cli.embed import embed_config

    embed_config(config, Machine(store, device, engine, address))


@app.command(
    epilog="Examples: [bold]gtimm generate experiment.yaml --dry-run[/bold]; [bold]gtimm generate experiment.yaml --yes[/bold]; "
    "[bold]gtimm generate experiment.yaml --shard 2/8[/bold]; on a cluster [bold]gtimm generate experiment.yaml --engine ray --address "
    "auto[/bold]; interrupted, the same command goes on where it stopped"
)
def generate(
    config: Annotated[Path, typer.Argument(help="YAML file: data, missing, pipeline, evaluate, seeds.")],
    store: StoreOption = None,
    device: DeviceOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    shard: Annotated[str | None, typer.Option(help="I/N: only this share of the batches, for job arrays.", metavar="I/N")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many batches.", min=1)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be made and what it costs; make nothing.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="With --dry-run: make one batch, kept, to know the hours.")] = False,
    yes: YesOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the items that all runs of a configuration will ask generators for, so that training finds them in the store."""
    from gtimm.cli.generate import generate_config

    generate_config(
        config,
        Machine(store, device, engine, address, yes),
        shard=shard,
        limit=limit,
        dry_run=dry_run,
        measure=measure,
        as_json=as_json,
    )


app.command(
    epilog="Examples: [bold]gtimm reproduce all --preset digits -o runs/digits[/bold]; "
    "[bold]gtimm reproduce table3 --preset ucf101 --root UCF101 --dry-run[/bold]; [bold]gtimm reproduce --list[/bold]"
)(reproduce.reproduce)
app.command(
    epilog="Examples: [bold]gtimm sweep quantity experiment.yaml -o runs/quantity[/bold]; "
    "[bold]gtimm sweep training experiment.yaml --values 50,90,95 -o runs/training[/bold]"
)(sweep.sweep)


@app.command(
    epilog="Examples: [bold]gtimm report runs/demo[/bold]; [bold]gtimm report runs/demo -o elsewhere[/bold]; "
    "[bold]gtimm report runs/first runs/second -o runs/both[/bold]"
)
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, each with results.json.", metavar="RUN...")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; default the run's own. Several runs need one.")
    ] = None,
) -> None:
    """Write the page, figures and tables of a run again, or join several runs; rows on different data are kept apart."""
    from gtimm.cli.report import report_runs

    report_runs(runs, out)


@app.command(
    epilog="Examples: [bold]gtimm plugins[/bold]; [bold]gtimm plugins clip[/bold]; [bold]gtimm plugins --details --json[/bold]"
)
def plugins(
    name: Annotated[str | None, typer.Argument(help="Show all about the strategies of this name.")] = None,
    details: Annotated[bool, typer.Option("--details", help="Show all about every strategy; imports them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List strategies: name, kind and origin, from package metadata alone; by name: options, capabilities, licences, what is missing."""
    from gtimm.cli import plugins as listing

    if name is None and not details:
        listing.print_list(as_json)
    elif not listing.print_details(name, as_json):
        raise typer.Exit(2)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""Errors of a file system that is full or cannot be written."""


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    warnings.formatwarning = lambda message, *_, **__: harmless(f"warning: {message}\n")
    heed_sigterm()
    try:
        app()
    except Exception as error:
        said = _said(error)
        if said is None or os.environ.get("GTIMM_TRACEBACK"):
            raise
        print(harmless(f"gtimm: {said}"), file=sys.stderr)
        sys.exit(2)


def _said(error: Exception) -> str | None:
    """Return what to say of an error that the user, or the author of a plug-in, can mend; `None` for a fault of ours."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error}. Free some space, or choose a folder that can be written."
    asking, errors = sys.modules.get("gtimm.core.asking"), sys.modules.get("gtimm.core.errors")
    fault = (
        None if asking is None else next((one for one in notes_of(error) if isinstance(one, asking.Fault) and not one.ours), None)
    )
    if errors is not None and isinstance(error, errors.GtimmError):
        return f"{error}" if fault is None else f"{error} ({fault}.)"
    return None if fault is None else f"{fault}: {error}.{fault.hint} With GTIMM_TRACEBACK=1 the traceback is shown."


if __name__ == "__main__":
    main()
