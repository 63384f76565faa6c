"""Intervals and tests against scipy and statsmodels, and whether they hold what they say where the truth is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm, ttest_1samp, ttest_rel
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from gtimm.experiments import statistics
from gtimm.experiments.statistics import Bootstrap, Parts, holm, paired_p_value


def test_one_seed_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).random(400) < 0.8
    ours = Bootstrap(400, 1, draws=4000).interval(values[None])
    theirs = bootstrap((values.astype(float),), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert ours.mean == values.mean()
    assert ours.low == pytest.approx(theirs.low, abs=0.005)
    assert ours.high == pytest.approx(theirs.high, abs=0.005)


def test_where_rows_are_alike_the_interval_is_students_over_the_seeds() -> None:
    by_seed = np.array([0.70, 0.74, 0.69, 0.77, 0.72])
    found = Bootstrap(100, 5, draws=20_000).interval(np.repeat(by_seed[:, None], 100, 1))
    theirs = ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert found.low == pytest.approx(theirs.low, abs=0.003)
    assert found.high == pytest.approx(theirs.high, abs=0.003)


def test_std_is_over_seeds() -> None:
    values = np.random.default_rng(0).random((5, 200)) < 0.7
    assert Bootstrap(200, 5).interval(values).std == pytest.approx(values.mean(1).std(ddof=1))
    assert Bootstrap(200, 1).interval(values[:1]).std == 0


def test_seeds_that_differ_widen_the_interval() -> None:
    rows = np.random.default_rng(0).random(300)
    same = np.stack([rows < 0.6] * 5)
    differ = np.stack([rows < level for level in (0.4, 0.5, 0.6, 0.7, 0.8)])
    made = Bootstrap(300, 5)
    assert made.interval(differ).high - made.interval(differ).low > 1.5 * (made.interval(same).high - made.interval(same).low)


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    random = np.random.default_rng(0)
    one = random.random((3, 300)) < 0.7
    two = one.copy()
    two[:, :10] = True
    made = Bootstrap(300, 3)
    difference = made.interval(two.astype(float) - one.astype(float), difference=True)
    assert difference.high - difference.low < 0.5 * (made.interval(one).high - made.interval(one).low)


def test_scores_stay_between_0_and_1_and_differences_between_minus_1_and_1() -> None:
    values = np.array([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    found = Bootstrap(4, 2).interval(values)
    assert (found.low, found.high) == (0.0, 1.0)
    assert Bootstrap(4, 2).interval(values, difference=True).low == -1.0


def test_the_parts_are_those_of_statsmodels_analysis_of_variance() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(4, 30)) + random.normal(size=(1, 30)) + 0.5 * random.normal(size=(4, 1))
    seed, row = np.indices(values.shape)
    table = anova_lm(
        ols("y ~ C(row) + C(seed)", pd.DataFrame({"y": values.ravel(), "row": row.ravel(), "seed": seed.ravel()})).fit()
    )
    rows, seeds, rest = (table["mean_sq"][name] for name in ("C(row)", "C(seed)", "Residual"))
    parts = Parts.of(values)
    assert parts.rows == pytest.approx((rows - rest) / values.size)
    assert parts.seeds == pytest.approx(seeds / values.size)
    assert parts.effects.var(ddof=1) / 30 == pytest.approx(parts.rows)


def test_with_one_seed_the_test_is_the_paired_t_test_over_rows() -> None:
    random = np.random.default_rng(0)
    one, two = random.random(200) < 0.7, random.random(200) < 0.8
    assert paired_p_value((one * 1.0 - two)[None]) == pytest.approx(ttest_rel(one.astype(float), two.astype(float)).pvalue)
    counts = [[(one & two).sum(), (one & ~two).sum()], [(~one & two).sum(), (~one & ~two).sum()]]
    assert paired_p_value((one * 1.0 - two)[None]) == pytest.approx(
        mcnemar(counts, exact=False, correction=False).pvalue, rel=0.1
    )


def test_where_rows_make_no_difference_the_test_is_students_over_seeds() -> None:
    by_seed = np.array([0.02, 0.05, 0.01, 0.06])
    assert paired_p_value(np.repeat(by_seed[:, None], 50, 1)) == pytest.approx(ttest_1samp(by_seed, 0).pvalue)


@pytest.mark.parametrize(("seeds", "mean"), [(2, 0.1), (3, 0.05), (5, 0.04), (5, 0.12), (30, 0.02)])
def test_the_p_value_is_the_chance_of_such_a_mean_from_both_shares(seeds: int, mean: float) -> None:
    random = np.random.default_rng(seeds)
    values = random.normal(size=(seeds, 80)) + 0.8 * random.normal(size=80) + 0.3 * random.normal(size=(seeds, 1))
    values += mean - values.mean()
    part = Parts.of(values)
    drawn = np.sqrt(part.rows) * random.standard_t(79, 2_000_000) + np.sqrt(part.seeds) * random.standard_t(seeds - 1, 2_000_000)
    assert paired_p_value(values) == pytest.approx((np.abs(drawn) >= mean).mean(), abs=0.002)


def test_p_values_below_the_level_go_with_intervals_beside_0() -> None:
    random = np.random.default_rng(0)
    made = Bootstrap(100, 3, draws=10_000)
    for shift in (0.05, 0.1, 0.2, 0.4):
        values = shift + 0.5 * random.normal(size=(3, 100)) + 0.05 * random.normal(size=(3, 1))
        found, p_value = made.interval(values, difference=True), paired_p_value(values)
        assert (found.low > 0) == (p_value < 0.05) or 0.03 < p_value < 0.07


def test_equal_methods_do_not_differ() -> None:
    assert paired_p_value(np.zeros((3, 20))) == 1
    assert paired_p_value(np.ones((3, 20))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


def test_nothing_to_correct() -> None:
    assert holm([]) == []


def right(random: np.random.Generator, rows: np.ndarray, seeds: int, by_seed: float, rest: float, level: float) -> np.ndarray:
    """Right or wrong of models on rows (n,): harder rows, better seeds, and chance, as a probit model."""
    latent = rows + by_seed * random.normal(size=(seeds, 1)) + rest * random.normal(size=(seeds, len(rows)))
    return (latent < level).astype(float)


@pytest.mark.parametrize(
    ("seeds", "by_seed", "rest"), [(1, 0.0, 0.5), (3, 0.3, 0.5), (5, 0.02, 1.0), (5, 0.3, 0.5), (10, 0.2, 1.0)]
)
def test_intervals_and_tests_hold_what_they_say(seeds: int, by_seed: float, rest: float) -> None:
    random = np.random.default_rng(seeds)
    made, repeats = Bootstrap(150, seeds, draws=400), 300
    spread = np.sqrt(1 + (0 if seeds == 1 else by_seed**2) + rest**2)
    truth = norm.cdf(0.8 / spread)
    covered = differ = rejected = 0
    for _ in range(repeats):
        rows = random.normal(size=150)
        one, two = (right(random, rows, seeds, 0 if seeds == 1 else by_seed, rest, 0.8) for _ in range(2))
        found, difference = made.interval(one), made.interval(one - two, difference=True)
        covered += found.low <= truth <= found.high
        differ += difference.low <= 0 <= difference.high
        rejected += paired_p_value(one - two) < 0.05
    assert 0.92 <= covered / repeats <= 0.99
    assert 0.92 <= differ / repeats <= 0.99
    assert 0.003 <= rejected / repeats <= 0.075


def test_what_differs_is_found() -> None:
    random = np.random.default_rng(0)
    found = 0
    for _ in range(50):
        rows = random.normal(size=300)
        found += paired_p_value(right(random, rows, 5, 0.05, 0.5, 1.0) - right(random, rows, 5, 0.05, 0.5, 0.7)) < 0.05
    assert found > 45


def test_many_rows_fit_in_memory() -> None:
    values = (np.random.default_rng(0).random((2, 100_000)) < 0.8).astype(np.float32)
    tracemalloc.start()
    found = Bootstrap(100_000, 2, draws=60).interval(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.low < values.mean() < found.high
    assert peak < 150e6


def test_in_how_many_parts_rows_are_drawn_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [np.random.default_rng(seed).random((3, 90)) < 0.7 for seed in range(4)]
    whole = Bootstrap(90, 3).intervals(cells)
    monkeypatch.setattr(statistics, "CHUNK_CELLS", 1000)
    parts = Bootstrap(90, 3).intervals(cells)
    for one, two in zip(parts, whole, strict=True):
        assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)
    alone = Bootstrap(90, 3).interval(cells[2])
    assert (alone.low, alone.high) == pytest.approx((whole[2].low, whole[2].high), abs=1e-12)
    assert Bootstrap(90, 3).intervals([]) == []
