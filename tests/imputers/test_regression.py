"""Regression against scikit-learn and against brute force; draws have the covariance that they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge, RidgeCV
from toys import ToyBackbone, matrix, vectors

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.imputer import State
from gtimm.core.pool import Features, Pool
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm.imputers import regression
from gtimm.imputers.regression import GRID, Regression, fit_ridge, residual_factor

NAMES = ("a", "b", "c")


def linear(rows: int, width: int = 6, dim: int = 3, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(2, 1, (rows, width)) * np.linspace(0.3, 2, width)
    weights = np.random.default_rng(99).normal(size=(width, dim))
    return x, x @ weights + 1 + noise * random.normal(size=(rows, dim))


def penalty(x: np.ndarray, ridge: float) -> float:
    """Scikit-learn's alpha for a penalty relative to the mean eigenvalue of the covariance."""
    return ridge * len(x) * float(np.linalg.eigvalsh(np.cov(x.T, bias=True)).mean())


def gaussian(rows: int, seed: int = 0, holes: float = 0.0) -> MultimodalDataset:
    """`a` (4 numbers) is half of `b` plus noise; `c` has nothing to do with either."""
    random = np.random.default_rng(seed)
    b, c = random.normal(size=(2, rows, 4))
    a = 0.5 * b + 1 + 0.3 * random.normal(size=(rows, 4))
    parts: dict[str, list[Any]] = {
        m: [None if random.random() < holes else row.astype(np.float32) for row in table]
        for m, table in zip(NAMES, (a, b, c), strict=True)
    }
    return MultimodalDataset.from_arrays(parts, np.arange(rows) % 2, classes=["x", "y"], kinds=dict.fromkeys(NAMES, "vector"))


def view(data: MultimodalDataset) -> DatasetView:
    backbones = dict.fromkeys(data.modalities, ToyBackbone())
    return DatasetView(data, open_workspace(device="cpu"), backbones, "pooled", False)


def fills(imputer: Regression, state: State, data: MultimodalDataset, target: str = "a") -> np.ndarray:
    """(holes, draws, dim) candidates."""
    pool: Pool = imputer.pool(view(data), target, state)
    assert isinstance(pool.items, Features)
    lacking = ~data.present(target)
    np.testing.assert_array_equal(pool.counts(), np.where(lacking, imputer.draws, 0))
    groups = pool.group[lacking]
    members = [pool.members[pool.start[g] : pool.start[g + 1]] for g in groups]
    return pool.items.values[np.array(members)]


@pytest.mark.parametrize(("rows", "width"), [(40, 6), (8, 30)])
@pytest.mark.parametrize("ridge", [0.01, 1.0, 100.0])
def test_the_coefficients_are_those_of_scikit_learn(rows: int, width: int, ridge: float) -> None:
    x, y = linear(rows, width)
    fit, reference = fit_ridge(x, y, ridge), Ridge(alpha=penalty(x, ridge), solver="svd").fit(x, y)
    np.testing.assert_allclose(fit.weights.T, reference.coef_, rtol=1e-6, atol=1e-9)
    fresh, _ = linear(5, width, seed=1)
    np.testing.assert_allclose(fit.mean + (fresh - fit.centre) @ fit.weights, reference.predict(fresh), rtol=1e-6)


