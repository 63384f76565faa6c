"""`gtimm compare`: from a data set or a configuration to a recommendation; a dry run says what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from gtimm.cli.options import Machine
from gtimm.core.terminal import terminal
from gtimm.report import wording

if TYPE_CHECKING:
    from rich.console import Console

    from gtimm.experiments.comparison.plan import ComparePlan


def compare_command(
    what: str, out: Path, given: Mapping[str, Any], machine: Machine, *, seeds: int | None = None, dry_run: bool = False
) -> None:
    """Run a comparison into a run folder, or print what it would do.

    Args:
        what: a YAML file, or a data set by name.
        out: the run folder.
        given: fields of the configuration's `compare`, and `backbone`; what was not given is `None`.
        machine: where it runs.
        seeds: how many.
        dry_run: print the plan only.
    """
    from gtimm.cli.tables import progress_line
    from gtimm.experiments.comparison.compare import read_compare
    from gtimm.experiments.comparison.plan import plan_compare

    plain = compare_config(what, given, seeds)
    parsed, data, config = read_compare(plain, what if Path(what).is_file() else None)
    with progress_line("compare", out) as say:
        plan = plan_compare(parsed, data, config, machine.options(parsed.pipeline.get("engine")), say)
        if dry_run:
            print_plan(plan, out)
            return
        found = plan.run(out)
    print_comparison(found.results, out)


def compare_config(what: str, given: Mapping[str, Any], seeds: int | None) -> dict[str, Any]:
    """Return the plain form of a comparison: of a file, of a file without `compare` and options, or of a data set and options."""
    from gtimm.core.config import read_yaml
    from gtimm.core.errors import ConfigError

    options = {name: value for name, value in given.items() if value not in (None, [])}
    backbone = options.pop("backbone", None)
    file = Path(what)
    plain: dict[str, Any] = read_yaml(file) if file.suffix in (".yaml", ".yml") or file.is_file() else {"data": what}
    if "compare" in plain and (options or backbone or seeds):
        name = next(iter(options), "backbone" if backbone else "seeds").replace("_", "-")
        name = {"methods": "method", "budgets": "budget"}.get(name, name)
        raise ConfigError(f"{what} says what is compared; change it there instead of giving --{name}.")
    plain.setdefault("compare", {}).update(options)
    if backbone:
        plain["pipeline"] = {**plain.get("pipeline", {}), "backbone": backbone}
    return plain if seeds is None else {**plain, "seeds": seeds}


def print_plan(plan: ComparePlan, out: Path) -> None:
    """Print the models and cells of a comparison, what is done already, and what generators are asked for."""
    from gtimm.cli.generate import print_outlook

    console = terminal(highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("method", "role"):
        table.add_column(name)
    for name in ("budgets", "models", "cells"):
        table.add_column(name, justify="right")
    for contender in dict.fromkeys(entry.contender.name for entry in plan.entries):
        same = [entry for entry in plan.entries if entry.contender.name == contender]
        budgets = sorted({entry.job.setting.budget for entry in same if entry.job.setting.budget})
        trained, cells = {entry.job.model for entry in same}, {entry.job.key for entry in same}
        role, listed = same[0].contender.role, ", ".join(map(str, budgets))
        table.add_row(escape(contender), role, listed, str(len(trained) * len(plan.grid.seeds)), str(len(cells)))
    console.print(table)
    plan.grid.folder = out / "cells"
    jobs = plan.jobs
    models = len({job.model for job in jobs}) * len(plan.grid.seeds)
    console.print(
        f"{models:,} models of {len(plan.grid.seeds)} seeds, {len(jobs):,} cells, {plan.grid.stored(jobs):,} of them done."
    )
    for line in plan.left_out:
        console.print(escape(line))
    work = plan.work()
    if work.jobs:
        print_outlook(console, work)
    else:
        console.print("Nothing is generated.")


def print_comparison(results: Mapping[str, Any], folder: Path) -> None:
    """Print a table for each condition, and the recommendation with its evidence."""
    from gtimm.cli.tables import print_end

    console = terminal()
    comparisons = results["comparisons"]
    metric = comparisons[0]["metric"] if comparisons else results["rows"][0]["metric"]
    rows = [row for row in results["rows"] if row["metric"] == metric]
    for condition in _conditions(comparisons):
        tested = [one for one in comparisons if _condition(one) == condition]
        baseline = tested[0]["against"]
        title = f"{_title(tested[0])}. Differences are from {baseline}, in points; p is corrected."
        table = Table(
            title=escape(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        table.add_column("method", overflow="fold", min_width=16)
        for name in (metric.replace("_", " "), "interval", "difference", "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in sorted(_of(condition, rows), key=lambda row: -row["mean"]):
            table.add_row(*_line(row, [one for one in tested if one["against"] == baseline]))
        console.print(table)
    _print_costs(console, results["costs"])
    for note in results["notes"]:
        console.print(f"- {escape(note)}", highlight=False)
    if found := results["recommendation"]:
        console.print(f"\n[bold]{escape(found['sentence'])}[/bold]", highlight=False)
        for one in found["evidence"]:
            console.print(f"- {escape(one['sentence'])}", highlight=False)
    console.print()
    print_end(console, results, folder)


def _print_costs(console: Console, costs: Sequence[Mapping[str, Any]]) -> None:
    """Print what methods that generate cost, and what training takes."""
    seconds = [cost["train_seconds"] for cost in costs if cost["train_seconds"] is not None]
    made = [cost for cost in costs if cost["items"]]
    for cost in made:
        took = "" if cost["generate_seconds"] is None else f", {wording.duration(cost['generate_seconds'])} to make"
        console.print(f"{escape(_name(cost))}: {cost['items']:,} generated items{took}.", highlight=False)
    if seconds:
        console.print(f"Training and scoring took {min(seconds):.2g} to {max(seconds):.2g} s a model.", highlight=False)


def _name(part: Mapping[str, Any]) -> str:
    return str(part["method"]) + ("" if part["budget"] is None else f", {part['budget']}/class")


def _line(row: Mapping[str, Any], compared: Sequence[Mapping[str, Any]]) -> list[str]:
    found = next((one for one in compared if (one["method"], one["budget"]) == (row["method"], row["budget"])), None)
    difference = p_value = ""
    if found is not None:
        difference = wording.gain(found["difference"], found["ci_low"], found["ci_high"])
        p_value = wording.p_value(found["p_adjusted"])
    interval = f"{100 * row['ci_low']:.1f} to {100 * row['ci_high']:.1f}"
    return [escape(_name(row)), wording.percent(row["mean"]), interval, escape(difference), p_value]


def _condition(part: Mapping[str, Any]) -> tuple[Any, ...]:
    return part["mechanism"], tuple(part["missing_train"].items()), tuple(part["missing_test"].items())


def _conditions(comparisons: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(_condition(one) for one in comparisons))


def _of(condition: tuple[Any, ...], rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of one condition, with those that nothing missing in training, or at test, touches."""
    exact = [row for row in rows if _condition(row) == condition]
    names = {row["method"] for row in exact}
    whole = [row for row in rows if not row["missing_train"] and row["method"] not in names]
    touched = {row["method"] for row in whole if row["missing_test"]}
    near = [row for row in whole if row["method"] not in touched or tuple(row["missing_test"].items()) == condition[2]]
    return [*exact, *near]


def _title(part: Mapping[str, Any]) -> str:
    train = wording.sentence(wording.setting(part["missing_train"], part["mechanism"]))
    return f"{train}; at test {wording.ratios(part['missing_test'])} missing" if part["missing_test"] else train
