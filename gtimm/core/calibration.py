"""Calibration: temperature scaling, its error, and how much predictions differ between draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.targets import Labels

COLDEST, HOTTEST = 0.01, 100.0
GOLDEN = (5**0.5 - 1) / 2


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities of logits over the last axis, at a temperature: above 1 they are flatter."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(-1, keepdims=True))
    result: NDArray[np.float64] = raised / raised.sum(-1, keepdims=True)
    return result


def sigmoid(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probability of each class by itself, for multi-label data, at a temperature."""
    result: NDArray[np.float64] = 0.5 * (1 + np.tanh(np.asarray(logits, np.float64) / (2 * temperature)))
    return result


def temperature(logits: NDArray[np.floating], labels: Labels) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    A search of log T on a grid, then by golden section. Where every row is right at any temperature, as on few easy rows, the
    likelihood has no best one, and the result is the lowest, 0.01.

    Args:
        logits: (rows, classes), or (draws, rows, classes): the probabilities are then the mean over the draws.
        labels: (rows,) class indices; or (rows, classes) bool for multi-label data, whose classes are taken as independent.

    Returns:
        A number in 0.01..100; 1 without rows.
    """
    if not len(labels):
        return 1.0
    draws = np.asarray(logits, np.float64).reshape(-1, *np.shape(logits)[-2:])

    def loss(log: float) -> float:
        if labels.ndim == 2:
            found = sigmoid(draws, float(np.exp(log))).mean(0)
            likely = np.where(labels, found, 1 - found)
        else:
            likely = softmax(draws, float(np.exp(log)))[:, np.arange(len(labels)), labels].mean(0)
        return -float(np.log(np.maximum(likely, np.finfo(float).tiny)).mean())

    grid = np.linspace(np.log(COLDEST), np.log(HOTTEST), 47)
    best = int(np.argmin([loss(log) for log in grid.tolist()]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    while high - low > 1e-4:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def ece(probabilities: NDArray[np.floating], labels: Labels, bins: int = 15) -> float:
    """Return the expected calibration error, a fraction in 0..1 (Naeini et al. 2015; Guo et al. 2017, equation 3).

    The mean over the rows of |accuracy - mean confidence| of the bin that a row's confidence, its highest probability, falls in. Of
    multi-label data every class of every row counts, with its probability as the confidence that the row has it.

    Args:
        probabilities: (rows, classes).
        labels: (rows,) class indices, or (rows, classes) bool.
        bins: of equal width over 0..1, each with its upper edge.
    """
    if not len(labels):
        return 0.0
    if labels.ndim == 2:
        confidence, right = probabilities.astype(np.float64).ravel(), labels.astype(np.float64).ravel()
    else:
        confidence, right = probabilities.max(1).astype(np.float64), (probabilities.argmax(1) == labels).astype(np.float64)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy over the last axis, in nats."""
    values = np.asarray(probabilities, np.float64)
    result: NDArray[np.float64] = -(values * np.log(np.maximum(values, np.finfo(float).tiny))).sum(-1)
    return result


def spread(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return by how much the predictions of the draws differ: the mutual information of prediction and draw, in nats.

    The entropy of the mean prediction less the mean entropy (Houlsby et al. 2011, BALD): 0 where all draws predict the same, however
    unsure; at most the logarithm of the draws or of the classes, whichever are fewer.

    Args:
        probabilities: (draws, ..., classes).

    Returns:
        (...,).
    """
    shared: NDArray[np.float64] = entropy(np.mean(probabilities, 0, dtype=np.float64)) - entropy(probabilities).mean(0)
    return np.maximum(shared, 0)
