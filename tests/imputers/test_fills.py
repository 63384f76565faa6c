"""Imputers offer what they promise, checked against numpy; nothing sealed, and no other class, gets in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from toys import ToyBackbone, ToyGenerator, calls, matrix, pictures, vectors

from gtimm import Missing, MultimodalDataset
from gtimm.core.errors import GenerationError, IncompatibleError, PluginError
from gtimm.core.filling import Filler
from gtimm.core.imputer import Imputer
from gtimm.core.pool import Features, Payloads, Pool, Requests, Rows
from gtimm.core.training.splits import Split
from gtimm.core.workspace import open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.imputers.fill import ClassMean, MeanFill, ZeroFill, empty_payload
from gtimm.imputers.hot_deck import HotDeck


def filler(data: MultimodalDataset, allow: Any = True, accepts_absent: bool = False) -> Filler:
    backbones = dict.fromkeys(data.modalities, ToyBackbone())
    return Filler(open_workspace(device="cpu"), backbones, "pooled", LocalEngine(), allow, accepts_absent)


def fill(imputer: Imputer | None, data: MultimodalDataset, modality: str = "left", **options: Any) -> Split:
    machine = filler(data, **options)
    state = {} if imputer is None else {modality: machine.fit(imputer, data, modality)}
    return machine.split(data, {modality: imputer}, state, "train")


def filled(split: Split, modality: str = "left", u: float = 0.0) -> np.ndarray:
    """The features (rows, dim) with each hole filled by the draw u."""
    source = split.sources[modality]
    assert source.fills is not None
    assert source.pool is not None
    rows = np.arange(len(split))
    drawn = source.pool.draw(rows, np.full(len(rows), u))
    values = source.fills[torch.from_numpy(drawn)].numpy().copy()
    there = source.index >= 0
    values[there] = source.own.numpy()[source.index[there]]
    return values


@pytest.fixture
def data() -> MultimodalDataset:
    return vectors(60).with_missing(Missing(left=0.6), seed=1)


def test_zero_is_a_zero_vector(data: MultimodalDataset) -> None:
    there = data.present("left")
    values = filled(fill(ZeroFill(), data))
    assert not values[~there].any()
    np.testing.assert_array_equal(values[there], matrix(data, "left")[there])


def test_zero_at_payload_level_goes_through_the_backbone() -> None:
    data = pictures().with_missing(Missing(image=0.5))
    values = filled(fill(ZeroFill(level="payload"), data, "image"), "image")
    np.testing.assert_array_equal(values[~data.present("image")], [[0, 0, 0, 1]] * 12)
    assert not filled(fill(ZeroFill(), data, "image"), "image")[~data.present("image")].any()


def test_empty_payloads_say_nothing() -> None:
    assert not empty_payload("image").any()
    samples, rate = empty_payload("audio")
    assert len(samples) == rate == 16_000
    assert not samples.any()
    assert empty_payload("text") == ""
    with pytest.raises(IncompatibleError, match="level='embedding'"):
        empty_payload("vector")


def test_an_empty_text_is_embedded_as_a_fill_though_a_data_set_takes_it_as_missing() -> None:
    data = MultimodalDataset.from_arrays({"text": ["a", ""], "vector": [[1, 2, 3, 4.0]] * 2}, [0, 1], classes=["a", "b"])
    values = filled(fill(ZeroFill(level="payload"), data, "text"), "text")
    np.testing.assert_array_equal(values[1], ToyBackbone().embed({"text": [""]})["text"][0])


def test_mean_is_the_mean_of_the_rows_that_are_there(data: MultimodalDataset) -> None:
    there = data.present("left")
    expected = matrix(data, "left")[there].astype(np.float64).mean(0)
    np.testing.assert_allclose(filled(fill(MeanFill(), data))[~there], np.tile(expected, (36, 1)), atol=1e-6)


def test_mean_of_nothing_is_zero() -> None:
    assert not filled(fill(MeanFill(), vectors(6).with_missing({"left": 1.0}))).any()


def test_class_mean_is_the_mean_of_the_rows_of_the_class(data: MultimodalDataset) -> None:
    there, values = data.present("left"), matrix(data, "left")
    found = filled(fill(ClassMean(), data))
    assert data.labels is not None
    for row in np.flatnonzero(~there):
        expected = values[there & (data.labels == data.labels[row])].astype(np.float64).mean(0)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("imputer", [ClassMean(), HotDeck()])
def test_a_class_without_any_real_item_is_filled_with_zeros_and_warned_of(imputer: Imputer) -> None:
    data = vectors(30, classes=3).with_missing(Missing(left=0.4, on="label"), seed=0)
    assert data.labels is not None
    bare = next(c for c in range(3) if not data.present("left")[data.labels == c].any())
    machine = filler(data)
    with pytest.warns(RuntimeWarning, match=r"10 rows have no candidate for 'left' .* filled with zeros"):
        split = machine.split(data, {"left": imputer}, {"left": machine.fit(imputer, data, "left")}, "train")
    assert machine.unfilled == {"left": 10}
    assert not filled(split)[data.labels == bare].any()
    others = ~data.present("left") & (data.labels != bare)
    assert filled(split)[others].any(1).all()


@pytest.mark.parametrize("imputer", [ClassMean(), HotDeck(), MeanFill(), ZeroFill()])
@pytest.mark.filterwarnings("ignore:.*no candidate:RuntimeWarning")
def test_every_row_may_lack_the_modality(imputer: Imputer) -> None:
    assert not filled(fill(imputer, vectors(9).with_missing({"left": 1.0}))).any()


def test_hot_deck_takes_every_present_row_of_the_class_and_no_other(data: MultimodalDataset) -> None:
    split, there, values = fill(HotDeck(), data), data.present("left"), matrix(data, "left")
    assert data.labels is not None
    draws = np.stack([filled(split, u=u) for u in np.linspace(0, 0.999, 200)])
    for row in np.flatnonzero(~there):
        expected = {tuple(v) for v in values[there & (data.labels == data.labels[row])]}
        assert {tuple(v) for v in draws[:, row]} == expected


def test_imputers_that_need_no_label_see_none(data: MultimodalDataset) -> None:
    seen: list[Any] = []

    class Curious(ZeroFill):
        def pool(self, view: Any, target: str, state: Any) -> Pool:
            seen.append(view.labels)
            return super().pool(view, target, state)

    fill(Curious(), data)
    assert seen == [None]


def test_generated_items_fill_the_rows_of_their_class() -> None:
    data = pictures().with_missing(Missing(image=1.0))
    split = fill(ToyGenerator(per_class=5), data, "image")
    found = filled(split, "image")
    assert calls["encoded"] - len(data) <= 15
    view_pool = split.sources["image"].pool
    assert view_pool is not None
    assert (view_pool.counts() == 5).all()
    assert data.labels is not None
    for label in range(3):
        assert len(np.unique(found[data.labels == label], axis=0)) == 1
    assert len(np.unique(found, axis=0)) == 3


def test_items_of_classes_without_holes_are_not_made() -> None:
    data = pictures(24, classes=3)
    assert data.labels is not None
    holes = MultimodalDataset.from_arrays(
        {"image": [None if c == 1 else data.payload("image", r) for r, c in enumerate(data.labels)]},
        data.labels,
        classes=data.classes,
    )
    fill(ToyGenerator(per_class=4, batch_size=1), holes, "image")
    assert calls["made"] == 4


def test_a_hole_that_nothing_fills_needs_a_fusion_that_takes_it(data: MultimodalDataset) -> None:
    with pytest.raises(IncompatibleError, match=r"36 rows have no 'left', nothing fills it.*'score'"):
        fill(None, data)
    assert fill(None, data, accepts_absent=True).sources["left"].pool is None


def test_a_complete_modality_is_not_imputed() -> None:
    class Never(ZeroFill):
        def pool(self, view: Any, target: str, state: Any) -> Pool:
            raise AssertionError

    assert fill(Never(), vectors(6)).sources["left"].pool is None


class Odd(Imputer):
    what: str

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        rows = view.rows
        if self.what == "rows":
            return Pool.constant(Features(np.zeros((1, 4), np.float32)), rows + 1)
        if self.what == "size":
            return Pool.constant(Features(np.zeros((1, 5), np.float32)), rows)
        if self.what == "nan":
            return Pool.constant(Features(np.full((1, 4), np.nan, np.float32)), rows)
        if self.what == "holes":
            return Pool.constant(Rows(np.flatnonzero(~view.present(target))), rows)
        return Pool.constant(Requests([]) if self.what == "empty" else Payloads(["x"]), rows)


@pytest.mark.parametrize(
    ("what", "message"),
    [("rows", "a pool for 61 rows"), ("size", r"needs \(items, 4\)"), ("nan", "not finite"), ("holes", "rows without 'left'")],
)
def test_an_imputer_that_breaks_its_contract_is_named(data: MultimodalDataset, what: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        fill(Odd(what=what), data)


def test_requests_need_a_generator(data: MultimodalDataset) -> None:
    class Asks(Imputer):
        def pool(self, view: Any, target: str, state: Any) -> Pool:
            from gtimm.core.pool import Request

            return Pool.constant(Requests([Request("image", "a cat", 0, 1.0)]), view.rows)

    with pytest.raises(PluginError, match="no Generator"):
        fill(Asks(), data)


def test_refused_generation_is_an_error_and_leaves_the_bank_empty() -> None:
    data = pictures().with_missing(Missing(image=0.5))
    with pytest.raises(GenerationError, match="generate=False"):
        fill(ToyGenerator(), data, "image", allow=False)
    assert calls["made"] == 0
    assert not list(open_workspace().home.rglob("*.png"))
