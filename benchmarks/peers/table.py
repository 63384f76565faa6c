"""The table of a run, as Markdown."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from field import FIELD
from measuring import Record, lines_of

Found = dict[str, dict[str, Record]]
"""Contender to mask (such as `0.95-0`) to record."""
START, END = "<!-- peers: written by benchmarks/peers/run.py --write -->", "<!-- end of peers -->"


@dataclass
class Settings:
    """How a run was made."""

    missing: list[float]
    seeds: int
    threads: int
    versions: dict[str, dict[str, str]]
    absent: dict[str, str]
    command: str
    chosen: dict[str, dict[str, dict[str, object]]]


def markdown(found: Found, settings: Settings, seconds: Path) -> str:
    """Return two tables, of accuracy and of costs, and how they were made.

    Args:
        found: the records.
        settings: of the run.
        seconds: file with the seconds that one embedding took when the embeddings were made.
    """
    shares = [f"{share:g}" for share in settings.missing]
    lines = [_made(settings), "", "Test accuracy in percent, mean (lowest to highest) over masks:", ""]
    heads = [f"{float(s):.0%} missing in training{half}" for s in shares for half in ("", "; 50% at test")]
    lines += [f"| contender | {' | '.join(heads)} | masks |", "| --- |" + " ---: |" * (len(heads) + 1)]
    for name, masks in found.items():
        cells = []
        for share in shares:
            records = [record for mask, record in masks.items() if mask.startswith(f"{share}-")]
            cells += [_spread(records, split) for split in ("test", "test_half")]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(masks)} |")
    lines += ["", "Processor seconds of a run, median over masks (by the clock in brackets); MB and lines:", ""]
    lines += [
        "| contender | first run | later run | of it start and read | generate | embed | fit and predict | peak MB | lines |"
    ]
    lines += ["| --- |" + " ---: |" * 8]
    each = json.loads(seconds.read_text(encoding="utf-8"))
    for contender in FIELD:
        if records := list(found.get(contender.name, {}).values()):
            first = [record for record in records if record.first]
            later = [record for record in records if not record.first]
            shown = first or later
            embed = "given" if contender.reads == "embeddings" else _phase(shown, "embed")
            fit = _phase(shown, "fit", "predict")
            if contender.script == "diffusers_reencode":
                embed = "in the loop"
            if contender.script == "imml_classifier" and contender.reads == "files":
                embed = "none"
            runs = [_whole(first), _whole(later)] if contender.keeps else [_whole(records), "the same"]
            cells = [*runs, _phase(shown, "start", "read"), _phase(shown, "generate"), embed, fit]
            cells += [f"{max(r.memory for r in records) / 1e6:,.0f}", str(lines_of(contender.script))]
            lines.append(f"| {contender.name} | {' | '.join(cells)} |")
    rates = ", ".join(f"{1e3 * processor:.2f} ms for {kind}" for kind, (_, processor) in each.items())
    lines += [
        "",
        f"Phases are of the first run where there is one. `given`: embeddings were made before, at {rates} of an item, processor.",
    ]
    lines += [f"Left out: {reason}" for reason in settings.absent.values()]
    return "\n".join(lines)


def _made(settings: Settings) -> str:
    parts = "; ".join(
        f"{place}: " + ", ".join(f"{n} {v}" for n, v in found.items()) for place, found in settings.versions.items()
    )
    return (
        f"`{settings.command}` on {_machine()}, {settings.threads} thread{'s' * (settings.threads > 1)} of numerical libraries a process. "
        f"Versions: {parts}."
    )


def _machine() -> str:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    load = f"; load at the end {float(_lines('/proc/loadavg')[0].split()[0]):.0f}" if _lines("/proc/loadavg") else ""
    return f"{names[0] if names else platform.processor()}, {max(len(names), 1)} cores, {platform.system()}{load}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []


def _spread(records: list[Record], split: str) -> str:
    values = [100 * record.accuracy[split] for record in records]
    if not values:
        return "–"
    return f"{mean(values):.1f}" + (f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else "")


def _whole(records: list[Record]) -> str:
    return _pair(records, lambda record: record.clock, lambda record: record.processor)


def _phase(records: list[Record], *phases: str) -> str:
    def total(record: Record, which: int) -> float:
        return sum(record.laps.get(phase, (0.0, 0.0))[which] for phase in phases)

    return _pair(records, lambda record: total(record, 0), lambda record: total(record, 1))


def _pair(records: list[Record], clock: Callable[[Record], float], processor: Callable[[Record], float]) -> str:
    if not records or not (spent := median(map(processor, records))):
        return "–"
    return f"{spent:.1f} ({median(map(clock, records)):.1f})"


def write(file: Path, table: str) -> None:
    """Put the table between the marks of a Markdown file."""
    before, _, rest = file.read_text(encoding="utf-8").partition(START)
    file.write_text(f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
