"""`gtimm reproduce`: the paper's tables and figures on a data set, ours beside the paper's, all from one grid."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gtimm.core.errors import PluginError
from gtimm.core.imputer import Generator
from gtimm.core.registry import registry
from gtimm.experiments.folder import CELLS, RunFolder, environment
from gtimm.experiments.gallery import write_gallery
from gtimm.experiments.grid import Grid
from gtimm.experiments.methods import BLACK, Setting
from gtimm.experiments.reproduction.bench import Bench, Plan
from gtimm.experiments.reproduction.choices import Choices, absolute, merged
from gtimm.experiments.reproduction.counted import options as training_options
from gtimm.experiments.reproduction.exhibits import names, plan
from gtimm.experiments.reproduction.outcome import Outcome
from gtimm.experiments.reproduction.paper import heading
from gtimm.experiments.reproduction.presets import preset
from gtimm.experiments.reproduction.table_plans import descriptions
from gtimm.experiments.sweeps.curves import distinct

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.experiments.jobs import Job

Say = Callable[[str], None]


@dataclass
class Reproduction:
    """Exhibits of one preset, planned.

    Attributes:
        bench: the preset and choices.
        plans: of the exhibits, in the paper's order.
        root: folder of the data set's files.
        store: folder of bank and features.
        device: such as `"cpu"`; `None` takes CUDA where there is one.
        engine: where generation and embedding run, such as `"ray"` or `{"name": "ray", "workers": 4}`.
        generate: as for `Pipeline`: above an hour of generation `"ask"` asks, or refuses where nobody can answer.
        say: called with a line of progress.
        left_out: what cannot be run here, and why.
    """

    bench: Bench
    plans: list[Plan]
    root: str | None = None
    store: str | Path | None = None
    device: str | None = None
    engine: Any = "local"
    generate: bool | Literal["ask"] = "ask"
    say: Say = lambda line: None
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, exhibits: Sequence[str], name: str, *, choices: Choices | Mapping[str, Any] | None = None, **options: Any
    ) -> Reproduction:
        """Return the exhibits of a preset, planned; nothing is read, made or written.

        Args:
            exhibits: names, or `all`; what `all` brings and needs packages that are not installed is left out, with the reason.
            name: of the preset.
            choices: what the paper leaves open.
            options: further attributes.

        Raises:
            ConfigError: an unknown exhibit, preset or choice, or an exhibit in which the preset has no part.
            PluginError: a generator's packages are not installed.
        """
        bench = Bench(preset(name), absolute(Choices.of(choices), Path.cwd()))
        made = cls(bench, [], **options)
        made._check_strategies()
        for exhibit in names(exhibits, name):
            found = plan(exhibit, bench)
            try:
                for target in found.targets():
                    if found.generating(target):
                        made._check(target)
            except PluginError as error:
                if exhibit in exhibits:
                    raise
                made.left_out.append(f"{heading(exhibit)} is left out: {error}")
                continue
            made.plans.append(found)
        return made

    def _check_strategies(self) -> None:
        """Raise for options that backbone, fusion, training or prompts do not have."""
        options = self._options()
        registry("backbones").create(options["backbone"])
        registry("fusion").create(options.get("fusion", "late"))
        training_options(self.bench)
        if (told := descriptions(self.bench)) is not None:
            registry("prompts").create(told)

    def _check(self, target: str) -> None:
        """Raise where a generator's packages or weights are not there, before anything is done."""
        spec = self.bench.preset.generator_of(target, self.bench.choices)
        found = registry("imputers").create(spec)
        if isinstance(found, Generator):
            found.fingerprint()

    def settings(self, target: str) -> list[Setting]:
        """Return the settings of all exhibits in which a modality goes missing, each once."""
        return distinct(setting for one in self.plans for setting in one.settings(target))

    def shown(self, target: str) -> list[Setting]:
        """Return the settings whose items of a modality are shown, with no model trained on them, each once."""
        return distinct(setting for one in self.plans for setting in one.shown if target in setting.missing_train)

    @property
    def targets(self) -> list[str]:
        """Modalities that go missing in some exhibit."""
        return list(dict.fromkeys(target for one in self.plans for target in one.targets()))

    @property
    def seeds(self) -> int:
        """How many."""
        return self.bench.choices.seeds or self.bench.preset.seeds

    def _options(self) -> dict[str, Any]:
        """Return what all Pipelines share."""
        p, c = self.bench.preset, self.bench.choices
        options: dict[str, Any] = {
            "backbone": merged(p.backbone, c.backbone),
            "train": {**p.train, **c.train},
            "store": self.store,
            "generate": self.generate,
            "engine": self.engine,
        }
        if c.fusion:
            options["fusion"] = merged({"name": "late"}, c.fusion)
        if self.device is not None:
            options["device"] = self.device
        return options

    def grid(self, data: Splits, target: str, folder: Path | None = None) -> Grid:
        """Return the grid of a target."""
        c, options = self.bench.choices, self._options()
        zero = "zero" if c.zero == "embedding" else BLACK
        generator = self.bench.preset.generator_of(target, c)
        return Grid(
            data,
            target,
            options,
            generator,
            range(self.seeds),
            self.say,
            folder=folder,
            zero=zero,
            choose=c.select == "best",
        )


