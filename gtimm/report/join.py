"""Several runs as one set of results, in which every row says from which run it comes.

Scores are put side by side only where they may be compared: data sets of one name that differ between runs, in their facts or in
their test rows, become data sets of their own; what cannot be told is said in a note.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtimm.core.errors import ConfigError, DataError
from gtimm.core.files import copy_file, entries, write_json
from gtimm.core.plain import from_json
from gtimm.experiments.schema import SCHEMA_VERSION, Exhibit, Results, Trained
from gtimm.report.results import read_results


@dataclass(frozen=True)
class Run:
    """A run to join: its name, its folder, its results."""

    name: str
    folder: Path
    results: Results


def write_joined(folders: Sequence[Path], out: Path) -> Path:
    """Join runs into a folder: `results.json` of kind `joined`, and the gallery's files; return the folder.

    Args:
        folders: of two runs or more; none may be joined itself.
        out: the new folder, or one of runs joined before, which is written anew.

    Raises:
        ConfigError: a run twice, or a folder that holds something else.
        DataError: a run's results cannot be read.
        StoreError: the folder cannot be written.
    """
    runs = read_runs(folders)
    check_target(out, [run.folder for run in runs])
    results = join(runs)
    command = f"gtimm report {shlex.join(str(f) for f in folders)} -o {shlex.quote(str(out))}"
    _write(out, results.model_copy(update={"command": command, "gallery": []}))  # first: it says whose folder this is
    gallery = [exhibit for run in runs for exhibit in _gallery(run, out, several=sum(bool(r.results.gallery) for r in runs) > 1)]
    _write(out, results.model_copy(update={"command": command, "gallery": gallery}))
    return out


def _write(out: Path, results: Results) -> None:
    plain = Results.model_validate(results.model_dump(by_alias=True)).model_dump(mode="json", by_alias=True)
    write_json(out / "results.json", {"schema_version": SCHEMA_VERSION, **plain})


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read runs and name them by their folders; equal names get the folder above in front.

    Raises:
        ConfigError: a run twice, or one that is joined itself.
        DataError: results cannot be read.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"{path} is named twice; a run can be joined once.")
    names = [path.name for path in paths]
    runs = []
    for folder, path in zip(folders, paths, strict=True):
        results = read_results(folder / "results.json")
        if results.kind == "joined":
            raise ConfigError(f"{folder} is joined of several runs itself; name those runs instead.")
        name = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        runs.append(Run(name, folder, results))
    named = [run.name for run in runs]
    return [Run(f"{r.name} ({i})", r.folder, r.results) if named.count(r.name) > 1 else r for i, r in enumerate(runs, 1)]


def check_target(out: Path, runs: Sequence[Path]) -> None:
    """Raise `ConfigError` where writing would mix with something that is not a joined run."""
    if any(out.resolve() == run.resolve() for run in runs):
        raise ConfigError(f"{out} is one of the runs; choose a new folder with -o.")
    if not out.exists() or (out.is_dir() and not entries(out)):
        return
    try:
        kind = from_json((out / "results.json").read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind != "joined":
        raise ConfigError(f"{out} exists and holds no joined runs; choose another folder with -o.")


def join(runs: Sequence[Run]) -> Results:
    """Return the results of several runs as one; the gallery and the command are left to the caller."""
    names, marks = data_names(runs)
    parts: dict[str, list[Any]] = {name: [] for name in ("rows", "comparisons", "details", "costs", "sweeps", "matrices")}
    for run in runs:
        renamed = names[run.name]
        for name in ("rows", "comparisons", "details", "costs"):
            for part in getattr(run.results, name):
                variant = {**part.variant, "run": run.name}
                parts[name].append(
                    part.model_copy(update={"dataset": renamed.get(part.dataset, part.dataset), "variant": variant})
                )
        for name in ("sweeps", "matrices"):
            for part in getattr(run.results, name):
                update = {"dataset": renamed.get(part.dataset, part.dataset), "title": f"{part.title} ({run.name})"}
                parts[name].append(part.model_copy(update=update))
    first = runs[0].results
    main = names[runs[0].name].get(str(first.data.get("name")), first.data.get("name"))
    return Results(
        kind="joined",
        title=f"{len(runs)} runs: {', '.join(run.name for run in runs)}",
        data={**({"name": main} if main else {}), "runs": [run.name for run in runs]},
        tests={names[run.name].get(name, name): found for run in runs for name, found in run.results.tests.items()},
        environment=_environment(runs),
        counters={
            k: sum(r.results.counters.get(k, 0) for r in runs) for k in dict.fromkeys(k for r in runs for k in r.results.counters)
        },
        seconds=sum(run.results.seconds or 0.0 for run in runs) or None,
        notes=[*marks, *(note for run in runs for note in _notes(run))],
        published=_published(runs),
        patterns=_patterns(runs),
        licences={name: licence for run in runs for name, licence in run.results.licences.items()},
        **parts,
    )


def data_names(runs: Sequence[Run]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return each run's data sets under their names in the joined results, and notes on what may not be compared.

    Data sets of one name are one where facts and test rows are equal, or where the test rows of a run were not recorded.
    """
    found: dict[str, dict[str, str]] = {run.name: {} for run in runs}
    notes = []
    for dataset in dict.fromkeys(part.dataset for run in runs for part in _trained(run)):
        having = [run for run in runs if any(part.dataset == dataset for part in _trained(run))]
        groups: list[list[Run]] = []
        for run in having:
            same = next((group for group in groups if _why_not(group[0], run, dataset) is None), None)
            groups.append([run]) if same is None else same.append(run)
        for group in groups if len(groups) > 1 else ():
            name = f"{dataset} ({', '.join(run.name for run in group)})"
            found |= {run.name: found[run.name] | {dataset: name} for run in group}
        for group in groups[1:]:
            reason = _why_not(groups[0][0], group[0], dataset)
            notes.append(
                f"{dataset} is not the same data in {groups[0][0].name} and {group[0].name} ({reason}): "
                "their rows stand apart and must not be compared."
            )
        unknown = [run.name for run in having if dataset not in run.results.tests]
        if len(having) > 1 and unknown:
            notes.append(
                f"{', '.join(unknown)}: which test rows of {dataset} were scored is not recorded, so that they are those of the "
                "other runs is taken on trust."
            )
    if any(run.results.comparisons for run in runs):
        notes.append("Corrected p-values are corrected within each run.")
    return found, notes


