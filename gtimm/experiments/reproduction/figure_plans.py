"""The paper's figures as settings and curves: which point is what experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gtimm.experiments.gallery import EACH
from gtimm.experiments.reproduction.bench import Bench, Claim, Place, Plan
from gtimm.experiments.reproduction.presets import GUIDANCE
from gtimm.experiments.reproduction.table_plans import DROPPED, NO_SENTENCES, OURS, descriptions, pair
from gtimm.experiments.sweeps.curves import Curves, Spot
from gtimm.experiments.sweeps.plans import quantity

TRICKS = {"none": (False, False), "multi-domain": (True, False), "guidance 1 to 5": (False, True), "both": (True, True)}


def ratios(name: str, methods: Mapping[str, str]) -> Callable[[Bench], Plan]:
    """Return the plan of Figure 4, or of Figure 12: methods, and their columns, by the missing ratio in training."""

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
        pairs = [pair(b, p, "gti-mm", "zero-fill") for p in b.preset.curve]
        says = f"GTI-MM stays above zero-filling down to p = 70% (section {'6.3' if name == 'figure4' else 'F.1'})"
        claims = [Claim(says, pairs)]
        if "low-resource-visual" in methods:
            few = "real images alone catch up with GTI-MM at p = 70% (section 6.3, of UCF101)"
            claims.append(Claim(few, [pair(b, 70, "low-resource-visual", "gti-mm")]))
        return Plan(name, places, claims, [curves])

    return make


def figure5(b: Bench) -> Plan:
    """Return Figure 5: generated images alone, with sound, and with a few real ones."""
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


def budgets(name: str) -> Callable[[Bench], Plan]:
    """Return the plan of Figure 6, or of Figure 10: images generated for each class."""

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


def tricks(name: str) -> Callable[[Bench], Plan]:
    """Return the plan of Figure 7, or of Figure 9: prompts of many domains, and guidance by item."""

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


def figure8(b: Bench) -> Plan:
    """Return Figure 8: as much missing in training as at test."""
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


def figure11(b: Bench) -> Plan:
    """Return Figure 11: who acts in the generated images."""
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


def figure13(b: Bench) -> Plan:
    """Return Figure 13: real images beside those of label prompts, of prompts of many domains and of sentences; nothing is trained."""
    told, p, few = descriptions(b), b.preset.ratios[-1], min(EACH, b.choices.per_class)
    shown = [
        b.setting("gti-mm", p, budget=few),
        b.setting("gti-mm", p, budget=few, variant={"tricks": "multi-domain"}, generator=b.preset.domains),
    ]
    if told is None:
        return Plan("figure13", shown=shown, absent=[f"Its pictures of LLM-assist prompts {NO_SENTENCES}"])
    sentences = b.setting("gti-mm", p, budget=few, variant={"prompts": "descriptions"}, generator={"prompts": told})
    return Plan("figure13", shown=[*shown, sentences])
