"""What the paper concludes, held against our cells: paired differences, and a sentence that counts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gtimm.experiments.reproduction.paper import heading
from gtimm.experiments.rows import compare_pairs
from gtimm.experiments.statistics import LEVEL, holm, interval, paired_p_value

if TYPE_CHECKING:
    from gtimm.experiments.cells import Cell
    from gtimm.experiments.reproduction.bench import Claim
    from gtimm.experiments.statistics import Interval
    from gtimm.experiments.sweeps.curves import Cells

Verdict = Literal["holds", "mixed", "undecided", "fails"]
SAID: Mapping[Verdict, str] = {
    "holds": "holds here",
    "mixed": "holds here in part",
    "undecided": "cannot be told from these data",
    "fails": "does not hold here",
}


@dataclass(frozen=True)
class Finding:
    """A claim beside our differences.

    Attributes:
        exhibit: that it is drawn from.
        says: the claim.
        differences: where, and the better setting's score less the other's.
        p_values: of no difference, corrected for their number by Holm's method.
        pairs: the cells of these differences.
        ours: not a claim of the paper, but a question beside it.
    """

    exhibit: str
    says: str
    differences: Sequence[tuple[str, Interval]]
    p_values: Sequence[float]
    pairs: Sequence[tuple[Cell, Cell]]
    ours: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """How many differences are above zero and how many below, at 5% after correction."""
        clear = [one.mean for (_, one), p in zip(self.differences, self.p_values, strict=True) if p < LEVEL]
        return sum(mean > 0 for mean in clear), sum(mean < 0 for mean in clear)

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds.

        `holds` if every 95% interval is above zero, which needs no correction: it is wrong only if the lowest is. Otherwise by the
        corrected differences, since one of many is soon beyond chance: `fails` if none is above zero and some are below, `mixed` if
        some are above, `undecided` if none is either.
        """
        if all(one.low > 0 for _, one in self.differences):
            return "holds"
        above, below = self.counts
        return "mixed" if above else "fails" if below else "undecided"

    @property
    def content(self) -> tuple[str, ...]:
        """What is the same where another exhibit says the same of the same cells."""
        return (self.says, *(cell.setting.key() for pair in self.pairs for cell in pair))

    @property
    def sentence(self) -> str:
        """The claim, how many differences bear it out, and the lowest of them; without its exhibit."""
        count, (above, below) = len(self.differences), self.counts
        where, least = min(self.differences, key=lambda pair: pair[1].mean)
        says = f"{self.says}: {SAID[self.verdict]}. "
        if count == 1:
            return f"{says}{where}: {least.points} points."
        counted = f"All {count} differences are above zero"
        if self.verdict != "holds":
            counted = f"Of {count} differences {above} are above zero, {below} below, {count - above - below} undecided"
        return f"{says}{counted}; the lowest, {where}: {least.points}."


def held(exhibit: str, claims: Sequence[Claim], cells: Cells) -> list[Finding]:
    """Return a finding for each claim of which some difference can be had.

    Args:
        exhibit: that the claims are drawn from.
        claims: of one exhibit.
        cells: by key.
    """
    found = []
    for claim in claims:
        there = [(where, a, b) for where, a, b in claim.pairs if a.key() in cells and b.key() in cells]
        pairs = [(cells[a.key()], cells[b.key()]) for _, a, b in there]
        if pairs:
            differences = [
                (where, interval(one.values - other.values, difference=True))
                for (where, _, _), (one, other) in zip(there, pairs, strict=True)
            ]
            p_values = holm([paired_p_value(one.values - other.values) for one, other in pairs])
            found.append(Finding(exhibit, claim.says, differences, p_values, pairs, claim.ours))
    return found


def said(findings: Sequence[Finding], path_only: Collection[str] = ()) -> list[str]:
    """Return the findings in words, with all exhibits that say the same; those whose numbers mean nothing are marked."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        groups.setdefault((*one.content, str(one.exhibit in path_only)), []).append(one)
    found = []
    for same in groups.values():
        mark = " (path only)" if same[0].exhibit in path_only else ""
        found.append(f"{' and '.join(heading(one.exhibit) for one in same)}{mark}, {same[0].sentence}")
    return found


def compared(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the differences of all findings as comparisons of `results.json`, each once, p-values corrected for their number."""
    pairs = {(one.setting.key(), other.setting.key()): (one, other) for found in findings for one, other in found.pairs}
    rows = compare_pairs(list(pairs.values()))
    p_values = [paired_p_value(one.values - other.values) for one, other in pairs.values()]
    return [
        {**row, "p_value": p, "p_adjusted": adjusted, "correction": "Holm"}
        for row, p, adjusted in zip(rows, p_values, holm(p_values), strict=True)
    ]


def verdict(findings: Sequence[Finding], path_only: Collection[str] = ()) -> dict[str, Any] | None:
    """Return how many of the paper's claims hold, as the verdict of `results.json`; it says of nothing that it holds as a whole.

    Args:
        findings: those that say the same of the same cells count once.
        path_only: exhibits whose numbers mean nothing on this data; their claims do not count.
    """
    counted = {one.content: one.verdict for one in findings if not one.ours and one.exhibit not in path_only}
    if not counted:
        return None
    count = {name: sum(found == name for found in counted.values()) for name in SAID}
    return {
        "holds": None,
        "sentence": f"Of the paper's conclusions {count['holds']} of {len(counted)} hold here, {count['mixed']} in part; against "
        f"{count['fails']} these data speak, and of {count['undecided']} they cannot tell.",
    }
