"""`gtimm run`: one configuration over its seeds, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gtimm.core.config import RunConfig, absolute_paths, read_yaml
from gtimm.core.fusion import Fusion
from gtimm.core.imputer import Generator
from gtimm.core.metrics import by_row
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.core.registry import registry
from gtimm.experiments.folder import RunFolder, environment
from gtimm.experiments.grid import Cell, rows_of
from gtimm.experiments.methods import METHODS, Setting
from gtimm.experiments.statistics import Bootstrap

if TYPE_CHECKING:
    from gtimm.core.targets import Labels


def run_config(
    config: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    store: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train and score a configuration, seed by seed; writes the run folder and returns what `results.json` holds.

    Args:
        config: a YAML file, or its mapping.
        out: the run folder.
        store: folder of bank and features.
        say: called with a line of progress.
    """
    base = Path(config).resolve().parent if isinstance(config, (str, Path)) else Path()
    plain = read_yaml(config) if isinstance(config, (str, Path)) else dict(config)
    parsed = RunConfig.of(plain)
    data = parsed.load_data(base)
    options = {**parsed.pipeline_options(), **({"store": store} if store else {})}
    pipes = [Pipeline.from_config(options, seed=seed) for seed in parsed.seed_list]
    missing, hidden = Missing.of(parsed.missing), Missing.of(parsed.evaluate.missing)
    for pipe in pipes:
        pipe.check(data.train, data.val, missing)
        pipe.check_evaluation(data.test.with_missing(hidden, pipe.seed))
    folder = RunFolder(out)
    folder.config(absolute_paths(plain, base.resolve()))  # the copy reads the same files from elsewhere
    folder.log("start", seeds=parsed.seed_list)
    began = time.perf_counter()
    values, scores, counters, runs = [], [], {"generated": 0, "embedded": 0}, []
    from gtimm.core import training

    for pipe in pipes:
        say(f"seed {pipe.seed}: preparing")
        runs.append(pipe.prepare(data.train, data.val, missing))
    say(f"training {len(runs)} heads")
    training.train(runs)
    for pipe, run in zip(pipes, runs, strict=True):
        pipe.adopt(run)
        test = data.test.with_missing(hidden, pipe.seed)
        scores.append(pipe.evaluate(test))
        metric, each = by_row(pipe.predict_proba(test), cast("Labels", test.labels))
        values.append(each)
        for name, value in pipe.counters.items():
            counters[name] += value
        folder.log("scored", seed=pipe.seed, scores=scores[-1], **({"chosen": pipe.chosen} if pipe.chosen else {}))
    name, budget = _describe(pipes[0])
    name = parsed.method or name
    setting = Setting(data.facts.get("name", data.train.name), name, missing.mechanism, missing.shares, hidden.shares, budget)
    seconds = time.perf_counter() - began
    rows = rows_of([Cell(setting, np.array(values), seconds, metric)], Bootstrap(len(data.test), len(pipes)))
    for other in [name for name in scores[0] if name != metric]:
        found = np.array([s[other] for s in scores])
        spread = float(found.std(ddof=1)) if len(found) > 1 else 0.0
        rows.append({**rows[0], "metric": other, "mean": float(found.mean()), "std": spread, "ci_low": None, "ci_high": None})
    results = {
        "title": f"{name} on {setting.dataset}",
        "command": f"gtimm run {folder.path / 'config.yaml'} -o {folder.path}",
        "data": dict(data.facts),
        "environment": environment(),
        "counters": counters,
        "seconds": seconds,
        "rows": rows,
    }
    folder.results(results)
    folder.log("end", seconds=seconds)
    from gtimm.report.page import write_report

    write_report(folder.path)
    return results


def _describe(pipe: Pipeline) -> tuple[str, int | None]:
    """Return the method's name, a preset's where it is one, and the budget a class."""
    fills = [m for m in METHODS.values() if m.target and m.others and not (m.complete_rows or m.complete_data or m.generates)]
    names, budget = [], None
    for imputer in pipe.imputers:
        if isinstance(imputer, Generator):
            names.append("gti-mm")
            budget = getattr(imputer, "per_class", None)
        else:
            same = [m.name for m in fills if registry("imputers").create(m.imputer) == imputer]
            names.append(same[0] if same else registry("imputers").spec(imputer)["name"])
    name = "+".join(dict.fromkeys(n for n in names if n != "zero-fill")) or (names[0] if names else "no imputer")
    if pipe.rows == "complete":
        name, budget = "complete rows", None
    if type(pipe.fusion).hide is not Fusion.hide:
        name += "-dropout"
    if pipe.balance is not None:
        name += f"-{registry('balance').spec(pipe.balance)['name']}"
    if pipe.modalities is not None:
        name += f" ({' + '.join(pipe.modalities)} only)"
    return name, budget
