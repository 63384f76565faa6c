"""Scores of a classifier, as fractions in 0..1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.targets import Labels

THRESHOLD = 0.5
"""A multi-label prediction holds the classes with at least this probability."""


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Share of rows whose most probable class is the label; probabilities (rows, classes), labels (rows,)."""
    return float((probabilities.argmax(1) == labels).mean())


def macro_f1(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Unweighted mean of the F1 of each class that occurs in the labels or the predictions (scikit-learn's `f1_score`)."""
    predicted, classes = probabilities.argmax(1), probabilities.shape[1]
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    either = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    return float((2 * hits[either > 0] / either[either > 0]).mean())


def top_k_accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """Share of rows whose label is among the k most probable classes; ties go to the lower class index."""
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((top == labels[:, None]).any(1).mean())


def scores(probabilities: NDArray[np.floating], labels: Labels) -> dict[str, float]:
    """Return the scores of probabilities (rows, classes).

    Returns:
        `accuracy`, `macro_f1` and `top3_accuracy` (1 where there are at most three classes); for multi-label data those of
        `multilabel_scores`.
    """
    if labels.ndim == 2:
        return multilabel_scores(probabilities, labels)
    return {
        "accuracy": accuracy(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "top3_accuracy": top_k_accuracy(probabilities, labels, 3),
    }


def multilabel_scores(probabilities: NDArray[np.floating], labels: NDArray[np.bool_]) -> dict[str, float]:
    """Return `samples_f1`, `micro_f1` and `macro_f1` of the classes above 0.5, and `auroc`; all as scikit-learn defines them.

    `auroc` is the unweighted mean over the classes that some rows have and some have not; 0.5 where there is none.
    """
    from sklearn.metrics import f1_score, roc_auc_score

    found = probabilities >= THRESHOLD
    f1 = {a: float(f1_score(labels, found, average=a, zero_division=0.0)) for a in ("samples", "micro", "macro")}
    both = labels.any(0) & ~labels.all(0)
    auroc = float(roc_auc_score(labels[:, both], probabilities[:, both], average="macro")) if both.any() else 0.5
    return {**{f"{average}_f1": value for average, value in f1.items()}, "auroc": auroc}


def by_row(probabilities: NDArray[np.floating], labels: Labels) -> tuple[str, NDArray[np.float32]]:
    """Return the name of the main score and its value in each row, whose mean is the score: what intervals are made of.

    It is `accuracy`, and for multi-label data `samples_f1`, the F1 of a row's set of classes (0 where both sets are empty).
    """
    if labels.ndim == 1:
        return "accuracy", (probabilities.argmax(1) == labels).astype(np.float32)
    found = probabilities >= THRESHOLD
    both, either = (found & labels).sum(1), found.sum(1) + labels.sum(1)
    return "samples_f1", (2 * both / np.maximum(either, 1)).astype(np.float32)
