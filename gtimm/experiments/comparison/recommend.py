"""What a comparison recommends, in words that name their evidence; that nothing differs is said as plainly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gtimm.experiments.comparison.contest import Choice
from gtimm.report import wording

if TYPE_CHECKING:
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.comparison.plan import Entry
    from gtimm.experiments.methods import Setting


def recommend(choices: Sequence[Choice], cells: Mapping[str, Cell], when: Sequence[str], metric: str) -> dict[str, Any]:
    """Return the recommendation of a comparison as in `results.json`.

    Args:
        choices: one a condition.
        cells: outcomes by key.
        when: what is missing under each condition, in words.
        metric: of the scores, in words.
    """
    settled = [choice for choice in choices if choice.kind != "alike"]
    parts: dict[tuple[str, str], list[int]] = {}
    for place, choice in enumerate(choices):
        parts.setdefault((choice.kind, _name(choice.pick)), []).append(place)
    sentences = [_part(choices, places, when, metric) for places in parts.values()]
    found: dict[str, Any] = {
        "sentence": " ".join(sentences),
        "evidence": [_evidence(choice, cells, where, metric) for choice, where in zip(choices, when, strict=True)],
    }
    if settled:
        counts = Counter(_name(choice.pick) for choice in settled)
        pick = max(settled, key=lambda choice: counts[_name(choice.pick)]).pick
        found |= {"method": pick.contender.name, "budget": pick.job.setting.budget}
    return found


def conditions(settings: Sequence[Setting]) -> list[str]:
    """Return what is missing in training and at test in words, one phrase a setting."""
    found = []
    for setting in settings:
        train = wording.setting(setting.missing_train, setting.mechanism)
        test = wording.ratios(setting.missing_test)
        found.append(f"{train}, {'nothing' if test == 'none' else test} missing at test" if setting.missing_test else train)
    return found


def _part(choices: Sequence[Choice], places: Sequence[int], when: Sequence[str], metric: str) -> str:
    """Return the sentence of conditions that end alike."""
    first = choices[places[0]]
    where = "everywhere" if len(places) == len(choices) else f"with {'; with '.join(when[place] for place in places)}"
    pick = _name(first.pick)
    if first.kind == "better":
        gains = [choices[p].contest.comparison(choices[p].pick, choices[p].contest.best)[1]["difference"] for p in places]
        over = _listed(list(dict.fromkeys(_name(choices[p].contest.best) for p in places)))
        size = wording.points(min(gains)) + (f" to {wording.points(max(gains))}" if len(gains) > 1 else "")
        words = f"Take {pick} {where}: it beats the best baseline ({over}) by {size} points of {metric}"
        if any(choices[p].pick is not choices[p].best for p in places):
            words += ", and what costs more is not better"
        return f"{words}."
    if first.kind == "alike":
        count = max(len(choices[place].contest.entries) for place in places)
        return f"No difference that these data can show {where} between {count} methods. Take {pick}, the cheapest."
    rest = _listed(list(dict.fromkeys(_name(e) for p in places for e in choices[p].alike if e is not choices[p].pick)))
    told = f", the cheapest of what cannot be told apart (also {rest})" if rest else ""
    rivals = any(choices[place].contest.rival is not None for place in places)
    return (
        f"No method is shown to beat the best baseline {where}: take {pick}{told}." if rivals else f"Take {pick} {where}{told}."
    )


def _evidence(choice: Choice, cells: Mapping[str, Cell], when: str, metric: str) -> dict[str, str]:
    """Return the comparison that decided one condition, in words."""
    contest = choice.contest
    shown = choice.pick if choice.kind == "better" else contest.rival
    if shown is None:
        shown = next((entry for entry in contest.entries if entry is not contest.best), None)
    if shown is None:
        return {"sentence": f"{wording.sentence(when)}: only {_name(contest.best)} was run."}
    place, found = contest.comparison(shown, contest.best)
    items = sum(cells[shown.job.key].items.values())
    kind = "baseline" if contest.rival is not None else "one"
    made = f"; {items:,} generated items" if items else ""
    sentence = (
        f"{wording.sentence(when)}: {_name(shown)} against {_name(contest.best)}, the best {kind} on validation: "
        f"{wording.points(found['difference'])} points of {metric}, 95% interval "
        f"{wording.interval((found['ci_low'], found['ci_high']), difference=True)}, {_tested(found)}{made}."
    )
    return {"sentence": sentence, "refers_to": f"comparisons.{place}"}


def _tested(found: Mapping[str, Any]) -> str:
    if found.get("p_adjusted") is None:
        return "not tested"
    value = wording.p_value(found["p_adjusted"])
    return f"corrected p {value}" if value.startswith("<") else f"corrected p = {value}"


def _name(entry: Entry) -> str:
    return entry.job.setting.label


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""