def run_reproduce(
    exhibits: Sequence[str],
    name: str,
    out: str | Path,
    *,
    root: str | None = None,
    choices: Choices | Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    device: str | None = None,
    engine: Any = "local",
    generate: bool | Literal["ask"] = "ask",
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Run exhibits on a preset's data into a run folder; returns what `results.json` holds.

    Args:
        exhibits: such as `["table3", "figure6"]`, or `["all"]`.
        name: of the preset.
        out: the run folder.
        root: folder of the data set's files.
        choices: what the paper leaves open; see `Choices`.
        store: folder of bank and features.
        device: such as `"cpu"`; by default CUDA where there is one.
        engine: where generation and embedding run, such as `"ray"` or `{"name": "ray", "workers": 4}`.
        generate: as for `Pipeline`.
        say: called with a line of progress.
    """
    began = time.perf_counter()
    where = {"root": root, "store": store, "device": device, "engine": engine}
    work = Reproduction.of(exhibits, name, choices=choices, generate=generate, say=say, **where)
    for line in work.left_out:
        say(line)
    data = work.bench.preset.load(root, work.bench.choices)
    grids = {target: work.grid(data, target, Path(out) / CELLS) for target in work.targets}
    jobs = {target: grid.plan(work.settings(target)) for target, grid in grids.items()}  # refuses before anything is written
    shown = {target: grid.plan(work.shown(target)) for target, grid in grids.items()}
    config = _config(work, exhibits)
    folder = RunFolder(out)
    folder.config(config)
    folder.log("start", exhibits=[one.name for one in work.plans], seeds=work.seeds)
    outcome = Outcome(work.bench, work.plans, data)
    for target, grid in grids.items():
        _make(grid, shown[target])
        outcome.add(grid.complete(jobs[target]), jobs[target], grid.counters)
        folder.log("scored", target=target, cells=len(jobs[target]))
    say("writing the report")
    what = "tables and figures" if len(work.plans) > 1 else heading(work.plans[0].name) if work.plans else "exhibits"
    written = folder.results(
        {
            "kind": "reproduce",
            "title": f"The paper's {what} on {work.bench.preset.label}",
            "command": command(config, out),
            "environment": environment(),
            **outcome.parts(),
            "notes": outcome.notes(work.left_out),
            "gallery": _gallery(work, folder.path, data, shown),
            "counters": outcome.counters,
            "seconds": time.perf_counter() - began,
        }
    )
    folder.log("end", seconds=written["seconds"])
    from gtimm.report.page import write_report

    write_report(folder.path)
    return written


def command(config: Mapping[str, Any], out: str | Path) -> str:
    """Return the command line that makes a run again."""
    words = ["gtimm", "reproduce", *config["exhibits"], "--preset", config["preset"], "-o", str(out)]
    if "root" in config:
        words += ["--root", config["root"]]
    for name, value in config.get("choices", {}).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            words += [word for key, one in value.items() for word in (flag, f"{key}={_written(one)}")]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def _written(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value, ensure_ascii=False)


def _config(work: Reproduction, exhibits: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {"experiment": "reproduce", "exhibits": list(exhibits), "preset": work.bench.preset.name}
    if work.root is not None:
        config["root"] = str(Path(work.root).expanduser().resolve())
    if changed := work.bench.choices.changed():
        config["choices"] = changed
    return config


def _make(grid: Grid, jobs: Sequence[Job]) -> None:
    """Make what jobs ask generators for, without training anything on it."""
    for generator, _, requests, used in grid.asked(jobs):
        pipe = jobs[0].pipes[0]
        before = pipe.workspace.counters["generated"]
        pipe.workspace.items(generator, requests, used, pipe.engine, pipe.generate)
        grid.counters["generated"] += pipe.workspace.counters["generated"] - before


def _gallery(work: Reproduction, folder: Path, data: Splits, shown: Mapping[str, Sequence[Job]]) -> list[dict[str, Any]]:
    """Write the items that an exhibit shows beside real ones."""
    classes = [name for name in work.bench.preset.shown if name in data.train.classes] or None
    return [entry for target, jobs in shown.items() if jobs for entry in write_gallery(folder, data.train, target, jobs, classes)]
