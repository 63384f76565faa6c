"""Scores of a classifier, as fractions in 0..1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Share of rows whose most probable class is the label; probabilities (rows, classes), labels (rows,)."""
    return float((probabilities.argmax(1) == labels).mean())


def macro_f1(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Unweighted mean of the F1 of each class that occurs in the labels or the predictions (scikit-learn's `f1_score`)."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, probabilities.argmax(1), average="macro", zero_division=0.0))


def top_k_accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """Share of rows whose label is among the k most probable classes; ties go to the lower class index."""
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((top == labels[:, None]).any(1).mean())


def scores(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return `accuracy`, `macro_f1` and `top3_accuracy` (1 where there are at most three classes)."""
    return {
        "accuracy": accuracy(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "top3_accuracy": top_k_accuracy(probabilities, labels, 3),
    }
