"""How much of a score is left when modalities are missing at test, and how much more than was to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

LEAST = 3
"""Baseline models that a trend needs."""


def relative_robustness(missing: float, whole: float) -> float | None:
    """Return the share of a model's score that is left: with modalities missing at test, divided by that with nothing missing.

    Not what Taori et al. 2020 ("Measuring Robustness to Natural Distribution Shifts in Image Classification", section 2) call by this
    name, the difference that an intervention makes to the score under shift: the comparisons say that, with intervals.

    Args:
        missing: score with modalities missing at test.
        whole: of the same model with nothing missing.

    Returns:
        1 where nothing is lost; `None` where there was nothing to lose.
    """
    return missing / whole if whole > 0 else None


class Trend:
    """What baselines without a remedy score with modalities missing at test, as a function of what they score without.

    Taori et al. 2020, section 2: beta is a line between the logits of both scores, fitted by least squares over the baseline models.
    A better model is expected to do better under shift too; what a method scores above the line is its effective robustness.

    Args:
        whole: (models,) scores in 0..1 with nothing missing.
        missing: (models,) scores of the same models with modalities missing.
        rows: of the test split; a score of 0 or 1 is taken as half a row from it.
    """

    def __init__(self, whole: Sequence[float], missing: Sequence[float], rows: int) -> None:
        self._edge = 0.5 / rows
        x, y = self._logit(whole), self._logit(missing)
        self._line: tuple[float, float] | None = None
        if len(x) >= LEAST and np.ptp(x) > 1e-9:
            slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
            self._line = slope, float(y.mean() - slope * x.mean())

    def expected(self, whole: float) -> float | None:
        """Return the score with modalities missing that a baseline of this score would have; `None` where there is no trend."""
        if self._line is None:
            return None
        slope, intercept = self._line
        return float(1 / (1 + np.exp(-(slope * self._logit([whole])[0] + intercept))))

    def effective_robustness(self, missing: float, whole: float) -> float | None:
        """Return what a model scores above the trend: acc_missing - beta(acc_whole), a fraction; `None` where there is no trend."""
        expected = self.expected(whole)
        return None if expected is None else missing - expected

    def _logit(self, values: Any) -> F64:
        kept = np.clip(np.asarray(values, np.float64), self._edge, 1 - self._edge)
        return np.log(kept / (1 - kept))
