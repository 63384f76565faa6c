"""`gtimm sweep`: one quantity varied on the data and Pipeline of a configuration, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gtimm.core.config import RunConfig, absolute_paths, read_yaml
from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.imputer import Generator
from gtimm.core.missing import Missing
from gtimm.core.registry import registry
from gtimm.experiments.folder import CELLS, RunFolder, environment
from gtimm.experiments.grid import Grid
from gtimm.experiments.identity import data_digest
from gtimm.experiments.methods import Setting, method
from gtimm.experiments.rows import costs_of, licences_of, rows_of
from gtimm.experiments.sweeps import plans
from gtimm.experiments.sweeps.curves import Curves, by_key, distinct
from gtimm.experiments.sweeps.frontier import frontier, knee_sentence
from gtimm.experiments.sweeps.plans import Robustness

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.core.workspace import Workspace
    from gtimm.experiments.cells import Cell

SWEEPS: Mapping[str, str] = {
    "quantity": "generated items a class",
    "guidance": "classifier-free guidance scale",
    "domains": "prompts of one domain or many",
    "performers": "who acts in the prompts",
    "prompts": "prompt strategies, which --values names",
    "training": "missing ratio in training, in percent",
    "test": "missing ratio at test, in percent",
    "robustness": "both missing ratios, with dropout at the ratio of the test, at one rate, and without",
}
RATE = 0.5


@dataclass(frozen=True)
class Sweeping:
    """A configuration as the ground of sweeps.

    Attributes:
        config: read.
        data: the splits.
        target: the modality that goes missing.
        generator: what makes it; `None` where the configuration's imputer does not generate.
        base: the setting that the configuration describes.
    """

    config: RunConfig
    data: Splits
    target: str
    generator: dict[str, Any] | None
    base: Setting

    @classmethod
    def of(cls, config: RunConfig, data: Splits, target: str | None = None) -> Sweeping:
        """Return the ground of a configuration.

        Raises:
            ConfigError: it does not say which modality goes missing.
        """
        options = config.pipeline_options()
        train, test = Missing.of(config.missing), Missing.of(config.evaluate.missing)
        imputer = options.get("imputer", "zero")
        names = [
            m for m in data.train.modalities if train.shares.get(m) or (isinstance(imputer, dict) and _generates(imputer.get(m)))
        ]
        if target is None and len(names) != 1:
            found = f"found {', '.join(names)}" if names else "none is missing"
            raise ConfigError(f"Say with target= (--target) which modality goes missing; the configuration does not: {found}.")
        chosen = names[0] if target is None else target
        if chosen not in data.train.modalities:
            known = data.train.modalities
            raise ConfigError(f"The data has no modality {chosen!r}.{did_you_mean(chosen, known)} It has {', '.join(known)}.")
        _refuse_other_fills(imputer, chosen)
        spec = imputer.get(chosen) if isinstance(imputer, dict) and "name" not in imputer else imputer
        generator = dict(registry("imputers").spec(registry("imputers").create(spec))) if _generates(spec) else None
        name, budget = "zero-fill", None
        if generator is not None:
            name, budget = "gti-mm", cast("int", getattr(registry("imputers").create(generator), "per_class", 1))
        more = {"pipeline": {"eval_imputer": options["eval_imputer"]}} if "eval_imputer" in options else {}
        base = Setting.of(data.facts.get("name", data.train.name), name, train, test, budget, **more)
        return cls(config, data, chosen, generator, base)

    def plan(self, name: str, values: Any = None, methods: Sequence[str] = (), rate: float = RATE) -> list[Curves | Robustness]:
        """Return what a sweep draws.

        Args:
            name: of `SWEEPS`.
            values: of what is varied; by default the sweep's own.
            methods: of `METHODS`, to be compared; by default the sweep's own.
            rate: of fixed dropout.

        Raises:
            ConfigError: an unknown sweep or method, values of another form, or a sweep of a generator where there is none.
        """
        if name not in SWEEPS:
            raise ConfigError(f"Unknown sweep {name!r}.{did_you_mean(name, SWEEPS)} Known: {', '.join(SWEEPS)}.")
        for one in methods:
            method(one)
        if self.generator is None and name in ("quantity", "guidance", "domains", "performers", "prompts"):
            raise ConfigError(
                f"The sweep {name!r} varies a generator, and the configuration's imputer of {self.target!r} is none. "
                "Name one, such as pipeline: {imputer: {image: stable-diffusion}}."
            )
        if name == "quantity":
            return [plans.quantity(self.base, _numbers(values, plans.BUDGETS), methods or ("zero-fill", "hot-deck"))]
        if name == "guidance":
            return [plans.guidance(self.base, *([[_pair(value) for value in _listed(values)]] if values is not None else []))]
        if name in ("domains", "performers", "prompts"):
            return [self._prompts(name, values)]
        if name == "training":
            chosen = methods or tuple(m for m in plans.METHODS_BY_RATIO if self._can(m))
            return [plans.missing_in_training(self.base, self.target, _numbers(values, plans.P), chosen)]
        if name == "test":
            chosen = methods or tuple(m for m in ("zero-fill", "gti-mm", "gti-mm-dropout") if self._can(m))
            return [plans.missing_at_test(self.base, self.target, _numbers(values, plans.Q), chosen)]
        return self._robustness(values, methods, rate)

    def _can(self, name: str) -> bool:
        return self.generator is not None or not method(name).generates

    def _prompts(self, name: str, values: Any) -> Curves:
        lists = values if isinstance(values, Mapping) or values is None else {str(value): value for value in _listed(values)}
        if name == "domains":
            return plans.domains(self.base, lists)
        if name == "performers":
            return plans.performers(self.base, lists)
        if lists is None:
            raise ConfigError("The sweep 'prompts' needs --values: names of prompts, or a mapping of labels to prompts.")
        return plans.prompts(self.base, lists)

    def _robustness(self, values: Any, methods: Sequence[str], rate: float) -> list[Curves | Robustness]:
        axes = values if isinstance(values, Mapping) else {}
        if (values is not None and not axes) or set(axes) - {"p", "q"}:
            raise ConfigError("The sweep 'robustness' takes --values '{p: [0, 90], q: [0, 50]}', in percent.")
        p, q = _numbers(axes.get("p"), plans.P), _numbers(axes.get("q"), plans.Q)
        found: list[Curves | Robustness] = []
        for name in methods or (self.base.method,):
            base = plans.plain_setting(self.base, name)
            kinds = (
                ("none", "matched", "fixed")
                if name in plans.DROPOUT
                else ("matched", "fixed")
                if method(name).dropout
                else ("none",)
            )
            found += [plans.robustness(base, self.target, p, q, cast("Any", kind), rate) for kind in kinds]
        return found

    def grid(self, folder: Path | None, place: Mapping[str, Any], say: Callable[[str], None]) -> Grid:
        """Return the grid of the configuration's data and Pipeline; options of `place` that are not `None` win over it."""
        options = {n: v for n, v in self.config.pipeline_options().items() if n not in ("imputer", "eval_imputer")}
        options |= {name: value for name, value in place.items() if value is not None}
        return Grid(self.data, self.target, options, self.generator, self.config.seed_list, say, folder=folder)


