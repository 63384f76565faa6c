"""Intervals and tests against scipy and statsmodels, and whether they hold what they say where the truth is known."""

from __future__ import annotations

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

from gtimm.experiments.statistics import Interval, Parts, holm, interval, paired_p_value


def test_with_one_seed_the_interval_is_students_over_rows_and_near_the_bootstrap() -> None:
    values = np.random.default_rng(0).random(400) < 0.8
    ours = interval(values[None])
    student = ttest_1samp(values.astype(float), 0).confidence_interval(0.95)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((values.mean(), student.low, student.high))
    resampled = bootstrap((values.astype(float),), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((resampled.low, resampled.high), abs=0.005)


def test_where_rows_are_alike_interval_and_test_are_students_over_seeds() -> None:
    by_seed = np.array([0.02, 0.05, 0.01, 0.06])
    values, student = np.repeat(by_seed[:, None], 100_000, 1), ttest_1samp(by_seed, 0)
    found, theirs = interval(values, difference=True), student.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-5)
    assert paired_p_value(values) == pytest.approx(student.pvalue, rel=1e-4)


def test_std_is_over_seeds() -> None:
    values = np.random.default_rng(0).random((5, 200)) < 0.7
    assert interval(values).std == pytest.approx(values.mean(1).std(ddof=1))
    assert interval(values[:1]).std == 0


def test_seeds_that_differ_widen_the_interval() -> None:
    rows = np.random.default_rng(0).random(300)
    same = interval(np.stack([rows < 0.6] * 5))
    differ = interval(np.stack([rows < level for level in (0.4, 0.5, 0.6, 0.7, 0.8)]))
    assert differ.high - differ.low > 1.5 * (same.high - same.low)


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    random = np.random.default_rng(0)
    one = random.random((3, 300)) < 0.7
    two = one.copy()
    two[:, :10] = True
    difference, alone = interval(two.astype(float) - one.astype(float), difference=True), interval(one)
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def test_scores_stay_between_0_and_1_and_differences_between_minus_1_and_1() -> None:
    values = np.array([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    found = interval(values)
    assert (found.low, found.high) == (0.0, 1.0)
    assert interval(values, difference=True).low == -1.0


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
    assert parts.rest == pytest.approx(rest / values.size)


def test_with_one_seed_the_test_is_the_paired_t_test_over_rows() -> None:
    random = np.random.default_rng(0)
    one, two = random.random(200) < 0.7, random.random(200) < 0.8
    assert paired_p_value((one * 1.0 - two)[None]) == pytest.approx(ttest_rel(one.astype(float), two.astype(float)).pvalue)
    counts = [[(one & two).sum(), (one & ~two).sum()], [(~one & two).sum(), (~one & ~two).sum()]]
    assert paired_p_value((one * 1.0 - two)[None]) == pytest.approx(
        mcnemar(counts, exact=False, correction=False).pvalue, rel=0.1
    )


def test_seeds_that_give_the_same_leave_the_paired_t_test_over_rows() -> None:
    values = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=100)
    assert paired_p_value(np.stack([values] * 3)) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=0.02)


@pytest.mark.parametrize(("seeds", "mean"), [(2, 0.1), (3, 0.05), (5, 0.04), (5, 0.12), (30, 0.02)])
def test_the_p_value_is_the_chance_of_such_a_mean_where_the_seeds_share_is_drawn(seeds: int, mean: float) -> None:
    random = np.random.default_rng(seeds)
    values = random.normal(size=(seeds, 80)) + 0.8 * random.normal(size=80) + 0.3 * random.normal(size=(seeds, 1))
    values += mean - values.mean()
    part = Parts.of(values)
    by_seed = np.maximum((seeds - 1) * part.seeds / random.chisquare(seeds - 1, 2_000_000), part.rest)
    drawn = np.sqrt(part.rows + by_seed) * random.standard_t(79, 2_000_000)
    assert paired_p_value(values) == pytest.approx((np.abs(drawn) >= mean).mean(), abs=0.002)


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 1000))
def test_an_interval_leaves_0_out_where_the_p_value_is_below_the_level_and_only_there(seeds: int, rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], p=[0.1, 0.5, 0.4], size=(seeds, rows))
    found, p_value = interval(values, difference=True), paired_p_value(values)
    assert (found.low <= 0 <= found.high) == (p_value >= 0.05) or p_value == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(("seeds", "sign_test"), [(2, 0.5), (3, 0.25), (5, 0.0625), (10, 0.002)])
def test_a_row_a_seed_is_little_evidence(seeds: int, sign_test: float) -> None:
    values = np.zeros((seeds, 200))
    values[np.arange(seeds), np.arange(seeds)] = 1  # all seeds alike, all rows nearly so: both shares are estimated as 0
    found = interval(values, difference=True)
    assert paired_p_value(values) == pytest.approx(sign_test, rel=0.55)
    assert found.high - found.low > 0.006


def test_equal_methods_do_not_differ_and_no_p_value_is_0() -> None:
    assert paired_p_value(np.zeros((3, 20))) == 1
    assert interval(np.zeros((3, 20)), difference=True) == Interval(0.0, 0.0, 0.0, 0.0)
    for size in (20, 3000):
        assert 0 < paired_p_value(np.ones((3, size))) < 0.001
        found = interval(np.ones((3, size)))
        assert (found.low, found.high) == pytest.approx((1 - 2 / size, 1), abs=0.1 / size)
    assert paired_p_value(np.ones((1, 1))) > 0.3


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
    repeats = 300
    spread = np.sqrt(1 + (0 if seeds == 1 else by_seed**2) + rest**2)
    truth = norm.cdf(0.8 / spread)
    covered = differ = rejected = 0
    for _ in range(repeats):
        rows = random.normal(size=150)
        one, two = (right(random, rows, seeds, 0 if seeds == 1 else by_seed, rest, 0.8) for _ in range(2))
        found = interval(one)
        covered += found.low <= truth <= found.high
        p_value = paired_p_value(one - two)
        differ += p_value < 0.05
        rejected += p_value < 0.001
    assert 0.92 <= covered / repeats <= 0.99
    assert 0.003 <= differ / repeats <= 0.075
    assert rejected <= 1


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_few_rows_that_differ_give_no_certainty(seeds: int, apart: bool) -> None:
    random, repeats = np.random.default_rng(seeds), 300
    p_values = []
    for _ in range(repeats):
        favour = np.clip(random.normal(0, 0.005, (seeds, 1)), -0.01, 0.01) if apart else 0.0
        drawn = random.random((seeds, 300))
        p_values.append(paired_p_value((drawn < 0.01 + favour) * 1.0 - (drawn > 0.99 + favour)))
    assert np.mean(np.array(p_values) < 0.05) <= 0.06
    assert min(p_values) > 0.001


def test_what_differs_is_found() -> None:
    random = np.random.default_rng(0)
    found = 0
    for _ in range(50):
        rows = random.normal(size=300)
        found += paired_p_value(right(random, rows, 5, 0.05, 0.5, 1.0) - right(random, rows, 5, 0.05, 0.5, 0.7)) < 0.05
    assert found > 45
