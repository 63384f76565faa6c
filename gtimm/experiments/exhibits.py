"""The paper's tables and figures as settings: which cell of which exhibit is what experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from gtimm.core.errors import ConfigError
from gtimm.experiments.bench import Bench, Claim, Place, Plan
from gtimm.experiments.counted import dataset_places, option_places
from gtimm.experiments.curves import Curves, Spot
from gtimm.experiments.methods import Setting
from gtimm.experiments.paper import heading, published
from gtimm.experiments.presets import GUIDANCE, PRESETS, preset
from gtimm.experiments.sweeps import quantity, robustness

AUDIO, LOW, LOW_BOTH = "Audio Training", "Low-resource Visual Training", "Low-resource Multimodal Training"
ZERO, OURS = "Zero-filling Imputation Multimodal Training", "GTI-MM (Ours)"
TRAINED = {
    "audio-only": AUDIO,
    "low-resource-visual": LOW,
    "low-resource-multimodal": LOW_BOTH,
    "zero-fill": ZERO,
    "gti-mm": OURS,
}
"""Methods to the columns of Table 3."""
BESIDE = {
    "zero-fill-payload": "zero-filling with empty payloads (not in the paper)",
    "mean-fill": "mean (not in the paper)",
    "class-mean": "class mean (not in the paper)",
    "hot-deck": "hot-deck (not in the paper)",
}
"""Baselines that tell generation from resampling, and their columns."""
DROPPED = (50, 70, 90)
"""Percent missing at test in Tables 5, 6 and 11."""
TRICKS = {"none": (False, False), "multi-domain": (True, False), "guidance 1 to 5": (False, True), "both": (True, True)}
NO_SENTENCES = "needs sentences: give --descriptions file=FILE, or model=FOLDER of a local language model"
MATRIX_P, MATRIX_Q = (0, 50, 70, 90, 95, 99, 100), (0, 30, 50, 70, 90, 100)


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


def _table2(b: Bench) -> Plan:
    columns = {"audio-only": "Audio-only", "visual-only": "Visual-only", "multimodal": "Multi-modal"}
    places = [Place(b.at(), column, b.setting(name)) for name, column in columns.items()]
    audio, both = b.setting("audio-only"), b.setting("multimodal")
    claims = [
        Claim("images add much to sound (section 6.1)", [(b.preset.label, both, audio)]),
    ]
    return Plan("table2", places, claims)


def _table3(b: Bench) -> Plan:
    places = [
        Place(b.at() | {"p": p}, column, b.setting(name, p))
        for p in b.preset.ratios
        for name, column in {**TRAINED, **BESIDE}.items()
    ]
    claims = [
        Claim(
            "GTI-MM is above every baseline of the paper (section 6.2)",
            [_pair(b, p, "gti-mm", other) for p in b.preset.ratios for other in TRAINED if other != "gti-mm"],
        ),
        Claim(
            "not in the paper: generation is above real items of the same class, resampled",
            [_pair(b, p, "gti-mm", "hot-deck") for p in b.preset.ratios],
            ours=True,
        ),
        Claim(
            "few rows with both modalities are worse than few images alone, or than sound alone (section 6.2)",
            [
                _pair(b, p, other, "low-resource-multimodal")
                for p in b.preset.ratios
                for other in ("low-resource-visual", "audio-only", "zero-fill")
            ],
        ),
        Claim(
            "zero-filling improves on low-resource visual training (section 6.2; its own table says so of two data sets of four)",
            [_pair(b, p, "zero-fill", "low-resource-visual") for p in b.preset.ratios],
        ),
    ]
    return Plan("table3", places, claims)


def _pair(b: Bench, p: int, better: str, worse: str) -> tuple[str, Setting, Setting]:
    return f"p = {p}%, {better} over {worse}", b.setting(better, p), b.setting(worse, p)


def descriptions(b: Bench) -> dict[str, Any] | None:
    """Return the prompts of Table 4 that a language model wrote; `None` where there are none."""
    if b.choices.descriptions:
        return {"name": "descriptions", **b.choices.descriptions}
    if b.preset.sentences:
        given = {name: [sentence.format(name) for sentence in b.preset.sentences] for name in b.preset.named}
        return {"name": "descriptions", "given": given}
    return None


def _table4(b: Bench) -> Plan:
    spec = descriptions(b)
    if spec is None:
        places = [Place(b.at(p, prompt="Label prompt"), OURS, b.setting("gti-mm", p)) for p in b.preset.ratios]
        return Plan("table4", places, absent=[f"LLM-assist prompt {NO_SENTENCES}"])
    places, pairs = [], []
    for p in b.preset.ratios:
        plain = b.setting("gti-mm", p)
        told = b.setting("gti-mm", p, variant={"prompts": "descriptions"}, generator={"prompts": spec})
        places += [Place(b.at(p, prompt="Label prompt"), OURS, plain), Place(b.at(p, prompt="LLM-assist prompt"), OURS, told)]
        pairs.append((f"p = {p}%", told, plain))
    return Plan("table4", places, [Claim("descriptions improve on label prompts, marginally (section 7.3)", pairs)])


def _dropout(name: str) -> Callable[[Bench], Plan]:
    def make(b: Bench) -> Plan:
        places, pairs = [], []
        for q in DROPPED:
            column, complete = f"q = {q}%", b.setting("mm-dropout", 0, q)
            places.append(Place(b.at(method="MM-Dropout") | {"p": 0}, column, complete))
            for p in b.preset.dropped:
                ours = b.setting("gti-mm-dropout", p, q)
                places.append(Place(b.at(method="GTI-MM Dropout") | {"p": p}, column, ours))
                if q > DROPPED[0]:
                    pairs.append((f"p = {p}%, q = {q}%", ours, complete))
            for p in b.preset.ratios:
                beside = b.at(method="zero-filling (not in the paper)") | {"p": p}
                places.append(Place(beside, column, b.setting("zero-fill", p, q)))
        claim = Claim(
            f"GTI-MM Dropout is above MM-Dropout for q of 70% and more (section {'8.1' if name == 'table5' else 'F.2'})",
            pairs,
        )
        base = b.setting("gti-mm-dropout", 90)
        matrices = []
        if name == "table5":
            matrices = [robustness(base, b.preset.target, MATRIX_P, MATRIX_Q, kind) for kind in ("matched", "fixed")]
            matrices.append(robustness(b.setting("gti-mm", 90), b.preset.target, MATRIX_P, MATRIX_Q))
        return Plan(name, places, [claim], matrices=matrices)

    return make


def _table6(b: Bench) -> Plan:
    places, pairs = [], []
    for p in b.preset.ratios:
        for q in DROPPED:
            without, with_prompts = (b.setting(name, p, q) for name in ("gti-mm-dropout", "gti-mm-dropout-prompts"))
            for says, setting in (("no", without), ("yes", with_prompts)):
                places.append(Place(b.at() | {"prompt learning": says, "p": p}, f"q = {q}%", setting))
            pairs.append((f"p = {p}%, q = {q}%", with_prompts, without))
    return Plan("table6", places, [Claim("prompt learning consistently increases performance (section 8.2)", pairs)])


def _table7(b: Bench) -> Plan:
    places, pairs = [], []
    for p in b.preset.ratios:
        zero, ours, deck = (b.setting(name, p, target="audio") for name in ("zero-fill", "gti-mm", "hot-deck"))
        at = b.at() | {"p": p}
        for column, setting in (("Zero-Filling", zero), ("GTI-MM", ours), (BESIDE["hot-deck"], deck)):
            places.append(Place(at, column, setting, target="audio"))
        pairs.append((f"p = {p}%", zero, ours))
    return Plan(
        "table7", places, [Claim("zero-filling is above generated sound on most data sets (section 9.2)", pairs, "audio")]
    )


def _table10(b: Bench) -> Plan:
    columns = {"zero-fill": ZERO, "gti-mm": OURS, "hot-deck": BESIDE["hot-deck"]}
    places, pairs = [], []
    for p in b.preset.ratios:
        places += [Place(b.at() | {"p": p}, c, b.setting(n, p)) for n, c in columns.items()]
        pairs.append(_pair(b, p, "gti-mm", "zero-fill"))
    return Plan("table10", places, [Claim("GTI-MM is above zero-filling (appendix F.1)", pairs)])


def _ratios(name: str, methods: Mapping[str, str]) -> Callable[[Bench], Plan]:
    def make(b: Bench) -> Plan:
        places, spots = [], []
        for method, column in methods.items():
            for p in b.preset.curve:
                setting = b.setting(method, p)
                spots.append(Spot(column, p, setting))
                places.append(Place(b.at() | {"p": p}, column, setting, spot=(column, p)))
        curves = Curves(
            "missing in training", "Images missing in training", "images missing in training (%)", b.preset.name, spots
        )
        pairs = [_pair(b, p, "gti-mm", "zero-fill") for p in b.preset.curve]
        says = f"GTI-MM stays above zero-filling down to p = 70% (section {'6.3' if name == 'figure4' else 'F.1'})"
        claims = [Claim(says, pairs)]
        if "low-resource-visual" in methods:
            few = "real images alone catch up with GTI-MM at p = 70% (section 6.3, of UCF101)"
            claims.append(Claim(few, [_pair(b, 70, "low-resource-visual", "gti-mm")]))
        return Plan(name, places, claims, [curves])

    return make


def _figure5(b: Bench) -> Plan:
    columns = {"zs-visual": "ZS-Visual Model", "zs-multimodal": "ZS-Multi-modal Model", "gti-mm": OURS}
    places = [
        Place(b.at() | {"p": p}, c, b.setting(n, 0 if n.startswith("zs") else p))
        for p in b.preset.ratios
        for n, c in columns.items()
    ]
    pairs = [
        (f"p = {p}%, over {name}", b.setting("gti-mm", p), b.setting(name))
        for p in b.preset.ratios
        for name in ("zs-visual", "zs-multimodal")
    ]
    zero_shot = [(b.preset.label, b.setting("zs-multimodal"), b.setting("zs-visual"))]
    return Plan(
        "figure5",
        places,
        [
            Claim("a few real images improve on generated ones alone (section 6.4)", pairs),
            Claim("sound improves on generated images alone (section 6.4)", zero_shot),
        ],
    )


def _quantity(name: str) -> Callable[[Bench], Plan]:
    def make(b: Bench) -> Plan:
        places, curves, pairs = [], [], []
        for p in b.preset.ratios:
            base = b.setting("gti-mm", p)
            found = quantity(base, b.budgets)
            several = len(b.preset.ratios) > 1
            curves.append(
                _named(found, f"quantity, {p}% missing" if several else "quantity", f"Generated images a class, {p}% missing")
            )
            for budget in b.budgets:
                setting = b.setting("gti-mm", p, budget=budget)
                places.append(Place(b.at(p) | {"images per class": budget}, OURS, setting, spot=("gti-mm", budget)))
            pairs.append((f"p = {p}%, {b.budgets[-1]} over {b.budgets[0]}", base, b.setting("gti-mm", p, budget=b.budgets[0])))
        claim = Claim("one image a class is not enough (section 7.1)", pairs)
        return Plan(name, places, [claim], curves)

    return make


def _named(curves: Curves, name: str, title: str) -> Curves:
    return replace(curves, name=name, title=title)


def _tricks(name: str) -> Callable[[Bench], Plan]:
    def make(b: Bench) -> Plan:
        places, spots, pairs = [], [], []
        for p in b.preset.ratios:
            series = f"{p}% missing"
            for says, (domains, guidance) in TRICKS.items():
                options = {**(b.preset.domains if domains else {}), **({"guidance": GUIDANCE} if guidance else {})}
                setting = b.setting("gti-mm", p, variant={"tricks": says} if options else {}, generator=options)
                places.append(Place(b.at(p) | {"tricks": says}, OURS, setting, spot=(series, says)))
                spots.append(Spot(series, says, setting))
            pairs.append((f"p = {p}%", spots[-1].setting, spots[-4].setting))
        curves = Curves("tricks", "Prompts of many domains, guidance by item", "tricks", b.preset.name, spots)
        claim = "both tricks help where the data has many domains (sections 7.2 and E.1)"
        return Plan(name, places, [Claim(claim, pairs)], [curves])

    return make


def _figure8(b: Bench) -> Plan:
    columns = {"zero-fill": "MM-Zero Imputation", "gti-mm-dropout": "GTI-MM Dropout"}
    places, spots = [], []
    for name, column in columns.items():
        for q in DROPPED:
            setting = b.setting(name, q, q)
            spots.append(Spot(column, q, setting))
            places.append(Place(b.at() | {"p = q": q}, column, setting, spot=(column, q)))
    curves = Curves("missing alike", "As much missing in training as at test", "images missing (%)", b.preset.name, spots)
    pairs = [(f"p = q = {q}%", b.setting("gti-mm-dropout", q, q), b.setting("zero-fill", q, q)) for q in DROPPED]
    return Plan("figure8", places, [Claim("GTI-MM Dropout is above zero-filling (section 8.1)", pairs)], [curves])


def _figure11(b: Bench) -> Plan:
    places, spots, pairs = [], [], []
    for p in b.preset.ratios:
        found = {}
        for who, options in b.preset.performers.items():
            found[who] = b.setting("gti-mm", p, variant={"performers": who} if options else {}, generator=options)
            places.append(Place(b.at(p) | {"performers": who}, OURS, found[who], spot=(f"{p}% missing", who)))
            spots.append(Spot(f"{p}% missing", who, found[who]))
        first, *others = found
        pairs += [(f"p = {p}%, over {who}", found[first], found[who]) for who in others]
    curves = Curves("performers", "Who acts in the generated images", "performers", b.preset.name, spots)
    return Plan("figure11", places, [Claim("several performers improve on one (sections 7.2 and E.1)", pairs)], [curves])


_PLANS: Mapping[str, Callable[[Bench], Plan]] = MappingProxyType(
    {
        "table1": lambda b: Plan("table1", dataset_places(b)),
        "table2": _table2,
        "table3": _table3,
        "table4": _table4,
        "table5": _dropout("table5"),
        "table6": _table6,
        "table7": _table7,
        "table8": lambda b: Plan("table8", option_places(b)),
        "table9": lambda b: Plan("table9", option_places(b)),
        "table10": _table10,
        "table11": _dropout("table11"),
        "figure4": _ratios("figure4", {k: v for k, v in TRAINED.items() if k not in ("audio-only", "low-resource-multimodal")}),
        "figure5": _figure5,
        "figure6": _quantity("figure6"),
        "figure7": _tricks("figure7"),
        "figure8": _figure8,
        "figure9": _tricks("figure9"),
        "figure10": _quantity("figure10"),
        "figure11": _figure11,
        "figure12": _ratios("figure12", {"zero-fill": ZERO, "gti-mm": OURS}),
        "figure13": lambda b: Plan(
            "figure13", absent=[] if descriptions(b) else [f"Its pictures of LLM-assist prompts {NO_SENTENCES}"]
        ),
    }
)
