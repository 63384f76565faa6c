"""Who won: chosen on validation who is compared with whom, tested on the test rows, corrected for all comparisons of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gtimm.experiments.rows import compare_pairs
from gtimm.experiments.statistics import LEVEL, holm, paired_p_value

if TYPE_CHECKING:
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.comparison.plan import ComparePlan, Condition, Entry

CORRECTION = "Holm"


@dataclass(frozen=True)
class Pair:
    """Two methods of one contest.

    Attributes:
        one: the method.
        other: whom it is compared with.
        tested: whether it is asked if `one` is better, which a corrected p-value answers. Else it is asked if `one` may stand for
            `other`, which the interval answers: a correction would call more alike, not less.
    """

    one: Entry
    other: Entry
    tested: bool


@dataclass
class Contest:
    """The methods under one condition.

    Attributes:
        condition: what is missing.
        entries: baselines and candidates, the simpler first.
        best: the baseline with the best score on validation, with the holes of the test; without baselines the best of all.
        rival: the candidate with the best score on validation, `None` where there is none beside `best`.
        found: comparisons by the places in `entries` of the two, and where each stands in the results.
    """

    condition: Condition
    entries: list[Entry]
    best: Entry
    rival: Entry | None
    found: dict[tuple[int, int], tuple[int, dict[str, Any]]] = field(default_factory=dict)

    @property
    def candidates(self) -> list[Entry]:
        """What has to beat the best baseline; nothing where there are no baselines."""
        return [one for one in self.entries if one.contender.role == "candidate"] if self.rival is not None else []

    def pairs(self) -> list[Pair]:
        """Return who is compared with whom, which no test row decides: all with `best`, and candidates with `rival`."""
        tested = self.candidates or [one for one in self.entries if one is not self.best]
        pairs = [Pair(one, self.best, one in tested) for one in self.entries if one is not self.best]
        return pairs + [Pair(one, self.rival, tested=False) for one in self.candidates if self.rival and one is not self.rival]

    def put(self, pair: Pair, place: int, comparison: dict[str, Any]) -> None:
        """Take a comparison and its place in the results."""
        self.found[self._place(pair.one), self._place(pair.other)] = (place, comparison)

    def comparison(self, one: Entry, other: Entry) -> tuple[int, dict[str, Any]]:
        """Return a comparison and its place in the results."""
        return self.found[self._place(one), self._place(other)]

    def beats(self, one: Entry) -> bool:
        """Return whether a method is better than the best baseline, by the corrected test."""
        comparison = self.comparison(one, self.best)[1]
        return bool(comparison["p_adjusted"] < LEVEL and comparison["difference"] > 0)

    def stands_for(self, one: Entry, other: Entry) -> bool:
        """Return whether a method cannot be told from another: their difference's interval holds 0."""
        if one is other:
            return True
        comparison = self.comparison(one, other)[1]
        return bool(comparison["ci_low"] <= 0 <= comparison["ci_high"])

    def differs(self) -> bool:
        """Return whether any method differs from `best`, by tests that are corrected for the number of methods."""
        values = [self.comparison(one, self.best)[1]["p_value"] for one in self.entries if one is not self.best]
        return any(value < LEVEL for value in holm(values))

    def _place(self, entry: Entry) -> int:
        return next(place for place, one in enumerate(self.entries) if one is entry)


@dataclass(frozen=True)
class Choice:
    """What one contest says.

    Attributes:
        contest: of which.
        kind: `better`: a candidate beats the best baseline; `baseline`: none does, and baselines differ; `alike`: nothing differs.
        pick: what to take: the cheapest of those that cannot be told from the best.
        alike: those, the pick included.
        best: whom they cannot be told from: the winner, or the best baseline.
    """

    contest: Contest
    kind: Literal["better", "baseline", "alike"]
    pick: Entry
    alike: list[Entry]
    best: Entry


def contests(entries: Sequence[Entry], cells: Mapping[str, Cell]) -> list[Contest]:
    """Return a contest for each condition."""
    by_condition: dict[Condition, list[Entry]] = {}
    for entry in entries:
        if entry.contender.role != "reference":
            by_condition.setdefault(entry.condition, []).append(entry)

    def first(role: str) -> Entry | None:
        same = [entry for entry in members if entry.contender.role == role]
        return max(same, key=lambda entry: validated(entry, cells), default=None)

    result = []
    for condition, members in by_condition.items():
        rival, best = first("candidate"), first("baseline")
        if best is None:
            best, rival = rival, None
        if best is not None:
            result.append(Contest(condition, members, best, rival))
    return result


def compare_all(plan: ComparePlan, found: Sequence[Contest], cells: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """Return all comparisons, as in `results.json`, and hand each to its contest; p-values are corrected over all tests of the run."""
    pairs = [(contest, pair) for contest in found for pair in contest.pairs()]
    outcomes = [(pair.one.cell(cells), pair.other.cell(cells)) for _, pair in pairs]
    compared = compare_pairs(outcomes)
    tested = [place for place, (_, pair) in enumerate(pairs) if pair.tested]
    p_values = [paired_p_value(one.values - other.values) for one, other in outcomes]
    for place, adjusted in zip(tested, holm([p_values[place] for place in tested]), strict=True):
        compared[place] |= {"p_adjusted": adjusted, "correction": CORRECTION}
    for place, (contest, pair) in enumerate(pairs):
        where = plan.missing(contest.condition)  # that of both, also where one is touched by nothing missing
        shares = {"missing_train": dict(where.missing_train), "missing_test": dict(where.missing_test)}
        compared[place] |= {"mechanism": where.mechanism, **shares, "p_value": p_values[place]}
        contest.put(pair, place, compared[place])
    return compared


def choose(contest: Contest, cells: Mapping[str, Cell]) -> Choice:
    """Return what to take under one condition: corrected tests decide, and costs where they do not.

    A candidate that beats the best baseline wins; of several the best on validation, or a cheaper one that cannot be told from it. Else
    the best baseline, or a cheaper one that cannot be told from it.
    """
    kind: Literal["better", "baseline", "alike"]
    winners = [entry for entry in contest.candidates if contest.beats(entry)]
    if winners:
        best, kind = max(winners, key=lambda entry: validated(entry, cells)), "better"
        alike = [entry for entry in winners if contest.stands_for(entry, best)] if best is contest.rival else [best]
    else:
        best = contest.best
        others = [entry for entry in contest.entries if entry not in contest.candidates]
        alike = [entry for entry in others if contest.stands_for(entry, best)]
        kind = "baseline" if contest.differs() else "alike"
    return Choice(contest, kind, min(alike, key=lambda entry: cost(entry, contest, cells)), alike, best)


def validated(entry: Entry, cells: Mapping[str, Cell]) -> float:
    """Return a method's score on validation, the mean over the seeds."""
    return float(cells[entry.job.key].validation.mean())


def cost(entry: Entry, contest: Contest, cells: Mapping[str, Cell]) -> tuple[int, int]:
    """Return what orders methods by cost: items that had to be generated, then how simple they are."""
    items = sum(cells[entry.job.key].items.values())
    return items, next(place for place, one in enumerate(contest.entries) if one is entry)
