"""The paper's conclusions beside cells: what holds, what does not, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from made_cells import ROWS, SEEDS, cell, setting
from scipy.stats import ttest_rel

from gtimm.experiments.cells import Cell
from gtimm.experiments.reproduction.bench import Claim
from gtimm.experiments.reproduction.claims import compared, held, said, verdict
from gtimm.experiments.sweeps.curves import by_key

A, B, C = (setting(name) for name in ("gti-mm", "zero-fill", "hot-deck"))


def cells(a: float, b: float, c: float, *, apart: bool = False) -> dict[str, Cell]:
    return by_key([cell(A, a), cell(B, b, seed=int(apart)), cell(C, c, seed=2 * int(apart))])


CLAIM = Claim("it is best", [("here", A, B), ("there", A, C)])


@pytest.mark.parametrize(
    ("scores", "apart", "expected", "words"),
    [
        (
            (0.9, 0.8, 0.7),
            False,
            "holds",
            "holds here. All 2 differences are above zero; the lowest, here: +10.0 [",
        ),
        ((0.7, 0.8, 0.9), False, "fails", "does not hold here"),
        ((0.8, 0.7, 0.9), False, "mixed", "holds here in part. Of 2 differences 1 are above zero, 1 below"),
        ((0.8, 0.8, 0.8), True, "undecided", "cannot be told from these data"),
    ],
)
def test_a_claim_holds_where_every_interval_is_above_zero(
    scores: tuple[float, float, float], apart: bool, expected: str, words: str
) -> None:
    (found,) = held("table3", [CLAIM], cells(*scores, apart=apart))
    assert found.verdict == expected
    assert words in found.sentence
    assert said([found]) == [f"Table 3, {found.sentence}"]
    assert found.sentence.startswith("it is best: ")


def test_one_difference_of_many_that_is_barely_below_zero_does_not_speak_against_a_claim() -> None:
    values = np.full((SEEDS, ROWS), 0.5, np.float32)
    values[:, :30] = 1.0
    low = values.copy()
    low[:, [0, 1, 2, 3, 4, 5, 40]] = [0.0] * 6 + [1.0]  # six rows of 400 worse, one better: p = 0.04
    others = [setting("gti-mm", budget=budget) for budget in range(1, 9)]
    there = by_key(
        [Cell(A, low, 1.0), Cell(B, values, 1.0)]
        + [Cell(o, low + (i % 2) * 0.5 * (np.arange(ROWS) == i), 1.0) for i, o in enumerate(others)]
    )
    alone = held("table5", [Claim("x", [("here", A, B)])], there)[0]
    among = held("table5", [Claim("x", [("here", A, B), *((str(i), o, A) for i, o in enumerate(others))])], there)[0]
    assert alone.differences[0][1].high < 0
    assert (alone.verdict, among.verdict) == ("fails", "undecided")


def test_a_claim_whose_cells_were_not_run_is_no_finding() -> None:
    assert held("table3", [Claim("x", [("here", A, setting("mean-fill"))])], cells(0.9, 0.8, 0.7)) == []


def test_the_verdict_counts_each_claim_of_the_paper_once_and_only_where_the_data_means_something() -> None:
    there = cells(0.9, 0.8, 0.95)
    claims = {
        "figure6": [Claim("above zero-filling", [("here", A, B)])],
        "figure10": [Claim("above zero-filling", [("here", A, B)])],
        "table10": [Claim("above hot-deck", [("here", A, C)])],
        "table3": [Claim("not in the paper", [("here", A, C)], ours=True), Claim("best", CLAIM.pairs)],
    }
    found = [one for name, some in claims.items() for one in held(name, some, there)]
    counted = verdict(found, {"table10"})
    assert counted is not None
    assert counted["holds"] is None
    assert counted["sentence"].startswith("Of the paper's conclusions 1 of 2 hold here, 1 in part; against 0 these data speak")
    assert verdict([], ()) is None
    lines = said(found, {"table10"})
    assert [line.split(",")[0] for line in lines] == ["Figure 6 and Figure 10", "Table 10 (path only)", "Table 3", "Table 3"]


def test_differences_stand_once_each_with_corrected_p_values() -> None:
    there = cells(0.82, 0.8, 0.81, apart=True)
    found = [one for name in ("table3", "figure4") for one in held(name, [CLAIM], there)]
    rows = compared(found)
    assert [(row["method"], row["against"]) for row in rows] == [("gti-mm", "zero-fill"), ("gti-mm", "hot-deck")]
    for row, other in zip(rows, (B, C), strict=True):
        one = by_key(there.values())
        values = one[A.key()].values[0], one[other.key()].values[0]  # all seeds are alike, so rows alone differ
        assert row["difference"] == pytest.approx(float(np.mean(values[0] - values[1])))
        assert row["p_value"] == pytest.approx(ttest_rel(*values).pvalue, rel=1e-3)
        assert row["p_value"] <= row["p_adjusted"] <= 2 * row["p_value"] + 1e-9