def run_sweep(
    name: str,
    config: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    values: Any = None,
    methods: Sequence[str] = (),
    rate: float = RATE,
    target: str | None = None,
    store: str | Path | None = None,
    device: str | None = None,
    engine: Any = None,
    generate: bool | Literal["ask"] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run a sweep into a run folder; returns what `results.json` holds.

    Args:
        name: of `SWEEPS`.
        config: a YAML file as for `gtimm run`, or its mapping.
        out: the run folder.
        values: of what is varied: a list, for prompts also label to prompts, for robustness `{"p": [...], "q": [...]}`.
        methods: to compare, by the names of presets.
        rate: of fixed dropout, for robustness.
        target: the modality that goes missing, where the configuration does not say it.
        store: folder of bank and features; like the next three it wins over the configuration's.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run, such as `"ray"`.
        generate: as for `Pipeline`.
        say: called with a line of progress.
    """
    began = time.perf_counter()
    plain = read_yaml(config) if isinstance(config, (str, Path)) else dict(config)
    base = Path(config).resolve().parent if isinstance(config, (str, Path)) else Path()
    parsed = RunConfig.of(plain, config)
    ground = Sweeping.of(parsed, parsed.load_data(base), target)
    varied = ground.plan(name, values, methods, rate)
    given = {
        "name": name,
        "values": values,
        "methods": list(methods) or None,
        "rate": rate if rate != RATE else None,
        "target": target,
    }
    place = {"store": store, "device": device, "engine": engine, "generate": generate}
    grid = ground.grid(Path(out) / CELLS, place, say)
    jobs = grid.plan(distinct(setting for one in varied for setting in one.settings()))  # refuses before anything is written
    folder = RunFolder(out)
    sweep = {key: value for key, value in given.items() if value is not None}
    folder.config({"experiment": "sweep", "sweep": sweep, **absolute_paths(plain, base.resolve())})
    folder.log("start", sweep=name, cells=len(jobs))
    cells = grid.complete(jobs)
    found = by_key(cells)
    workspace = jobs[0].pipes[0].workspace
    drawn = [_drawn(one, found, ground, workspace) for one in varied if isinstance(one, Curves)]
    written = folder.results(
        {
            "kind": "sweep",
            "title": f"{ground.base.dataset}: {SWEEPS[name]}",
            "command": folder.command,
            "data": dict(ground.data.facts),
            "tests": {ground.base.dataset: data_digest(ground.data.test)},
            "environment": environment(),
            "counters": grid.counters,
            "seconds": time.perf_counter() - began,
            "rows": rows_of(cells),
            "sweeps": [one for part in drawn for one in part],
            "matrices": [one.matrix(found).model_dump() for one in varied if isinstance(one, Robustness)],
            "costs": costs_of(cells, workspace),
            "licences": licences_of([job.pipes[0] for job in jobs]),
        }
    )
    folder.log("end", seconds=written["seconds"])
    from gtimm.report.page import write_report

    write_report(folder.path)
    return written


def _drawn(curves: Curves, cells: Mapping[str, Cell], ground: Sweeping, workspace: Workspace) -> list[dict[str, Any]]:
    """Return the curves, and of budgets the frontier of cost and accuracy too, with the knee in words."""
    if curves.name != "quantity" or curves.against is None:
        return [curves.sweep(cells).model_dump()]
    from gtimm.experiments.reproduction.outcome import item_seconds

    budgets = [cells[spot.setting.key()] for spot in curves.spots if spot.setting.budget]
    every = list({spot.setting.key(): cells[spot.setting.key()] for spot in curves.spots}.values())
    baseline = next(cells[spot.setting.key()] for spot in curves.spots if spot.series == curves.against)
    classes, seconds = len(ground.data.train.classes), item_seconds(budgets, workspace)
    sentence = knee_sentence(budgets, baseline, "items", seconds, classes)
    costs = frontier(curves.dataset, every, classes, seconds, sentence)
    return [curves.sweep(cells, sentence=sentence).model_dump(), costs.model_dump()]


def _generates(spec: Any) -> bool:
    return spec is not None and isinstance(registry("imputers").create(spec), Generator)


def _refuse_other_fills(imputer: Any, target: str) -> None:
    """Raise for imputers of other modalities, which the methods of a sweep would replace by zeros without a word."""
    for name, spec in imputer.items() if isinstance(imputer, dict) and "name" not in imputer else ():
        if name != target and spec != "zero" and registry("imputers").create(spec) != registry("imputers").create("zero"):
            raise ConfigError(
                f"A sweep fills what is missing in modalities other than {target!r} by 'zero'; the configuration fills {name!r} by "
                f"{spec!r}. Leave it out, or name the modality with target= (--target)."
            )


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(f"values is a list, such as [1, 5, 20]; found {values!r}.")
    return list(values)


def _numbers(values: Any, default: Sequence[Any]) -> Sequence[Any]:
    if values is None:
        return default
    for value in _listed(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"values are numbers here; found {value!r}.")
    return list(values)


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
