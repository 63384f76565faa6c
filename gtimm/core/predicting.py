"""Predictions of a trained head: the mean over draws of the fills, their spread, and the prior for rows without anything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gtimm.core.calibration import entropy, spread, temperature
from gtimm.core.imputer import Generator
from gtimm.core.metrics import THRESHOLD
from gtimm.core.training.splits import Tables

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame
    from torch import Tensor

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.fusion import Head
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.targets import Labels
    from gtimm.core.training.splits import Split

    F32 = NDArray[np.float32]

BATCH = 4096  # rows times draws that a head takes at a time
ROWS = 4 * BATCH  # whose features are in memory at a time


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

    def put(self, rows: NDArray[np.int64], part: Predictions) -> None:
        """Take in the predictions of these rows."""
        self.probabilities[rows], self.uncertainty[rows], self.empty[rows] = part.probabilities, part.uncertainty, part.empty


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
        nothing = self.without_anything(int(empty.sum()))
        probabilities[empty], differ[empty] = nothing.probabilities, nothing.uncertainty
        return Predictions(probabilities, differ, empty)

    def without_anything(self, rows: int) -> Predictions:
        """Predict rows without any modality."""
        unsure = self._per_row(entropy, self.prior) if self.draws > 1 else np.nan
        return Predictions(np.tile(self.prior, (rows, 1)), np.full(rows, unsure, np.float32), np.ones(rows, np.bool_))

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
                        head({m: tables.values[m].take(places[m][part]) for m in tables.modalities}, filled[part], observed[part])
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


def predictions(pipeline: Pipeline, data: MultimodalDataset) -> Predictions:
    """Predict the rows of a data set, `ROWS` at a time, so that memory holds the features of so many.

    Rows without any modality need no filling, and what cannot fill them is not asked.
    With a generator among the evaluation imputers of modalities with holes all rows are one part, since its batches are cut from the
    plan of all of them.
    """
    predictor, filler = pipeline.predictor(), pipeline.filler()
    judges = {m: pipeline.eval_imputers.get(m) for m in pipeline.kinds}
    whole = any(isinstance(judge, Generator) and not data.present(m).all() for m, judge in judges.items())
    found, most = predictor.without_anything(len(data)), 0
    some = np.flatnonzero(np.logical_or.reduce([data.present(m) for m in pipeline.kinds]))
    for begin in range(0, len(some), len(some) if whole else ROWS):
        rows = some if whole else some[begin : begin + ROWS]
        part = data if len(rows) == len(data) else data.subset(rows)
        split = filler.split(part, judges, pipeline._states, "eval")
        most = max(most, most_candidates(split))
        found.put(rows, predictor.predict(split))
    pipeline.taken |= filler.taken
    warn_of_few(most, predictor.draws)
    return found


def frequencies(labels: Labels, classes: int) -> F32:
    """Return (classes,) the share of rows of each class, or for multi-label data with each class."""
    counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
    return np.asarray(counts / max(len(labels), 1), np.float32)


def named(probabilities: F32, classes: Sequence[str], multilabel: bool) -> NDArray[Any]:
    """Return (rows,) the most probable class names; of multi-label data tuples of those with a probability of at least 0.5."""
    names = np.array(classes)
    if not multilabel:
        return np.asarray(names[probabilities.argmax(1)])
    result = np.empty(len(probabilities), object)
    result[:] = [tuple(names[row].tolist()) for row in probabilities >= THRESHOLD]
    return result


def table(found: Predictions, classes: Sequence[str], multilabel: bool, index: Any = None) -> DataFrame:
    """Return predictions as a DataFrame with the columns `prediction`, `probability`, `uncertainty` and `empty`."""
    import pandas as pd

    if multilabel:
        chosen = [tuple(row[row >= THRESHOLD].tolist()) for row in found.probabilities]
        probability: Any = pd.Series(chosen, index, dtype=object)
    else:
        probability = found.probabilities.max(1)
    columns = {
        "prediction": named(found.probabilities, classes, multilabel),
        "probability": probability,
        "uncertainty": found.uncertainty,
        "empty": found.empty,
    }
    return pd.DataFrame(columns, index=index)


def warn_of_few(most: int, draws: int) -> None:
    """Warn where more draws are wanted than any hole has candidates, which are at most `most`; 0 stands for no holes."""
    if 0 < most < draws:
        warnings.warn(
            f"draws={draws}, but no hole has more than {most} candidate{'s' * (most > 1)}: the spread is over these. Give the "
            f"eval_imputer more, such as {{'name': 'regression', 'draws': {draws}}} or {{'name': 'retrieval', 'k': {draws}}}.",
            RuntimeWarning,
            stacklevel=5,
        )
