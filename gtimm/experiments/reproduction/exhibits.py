"""The paper's tables and figures by name: which there are, which a preset has a part in, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from gtimm.core.errors import ConfigError
from gtimm.experiments.reproduction.bench import Bench, Plan
from gtimm.experiments.reproduction.counted import dataset_places, option_places
from gtimm.experiments.reproduction.figure_plans import budgets, figure5, figure8, figure11, figure13, ratios, tricks
from gtimm.experiments.reproduction.paper import heading, published
from gtimm.experiments.reproduction.presets import PRESETS, preset
from gtimm.experiments.reproduction.table_plans import (
    OURS,
    TRAINED,
    ZERO,
    dropout,
    table2,
    table3,
    table4,
    table6,
    table7,
    table10,
)


def plan(name: str, bench: Bench) -> Plan:
    """Return an exhibit's plan for a preset; raises `ConfigError` for one that it has no part in."""
    published().exhibit(name)
    if name not in bench.preset.exhibits:
        others = [one.name for one in PRESETS.values() if name in one.exhibits]
        raise ConfigError(f"{heading(name)} has no {bench.preset.label}. Choose --preset {' or '.join(others)}.")
    return _PLANS[name](bench)


def names(chosen: Iterable[str], which: str) -> list[str]:
    """Return the exhibits that are meant, in the paper's order; `all` are those in which the preset has a part."""
    asked = list(chosen)
    for name in asked:
        if name != "all":
            published().exhibit(name)
    every = preset(which).exhibits
    return [n for n in published().exhibits if n in asked or ("all" in asked and n in every)]


_PLANS: Mapping[str, Callable[[Bench], Plan]] = MappingProxyType(
    {
        "table1": lambda b: Plan("table1", dataset_places(b)),
        "table2": table2,
        "table3": table3,
        "table4": table4,
        "table5": dropout("table5"),
        "table6": table6,
        "table7": table7,
        "table8": lambda b: Plan("table8", option_places(b)),
        "table9": lambda b: Plan("table9", option_places(b)),
        "table10": table10,
        "table11": dropout("table11"),
        "figure4": ratios("figure4", {k: v for k, v in TRAINED.items() if k not in ("audio-only", "low-resource-multimodal")}),
        "figure5": figure5,
        "figure6": budgets("figure6"),
        "figure7": tricks("figure7"),
        "figure8": figure8,
        "figure9": tricks("figure9"),
        "figure10": budgets("figure10"),
        "figure11": figure11,
        "figure12": ratios("figure12", {"zero-fill": ZERO, "gti-mm": OURS}),
        "figure13": figure13,
    }
)