@pytest.mark.parametrize(("rows", "width"), [(25, 4), (8, 30)])
def test_leave_one_out_residuals_are_those_of_fitting_without_the_row(rows: int, width: int) -> None:
    x, y = linear(rows, width)
    found = fit_ridge(x, y, 0.1).residuals
    for row in range(rows):
        kept = np.arange(rows) != row
        left_out = Ridge(alpha=penalty(x, 0.1), solver="svd").fit(x[kept], y[kept])
        np.testing.assert_allclose(found[row], y[row] - left_out.predict(x[row : row + 1])[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "width", "noise"), [(60, 6, 0.1), (60, 6, 20.0), (12, 40, 1.0), *[(9, 6, n) for n in range(1, 9)]]
)
def test_the_penalty_has_the_least_generalised_cross_validation_error(rows: int, width: int, noise: float) -> None:
    x, y = linear(rows, width, noise=noise)
    inputs, goal = x - x.mean(0), y - y.mean(0)
    errors = []
    for ridge in GRID:
        hat = inputs @ np.linalg.solve(inputs.T @ inputs + penalty(x, ridge) * np.eye(width), inputs.T) + 1 / rows
        errors.append(rows * ((goal - hat @ goal) ** 2).sum() / (rows - np.trace(hat)) ** 2)
    assert fit_ridge(x, y).ridge == pytest.approx(GRID[np.argmin(errors)])


def test_the_chosen_penalty_is_nearly_as_good_as_that_of_leaving_one_out() -> None:
    for noise in (0.1, 3.0, 30.0):
        x, y = linear(80, 20, noise=noise)
        best = RidgeCV([penalty(x, ridge) for ridge in GRID], scoring="neg_mean_squared_error").fit(x, y)
        assert (fit_ridge(x, y).residuals ** 2).mean() <= -best.best_score_ * 1.02


def test_a_width_of_zero_leaves_the_mean() -> None:
    _, y = linear(10)
    fit = fit_ridge(np.zeros((10, 0)), y)
    np.testing.assert_allclose(fit.mean, y.mean(0))
    for row in range(10):
        np.testing.assert_allclose(fit.residuals[row], y[row] - y[np.arange(10) != row].mean(0))


def test_the_factor_is_that_of_the_shrunk_covariance() -> None:
    for rows in (500, 4):
        residuals = np.random.default_rng(0).normal(size=(rows, 6)) * np.arange(1, 7)
        factor = residual_factor(residuals)
        np.testing.assert_allclose(factor @ factor.T, ledoit_wolf(residuals, assume_centered=True)[0], atol=1e-9)
    assert not residual_factor(np.ones((1, 3))).any()


def test_predictions_and_draws_follow_the_distribution_that_made_the_data() -> None:
    imputer = Regression(draws=40)
    state = imputer.fit(view(gaussian(4000)), "a")
    test = gaussian(300, seed=1).with_missing({"a": 1.0})
    found = fills(imputer, state, test)
    given = matrix(test, "b")
    np.testing.assert_allclose(found[:, 0], 0.5 * given + 1, atol=0.08)
    noise = (found[:, 1:] - found[:, :1]).reshape(-1, 4)
    np.testing.assert_allclose(np.cov(noise.T), 0.09 * np.eye(4), atol=0.006)
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.01)
    held_out = gaussian(300, seed=1)
    assert np.abs(matrix(held_out, "a") - found[:, 0]).mean() < 0.26


def test_any_pattern_is_filled_by_the_best_of_what_the_row_has() -> None:
    train = gaussian(300, holes=0.3)
    state = Regression().fit(view(train), "a")
    names = [{m for m, used in zip("bc", chosen, strict=True) if used} for chosen in state["sets"]]
    assert names == [set(), {"b"}, {"c"}, {"b", "c"}]
    errors = dict(zip(("", "b", "c", "bc"), state["errors"], strict=True))
    assert errors["b"] < 0.15 < errors[""]
    assert min(errors[""], errors["c"]) > 0.25
    test = gaussian(200, seed=3, holes=0.5)
    found = fills(Regression(draws=1), state, test)[:, 0]
    there, mean = train.present("a"), matrix(train, "a")
    best = {(False, False): [""], (True, False): ["", "b"], (False, True): ["", "c"], (True, True): ["", "b", "c", "bc"]}
    for place, row in enumerate(np.flatnonzero(~test.present("a")).tolist()):
        has = (bool(test.present("b")[row]), bool(test.present("c")[row]))
        chosen = min(best[has], key=errors.__getitem__)
        if not chosen:
            np.testing.assert_allclose(found[place], mean[there].mean(0), atol=1e-5)
            continue
        rows = np.logical_and.reduce([there, *(train.present(m) for m in chosen)])
        x = np.concatenate([matrix(train, m)[rows] for m in chosen], 1)
        fit = fit_ridge(x, mean[rows].astype(float))
        own = np.concatenate([test.payload(m, row) for m in chosen])
        np.testing.assert_allclose(found[place], fit.mean + (own - fit.centre) @ fit.weights, atol=1e-5)


