"""Cells by another metric: values a test row whose mean is the metric, so that intervals and paired differences hold for it too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.experiments.cells import Cell

METRICS = ("accuracy", "macro_f1", "weighted_f1", "micro_f1", "top3_accuracy")


def as_metric(cell: Cell, metric: str, labels: NDArray[np.int64], classes: int) -> Cell:
    """Return a cell of single-label data with the values of another metric.

    Accuracy and micro F1 (which are one where each row has one class) and top-3 accuracy are means over rows as they are. The F1 of a
    class is a ratio of means, so a row's value is the score plus the row's influence on it (the delta method: Hampel 1974, "The
    influence curve and its role in robust estimation"); the values' mean is the score to the last bit but rounding.

    Args:
        cell: of a grid.
        metric: of `METRICS`.
        labels: (rows,) of the test split.
        classes: how many the data has.

    Raises:
        ConfigError: an unknown metric.
    """
    if metric == cell.metric:
        return cell
    if metric not in METRICS:
        raise ConfigError(f"Unknown metric {metric!r}.{did_you_mean(metric, METRICS)} Known: {', '.join(METRICS)}.")
    if metric == "top3_accuracy":
        values: Any = cell.rank < 3
    elif metric in ("accuracy", "micro_f1"):
        values = cell.predicted == labels
    else:
        values = np.stack([f1_by_row(found, labels, classes, weighted=metric == "weighted_f1") for found in cell.predicted])
    return replace(cell, metric=metric, values=np.asarray(values, np.float32))


def f1_by_row(predicted: NDArray[Any], labels: NDArray[np.int64], classes: int, *, weighted: bool = False) -> NDArray[np.float64]:
    """Return (rows,) values whose mean is the F1 over the classes that labels or predictions have, as scikit-learn averages it.

    Args:
        predicted: (rows,) class indices.
        labels: (rows,) class indices.
        classes: how many there are.
        weighted: by the classes' frequencies among the labels, or all alike.
    """
    rows = np.arange(len(labels))
    right = predicted == labels
    both = np.zeros((len(labels), classes))  # 2 [label = c and prediction = c]
    both[rows[right], labels[right]] = 2.0
    either = np.zeros((len(labels), classes))  # [label = c] + [prediction = c]
    np.add.at(either, (rows, labels), 1.0)
    np.add.at(either, (rows, predicted), 1.0)
    there = either.any(0)
    both, either = both[:, there], either[:, there]
    mean = either.mean(0)
    f1 = both.mean(0) / mean
    influence = (both - f1 * either) / mean
    if not weighted:
        return np.asarray((f1 + influence).mean(1))
    truth = np.zeros((len(labels), classes))
    truth[rows, labels] = 1.0
    truth = truth[:, there]
    return np.asarray((truth.mean(0) * influence + truth * f1).sum(1))
