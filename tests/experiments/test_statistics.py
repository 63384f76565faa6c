"""Intervals against an independent bootstrap, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from gtimm.experiments.statistics import Bootstrap


def test_one_seed_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).random(400) < 0.8
    ours = Bootstrap(400, 1, draws=4000).interval(values[None])
    theirs = bootstrap((values.astype(float),), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert ours.mean == values.mean()
    assert ours.low == pytest.approx(theirs.low, abs=0.005)
    assert ours.high == pytest.approx(theirs.high, abs=0.005)


def test_std_is_over_seeds() -> None:
    values = np.random.default_rng(0).random((5, 200)) < 0.7
    assert Bootstrap(200, 5).interval(values).std == pytest.approx(values.mean(1).std(ddof=1))
    assert Bootstrap(200, 1).interval(values[:1]).std == 0


def test_seeds_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    rows = random.random(300)
    same = np.stack([rows < 0.6] * 5)
    differ = np.stack([rows < level for level in (0.4, 0.5, 0.6, 0.7, 0.8)])
    bootstrap = Bootstrap(300, 5)
    assert bootstrap.interval(differ).high - bootstrap.interval(differ).low > 1.5 * (
        bootstrap.interval(same).high - bootstrap.interval(same).low
    )


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    random = np.random.default_rng(0)
    one = random.random((3, 300)) < 0.7
    two = one.copy()
    two[:, :10] = True
    bootstrap = Bootstrap(300, 3)
    difference = bootstrap.interval(two.astype(float) - one.astype(float))
    assert difference.high - difference.low < 0.5 * (bootstrap.interval(one).high - bootstrap.interval(one).low)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    bootstrap = Bootstrap(150, 1, draws=800)
    hits = 0
    for _ in range(200):
        found = bootstrap.interval((random.random(150) < 0.8)[None])
        hits += found.low <= 0.8 <= found.high
    assert 0.88 <= hits / 200 <= 0.99