def test_draws_come_from_the_seed_and_the_row_not_from_its_place() -> None:
    state = Regression().fit(view(gaussian(100)), "a")
    test = gaussian(30, seed=1).with_missing({"a": 1.0})
    whole = fills(Regression(), state, test)
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_allclose(fills(Regression(), state, test.subset(order)), whole[order], atol=1e-6)
    np.testing.assert_allclose(fills(Regression(), state, test.subset([7])), whole[[7]], atol=1e-6)
    np.testing.assert_allclose(fills(Regression(draws=3), state, test), whole[:, :3], atol=1e-6)
    assert np.abs(fills(Regression(seed=1), state, test) - whole)[:, 1:].min(2).max() > 0
    assert len(np.unique(whole.reshape(-1, 4), axis=0)) == 150


def test_fewer_rows_than_numbers_and_hardly_any() -> None:
    for rows in (1, 2, 3, 5):
        state = Regression().fit(view(vectors(30).subset(range(rows))), "left")
        values = fills(Regression(), state, vectors(20, seed=1).with_missing({"left": 1.0}), "left")
        assert np.isfinite(values).all()
        if rows < regression.LEAST:
            np.testing.assert_allclose(values[:, 0], np.tile(matrix(vectors(30), "left")[:rows].mean(0), (20, 1)), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*no candidate:RuntimeWarning")
def test_without_any_row_that_has_the_target_it_fills_as_zero() -> None:
    train = vectors(12).with_missing({"left": 1.0})
    state = Regression().fit(view(train), "left")
    pool = Regression().pool(view(train), "left", state)
    assert not pool.counts().any()
    Pipeline("toy", imputer="regression", eval_imputer="regression", device="cpu").fit(train).predict(train)


def test_many_rows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Regression(ridge=1.0).fit(view(gaussian(100).subset(range(0, 100, 11))), "a")
    monkeypatch.setattr(regression, "ROWS", 10)
    thinned = Regression(ridge=1.0).fit(view(gaussian(100)), "a")
    np.testing.assert_allclose(thinned["weights/1"], whole["weights/1"], atol=1e-6)


def test_of_many_modalities_each_alone_and_all_together_are_fitted() -> None:
    random = np.random.default_rng(0)
    names = "abcdef"
    data = MultimodalDataset.from_arrays({m: random.normal(size=(20, 4)) for m in names}, kinds=dict.fromkeys(names, "vector"))
    sets = Regression().fit(view(data), "a")["sets"]
    assert sorted(sets.sum(1).tolist()) == [0, 1, 1, 1, 1, 1, 5]


def test_a_saved_model_predicts_the_same_and_keeps_no_training_data(tmp_path: Path) -> None:
    pipe = Pipeline("toy", imputer="regression", eval_imputer="regression", device="cpu", store=tmp_path / "first")
    pipe.fit(vectors(60), vectors(20, seed=1), {"left": 0.5})
    assert all(len(array) <= 4 for array in pipe._states["left"].values())
    pipe.save(tmp_path / "model")
    test = vectors(15, seed=2).with_missing({"left": 0.6})
    loaded = Pipeline.load(tmp_path / "model", device="cpu", store=tmp_path / "second")
    np.testing.assert_array_equal(loaded.predict_proba(test), pipe.predict_proba(test))
    assert not Regression().needs_label()
