"""What the command line prints: progress and result tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from gtimm.cli.interruption import interruptible
from gtimm.core.terminal import terminal
from gtimm.report import wording

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def progress_line(title: str, out: Path) -> Iterator[Callable[[str], None]]:
    """Print each step on standard error, with the seconds since the start; interrupted, say that the run folder keeps what was found."""
    import time
    import warnings

    console, began = terminal(stderr=True, highlight=False), time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {escape(title)}: {escape(line)}")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        with interruptible(f"What was found so far is kept in {out}"):
            yield say
    for text in dict.fromkeys(str(w.message) for w in caught if w.category is RuntimeWarning):
        console.print(f"[yellow]note[/yellow]  {escape(text)}")


def print_results(results: dict[str, Any], folder: Path) -> None:
    """Print one table for each setting, then the verdict and where the files are."""
    console = terminal()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in results["rows"]:
        groups.setdefault(_setting(row), []).append(row)
    for title, rows in groups.items():
        table = Table(title=escape(title), title_justify="left", title_style="bold")
        for name in ("method", "budget", "metric"):
            table.add_column(name)
        for name in ("mean", "95% interval", "std"):
            table.add_column(name, justify="right")
        for row in rows:
            interval = "" if row["ci_low"] is None else f"{row['ci_low']:.1%} to {row['ci_high']:.1%}"
            budget = "" if row["budget"] is None else str(row["budget"])
            table.add_row(escape(row["method"]), budget, row["metric"], f"{row['mean']:.1%}", interval, f"{row['std']:.1%}")
        console.print(table)
    for note in results.get("notes", []):
        console.print(f"- {escape(note)}", highlight=False)
    if verdict := results.get("verdict"):
        console.print(
            f"[bold]{'Verdict holds' if verdict['holds'] else 'VERDICT DOES NOT HOLD'}[/bold]: {escape(verdict['sentence'])}",
            highlight=False,
        )
    print_end(console, results, folder)


def print_end(console: Console, results: Mapping[str, Any], folder: Path) -> None:
    """Print what a run made, how long it took, and where its page is."""
    made = ", ".join(f"{value:,} {name}" for name, value in results["counters"].items())
    took = wording.duration(results["seconds"])
    console.print(f"{made}, {took}. Look at {escape(str(folder / 'report.html'))}", highlight=False)


def _setting(row: dict[str, Any]) -> str:
    train = wording.setting(row["missing_train"], row["mechanism"])
    test = f" | {wording.ratios(row['missing_test'])} missing at test" if row["missing_test"] else ""
    return f"{row['dataset']} | {train}{test}"
