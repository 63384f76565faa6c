"""Predictions of a trained head: the mean over draws of the fills, their spread, and the prior for rows without anything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gtimm.core.calibration import entropy, spread, temperature
from gtimm.core.splits import Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.fusion import Head
    from gtimm.core.splits import Split

    F32 = NDArray[np.float32]

BATCH = 4096  # rows times draws at a time


@dataclass(frozen=True)
class Predictions:
    """What is known of each row.

    Attributes:
        probabilities: (rows, classes), the mean over the draws.
        uncertainty: (rows,) by how much the draws differ, in nats (`calibration.spread`); for an empty row the entropy of the prior,
            since nothing of what a row could tell is known. NaN with one draw, which has no spread.
        empty: (rows,) True where the row has no modality at all: its probabilities are the prior.
    """

    probabilities: F32
    uncertainty: F32
    empty: NDArray[np.bool_]

    @classmethod
    def together(cls, parts: list[Predictions]) -> Predictions:
        """Return the rows of all parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("probabilities", "uncertainty", "empty")))


@dataclass(frozen=True)
class Predictor:
    """A trained head and how its logits become predictions.

    Attributes:
        head: the trained head.
        prior: (classes,) frequencies of the classes in training.
        draws: candidates of each hole to average over.
        temperature: the logits are divided by it.
        multilabel: whether each class has a probability of its own.
    """

    head: Head
    prior: F32
    draws: int = 1
    temperature: float = 1.0
    multilabel: bool = False

    def predict(self, split: Split) -> Predictions:
        """Predict the rows of a split."""
        rows, classes = len(split), len(self.prior)
        probabilities, differ = np.empty((rows, classes), np.float32), np.full(rows, np.nan, np.float32)
        empty = np.logical_and.reduce([source.index < 0 for source in split.sources.values()])
        for part, logits in batches(self.head, split, self.draws):
            each = (logits / self.temperature).sigmoid() if self.multilabel else (logits / self.temperature).softmax(-1)
            probabilities[part] = each.mean(0).numpy()
            if self.draws > 1:
                differ[part] = self._per_row(spread, each.numpy())
        probabilities[empty] = self.prior
        if self.draws > 1:
            differ[empty] = self._per_row(entropy, self.prior)
        return Predictions(probabilities, differ, empty)

    def calibrated(self, split: Split) -> float:
        """Return the temperature that suits a labelled split best; rows without any modality do not count."""
        assert split.labels is not None
        logits = np.concatenate([part.numpy() for _, part in batches(self.head, split, self.draws)], 1)
        some = np.logical_or.reduce([source.index >= 0 for source in split.sources.values()])
        return temperature(logits[:, some], split.labels[some])

    def _per_row(self, measure: Callable[[NDArray[np.floating]], NDArray[np.float64]], values: F32) -> NDArray[np.float64]:
        """Apply a measure of distributions over classes; of multi-label data it is the sum over the classes."""
        return measure(np.stack([values, 1 - values], -1)).sum(-1) if self.multilabel else measure(values)


def batches(head: Head, split: Split, draws: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield `(rows, logits (draws, rows, classes))` in order, draw j with each hole filled by its candidate j.

    Where a hole has fewer candidates they come again from the first on; where no hole has more than one, there is one draw.
    """
    tables = Tables([split])
    most = most_candidates(split)
    placed = [tables.nth(0, j) for j in range(draws if most > 1 else 1)]
    step = max(1, BATCH // len(placed))
    with torch.inference_mode():
        for begin in range(0, len(split), step):
            part = slice(begin, begin + step)
            yield (
                part,
                torch.stack(
                    [
                        head({m: tables.values[m][places[m][part]] for m in tables.modalities}, filled[part], observed[part])
                        for places, filled, observed in placed
                    ]
                ),
            )


def most_candidates(split: Split) -> int:
    """Return the largest number of candidates that a hole has; 0 without holes."""
    found = 0
    for source in split.sources.values():
        if source.pool is not None:
            found = max(found, int(source.pool.counts()[source.index < 0].max(initial=0)))
    return found


def warn_of_few(split: Split, draws: int) -> None:
    """Warn where more draws are wanted than any hole has candidates."""
    most = most_candidates(split)
    if 0 < most < draws:
        warnings.warn(
            f"draws={draws}, but no hole has more than {most} candidate{'s' * (most > 1)}: the spread is over these. Give the "
            f"eval_imputer more, such as {{'name': 'regression', 'draws': {draws}}} or {{'name': 'retrieval', 'k': {draws}}}.",
            RuntimeWarning,
            stacklevel=4,
        )
