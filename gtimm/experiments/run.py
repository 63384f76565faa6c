"""`gtimm run`: one configuration over its seeds, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gtimm.core.config import RunConfig, absolute_paths, read_yaml
from gtimm.core.fusion import Fusion
from gtimm.core.imputer import Generator
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.core.registry import registry
from gtimm.experiments.folder import RunFolder, environment
from gtimm.experiments.grid import Grid
from gtimm.experiments.identity import data_digest
from gtimm.experiments.methods import METHODS, Setting
from gtimm.experiments.rows import costs_of, detail_of, licences_of, patterns_of, rows_of, simulated

if TYPE_CHECKING:
    from gtimm.core.targets import Labels


def run_config(
    config: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    store: str | Path | None = None,
    device: str | None = None,
    engine: Any = None,
    generate: bool | Literal["ask"] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train and score a configuration, seed by seed; writes the run folder and returns what `results.json` holds.

    Args:
        config: a YAML file, or its mapping.
        out: the run folder.
        store: folder of bank and features; like the next three it wins over the configuration's.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run, such as `"ray"`.
        generate: as for `Pipeline`.
        say: called with a line of progress.
    """
    base = Path(config).resolve().parent if isinstance(config, (str, Path)) else Path()
    plain = read_yaml(config) if isinstance(config, (str, Path)) else dict(config)
    parsed = RunConfig.of(plain, config)
    data = parsed.load_data(base)
    place = {"store": store, "device": device, "engine": engine, "generate": generate}
    options = parsed.pipeline_options() | {name: value for name, value in place.items() if value is not None}
    described, budget = _describe(Pipeline.from_config(options))
    name = parsed.method or described
    missing, hidden = Missing.of(parsed.missing), Missing.of(parsed.evaluate.missing)
    setting = Setting.of(data.facts.get("name", data.train.name), name, missing, hidden, budget)
    target = next(iter({**hidden.shares, **missing.shares}), data.train.modalities[0])
    grid = Grid(data, target, {}, None, parsed.seed_list, say, {name: options})
    (job,) = grid.plan([setting])
    folder = RunFolder(out)
    folder.config(absolute_paths(plain, base.resolve()))  # the copy reads the same files from elsewhere
    folder.log("start", seeds=parsed.seed_list)
    began = time.perf_counter()
    grid.folder = folder.cells
    cells = grid.complete([job])
    for which, seed in enumerate(parsed.seed_list):
        chosen = cells[0].chosen[which]
        scores = {score: float(values[which]) for score, values in cells[0].scores.items()}
        folder.log("scored", seed=seed, scores=scores, **({"chosen": chosen} if chosen else {}))
    results = folder.results(
        {
            "kind": "run",
            "title": f"{name} on {setting.dataset}",
            "command": folder.command,
            "data": dict(data.facts),
            "tests": {setting.dataset: data_digest(data.test)},
            "environment": environment(),
            "counters": grid.counters,
            "seconds": time.perf_counter() - began,
            "rows": rows_of(cells, every_score=True),
            "costs": costs_of(cells, job.pipes[0].workspace),
            "details": [detail_of(cells[0], cast("Labels", data.test.labels), data.test.classes)],
            "patterns": patterns_of(data, simulated([job])),
            "licences": licences_of(job.pipes[:1]),
        }
    )
    folder.log("end", seconds=results["seconds"])
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
