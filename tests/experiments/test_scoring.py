"""Metrics other than accuracy, a row at a time: their means are scikit-learn's scores, their spread that of the score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from gtimm.core.errors import ConfigError
from gtimm.core.metrics import top_k_accuracy
from gtimm.experiments.cells import Cell, Scored
from gtimm.experiments.methods import Setting
from gtimm.experiments.scoring import as_metric, f1_by_row
from gtimm.experiments.statistics import interval


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


def test_ranks_say_whether_a_row_is_among_the_first_k() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 300)
    probabilities = random.dirichlet(np.ones(6), 300).astype(np.float32).round(1)  # many ties
    found = Scored.of(probabilities, labels, None, {})
    for k in (1, 2, 3):
        assert (found.rank < k).mean() == pytest.approx(top_k_accuracy(probabilities, labels, k))
    np.testing.assert_array_equal(found.rank == 0, found.predicted == labels)


@pytest.mark.parametrize("metric", ["macro_f1", "weighted_f1", "micro_f1", "top3_accuracy"])
def test_a_cell_by_another_metric_has_its_score_as_the_mean_of_each_seed(metric: str) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 5, 200)
    seeds = [Scored.of(random.dirichlet(np.ones(5), 200).astype(np.float32), labels, None, {}) for _ in range(3)]
    cell = Cell.of(Setting("toys", "zero-fill"), seeds, 1.0, {}, "")
    found = as_metric(cell, metric, labels, 5)
    assert found.metric == metric
    for seed, values in zip(seeds, found.values, strict=True):
        name = metric.removesuffix("_f1")
        expected = seed.scores["top3_accuracy"] if metric == "top3_accuracy" else f1_score(labels, seed.predicted, average=name)
        assert values.mean() == pytest.approx(expected, abs=1e-6)
    assert as_metric(cell, "accuracy", labels, 5) is cell
    with pytest.raises(ConfigError, match="Did you mean 'macro_f1'"):
        as_metric(cell, "macrof1", labels, 5)


def test_an_f1_has_an_interval_although_rows_may_count_below_zero_and_other_scores_below_zero_are_refused() -> None:
    predicted, labels = sample(300, 0)
    values = np.stack([f1_by_row(predicted, labels, 4), f1_by_row(predicted[::-1], labels, 4)])
    assert values.min() < 0
    found = interval(values)
    assert 0 <= found.low < found.mean < found.high <= 1
    with pytest.raises(ValueError, match="difference=True"):
        interval(values - 1)
