"""Robustness by hand and against scipy's line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import linregress

from gtimm.experiments.robustness import Trend, relative_robustness


def test_relative_robustness_is_the_share_that_is_left() -> None:
    assert relative_robustness(0.6, 0.8) == pytest.approx(0.75)
    assert relative_robustness(0.0, 0.0) is None


def test_the_trend_is_scipys_line_between_logits() -> None:
    random = np.random.default_rng(0)
    whole = random.uniform(0.5, 0.95, 12)
    missing = expit(0.7 * logit(whole) - 0.4 + 0.1 * random.normal(size=12))
    line = linregress(logit(whole), logit(missing))
    trend = Trend(whole.tolist(), missing.tolist(), 1000)
    for value in (0.3, 0.8, 0.99):
        assert trend.expected(value) == pytest.approx(expit(line.slope * logit(value) + line.intercept))
    assert trend.effective_robustness(0.75, 0.8) == pytest.approx(0.75 - trend.expected(0.8))


def test_a_model_on_the_line_is_as_robust_as_was_to_be_expected() -> None:
    whole = [0.6, 0.7, 0.8, 0.9]
    trend = Trend(whole, [float(expit(logit(w) - 1)) for w in whole], 1000)
    assert trend.effective_robustness(float(expit(logit(0.75) - 1)), 0.75) == pytest.approx(0)


def test_without_models_that_differ_there_is_no_trend() -> None:
    assert Trend([0.8, 0.9], [0.6, 0.7], 100).expected(0.8) is None
    assert Trend([0.8] * 5, [0.5, 0.6, 0.6, 0.5, 0.5], 100).effective_robustness(0.5, 0.8) is None


def test_perfect_scores_have_a_trend_too() -> None:
    assert 0 < Trend([1.0, 0.9, 0.8], [0.9, 0.8, 0.6], 100).expected(1.0) < 1
