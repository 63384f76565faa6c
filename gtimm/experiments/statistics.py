"""Intervals and tests of scores over test rows and seeds, which are crossed: every seed's model is scored on every row.

A value x[s, r] is taken as mean + row[r] + seed[s] + rest[s, r], with rows and seeds as random draws, so that what is said holds for other
test rows and other seeds (masks, draws, weights), not for these alone. The mean squares of a two-way analysis of variance estimate the
three parts, and the variance of the mean as in multi-reader studies, where readers and cases are crossed like seeds and rows
(Dorfman, Berbaum & Metz 1992; Hillis 2007, "A comparison of denominator degrees of freedom methods for multiple observer ROC analysis"):

    variance = (MS_seeds + max(MS_rows - MS_rest, 0)) / (seeds * rows)

MS_seeds of a handful of seeds may be anything, and 0 by chance where scores are right or wrong. So it is drawn, as a generalised confidence
interval draws it (Weerahandi 1993), and no draw lies below the part that seeds without any effect have too:

    max((seeds - 1) * MS_seeds / chi2(seeds - 1), MS_rest)

Without the bound that is Student's t with seeds - 1 degrees of freedom; where seeds make no difference it is the normal distribution.
Seeds that differ by less than one cell (one row of one seed) cannot be told from those that differ by one, and count as such.
How often equal methods are called different: `docs/decisions/0009-comparisons.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.report import wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

LEVEL = 0.05
"""Of significance."""
FAR = 1e4  # in standard deviations; no interval ends beyond, not even that of two seeds and two rows
NODES = 401


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
    """A mean and the shares of its variance.

    Attributes:
        mean: over rows and seeds.
        rows: that the choice of test rows makes.
        seeds: that the seeds make, what differs by row and seed at once included; 0 for one seed, which tells nothing of others.
        rest: the least that `seeds` can be: what differs by row and seed at once.
        counts: numbers of seeds and rows.
    """

    mean: float
    rows: float
    seeds: float
    rest: float
    counts: tuple[int, int]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Parts:
        """Return the parts of values (seeds, rows).

        Values that are all equal and not 0 vary as if one row more had the value 0: twenty rows of twenty are not all rows there are.
        """
        values = np.asarray(values, np.float64)
        seeds, rows = values.shape
        cells, mean = seeds * rows, float(values.mean())
        if np.ptp(values) == 0:
            return cls(mean, mean**2 / (rows * (rows + 1)), 0.0, 0.0, (seeds, rows))
        by_row, by_seed = values.mean(0) - mean, values.mean(1) - mean
        of_rows, of_seeds = seeds * (by_row**2).sum(), rows * (by_seed**2).sum()
        ms_rows = of_rows / max(rows - 1, 1)
        if seeds == 1:
            return cls(mean, float(ms_rows / cells), 0.0, 0.0, (seeds, rows))
        ms_rest = max(((values - mean) ** 2).sum() - of_rows - of_seeds, 0.0) / ((seeds - 1) * max(rows - 1, 1))
        one_cell = (values[values != 0] ** 2).mean() / cells
        ms_seeds = max(of_seeds / (seeds - 1), min(ms_rest, one_cell))
        share = max(ms_rows - ms_rest, 0.0) / cells
        return cls(mean, float(share), float(ms_seeds / cells), float(ms_rest / cells), (seeds, rows))

    def chance(self, distance: float) -> float:
        """Return the chance that a mean lies as far as that from the truth, in either direction."""
        from scipy.stats import t

        seeds, rows = self.counts
        if seeds == 1 or self.seeds + self.rest == 0:
            variances, weights = np.array([self.rows]), np.ones(1)
        else:
            drawn, weights = _chi_squared(seeds - 1)
            variances = np.maximum((seeds - 1) * self.seeds / drawn, self.rest) + self.rows
        if not variances.any():
            return float(distance <= 0)
        return float(2 * weights @ t.sf(distance / np.sqrt(variances), max(rows - 1, 1)))

    def reach(self, level: float = LEVEL) -> float:
        """Return the distance from the truth that a mean has with a chance of `level`: half the width of an interval."""
        from scipy.optimize import brentq

        scale = np.sqrt(self.rows + self.seeds + self.rest)
        if scale == 0:
            return 0.0
        return float(scale * brentq(lambda distance: self.chance(distance * scale) - level, 0.0, FAR, rtol=1e-6))


@cache
def _chi_squared(degrees: int) -> tuple[F64, F64]:
    """Return values of a chi-squared distribution and their weights: trapezoids over its logarithm, dense where t's tails come from."""
    from scipy.stats import chi2

    steps = np.linspace(np.log(1e-18), np.log(chi2.isf(1e-15, degrees)), NODES)
    values = np.exp(steps)
    weights = chi2.pdf(values, degrees) * values
    return values, weights / weights.sum()


def interval(values: NDArray[Any], *, difference: bool = False) -> Interval:
    """Return the interval of the mean of values (seeds, rows): scores, or with `difference` those of one method less another's.

    It holds all means that a two-sided test at 5% would not refuse: that of a difference leaves 0 out where `paired_p_value` is below
    0.05. Scores stay in 0..1, differences in -1..1.

    Raises:
        ValueError: scores whose mean is below 0.
    """
    part = Parts.of(values)
    if part.mean < 0 and not difference:
        raise ValueError("Scores are in 0..1; for the difference of two methods pass difference=True.")
    reach = part.reach()
    low, high = np.clip([part.mean - reach, part.mean + reach], -1.0 if difference else 0.0, 1.0)
    by_seed = np.asarray(values).mean(1, dtype=np.float64)
    return Interval(part.mean, float(by_seed.std(ddof=1)) if len(by_seed) > 1 else 0.0, float(low), float(high))


def paired_p_value(difference: NDArray[Any]) -> float:
    """Return the two-sided p-value of no mean difference between two methods on the same rows and seeds.

    With one seed, or seeds that all give the same, it is the paired t-test over rows; where rows make no difference, that over seeds; else
    see the module. It is 1 where nothing differs, and never 0.

    Args:
        difference: (seeds, rows) scores of one method less those of the other.
    """
    part = Parts.of(difference)
    return min(max(part.chance(abs(part.mean)), float(np.finfo(np.float64).tiny)), 1.0)


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