def _why_not(one: Run, other: Run, dataset: str) -> str | None:
    """Return why scores of two runs on a data set may not be compared; `None` where they may."""
    tests = (one.results.tests.get(dataset), other.results.tests.get(dataset))
    if None not in tests and tests[0] != tests[1]:
        return "other test rows"
    facts = one.results.data, other.results.data
    if all(fact.get("name") == dataset for fact in facts):
        differing = [key for key in dict.fromkeys([*facts[0], *facts[1]]) if facts[0].get(key) != facts[1].get(key)]
        if differing:
            key = differing[0]
            return f"{key}: {facts[0].get(key, 'not given')} and {facts[1].get(key, 'not given')}"
    return None


def _trained(run: Run) -> list[Trained]:
    return [*run.results.rows, *run.results.comparisons, *run.results.details]


def _notes(run: Run) -> list[str]:
    results, found = run.results, []
    if results.recommendation:
        found.append(results.recommendation.sentence)
    if results.verdict:
        found.append(results.verdict.sentence)
    return [f"{run.name}: {note}" for note in dict.fromkeys([*found, *results.notes])]


def _environment(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what all runs share once, and what they do not by run."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for run in runs for key in run.results.environment):
        values = {run.name: run.results.environment.get(key, "not recorded") for run in runs}
        same = all(value == next(iter(values.values())) for value in values.values())
        joined[key] = next(iter(values.values())) if same else values
    return joined


def _published(runs: Sequence[Run]) -> list[Any]:
    several = [e for e in {c.exhibit for r in runs for c in r.results.published} if sum(_has(r, e) for r in runs) > 1]
    return [
        c.model_copy(update={"exhibit": f"{c.exhibit} ({run.name})"}) if c.exhibit in several else c
        for run in runs
        for c in run.results.published
    ]


def _has(run: Run, exhibit: str) -> bool:
    return any(c.exhibit == exhibit for c in run.results.published)


def _patterns(runs: Sequence[Run]) -> list[Any]:
    having = [run for run in runs if run.results.patterns]
    if having and all(run.results.patterns == having[0].results.patterns for run in having):
        return having[0].results.patterns
    return [p.model_copy(update={"split": f"{p.split} ({run.name})"}) for run in having for p in run.results.patterns]


def _gallery(run: Run, out: Path, *, several: bool) -> list[Exhibit]:
    """Copy a run's gallery into the joined folder and return it with its new paths; files that are gone are left out."""
    root = run.folder.resolve()
    place = f"gallery/{run.name.replace('/', '-')}"

    def moved(file: str) -> str:
        source = (root / file).resolve()
        if not source.is_relative_to(root):
            raise DataError(f"The gallery of {run.folder} names {file!r}, which is outside the run folder.")
        if not file or not source.is_file():
            return ""
        target = out / place / source.name
        copy_file(source, target)
        return f"{place}/{source.name}"

    def items(found: Sequence[Any]) -> list[Any]:
        return [one.model_copy(update={"file": moved(one.file)}) for one in found]

    exhibits = []
    for exhibit in run.results.gallery:
        name = f"{exhibit.name} ({run.name})" if several else exhibit.name
        real = [file for file in map(moved, exhibit.real) if file]
        made: Mapping[str, Any] = {
            "generated": [g for g in items(exhibit.generated) if g.file],
            "rejected": items(exhibit.rejected),
        }
        exhibits.append(exhibit.model_copy(update={"name": name, "real": real, **made}))
    return exhibits
