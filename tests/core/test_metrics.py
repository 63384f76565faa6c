"""Scores agree with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from gtimm.core.metrics import accuracy, macro_f1, scores, top_k_accuracy


@given(st.integers(4, 9), st.integers(1, 60), st.integers(0, 10**6))
def test_scores_agree_with_sklearn(classes: int, rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.random((rows, classes)), random.integers(0, classes, rows)
    found = scores(probabilities, labels)
    chosen = probabilities.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, chosen))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, chosen, average="macro", zero_division=0))
    expected = top_k_accuracy_score(labels, probabilities, k=3, labels=np.arange(classes))
    assert found["top3_accuracy"] == pytest.approx(expected)


def test_ties_go_to_the_lower_class() -> None:
    even = np.full((1, 4), 0.25)
    assert top_k_accuracy(even, np.array([2]), 3) == 1
    assert top_k_accuracy(even, np.array([3]), 3) == 0
    assert accuracy(even, np.array([0])) == 1


def test_top_three_of_three_classes_is_one() -> None:
    assert scores(np.eye(3), np.array([1, 2, 0])) == {"accuracy": 0.0, "macro_f1": 0.0, "top3_accuracy": 1.0}


def test_macro_f1_by_hand() -> None:
    probabilities = np.eye(3)[[0, 0, 1, 1]]
    assert macro_f1(probabilities, np.array([0, 1, 1, 2])) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
