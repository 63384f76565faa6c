"""Draws, calibration, the prior and the streaming of a Pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from toys import ToyGenerator, calls, pictures, vectors

import gtimm
from gtimm import Column, MultimodalDataset, Pipeline
from gtimm.core import predicting
from gtimm.core.calibration import ece
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.view import DatasetView
from gtimm.fusion.late import LateFusion

FAST = {"epochs": 5, "lr": 0.05, "batch_size": 16}


def pipeline(**options: Any) -> Pipeline:
    return Pipeline(**{"backbone": "toy", "train": FAST, "device": "cpu", **options})


def uneven(rows: int = 60, seed: int = 0) -> MultimodalDataset:
    """Class 1 twice as often as the others together."""
    data = vectors(rows, seed=seed)
    assert data.labels is not None
    return data.subset(np.concatenate([np.arange(rows), *[np.flatnonzero(data.labels == 1)] * 3]))


def bare(rows: int) -> MultimodalDataset:
    """Vectors of which every third row has nothing."""
    data = vectors(rows, seed=5)
    parts = {m: [None if r % 3 == 0 else data.payload(m, r) for r in range(rows)] for m in data.modalities}
    return MultimodalDataset.from_arrays(
        parts, data.labels, classes=data.classes, kinds=dict.fromkeys(parts, "vector"), name="bare"
    )


@pytest.mark.parametrize("eval_imputer", ["zero", "mean", "retrieval", "regression", None])
def test_rows_without_anything_get_the_class_frequencies_of_training(eval_imputer: str) -> None:
    train, test = uneven(), bare(9)
    pipe = pipeline(eval_imputer=eval_imputer).fit(train)
    found, frame = pipe.predict_proba(test), pipe.predict_frame(test)
    assert train.labels is not None
    prior = np.bincount(train.labels) / len(train)
    np.testing.assert_allclose(found[::3], np.tile(prior, (3, 1)), rtol=1e-6)
    assert frame["empty"].tolist() == [True, False, False] * 3
    assert set(frame["prediction"][::3]) == {"class 1"}
    assert not np.allclose(found[1], prior)


def test_draws_average_predictions_and_show_where_they_differ() -> None:
    train, test = vectors(90, noise=0.5), vectors(60, seed=1, noise=0.5)
    pipes = {
        m: pipeline(eval_imputer={"name": "regression", "draws": m}, draws=m).fit(train, missing={"left": 0.3}) for m in (1, 8)
    }
    holes = test.with_missing({"left": 0.5})
    frame = pipes[8].predict_frame(holes)
    assert list(frame.columns) == ["prediction", "probability", "uncertainty", "empty"]
    there = holes.present("left")
    np.testing.assert_allclose(frame["uncertainty"][there], 0, atol=1e-6)
    assert (frame["uncertainty"][~there] > 1e-4).all()
    np.testing.assert_array_equal(frame["prediction"], pipes[8].predict(holes))
    np.testing.assert_array_equal(frame["probability"], pipes[8].predict_proba(holes).max(1))
    one = pipes[1].predict_frame(holes)
    assert one["uncertainty"].isna().all()
    np.testing.assert_allclose(one["probability"][there], frame["probability"][there], atol=1e-6)
    assert np.abs(one["probability"] - frame["probability"])[~there].max() > 1e-3


def test_more_draws_than_candidates_are_warned_of() -> None:
    pipe = pipeline(eval_imputer={"name": "retrieval", "k": 3}, draws=4).fit(vectors(30))
    with pytest.warns(RuntimeWarning, match="draws=4, but no hole has more than 3"):
        pipe.predict(vectors(6, seed=1).with_missing({"left": 0.5}))


def test_calibration_lowers_the_log_loss_on_validation_and_keeps_the_classes() -> None:
    train, val = vectors(24, noise=1.5), vectors(300, seed=1, noise=1.5).with_missing({"left": 0.3})
    hot = {"epochs": 1, "lr": 5.0, "batch_size": 8}
    plain, fitted = (pipeline(train=hot, calibrate=c).fit(train, val) for c in (False, True))
    assert plain.temperature == 1
    assert fitted.temperature > 2
    before, after = plain.predict_proba(val), fitted.predict_proba(val)
    assert log_loss(val.labels, after) < log_loss(val.labels, before)
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
    assert val.labels is not None
    assert fitted.evaluate(val)["ece"] == ece(after, val.labels) < plain.evaluate(val)["ece"]
    assert plain.fit(train).temperature == 1


def test_multilabel_rows_have_draws_prior_and_temperature() -> None:
    data = vectors(80)
    assert data.labels is not None
    sets = np.stack([data.labels == 0, data.labels != 1, np.zeros(80, bool)], 1)
    sets[::7, 2] = True

    def labelled(part: MultimodalDataset) -> MultimodalDataset:
        parts = {m: [part[r].get(m) for r in range(len(part))] for m in part.modalities}
        return MultimodalDataset.from_arrays(parts, sets[: len(part)], classes="abc", kinds=dict.fromkeys(parts, "vector"))

    train = labelled(data)
    pipe = pipeline(eval_imputer="regression", draws=5, calibrate=True)
    run = pipe.prepare(train, train.with_missing({"left": 0.5}))
    run.head = LateFusion().build(run.sizes, 3, None).requires_grad_(False)
    pipe.adopt(run)
    assert pipe.temperature != 1
    test = labelled(bare(12))
    frame, found = pipe.predict_frame(test), pipe.predict_proba(test)
    np.testing.assert_allclose(found[frame["empty"]], np.tile(sets.mean(0), (4, 1)), rtol=1e-6)
    assert (frame["uncertainty"] >= 0).all()
    for names, sure, row in zip(frame["prediction"], frame["probability"], found, strict=True):
        assert names == tuple(np.array(list("abc"))[row >= 0.5])
        assert sure == tuple(row[row >= 0.5])
    assert pipe.evaluate(train)["ece"] == ece(pipe.predict_proba(train), sets)


def test_a_saved_model_keeps_draws_temperature_and_prior(tmp_path: Path) -> None:
    pipe = pipeline(eval_imputer="regression", draws=3, calibrate=True).fit(uneven(), vectors(40, seed=1))
    pipe.save(tmp_path / "model")
    loaded = Pipeline.load(tmp_path / "model", device="cpu")
    assert (loaded.draws, loaded.calibrate, loaded.temperature) == (3, True, pipe.temperature)
    test = bare(12).with_missing({"left": 0.5})
    pd.testing.assert_frame_equal(loaded.predict_frame(test), pipe.predict_frame(test))
    options = {"draws": 3, "calibrate": True}
    assert {k: v for k, v in pipeline(**options).config().items() if k in options} == options


@pytest.mark.parametrize("imputer", ["zero", "retrieval", "regression"])
def test_many_rows_pass_through_memory_in_parts(imputer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test = bare(100).with_missing({"left": 0.5})
    pipe = pipeline(eval_imputer=imputer, draws=3 if imputer != "zero" else 1).fit(vectors(60))
    whole = pipe.predict_frame(test)
    seen = []
    features = DatasetView.features

    def watched(view: DatasetView, modality: str) -> np.ndarray:
        seen.append(view.rows)
        return features(view, modality)

    monkeypatch.setattr(predicting, "ROWS", 16)
    monkeypatch.setattr(DatasetView, "features", watched)
    parts = pipe.predict_frame(test)
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-4, atol=1e-5)
    assert max(seen, default=0) <= 16
    assert bool(seen) == (imputer != "zero")


class RowGenerator(ToyGenerator):
    """Generates without looking at labels."""

    info = ToyGenerator.info.__class__(kinds=("image",), items="request", needs_label=False)

    def pool(self, view: Any, target: str, state: Any) -> Any:
        from gtimm.core.pool import Pool, Request, Requests

        return Pool.own(
            Requests([Request("image", f"row {r}", r, 1.0) for r in range(view.rows)]), np.arange(view.rows), view.rows
        )


def test_a_generators_batches_are_cut_from_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    gtimm.register("imputers", "row-generator", RowGenerator, replace=True)
    monkeypatch.setattr(predicting, "ROWS", 5)
    pipe = pipeline(eval_imputer={"image": "row-generator", "vector": "zero"}).fit(pictures(12))
    calls.clear()
    pipe.predict(pictures(12).with_missing({"image": 1.0}))
    assert calls["batches"] == 3


def test_frames_keep_their_index_and_options_are_checked() -> None:
    frame = pd.DataFrame({"l": [[0.0, 1, 2, 3], None], "r": [[1.0, 1, 1, 1], None], "y": ["a", "b"]}, index=["one", "two"])
    train = MultimodalDataset.from_frame(frame, {"left": Column("l", kind="vector"), "right": Column("r", kind="vector")}, "y")
    found = pipeline().fit(train).predict_frame(frame)
    assert found.index.tolist() == ["one", "two"]
    assert found["empty"].tolist() == [False, True]
    for wrong in (0, 1.5, True, "3"):
        with pytest.raises(ConfigError, match=r"option 'draws'.*found"):
            pipeline(draws=wrong)
    with pytest.raises(ConfigError, match="option 'calibrate'"):
        pipeline(calibrate="yes")
    with pytest.raises(DataError, match="fits the temperature on validation data"):
        pipeline(calibrate=True).fit(vectors(6))
