"""From a setting to what it needs: Pipelines, data with holes, and the company in which it trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import ConfigError
from gtimm.core.fusion import matched
from gtimm.core.registry import registry
from gtimm.experiments.identity import digest
from gtimm.experiments.methods import Setting, method, with_other_fills

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pipeline import Pipeline

GROUP_WORK = 1e12
"""Multiplications that are trained before anything is kept: some minutes on a CPU."""
GROUP_BYTES = 1 << 30
"""Features that a group's runs may hold apart from those of the data."""


@dataclass(frozen=True)
class Weight:
    """What a model takes, over its seeds: multiplications, and bytes of features; estimated from its form alone."""

    work: float
    size: float


@dataclass(frozen=True)
class Job:
    """What one setting needs; lists are by seed.

    Attributes:
        setting: what it is.
        key: under which its outcome is kept: a digest of all that decides it.
        model: a digest of all that decides the trained heads; settings that differ only in the test share it.
        pipes: checked.
        trains: training rows with holes.
        tests: test rows with holes.
        vals: validation rows with the holes of the test; empty where they are not scored.
        shape: models of one shape train together.
        weight: what training takes.
    """

    setting: Setting
    key: str
    model: str
    pipes: list[Pipeline]
    trains: list[MultimodalDataset]
    tests: list[MultimodalDataset]
    vals: list[MultimodalDataset]
    shape: str
    weight: Weight


def method_options(
    used: str | Mapping[str, Any],
    setting: Setting,
    modalities: tuple[str, ...],
    target: str,
    generator: Mapping[str, Any] | None,
    shared: Mapping[str, Any],
    zero: str | Mapping[str, Any] = "zero",
) -> dict[str, Any]:
    """Return the options of a setting's Pipeline.

    Args:
        used: a preset's name, or options of `Pipeline`, which win over the shared ones.
        setting: what it is.
        modalities: of the data.
        target: the modality that goes missing.
        generator: for presets that generate; the budget is its `per_class`.
        shared: options of every Pipeline.
        zero: what `"zero"` stands for in presets.
    """
    rate = setting.rate
    if isinstance(used, str):
        spec = None if generator is None else {**generator, **setting.generator}
        if spec is not None and setting.budget is not None:
            if isinstance(spec.get("name"), str) and "per_class" not in registry("imputers").load(spec["name"]).model_fields:
                raise ConfigError(
                    f"generator: {spec['name']!r} is no generator, such as 'stable-diffusion'. A way to fill without one is a method or an "
                    "imputer."
                )
            spec["per_class"] = setting.budget
        rate = setting.missing_test.get(target, 0.5) if rate is None else rate
        found = method(used).options(modalities, target, spec, rate, shared.get("fusion", "late"), zero=zero)
        found = with_other_fills(found, modalities, target)
    else:
        found = {**shared, **used}
        ratios = dict(setting.missing_test) or {target: 0.0}
        found["fusion"] = matched(found.get("fusion", "late"), ratios if rate is None else {target: rate})
    options = {**shared, **found, **setting.pipeline}
    if "train" in setting.pipeline:
        options["train"] = {**(shared.get("train") or {}), **setting.pipeline["train"]}
    return options


def pipeline_of(options: Mapping[str, Any], seed: int) -> Pipeline:
    """Return the Pipeline of one seed."""
    from gtimm.core.pipeline import Pipeline

    return Pipeline.from_config(options, seed=seed)


def shape_of(pipe: Pipeline, rows: Sequence[int]) -> str:
    """Return what runs must have in common to train as one: heads, rows, batches and epochs.

    Args:
        pipe: checked against its data.
        rows: of training, by seed.
    """
    options = pipe.train_options
    return digest(
        [
            registry("fusion").spec(pipe.fusion),
            None if pipe.balance is None else registry("balance").spec(pipe.balance),
            sorted(pipe.kinds.items()),
            [pipe.backbones.require(m).fingerprint() for m in sorted(pipe.kinds)],
            list(rows),
            [options.epochs_for(pipe.kinds.values()), options.batch_size],
        ]
    )


def weight_of(pipe: Pipeline, rows: Sequence[int]) -> Weight:
    """Return what training a pipeline's runs takes."""
    options = pipe.train_options
    size = sum(pipe.backbones.require(m).size(kind, pipe.depth) for m, kind in pipe.kinds.items())
    tried = math.prod(len(value) for value in (options.lr, options.fill_weight) if isinstance(value, tuple))
    steps = sum(rows) * options.epochs_for(pipe.kinds.values()) * tried
    return Weight(6.0 * steps * size * len(pipe.classes), 4.0 * size * sum(rows))


def groups(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Yield jobs that train together: of one shape, and no more than an interruption may cost; a model is never split.

    The largest budgets come first, so that a generator fills its bank at once. What is in a group follows from the jobs alone, not from
    what is there already.
    """
    shapes: dict[str, dict[str, list[Job]]] = {}
    for job in jobs:
        shapes.setdefault(job.shape, {}).setdefault(job.model, []).append(job)
    found: list[list[Job]] = []
    for models in shapes.values():
        group: list[Job] = []
        work = size = 0.0
        for same in models.values():
            weight = same[0].weight
            if group and (work + weight.work > GROUP_WORK or size + weight.size > GROUP_BYTES):
                found.append(group)
                group, work, size = [], 0.0, 0.0
            group = [*group, *same]
            work, size = work + weight.work, size + weight.size
        found.append(group)
    yield from sorted(found, key=lambda group: -max(job.setting.budget or 0 for job in group))
