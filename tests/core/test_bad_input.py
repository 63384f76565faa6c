"""What is wrong with data or options is said, by row where there is one, and what can be answered still is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from toys import KINDS, ToyBackbone, vectors

import gtimm
from gtimm import GtimmError, Missing, MultimodalDataset, Pipeline
from gtimm.core.errors import DataError

FAST = {"epochs": 3, "lr": 0.05, "batch_size": 16}


def pipe(**options: Any) -> Pipeline:
    return Pipeline(**{"backbone": "toy", "train": FAST, "device": "cpu", **options})


def parts_of(data: MultimodalDataset) -> dict[str, list[Any]]:
    return {m: [data[r].get(m) for r in range(len(data))] for m in data.modalities}


@pytest.mark.parametrize("draws", [1, 3])
def test_a_row_without_anything_gets_the_prior_and_is_flagged(draws: int) -> None:
    train = vectors(60).subset([r for r in range(60) if r % 3 != 2 or r < 12])  # 20, 20 and 4 rows a class
    fitted = pipe(eval_imputer="regression", draws=draws).fit(train)
    some = vectors(4, seed=1)
    parts = {m: [None, *values[1:]] for m, values in parts_of(some).items()}
    frame = fitted.predict_frame(MultimodalDataset.from_arrays(parts, kinds=KINDS))
    proba = fitted.predict_proba(MultimodalDataset.from_arrays(parts, kinds=KINDS))
    np.testing.assert_allclose(proba[0], np.array([20, 20, 4]) / 44, rtol=1e-6)
    assert frame["empty"].tolist() == [True, False, False, False]
    assert not np.allclose(proba[1], proba[0])


@pytest.mark.parametrize("imputer", ["zero", "class-mean", "hot-deck", "retrieval"])
def test_a_class_that_training_lacks_is_said_and_the_others_are_learnt(imputer: str) -> None:
    whole = vectors(90)
    train = whole.subset(whole.labels < 2)
    with pytest.warns(RuntimeWarning, match=r"is of class 'class 2' \(1 of 3 classes\): they cannot be learnt"):
        fitted = pipe(imputer=imputer, train={"epochs": 30, "lr": 0.05}).fit(train, vectors(30, seed=1), Missing(left=0.5))
    assert fitted.prior.tolist() == [0.5, 0.5, 0]
    test = vectors(60, seed=2)
    found = fitted.predict(test)
    assert (found == "class 2").mean() < 0.1
    assert 0 <= fitted.evaluate(test)["macro_f1"] < 1


def test_of_complete_rows_alone_it_is_said_that_they_lack_a_class() -> None:
    whole = vectors(30)
    parts = {
        m: [None if label == 2 and m == "left" else v for v, label in zip(parts_of(whole)[m], whole.labels, strict=True)]
        for m in parts_of(whole)
    }
    data = MultimodalDataset.from_arrays(parts, whole.labels, classes=whole.classes, kinds=KINDS)
    with pytest.warns(RuntimeWarning, match=r"row of 'data' that has left and right is of class 'class 2'"):
        pipe(rows="complete").fit(data)


class Sevens(ToyBackbone):
    """Fails on one payload, as an encoder in half precision may: the vector that begins with 7."""

    def fingerprint(self) -> str:
        return "sevens"

    def encode(self, kind: str, batch: Tensor, depth: str = "pooled") -> Tensor:
        found = batch.clone()
        found[batch[:, 0] == 7] = float("nan")
        return found


def test_an_embedding_that_is_no_number_names_its_row_wherever_it_comes_up() -> None:
    gtimm.register("backbones", "sevens", Sevens)
    good, parts = vectors(30), parts_of(vectors(30, seed=1))
    parts["left"][17] = np.array([7, 0, 0, 0], np.float32)
    bad = MultimodalDataset.from_arrays(parts, np.arange(30) % 3, classes=good.classes, kinds=KINDS)
    fitted = pipe(backbone="sevens").fit(good)
    for fails in (
        lambda: pipe(backbone="sevens").fit(bad),
        lambda: pipe(backbone="sevens").fit(good, bad),
        lambda: fitted.evaluate(bad),
        lambda: fitted.predict(bad),
    ):
        with pytest.raises(DataError, match=r"Row 17, modality 'left': the embedding of an array .* is not finite"):
            fails()
    hidden = bad.with_missing(Missing(left=1.0))
    assert len(fitted.predict(hidden)) == 30, "what nothing reads may be anything"


def test_a_diverging_rate_stops_and_is_said_and_of_several_the_others_go_on() -> None:
    train, val = vectors(60), vectors(30, seed=1)
    with pytest.raises(GtimmError, match=r"not finite after epoch 1.*Lower the learning rate \(lr=1e\+30\)"):
        pipe(train={"epochs": 500, "lr": 1e30, "batch_size": 16}).fit(train, val)
    searched = pipe(train={"epochs": 3, "lr": [1e30, 0.05], "batch_size": 16}).fit(train, val)
    assert searched.chosen == {"lr": 0.05}
    with pytest.raises(GtimmError, match=r"Every candidate of seed 0 diverged"):
        pipe(train={"epochs": 3, "lr": [1e30, 1e29]}).fit(train, val)


def test_training_rows_without_anything_are_said_unless_that_is_meant() -> None:
    data = vectors(12)
    nothing = MultimodalDataset.from_arrays(
        {m: [None] * 12 for m in KINDS}, data.labels, classes=data.classes, kinds=KINDS, name="nothing"
    )
    with pytest.warns(RuntimeWarning, match="No training row of 'nothing' has any of 'left', 'right'"):
        pipe().fit(nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe(unseen=["left"], modalities=["left"]).fit(data)
