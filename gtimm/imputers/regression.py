"""Regression: what is missing predicted from what is there, with draws from what the prediction leaves open."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gtimm.core.imputer import State, View

    Bool = NDArray[np.bool_]
    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]

GRID = np.logspace(-3, 4, 29)
ROWS = 20_000  # of training that a pattern is fitted on, evenly spaced; coefficients of 1,024 numbers gain nothing from more
LEAST = 3  # rows; a leave-one-out error needs as many
EVERY = 4  # other modalities of which all subsets are fitted; of more only each alone and all together


class Regression(Imputer):
    """Ridge regression on what is present, in closed form; needs no label, so it fills validation, test and new rows too.

    One ridge regression for each set of other modalities, on the training rows that have the set and the target. A row takes the
    one, among those whose modalities it has, with the least leave-one-out error; the mean of the target, which needs nothing, is
    among them, so that what does not help is not used. Without any training row that has the target there is no candidate.

    The first candidate is the prediction (the conditional mean), the others add draws from a normal distribution with the
    covariance of the leave-one-out residuals (Ledoit and Wolf 2004 where rows are few): multiple imputation (Rubin 1987) in closed
    form. Leaving one out counts the uncertainty of the coefficients in. A draw depends on `seed` and on the row's own embeddings,
    not on its place or on other rows. Fills are not rescaled: where a backbone's embeddings have length 1, predictions are shorter.

    Attributes:
        ridge: added to the diagonal of the covariance of the present embeddings, in units of its mean eigenvalue; `None` chooses
            from 0.001 to 10,000 by generalised cross-validation, for each set.
        draws: candidates a row; 1 is the prediction alone.
        seed: of the draws.
    """

    info: ClassVar[Info] = Info(items="feature")

    ridge: float | None = Field(default=None, gt=0)
    draws: int = Field(default=5, ge=1)
    seed: int = 0

    def fit(self, train: View, target: str) -> State:
        """Fit every set of other modalities.

        Returns:
            `sets` (sets, other modalities) bool, `errors` (sets,) mean squared leave-one-out errors; for set i `centre/i` (width,),
            `mean/i` (dim,), `weights/i` (width, dim) and `factor/i` (dim, dim). Empty where no row has the target.
        """
        others = [m for m in train.modalities if m != target]
        there = np.stack([train.present(m) for m in others], 1) if others else np.zeros((train.rows, 0), bool)
        values = {m: train.features(m) for m in others}
        goal, has = train.features(target), train.present(target)
        sets: list[list[bool]] = []
        errors: list[float] = []
        state: State = {}
        for chosen in _sets(len(others)):
            rows = np.flatnonzero(has & there[:, chosen].all(1))
            if len(rows) < (LEAST if chosen else 1):
                continue
            rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(np.int64)]
            x = np.concatenate([np.zeros((len(rows), 0)), *(values[others[i]][rows] for i in chosen)], 1)
            fit = fit_ridge(x, goal[rows].astype(np.float64), self.ridge)
            parts = {"centre": fit.centre, "mean": fit.mean, "weights": fit.weights, "factor": residual_factor(fit.residuals)}
            state |= {f"{name}/{len(sets)}": part.astype(np.float32) for name, part in parts.items()}
            sets.append([i in chosen for i in range(len(others))])
            errors.append(float((fit.residuals**2).mean()))
        return {"sets": np.array(sets, bool).reshape(len(sets), len(others)), "errors": np.array(errors, np.float64), **state}

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return `draws` candidates of each row that lacks the target; other rows have none."""
        holes = np.flatnonzero(~view.present(target))
        sets, dim = np.asarray(state["sets"]), view.dim(target)
        group = np.full(view.rows, -1, np.int32)
        if not len(holes) or not len(sets):
            return Pool(Features(np.zeros((0, dim), np.float32)), group, np.zeros(1, np.int64), np.zeros(0, np.int64))
        others = [m for m in view.modalities if m != target]
        there = np.array([view.present(m)[holes] for m in others], bool).reshape(len(others), len(holes)).T
        lacking = sets.astype(np.int64) @ (~there).T.astype(np.int64)
        best = np.where(lacking == 0, np.asarray(state["errors"])[:, None], np.inf).argmin(0)
        seen = [view.features(m)[holes] for m in others]
        fills = np.empty((len(holes), self.draws, dim), np.float32)
        for i in np.unique(best).tolist():
            mine = np.flatnonzero(best == i)
            parts = [values[mine] for values, used in zip(seen, sets[i], strict=True) if used]
            x = np.concatenate([np.zeros((len(mine), 0), np.float32), *parts], 1)
            mean = (x - np.asarray(state[f"centre/{i}"])) @ np.asarray(state[f"weights/{i}"]) + np.asarray(state[f"mean/{i}"])
            fills[mine] = mean[:, None]
            if self.draws > 1:
                fills[mine, 1:] += (
                    self._noise([values[mine] for values in seen], len(mine), dim) @ np.asarray(state[f"factor/{i}"]).T
                )
        group[holes] = np.arange(len(holes))
        start = np.arange(len(holes) + 1) * self.draws
        return Pool(Features(fills.reshape(-1, dim)), group, start, np.arange(start[-1]))

    def _noise(self, seen: list[F32], rows: int, dim: int) -> F32:
        """Return (rows, draws - 1, dim) standard normal numbers, of each row from what it has."""
        result = np.empty((rows, self.draws - 1, dim), np.float32)
        for row in range(rows):
            content = hashlib.blake2b(b"".join(values[row].tobytes() for values in seen), digest_size=16).hexdigest()
            stream(self.seed, "residuals", content).standard_normal(out=result[row], dtype=np.float32)
        return result


