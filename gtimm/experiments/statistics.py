"""Intervals and tests of scores over test rows and seeds, which are crossed: every seed's model is scored on every row.

A value x[s, r] is taken as mean + row[r] + seed[s] + rest[s, r], with rows and seeds as random draws, so that what is said holds for other
test rows and other seeds (masks, draws, weights), not for these alone. The mean squares of a two-way analysis of variance estimate the
three parts, and the variance of the mean as in multi-reader studies, where readers and cases are crossed like seeds and rows
(Dorfman, Berbaum & Metz 1992; Hillis 2007, "A comparison of denominator degrees of freedom methods for multiple observer ROC analysis"):

    variance = (MS_seeds + max(MS_rows - MS_rest, 0)) / (seeds * rows)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.seeding import stream
from gtimm.report import wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

LEVEL = 0.05
"""Of significance."""
DRAWS = 2000
FAR = 1e9  # in Student's t; beyond it no chance is left
CHUNK_CELLS = 2_000_000  # draws times rows that are in memory at a time: about 50 MB


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval and the standard deviation over seeds (0 for one seed)."""

    mean: float
    std: float
    low: float
    high: float

    @property
    def points(self) -> str:
        """A difference in points with its interval, as `+3.4 [+1.0, +5.8]`."""
        return wording.gain(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Parts:
    """A mean and the variances of its two shares of uncertainty.

    Attributes:
        mean: over rows and seeds.
        rows: variance of the mean that the choice of test rows makes.
        seeds: variance that the seeds make; `None` for one seed, which tells nothing of others.
        effects: (rows,) deviations whose mean over resampled rows has the variance `rows`.
        counts: numbers of seeds and rows.
    """

    mean: float
    rows: float
    seeds: float | None
    effects: F64
    counts: tuple[int, int]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Parts:
        """Return the parts of values (seeds, rows)."""
        values = np.asarray(values, np.float64)
        seeds, rows = values.shape
        mean, by_row = values.mean(), values.mean(0) - values.mean()
        if seeds == 1:
            return cls(float(mean), float((by_row**2).sum() / max(rows - 1, 1) / rows), None, by_row, (seeds, rows))
        by_seed = values.mean(1) - mean
        squares = ((values - mean) ** 2).sum()
        of_rows, of_seeds = seeds * (by_row**2).sum(), rows * (by_seed**2).sum()
        ms_rows, ms_seeds = of_rows / max(rows - 1, 1), of_seeds / (seeds - 1)
        ms_rest = max(squares - of_rows - of_seeds, 0.0) / ((seeds - 1) * max(rows - 1, 1))
        kept = max(1 - ms_rest / ms_rows, 0.0) if ms_rows > 0 else 0.0
        share = ms_rows * kept / (seeds * rows)
        return cls(float(mean), float(share), float(ms_seeds / (seeds * rows)), by_row * np.sqrt(kept), (seeds, rows))


class Bootstrap:
    """Resamples test rows, the same way for every method, so that differences are paired; seeds add Student's t.

    Percentile intervals (Efron & Tibshirani 1993, chapter 13). Rows are drawn with replacement. Seeds are a handful: the spread of their
    resamples is too small by (seeds - 1) / seeds and has no heavier tails, and intervals of five would miss the truth twice as often as
    they say. So their share is drawn from Student's t with seeds - 1 degrees of freedom. What differs by row and seed at once is
    counted with the seeds alone, where resampling rows and seeds both counts it three times (Owen 2007, "The pigeonhole bootstrap").

    Args:
        rows: number of test rows.
        seeds: number of seeds; one leaves only the rows' share of the uncertainty.
        draws: resamples.
        signed: a row's share of a score may be below 0, as with F1, whose rows are no scores by themselves (`scoring.as_metric`).
    """

    def __init__(self, rows: int, seeds: int, draws: int = DRAWS, *, signed: bool = False) -> None:
        self.rows, self.seeds, self.draws, self.signed = rows, seeds, draws, signed
        random = stream(0, "bootstrap of seeds", seeds, draws)
        self._seeds = np.zeros(draws) if seeds == 1 else random.standard_t(seeds - 1, draws)

    def interval(self, values: NDArray[Any], *, difference: bool = False) -> Interval:
        """Return the interval of the mean of values (seeds, rows): right or wrong, or with `difference` that of two methods."""
        return self.intervals([values], difference=difference)[0]

    def intervals(self, cells: Sequence[NDArray[Any]], *, difference: bool = False) -> list[Interval]:
        """Return the intervals of many cells, for which the rows are drawn once; scores stay in 0..1, differences in -1..1.

        Raises:
            ValueError: values below 0 that are not said to be differences.
        """
        if not (difference or self.signed) and any(np.min(values, initial=0.0) < 0 for values in cells):
            raise ValueError("Scores are in 0..1; for the difference of two methods pass difference=True.")
        parts = [Parts.of(values) for values in cells]
        spread = self._resampled([part.effects for part in parts])
        found = []
        for values, part, rows in zip(cells, parts, spread, strict=True):
            means = part.mean + rows + self._seeds * np.sqrt(part.seeds or 0.0)
            low, high = np.clip(np.percentile(means, [2.5, 97.5]), -1.0 if difference else 0.0, 1.0)
            by_seed = np.asarray(values).mean(1, dtype=np.float64)
            std = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else 0.0
            found.append(Interval(part.mean, std, float(low), float(high)))
        return found

    def _resampled(self, effects: list[F64]) -> F64:
        """Return (cells, draws) means of each cell's row effects over resampled rows; memory does not grow with draws times rows."""
        if not effects:
            return np.zeros((0, self.draws))
        table = np.stack(effects, 1)
        random = stream(0, "bootstrap", self.rows, self.seeds, self.draws)
        found = np.empty((self.draws, len(effects)))
        step = max(1, CHUNK_CELLS // self.rows)
        for begin in range(0, self.draws, step):
            size = min(step, self.draws - begin)
            picked = random.integers(0, self.rows, (size, self.rows)) + np.arange(size)[:, None] * self.rows
            counts = np.bincount(picked.ravel(), minlength=size * self.rows).reshape(size, -1)
            found[begin : begin + size] = counts.astype(np.float64) @ table / self.rows
        return found.T


def paired_p_value(difference: NDArray[Any]) -> float:
    """Return the two-sided p-value of no mean difference between two methods on the same rows and seeds.

    The chance of such a mean if both shares of its uncertainty were drawn about 0 as the intervals draw them, each from its own Student's
    t: the distribution of Behrens and Fisher (Fisher 1935), on the safe side where one share rests on few values. With one seed it is the
    paired t-test over rows; where rows make no difference, that over seeds. Differences that are all equal have nothing to test them
    by: 1 where they are 0, else 0.

    Args:
        difference: (seeds, rows) scores of one method less those of the other.
    """
    from scipy.stats import t

    part = Parts.of(difference)
    seeds, rows = part.counts
    by_row, by_seed, mean = np.sqrt(part.rows), np.sqrt(part.seeds or 0.0), abs(part.mean)
    if by_row + by_seed == 0:
        return 1.0 if mean == 0 else 0.0
    if by_seed == 0 or by_row == 0:
        return float(2 * t.sf(mean / max(by_row, by_seed), rows - 1 if by_seed == 0 else seeds - 1))
    steps = np.linspace(
        -np.arcsinh(FAR), np.arcsinh(FAR), 4001
    )  # of the seeds' t, close together about 0 and far apart in its tails
    drawn = np.sinh(steps)
    chances = t.pdf(drawn, seeds - 1) * np.cosh(steps) * t.sf((mean - drawn * by_seed) / by_row, rows - 1)
    return float(min(2 * (np.trapezoid(chances, steps) + t.sf(FAR, seeds - 1)), 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, so that the chance of one false finding among all stays below the level.

    Holm's step-down method (1979, "A simple sequentially rejective multiple test procedure"): never less powerful than Bonferroni's,
    and like it valid however the comparisons depend on one another.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    found = np.empty_like(values)
    found[order] = np.minimum(raised, 1.0)
    return [float(value) for value in found]
