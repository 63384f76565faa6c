"""`gtimm generate`: the items that a configuration's runs need, planned, costed and made ahead of training."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from gtimm.cli.interruption import interruptible
from gtimm.cli.options import Machine
from gtimm.core.terminal import terminal
from gtimm.report import wording

if TYPE_CHECKING:
    from rich.console import Console

    from gtimm.core.bank.planning import Done, Outlook, Shard, Work


def generate_config(
    config: Path,
    machine: Machine,
    *,
    shard: str | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    measure: bool = False,
    as_json: bool = False,
) -> None:
    """Print what the runs of a configuration will ask generators for, and make what is missing unless it is a dry run."""
    from gtimm.cli.engine import configured_engine
    from gtimm.core.bank.planning import Done
    from gtimm.core.errors import ConfigError, GenerationError

    if measure and not dry_run:
        raise ConfigError("--measure belongs to --dry-run; without that the hours are measured where they must be known.")
    part = _shard(shard)
    console, done = terminal(stderr=as_json, highlight=False), Done()
    with interruptible(lambda: f"{done.made:,} items were made and are kept"):
        work = _work(config, machine.options(configured_engine(config)))
        if measure:
            _measure(work, done, part)
        ahead = [work.outlook(job, part) for job in work.jobs]
        if not as_json:
            _print_plan(console, work, ahead, part, dry_run)
        if not dry_run:
            _agree(console, work, done, part, limit, machine.yes)
            for job in work.jobs:
                work.make(job, done, part, limit)
    if as_json:
        print(json.dumps(_plain(work, ahead, part, None if dry_run else done), indent=2))
    elif not dry_run or measure:
        _print_done(console, done, sum(work.outlook(job, part).to_make for job in work.jobs))
    if done.failed:
        raise GenerationError("; ".join(f"{folder}: {text}" for folder, text in done.failed.items()))


def _work(config: Path, options: dict[str, Any]) -> Work:
    """Return what the runs of a configuration, or its comparison, ask generators for."""
    from gtimm.core.bank.planning import plan_config
    from gtimm.core.config import RunConfig, read_yaml

    plain = read_yaml(config)
    if "compare" in plain:
        from gtimm.experiments.comparison.compare import read_compare
        from gtimm.experiments.comparison.plan import plan_compare

        parsed, data, plain = read_compare(plain, config)
        return plan_compare(parsed, data, plain, options).work()
    parsed = RunConfig.of(plain, config)
    return plan_config(parsed, parsed.load_data(config.parent), **options)


def _shard(text: str | None) -> Shard:
    from gtimm.core.errors import ConfigError

    if text is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard is I/N with I in 1..N, such as 2/8 for the second of eight; found {text!r}.")
    return int(found[1]), int(found[2])


def _measure(work: Work, done: Done, shard: Shard) -> None:
    """Make one batch of each job whose speed is not known; its items are kept."""
    for job in work.jobs:
        ahead = work.outlook(job, shard)
        if ahead.seconds is None and ahead.batches:
            work.make(job, done, shard, limit=done.batches + 1)


def _agree(console: Console, work: Work, done: Done, shard: Shard, limit: int | None, yes: bool) -> None:
    """Ask above an hour; where the speed is not known, a first batch tells it."""
    from gtimm.core.bank.generation import ASK_ABOVE_SECONDS
    from gtimm.core.errors import GenerationError

    if yes:
        return
    _measure(work, done, shard)
    ahead = [work.outlook(job, shard) for job in work.jobs]
    seconds = sum(one.seconds or 0.0 for one in ahead)
    if limit is not None:
        seconds *= min(1.0, limit / max(sum(one.batches for one in ahead), 1))
    if seconds <= ASK_ABOVE_SECONDS:
        return
    if sys.stdin.isatty():
        from rich.prompt import Confirm

        if Confirm.ask(f"This will take about {wording.duration(seconds)} on one worker. Go on?", console=console):
            return
    kept = f" {done.made:,} items were made and are kept." if done.made else ""
    raise GenerationError(
        f"Making the missing items would take about {wording.duration(seconds)} on one worker.{kept} Pass --yes to go on, --shard to share "
        "the work, or lower per_class."
    )


def print_outlook(console: Console, work: Work) -> None:
    """Print what all jobs will make and what that costs."""
    ahead = [work.outlook(job) for job in work.jobs]
    _print_plan(console, work, ahead, (1, 1), dry_run=False)
    if any(one.seconds is None for one in ahead):
        console.print(f"? unknown: nothing was made on {work.device} yet. `gtimm generate CONFIG --dry-run --measure` tells.")


def _print_plan(console: Console, work: Work, ahead: Sequence[Outlook], shard: Shard, dry_run: bool) -> None:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in ("generator", "modality"):
        table.add_column(name, overflow="fold", min_width=len(name))
    for name in ("classes", "wanted", "there", "to make", "batches", "time", "disk"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in ahead:
        counts = [f"{value:,}" for value in (one.wanted, one.there, one.to_make, one.batches)]
        table.add_row(
            escape(one.generator),
            escape(", ".join(one.modalities)),
            str(one.classes or "by row"),
            *counts,
            "?" if one.seconds is None else wording.duration(one.seconds),
            ("" if one.measured else "~") + _bytes(one.bytes),
        )
    console.print(table)
    if shard != (1, 1):
        console.print(f"Shard {shard[0]} of {shard[1]}: what is to make is its share.")
    if dry_run and any(one.seconds is None for one in ahead):
        console.print(
            f"? unknown: nothing was made on {work.device} yet. Add --measure, which makes one batch and keeps its items."
        )
    if any(not one.measured and one.to_make for one in ahead):
        console.print("~ size assumed; with items there it is measured.")
    if given_up := sum(one.given_up for one in ahead):
        console.print(f"{given_up:,} items were turned down by their gate with every seed; no other is tried.")
    _print_space(console, work, ahead)
    for one in ahead:
        console.print(f"{escape(one.generator)}: {one.folder}", soft_wrap=True)


def _print_space(console: Console, work: Work, ahead: Sequence[Outlook]) -> None:
    import shutil

    folder = next((one for one in [work.bank.folder, *work.bank.folder.parents] if one.is_dir()), Path())
    free, needed = shutil.disk_usage(folder).free, sum(one.bytes for one in ahead)
    if needed > free:
        console.print(
            f"[yellow]{_bytes(needed)} are needed and {_bytes(free)} are free on the disk of {escape(str(folder))}.[/yellow]"
        )


def _print_done(console: Console, done: Done, left: int) -> None:
    if not done.made and not left and not done.failed:
        console.print("Everything is there.")
        return
    rate = f" in {done.seconds:,.1f} s, {done.made / max(done.seconds, 1e-9):,.1f}/s" if done.made else ""
    rest = f"; {left:,} are left" if left else ""
    console.print(f"{done.made:,} items made{rate}{rest}")


def _plain(work: Work, ahead: Sequence[Outlook], shard: Shard, done: Done | None) -> dict[str, Any]:
    names = ("generator", "modalities", "classes", "wanted", "there", "to_make", "batches", "given_up", "seconds", "bytes")
    jobs = [{n: getattr(one, n) for n in names} | {"bytes_measured": one.measured, "folder": str(one.folder)} for one in ahead]
    plain: dict[str, Any] = {"device": work.device, "shard": list(shard), "jobs": jobs}
    if done is not None:
        failed = {str(folder): text for folder, text in done.failed.items()}
        plain |= {"made": done.made, "seconds": done.seconds, "failed": failed}
    return plain


def _bytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
