"""The paper's tables as settings: which cell is what experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gtimm.experiments.methods import Setting
from gtimm.experiments.reproduction.bench import Bench, Claim, Place, Plan
from gtimm.experiments.sweeps.plans import robustness

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
NO_SENTENCES = "needs sentences: give --descriptions file=FILE, or model=FOLDER of a local language model"
MATRIX_P, MATRIX_Q = (0, 50, 70, 90, 95, 99, 100), (0, 30, 50, 70, 90, 100)


def table2(b: Bench) -> Plan:
    """Return Table 2: one modality, the other, both; nothing missing."""
    columns = {"audio-only": "Audio-only", "visual-only": "Visual-only", "multimodal": "Multi-modal"}
    places = [Place(b.at(), column, b.setting(name)) for name, column in columns.items()]
    audio, both = b.setting("audio-only"), b.setting("multimodal")
    claims = [
        Claim("images add much to sound (section 6.1)", [(b.preset.label, both, audio)]),
    ]
    return Plan("table2", places, claims)


def table3(b: Bench) -> Plan:
    """Return Table 3: all ways to learn from few images, and baselines of ours beside them."""
    places = [
        Place(b.at() | {"p": p}, column, b.setting(name, p))
        for p in b.preset.ratios
        for name, column in {**TRAINED, **BESIDE}.items()
    ]
    claims = [
        Claim(
            "GTI-MM is above every baseline of the paper (section 6.2)",
            [pair(b, p, "gti-mm", other) for p in b.preset.ratios for other in TRAINED if other != "gti-mm"],
        ),
        Claim(
            "not in the paper: generation is above real items of the same class, resampled",
            [pair(b, p, "gti-mm", "hot-deck") for p in b.preset.ratios],
            ours=True,
        ),
        Claim(
            "few rows with both modalities are worse than few images alone, or than sound alone (section 6.2)",
            [
                pair(b, p, other, "low-resource-multimodal")
                for p in b.preset.ratios
                for other in ("low-resource-visual", "audio-only", "zero-fill")
            ],
        ),
        Claim(
            "zero-filling improves on low-resource visual training (section 6.2; its own table says so of two data sets of four)",
            [pair(b, p, "zero-fill", "low-resource-visual") for p in b.preset.ratios],
        ),
    ]
    return Plan("table3", places, claims)


def pair(b: Bench, p: int, better: str, worse: str) -> tuple[str, Setting, Setting]:
    """Return two methods in one setting, the first said to be better."""
    return f"p = {p}%, {better} over {worse}", b.setting(better, p), b.setting(worse, p)


def descriptions(b: Bench) -> dict[str, Any] | None:
    """Return the prompts of Table 4 that a language model wrote; `None` where there are none."""
    if b.choices.descriptions:
        return {"name": "descriptions", **b.choices.descriptions}
    if b.preset.sentences:
        given = {name: [sentence.format(name) for sentence in b.preset.sentences] for name in b.preset.named}
        return {"name": "descriptions", "given": given}
    return None


def table4(b: Bench) -> Plan:
    """Return Table 4: label prompts, and sentences of a language model where there are some."""
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


def dropout(name: str) -> Callable[[Bench], Plan]:
    """Return the plan of Table 5, or of Table 11, which is the same of other data: dropout, images missing at test."""

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


def table6(b: Bench) -> Plan:
    """Return Table 6: dropout with and without learnable prompts."""
    places, pairs = [], []
    for p in b.preset.ratios:
        for q in DROPPED:
            without, with_prompts = (b.setting(name, p, q) for name in ("gti-mm-dropout", "gti-mm-dropout-prompts"))
            for says, setting in (("no", without), ("yes", with_prompts)):
                places.append(Place(b.at() | {"prompt learning": says, "p": p}, f"q = {q}%", setting))
            pairs.append((f"p = {p}%, q = {q}%", with_prompts, without))
    return Plan("table6", places, [Claim("prompt learning consistently increases performance (section 8.2)", pairs)])


def table7(b: Bench) -> Plan:
    """Return Table 7: sound missing in training."""
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


def table10(b: Bench) -> Plan:
    """Return Table 10: zero-filling and generation on text-visual data."""
    columns = {"zero-fill": ZERO, "gti-mm": OURS, "hot-deck": BESIDE["hot-deck"]}
    places, pairs = [], []
    for p in b.preset.ratios:
        places += [Place(b.at() | {"p": p}, c, b.setting(n, p)) for n, c in columns.items()]
        pairs.append(pair(b, p, "gti-mm", "zero-fill"))
    return Plan("table10", places, [Claim("GTI-MM is above zero-filling (appendix F.1)", pairs)])
