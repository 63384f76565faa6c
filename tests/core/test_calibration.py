"""Calibration against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp
from scipy.special import softmax as reference_softmax
from scipy.stats import entropy as reference_entropy
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, mutual_info_score

from gtimm.core.calibration import ece, entropy, sigmoid, softmax, spread, temperature


def rows(count: int = 2000, classes: int = 5, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, classes) that are right at temperature `scale`, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, classes))
    labels = np.array([random.choice(classes, p=p) for p in reference_softmax(logits, axis=1)])
    return (logits * scale).astype(np.float32), labels


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_temperature_is_the_one_of_the_least_log_loss(scale: float) -> None:
    logits, labels = rows(scale=scale)
    expected = minimize_scalar(
        lambda t: -log_softmax(logits / t, axis=1)[np.arange(len(labels)), labels].mean(), bounds=(0.01, 100), method="bounded"
    ).x
    found = temperature(logits, labels)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found == pytest.approx(scale, rel=0.1)
    before, after = (log_loss(labels, softmax(logits, t)) for t in (1.0, found))
    assert after <= before


def test_the_temperature_of_draws_is_that_of_their_mean_prediction() -> None:
    logits, labels = rows()
    draws = 4 * np.stack([logits + np.random.default_rng(i).normal(0, 0.7, logits.shape) for i in range(4)])

    def loss(t: float) -> float:
        each = log_softmax(draws / t, axis=2)[:, np.arange(len(labels)), labels]
        return -float((logsumexp(each, axis=0) - np.log(len(draws))).mean())

    assert temperature(draws, labels) == pytest.approx(minimize_scalar(loss, bounds=(0.01, 100), method="bounded").x, rel=1e-3)


def test_classes_by_themselves() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (1500, 4))
    labels = random.random(logits.shape) < expit(logits)
    np.testing.assert_allclose(sigmoid(logits, 2.0), expit(logits / 2))

    def loss(t: float) -> float:
        return log_loss(labels.ravel(), expit(3 * logits / t).ravel())

    assert temperature(3 * logits, labels) == pytest.approx(
        minimize_scalar(loss, bounds=(0.01, 100), method="bounded").x, rel=1e-3
    )
    found = expit(3 * logits)
    true, predicted = calibration_curve(labels.ravel(), found.ravel(), n_bins=15)
    counts = np.histogram(found, np.linspace(0, 1, 16))[0]
    assert ece(found, labels) == pytest.approx((np.abs(true - predicted) * counts).sum() / found.size)


def test_temperatures_at_the_ends() -> None:
    sure = 5 * np.eye(3)
    assert temperature(sure, np.arange(3)) == pytest.approx(0.01, rel=1e-3)
    assert temperature(sure, np.array([1, 2, 0])) == pytest.approx(100, rel=1e-3)
    assert temperature(np.zeros((0, 3)), np.zeros(0, np.int64)) == 1


def test_softmax_keeps_large_logits() -> None:
    logits = np.array([[1e4, 0, -1e4], [1, 2, 3]])
    np.testing.assert_allclose(softmax(logits, 2.0), reference_softmax(logits / 2, axis=1))


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_calibration_error_is_that_of_the_curve_of_scikit_learn(bins: int, scale: float) -> None:
    logits, labels = rows(scale=scale)
    probabilities = softmax(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    true, predicted = calibration_curve(right, confidence, n_bins=bins)
    edges = np.linspace(0, 1, bins + 1)
    counts = np.histogram(confidence, edges)[0]
    expected = (np.abs(true - predicted) * counts[counts > 0]).sum() / len(labels)
    assert ece(probabilities, labels, bins) == pytest.approx(expected, abs=1e-12)


def test_the_calibration_error_of_what_is_always_or_never_right() -> None:
    sure = np.eye(2)
    assert ece(sure, np.array([0, 1])) == 0
    assert ece(sure, np.array([1, 0])) == 1
    assert ece(np.zeros((0, 2)), np.zeros(0, np.int64)) == 0


def test_a_bin_has_its_upper_edge() -> None:
    assert ece(np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([0, 1]), bins=2) == (0.5 + 0.75) / 2


def test_scaling_lowers_the_calibration_error() -> None:
    logits, labels = rows(6000, scale=3.0)
    fitted = temperature(logits[:3000], labels[:3000])
    assert ece(softmax(logits[3000:], fitted), labels[3000:]) < ece(softmax(logits[3000:]), labels[3000:]) / 3


def test_the_spread_is_the_mutual_information_of_draw_and_class() -> None:
    random = np.random.default_rng(0)
    counts = random.multinomial(1000, random.dirichlet(np.full(4, 0.4), (6, 50)))
    probabilities = counts / 1000
    expected = [mutual_info_score(None, None, contingency=counts[:, row]) for row in range(50)]
    np.testing.assert_allclose(spread(probabilities), expected, atol=1e-12)
    np.testing.assert_allclose(entropy(probabilities), reference_entropy(probabilities, axis=2))


def test_the_spread_runs_from_agreement_to_contradiction() -> None:
    unsure = np.full((3, 1, 2), 0.5)
    torn = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(spread(unsure), 0, atol=1e-12)
    np.testing.assert_allclose(spread(torn), np.log(2))
