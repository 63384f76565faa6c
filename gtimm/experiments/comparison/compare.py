"""`gtimm.compare`: which strategy for my data? Methods x missing ratios x budgets x seeds, compared with statistics that hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gtimm.core.comparing import listed
from gtimm.core.config import RunConfig, absolute_paths, read_yaml
from gtimm.core.dataset import MultimodalDataset, Splits
from gtimm.core.errors import ConfigError
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.core.registry import registry
from gtimm.experiments.comparison.contenders import machine_options, shared_options
from gtimm.experiments.comparison.plan import SEEDS, plan_compare

if TYPE_CHECKING:
    from gtimm.experiments.comparison.results import CompareResults

Holes = float | Missing | Mapping[str, Any]
"""What is missing: a ratio of the target, a `Missing`, or its plain form."""


def compare(
    data: Splits | MultimodalDataset | str | Mapping[str, Any],
    methods: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    missing: Holes | Sequence[Holes] | None = None,
    test_missing: Holes | Sequence[Holes] | None = None,
    target: str = "image",
    budgets: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] = SEEDS,
    mechanism: str | Mapping[str, Any] = "random",
    backbone: Any = None,
    fusion: Any = None,
    train: Any = None,
    generator: Any = None,
    baselines: bool = True,
    store: str | PathLike[str] | None = None,
    device: str | None = None,
    engine: Any = None,
    generate: bool | Literal["ask"] | None = None,
    out: str | PathLike[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> CompareResults:
    """Compare methods under missing modalities: scores with intervals, paired tests, robustness, costs, and a recommendation.

    Every method is trained on the same masks with the same seeds, and embeds and generates nothing twice. Epochs, and the baseline that
    others have to beat, are chosen on validation; the test split is only scored. With `out` every outcome is kept as soon as it is there,
    and the same call after an interruption goes on.

    Args:
        data: splits, as from `load_dataset`; one data set, which is split (`MultimodalDataset.split`); or the `data` of a configuration.
        methods: names of presets or imputers; or your own names to a Pipeline, its options, a preset's or an imputer's name. By default
            the fills, and generation where there is a generator.
        missing: what is missing in training: ratios of the target, or `Missing`, `{"image": 0.95, "audio": 0.05}`; 0 for nothing but the
            holes that the data has. By default 0.9 and 0.95.
        test_missing: what is missing at test, likewise; ratios are at random. By default 0 and 0.5. Of both defaults the ratios that the
            data's own holes exceed are dropped, and a note says so.
        target: the modality that ratios are of, and that is generated.
        budgets: generated items a class; by default the generator's `per_class`.
        seeds: how many (0, 1, ...), or which: of masks, draws and initial weights.
        mechanism: how the ratios in `missing` go: `"random"`, `"stratified"`, `"classes"`, or options of `Missing`.
        backbone: of all methods that do not say their own. By default that of the Pipelines among the methods, else `"imagebind"`; the
            embedded data sets have `"imagebind-tiny"`.
        fusion: of all methods that are not about it; by default as for `backbone`, else `"late"`.
        train: options of training; by default as for `backbone`.
        generator: what generates: a name or `{"name": ..., **options}`. Without one generation takes part only where it is named.
        baselines: add the baselines and references that an honest comparison shows: the other modalities alone, complete rows only, zero
            at both levels, mean, class mean, hot deck; complete data.
        store: folder of bank and features; like the next three by default that of the Pipelines among the methods, else the default of
            `Pipeline`.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run, such as `"ray"`.
        generate: `True`, `False`, or `"ask"`: long generation (above an hour) is never started in silence.
        out: run folder, with `config.yaml`, `results.json`, `report.html`.
        say: called with a line of progress.

    Example:
        results = compare(load_dataset("digits"), missing=[0.95, 0.99], seeds=5)
        print(results)
        results.to_frame()
        results.report("report.html")
    """
    found = _plain_methods(methods)
    given = {name: value for name, value in (("missing", missing), ("test_missing", test_missing)) if value is not None}
    compared: dict[str, Any] = {
        **({} if found is None else {"methods": found}),
        **{name: [_plain_holes(one) for one in listed(value)] for name, value in given.items()},
        "target": target,
        "mechanism": mechanism if isinstance(mechanism, str) else dict(mechanism),
        **({} if budgets is None else {"budgets": list(listed(budgets))}),
        **({} if generator is None else {"generator": registry("imputers").spec(registry("imputers").create(generator))}),
        "baselines": baselines,
    }
    shared = shared_options(methods, {"backbone": backbone, "fusion": fusion, "train": train})
    machine = machine_options(methods, {"store": store, "device": device, "engine": engine, "generate": generate})
    splits = None if isinstance(data, str | Mapping) else _splits(data)
    config = {
        "data": data if splits is None else {"in_memory": _name(splits)},
        **({"pipeline": _plain_shared(shared)} if shared else {}),
        "compare": compared,
        "seeds": seeds if isinstance(seeds, int) else list(seeds),
    }
    parsed = RunConfig.of(config)
    config = absolute_paths(config, Path().resolve())
    return plan_compare(parsed, parsed.load_data() if splits is None else splits, config, machine, say).run(out)


def read_compare(config: str | Path | Mapping[str, Any], source: Any = None) -> tuple[RunConfig, Splits, dict[str, Any]]:
    """Return a configuration with a `compare` part, its data, and its plain form with absolute paths; `source` as in `RunConfig.of`."""
    base = Path(config).resolve().parent if isinstance(config, str | Path) else Path()
    plain = read_yaml(config) if isinstance(config, str | Path) else dict(config)
    parsed = RunConfig.of(plain, source or config)
    if parsed.compare is None:
        raise ConfigError(
            "The configuration has no 'compare'. Write one, such as compare: {missing: [0.9, 0.95]}, or use gtimm run."
        )
    if isinstance(parsed.data, dict) and "in_memory" in parsed.data:
        raise ConfigError(
            f"The data {parsed.data['in_memory']!r} was given in Python. Run it again from there, with gtimm.compare."
        )
    return parsed, parsed.load_data(base), absolute_paths(plain, base.resolve())


def _name(data: Splits) -> str:
    return str(data.facts.get("name", data.train.name))


def _splits(data: Any) -> Splits:
    if isinstance(data, MultimodalDataset):
        return data.split()
    if not isinstance(data, Splits):
        raise ConfigError(
            f"data= is what load_dataset returns, a MultimodalDataset, or the data of a configuration; found {type(data).__name__}."
        )
    return data


def _plain_holes(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) else Missing.of(value).to_config()


def _plain_methods(methods: Any) -> Any:
    """Return the methods as a configuration has them."""
    if methods is None:
        return None
    if not isinstance(methods, Mapping):
        named = [methods] if isinstance(methods, str | Pipeline) else list(methods)
        if wrong := [one for one in named if not isinstance(one, str)]:
            raise ConfigError(
                f"methods= holds names, or names of your own to Pipelines, {{'mine': Pipeline(...)}}; found {wrong[0]!r}."
            )
        return named
    own = {name: {"train": {}, **spec.config()} for name, spec in methods.items() if isinstance(spec, Pipeline)}
    return {**methods, **own}


def _plain_shared(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared options of Pipelines as a configuration has them."""
    plain = Pipeline(**{"backbone": options.get("backbone", "imagebind"), **options}).config() if options else {}
    return {name: plain.get(name, {}) for name in options}