@dataclass(frozen=True)
class Ridge:
    """A ridge regression.

    Attributes:
        centre: (width,) mean of the inputs.
        mean: (dim,) mean of the targets.
        weights: (width, dim); the prediction is `mean + (x - centre) @ weights`.
        ridge: the penalty, in units of the mean eigenvalue of the inputs' covariance.
        residuals: (rows, dim) of each row when it is left out.
    """

    centre: F64
    mean: F64
    weights: F64
    ridge: float
    residuals: F64


def fit_ridge(x: NDArray[np.floating], y: F64, ridge: float | None = None) -> Ridge:
    """Fit a ridge regression with an intercept, which is not penalised.

    Leave-one-out residuals are e / (1 - h), with h the diagonal of the hat matrix (Hastie, Tibshirani and Friedman 2009, section
    7.10). The penalty minimises the generalised cross-validation error n |e|^2 / (n - trace)^2 (Golub, Heath and Wahba 1979).

    Args:
        x: (rows, width) inputs; a width of 0 leaves the mean.
        y: (rows, dim) targets.
        ridge: the penalty in units of the mean eigenvalue; `None` chooses it from `GRID`.
    """
    rows, width = x.shape
    centre, mean = x.mean(0, dtype=np.float64), y.mean(0)
    inputs, goal = x - centre, y - mean
    left, values, right = _svd(inputs)
    seen = left.T @ goal
    unit = (values.sum() / width) if len(values) else 1.0

    def shrunk(penalty: float) -> F64:
        """Return by how much each direction is shrunk, in 0..1."""
        kept: F64 = penalty * unit / (values + penalty * unit)
        return kept

    if ridge is None:
        outside = max(float((goal**2).sum() - (seen**2).sum()), 0.0)
        each = (seen**2).sum(1)
        free = max(rows - 1 - len(values), 0)
        scores = [(outside + (s**2 * each).sum()) / max(free + s.sum(), 1e-12) ** 2 for s in map(shrunk, GRID.tolist())]
        ridge = float(GRID[int(np.argmin(scores))])
    kept = 1 - shrunk(ridge)
    scaled = kept[:, None] * seen
    hat = 1 / rows + (left**2) @ kept
    residuals = (goal - left @ scaled) / np.maximum(1 - hat, 1e-8)[:, None] if rows > 1 else np.zeros_like(goal)
    return Ridge(centre, mean, right @ (scaled / np.sqrt(values)[:, None]), ridge, residuals)


def residual_factor(residuals: F64) -> F64:
    """Return (dim, dim) F with F F' the shrunk covariance (Ledoit and Wolf 2004) of (rows, dim) residuals of mean 0."""
    from sklearn.covariance import ledoit_wolf

    dim = residuals.shape[1]
    if len(residuals) < 2:
        return np.zeros((dim, dim))
    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    values, vectors = np.linalg.eigh(np.asarray(covariance).reshape(dim, dim))
    factor: F64 = vectors * np.sqrt(np.maximum(values, 0))
    return factor


def _svd(x: F64) -> tuple[F64, F64, F64]:
    """Return U (rows, r), s^2 (r,) and V (width, r) of x = U s V', without directions of no variance; by the smaller Gram matrix."""
    wide = x.shape[0] < x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    good = values > 1e-12 * max(float(values.max(initial=0)), np.finfo(float).tiny)
    values, vectors = values[good], vectors[:, good]
    other = (x.T if wide else x) @ (vectors / np.sqrt(values))
    return (vectors, values, other) if wide else (other, values, vectors)


def _sets(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the sets of `count` modalities that are fitted, the empty one first."""
    sizes = range(count + 1) if count <= EVERY else (0, 1, count)
    return chain.from_iterable(combinations(range(count), size) for size in sizes)
