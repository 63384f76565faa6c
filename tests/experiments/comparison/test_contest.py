"""Who is recommended, on outcomes made up so that the truth is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gtimm.experiments.cells import Cell
from gtimm.experiments.comparison.contenders import Contender
from gtimm.experiments.comparison.contest import choose, compare_all, contests
from gtimm.experiments.comparison.plan import Condition, Entry
from gtimm.experiments.comparison.recommend import recommend
from gtimm.experiments.methods import Setting

ROWS, SEEDS = 400, 5


class Made:
    """A comparison of outcomes that are drawn: each method is right with a chance of its own, on rows that are hard for all."""

    def __init__(self, *methods: tuple[str, str, float, int], seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        hard = random.normal(size=ROWS)
        self.entries, self.cells = [], {}
        for name, role, level, items in methods:
            setting = Setting("made", name, "random", {"image": 0.9}, budget=items or None)
            job: Any = SimpleNamespace(setting=setting, key=f"{name} {items}")
            values = (hard + 0.6 * random.normal(size=(SEEDS, ROWS)) < level).astype(np.float32)
            self.entries.append(Entry(Contender(name, "zero-fill", role), Condition(0, 0), job))
            self.cells[job.key] = Cell(
                setting, values, 1.0, validation=np.full(SEEDS, level), items={"bank": items} if items else {}
            )
        plan: Any = SimpleNamespace(missing=lambda condition: Setting("", "", "random", {"image": 0.9}))
        self.contests = contests(self.entries, self.cells)
        self.comparisons = compare_all(plan, self.contests, self.cells)
        self.choice = choose(self.contests[0], self.cells)
        self.advice = recommend([self.choice], self.cells, ["90% of images missing"], "accuracy")


BASE = (("zero-fill", "baseline", 0.5, 0), ("hot-deck", "baseline", 0.8, 0))


def test_a_candidate_that_beats_the_best_baseline_wins() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 1.5, 100))
    assert made.choice.kind == "better"
    assert (made.advice["method"], made.advice["budget"]) == ("gti-mm", 100)
    assert "beats the best baseline (hot-deck)" in made.advice["sentence"]
    assert "100 generated items" in made.advice["evidence"][0]["sentence"]


def test_a_smaller_budget_that_cannot_be_told_from_the_largest_is_taken() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 0.9, 1), ("gti-mm", "candidate", 1.5, 20), ("gti-mm", "candidate", 1.501, 100))
    assert made.advice["budget"] == 20
    assert "what costs more is not better" in made.advice["sentence"]


def test_a_smaller_budget_that_is_worse_is_not_taken() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 1.2, 5), ("gti-mm", "candidate", 1.8, 100))
    assert made.advice["budget"] == 100


def test_where_no_candidate_is_better_the_best_baseline_is_taken() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 0.8, 100))
    assert made.choice.kind == "baseline"
    assert made.advice["method"] == "hot-deck"
    assert made.advice["sentence"].startswith("No method is shown to beat the best baseline")


def test_a_worse_candidate_is_said_to_be_no_better() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 0.2, 100))
    assert made.advice["method"] == "hot-deck"
    assert "−" in made.advice["evidence"][0]["sentence"]


def test_of_baselines_that_cannot_be_told_apart_the_cheapest_is_taken() -> None:
    made = Made(
        ("audio-only", "baseline", 0.2, 0),
        ("zero-fill", "baseline", 0.8, 0),
        ("hot-deck", "baseline", 0.801, 0),
        ("x", "candidate", 0.1, 0),
    )
    assert made.advice["method"] == "zero-fill"
    assert "also hot-deck" in made.advice["sentence"]


def test_where_nothing_differs_no_method_is_named_better() -> None:
    made = Made(("zero-fill", "baseline", 0.8, 0), ("hot-deck", "baseline", 0.8, 0), ("gti-mm", "candidate", 0.8, 100))
    assert made.choice.kind == "alike"
    assert "method" not in made.advice
    assert made.advice["sentence"] == (
        "No difference that these data can show everywhere between 3 methods. Take zero-fill, the cheapest."
    )


def test_validation_and_not_the_test_rows_choose_the_baseline_to_beat() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 1.0, 10))
    for cell in made.cells.values():
        cell.validation = np.full(SEEDS, {"zero-fill": 0.9, "hot-deck": 0.1}.get(cell.setting.method, 0.5))
    assert contests(made.entries, made.cells)[0].best.contender.name == "zero-fill"


def test_without_baselines_methods_are_compared_with_the_best_of_them() -> None:
    made = Made(("one", "candidate", 0.3, 0), ("two", "candidate", 1.2, 0))
    assert made.advice["method"] == "two"
    assert made.advice["sentence"] == "Take two everywhere."
    assert [one["against"] for one in made.comparisons] == ["two"]
    assert made.comparisons[0]["p_adjusted"] is not None


def test_references_are_not_compared() -> None:
    made = Made(*BASE, ("gti-mm", "candidate", 1.0, 10), ("multimodal", "reference", 2.0, 0))
    assert "multimodal" not in {name for one in made.comparisons for name in (one["method"], one["against"])}


@pytest.mark.parametrize("seed", range(4))
def test_equal_methods_are_not_called_different(seed: int) -> None:
    candidates = [(f"m{i}", "candidate", 0.8, i + 1) for i in range(4)]
    made = Made(("zero-fill", "baseline", 0.8, 0), ("hot-deck", "baseline", 0.8, 0), *candidates, seed=seed)
    assert made.choice.kind == "alike"
