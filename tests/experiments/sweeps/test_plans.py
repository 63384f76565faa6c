"""Sweeps as plans, and what is read off their cells: curves, matrices, and the knee of cost and accuracy in words."""

from __future__ import annotations

import doctest

import pytest
from made_cells import cell, setting

import gtimm.experiments.sweeps.plans
from gtimm import Missing
from gtimm.experiments.methods import Setting
from gtimm.experiments.sweeps.curves import by_key, distinct
from gtimm.experiments.sweeps.frontier import frontier, knee, knee_sentence
from gtimm.experiments.sweeps.plans import (
    domains,
    guidance,
    missing_at_test,
    missing_in_training,
    performers,
    prompts,
    quantity,
    robustness,
)

BASE = setting("gti-mm", budget=100)


def test_examples_are_true() -> None:
    found = doctest.testmod(gtimm.experiments.sweeps.plans)
    assert found.attempted > 0
    assert found.failed == 0


def test_quantity_varies_the_budget_and_draws_references_level() -> None:
    found = quantity(BASE, (1, 20))
    assert [(s.series, s.x, s.setting.method, s.setting.budget) for s in found.spots] == [
        ("gti-mm", 1, "gti-mm", 1),
        ("gti-mm", 20, "gti-mm", 20),
        ("zero-fill", 1, "zero-fill", None),
        ("zero-fill", 20, "zero-fill", None),
        ("hot-deck", 1, "hot-deck", None),
        ("hot-deck", 20, "hot-deck", None),
    ]
    assert len(found.settings()) == 4


def test_variants_change_the_generator_alone_and_the_first_of_prompts_is_the_setting_itself() -> None:
    scales = guidance(BASE, (1.0, (1.0, 5.0)))
    assert [(s.x, s.setting.generator) for s in scales.spots] == [
        ("1", {"guidance": 1.0}),
        ("1 to 5", {"guidance": {"low": 1.0, "high": 5.0}}),
    ]
    assert scales.spots[1].setting.variant == {"guidance": "1 to 5"}
    assert domains(BASE).spots[0].setting == BASE
    assert domains(BASE).spots[1].setting.generator == {"prompts": "domain"}
    assert [s.x for s in performers(BASE).spots] == ["all five", "a man", "a woman"]
    assert performers(BASE).spots[1].setting.generator["prompts"]["performers"] == ["a man"]
    told = prompts(BASE, {"own": None, "told": {"name": "descriptions", "file": "x.json"}})
    assert [s.setting.generator for s in told.spots] == [{}, {"prompts": {"name": "descriptions", "file": "x.json"}}]
    for curves in (scales, domains(BASE), performers(BASE), told):
        assert {(s.setting.method, s.setting.budget, *s.setting.missing_train.items()) for s in curves.spots} == {
            ("gti-mm", 100, ("image", 0.95))
        }


def test_ratios_in_training_reach_from_complete_data_to_none() -> None:
    found = {(s.series, s.x): s.setting for s in missing_in_training(BASE, "image", (0, 50, 100)).spots}
    assert found["gti-mm", 0] == found["zero-fill", 0] == Setting("toys", "multimodal")
    assert found["gti-mm", 50] == setting("gti-mm", 0.5, budget=100)
    assert found["zero-fill", 100] == setting("zero-fill", 1.0)
    assert ("low-resource-visual", 50) in found
    assert ("low-resource-visual", 100) not in found  # nothing is left to train on


def test_ratios_at_test_are_matched_by_dropout() -> None:
    found = {(s.series, s.x): s.setting for s in missing_at_test(BASE, "image", (0, 70)).spots}
    assert found["gti-mm-dropout", 70].missing_test == {"image": 0.7}
    assert (found["gti-mm-dropout", 0].rate, found["gti-mm-dropout", 70].rate) == (0.0, None)  # None is the test's
    assert found["zero-fill", 70] == setting("zero-fill", missing_test={"image": 0.7})


def test_other_holes_and_what_decides_them_stay() -> None:
    mask = Missing({"image": 0.5, "audio": 0.2}, on="-audio.loudness")
    base = Setting.of("toys", "gti-mm", mask, Missing(audio=0.1), 100)
    found = missing_in_training(base, "image", (0, 80), ("gti-mm",)).spots
    assert [s.setting.training().ratios for s in found] == [{"audio": 0.2}, {"image": 0.8, "audio": 0.2}]
    assert {s.setting.training().on for s in found} == {"-audio.loudness"}
    tested = missing_at_test(base, "image", (30,), ("gti-mm",)).spots[0].setting
    assert tested.hidden().ratios == {"audio": 0.1, "image": 0.3}


@pytest.mark.parametrize(("dropout", "rates"), [("none", [None] * 2), ("matched", [0.0, None]), ("fixed", [0.4, 0.4])])
def test_the_matrix_trains_with_matched_or_one_dropout_rate(dropout: str, rates: list[float | None]) -> None:
    found = robustness(BASE, "image", (0, 95), (0, 50), dropout, 0.4)  # type: ignore[arg-type]
    assert [found.setting(0.95, q).rate for q in (0.0, 0.5)] == rates
    assert found.setting(0.95, 0.5).method == ("gti-mm" if dropout == "none" else "gti-mm-dropout")
    assert found.setting(0.0, 0.5).method == ("multimodal" if dropout == "none" else "mm-dropout")
    assert found.setting(0.0, 0.5).missing_train == {}


