"""Metrics other than accuracy, a row at a time: their means are scikit-learn's scores, their spread that of the score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from gtimm.experiments.scoring import f1_by_row


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05])
    wrong = random.random(rows) < 0.4
    return np.where(wrong, random.integers(0, 4, rows), labels), labels


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_mean_is_the_f1_of_scikit_learn(average: str) -> None:
    for seed in range(5):
        predicted, labels = sample(200, seed)
        found = f1_by_row(predicted, labels, 4, weighted=average == "weighted")
        assert found.mean() == pytest.approx(f1_score(labels, predicted, average=average, zero_division=0.0))


def test_a_class_that_neither_labels_nor_predictions_have_is_left_out_as_there() -> None:
    predicted, labels = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    assert f1_by_row(predicted, labels, 7).mean() == pytest.approx(f1_score(labels, predicted, average="macro"))


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_spread_over_rows_is_that_of_the_score_over_samples(average: str) -> None:
    """The delta method against many fresh samples of the same size."""
    scores, errors = [], []
    for seed in range(400):
        predicted, labels = sample(500, seed)
        values = f1_by_row(predicted, labels, 4, weighted=average == "weighted")
        scores.append(values.mean())
        errors.append(values.std() / np.sqrt(len(values)))
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.1)
