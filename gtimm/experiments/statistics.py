"""Intervals over test rows and seeds, by a paired bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray


CHUNK = 100  # resamples made together


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval and the standard deviation over seeds (0 for one seed)."""

    mean: float
    std: float
    low: float
    high: float


class Bootstrap:
    """Resamples test rows and seeds, the same way for every method, so that differences are paired.

    Percentile intervals (Efron & Tibshirani, 1993, chapter 13) with rows and seeds drawn independently with replacement.

    Args:
        rows: number of test rows.
        seeds: number of seeds; one seed leaves only the rows' share of the uncertainty.
        draws: resamples.
    """

    def __init__(self, rows: int, seeds: int, draws: int = 2000) -> None:
        random = stream(0, "bootstrap", rows, seeds, draws)
        self._rows = np.empty((draws, rows), np.float32)
        for begin in range(0, draws, CHUNK):
            part = self._rows[begin : begin + CHUNK]
            picked = random.integers(0, rows, part.shape) + np.arange(len(part))[:, None] * rows
            part[:] = np.bincount(picked.ravel(), minlength=part.size).reshape(part.shape) / rows
        self._seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds

    def interval(self, values: NDArray[Any]) -> Interval:
        """Return the interval of the mean of values (seeds, rows): right or wrong, or a difference of two methods."""
        values = np.asarray(values, np.float32)
        means = ((self._rows @ values.T) * self._seeds).sum(1)
        by_seed = values.mean(1, dtype=np.float64)
        low, high = np.percentile(means, [2.5, 97.5])
        std = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else 0.0
        return Interval(float(by_seed.mean()), std, float(low), float(high))