def test_the_matrix_has_p_by_row_and_q_by_column() -> None:
    plan = robustness(BASE, "image", (0, 95), (0, 50, 90), "matched")
    values = {(0.0, 0.0): 0.9, (0.0, 0.5): 0.8, (0.0, 0.9): 0.7, (0.95, 0.0): 0.85, (0.95, 0.5): 0.75, (0.95, 0.9): 0.65}
    cells = by_key(cell(plan.setting(p, q), value) for (p, q), value in values.items())
    found = plan.matrix(cells)
    assert (found.p, found.q, found.dropout, found.rate) == ([0, 0.95], [0, 0.5, 0.9], "matched", None)
    assert found.values == [[pytest.approx(values[p, q]) for q in found.q] for p in found.p]
    assert all(
        low <= mean <= high
        for rows in zip(found.ci_low, found.values, found.ci_high, strict=True)
        for low, mean, high in zip(*rows, strict=True)
    )  # type: ignore[operator]
    assert len(plan.settings()) == 6


def ladder(*scores: float) -> list:  # type: ignore[type-arg]
    return [cell(setting("gti-mm", budget=budget), score) for budget, score in zip((1, 5, 20, 100), scores, strict=True)]


ZERO = cell(setting("zero-fill"), 0.6)


def test_the_knee_is_the_smallest_budget_that_gives_nearly_all_of_the_gain() -> None:
    found = knee(ladder(0.61, 0.75, 0.80, 0.805), ZERO)
    assert found is not None
    assert (found.budget, found.largest) == (20, 100)
    assert found.share == pytest.approx(0.2 / 0.205, abs=1e-6)
    assert found.gain.mean == pytest.approx(0.205)
    assert found.rest.mean == pytest.approx(0.005)


def test_the_knee_in_words() -> None:
    say = lambda cells, **more: knee_sentence(cells, ZERO, "images", **more)  # noqa: E731
    text = say(ladder(0.61, 0.75, 0.80, 0.805), seconds=12.0, classes=51)
    assert text.startswith("20 images a class give 98% of the gain that 100 images a class give over zero-fill (+20.5 [")
    assert "in 3 h 24 min instead of 17 h" in text
    assert "over zero-fill" in text
    assert "5 images a class give all of the gain" in say(ladder(0.61, 0.82, 0.80, 0.805))
    text = say(ladder(0.61, 0.65, 0.70, 0.80))
    assert text.startswith("No smaller budget gives 95% of the gain that 100 images a class give over zero-fill (+20.0 [")
    assert "; 20 give 50%; the rest is +10.0 [" in text
    assert "no other budget was run" in say(ladder(0.61, 0.65, 0.70, 0.80)[3:])


def test_no_gain_is_said_to_be_none() -> None:
    cells = [cell(setting("gti-mm", budget=100), 0.6, seed=3)]
    assert knee(cells, ZERO) is None
    assert knee_sentence(cells, ZERO, "images").startswith(
        "100 images a class gain nothing over zero-fill that these data can show: 0.0 ["
    )


def test_the_frontier_holds_what_nothing_cheaper_beats() -> None:
    cells = [*ladder(0.55, 0.75, 0.74, 0.80), ZERO, cell(setting("hot-deck"), 0.65)]
    found = frontier("toys", cells, classes=10, seconds=2.0, sentence="so")
    best = next(s for s in found.series if s.name == "frontier")
    assert [(p.x, p.mean) for p in best.points] == [
        (0, pytest.approx(0.65)),
        (100, pytest.approx(0.75)),
        (2000, pytest.approx(0.80)),
    ]
    assert found.x.startswith("seconds")
    assert frontier("toys", cells, 10, None, "").x == "generated items"


def test_curves_have_the_papers_values_and_say_who_leads_where() -> None:
    plan = missing_in_training(BASE, "image", (50, 90, 95), ("zero-fill", "gti-mm"))
    scores = {
        ("zero-fill", 50): 0.9,
        ("zero-fill", 90): 0.7,
        ("zero-fill", 95): 0.6,
        ("gti-mm", 50): 0.85,
        ("gti-mm", 90): 0.84,
        ("gti-mm", 95): 0.83,
    }
    cells = by_key(cell(s.setting, scores[s.series, s.x]) for s in plan.spots)
    found = plan.sweep(cells, {("gti-mm", 95): 0.78})
    assert {s.name: [p.mean for p in s.points] for s in found.series} == {
        name: [pytest.approx(scores[name, x]) for x in (50, 90, 95)] for name in ("zero-fill", "gti-mm")
    }
    assert [p.paper for s in found.series for p in s.points] == [None] * 5 + [0.78]
    assert found.sentence == "Highest mean by image missing in training (%): zero-fill at 50; gti-mm at 90 to 95."


def test_variants_are_compared_with_the_first() -> None:
    plan = domains(BASE)
    cells = by_key([cell(plan.spots[0].setting, 0.80), cell(plan.spots[1].setting, 0.83)])
    assert plan.sweep(cells).sentence.startswith("gti-mm: the best of the others is ten domains, +3.0 [")


def test_settings_of_several_sweeps_join_without_repetition() -> None:
    plans = [quantity(BASE), missing_in_training(BASE, "image"), domains(BASE)]
    joined = distinct(s for one in plans for s in one.settings())
    assert len(joined) == len({s.key() for s in joined}) < sum(len(one.settings()) for one in plans)
