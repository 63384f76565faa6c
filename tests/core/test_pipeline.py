"""The Pipeline from data with holes to predictions: leaks nothing, repeats exactly, saves and loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from toys import ToyBackbone, ToyGenerator, calls, pictures, vectors

import gtimm.core.workspace
from gtimm import Column, GtimmError, Missing, MultimodalDataset, Pipeline
from gtimm.core.errors import (
    ConfigError,
    DataError,
    IncompatibleError,
    LabelLeakError,
    MissingnessError,
    PluginError,
    WeightsError,
)
from gtimm.core.features.shards import SUFFIX, Shard, write_rows
from gtimm.core.training import TrainOptions
from gtimm.fusion.late import LateFusion
from gtimm.imputers.fill import MeanFill

FAST = {"epochs": 5, "lr": 0.05, "batch_size": 16}
NAMES = ["zero", "mean", "class-mean", "hot-deck", "retrieval", "regression"]


def pipeline(**options: Any) -> Pipeline:
    return Pipeline(**{"backbone": "toy", "train": FAST, "device": "cpu", **options})


def fresh() -> None:
    """Forget every open store, as a new process would."""
    gtimm.core.workspace._open.cache_clear()


def weights(pipe: Pipeline) -> dict[str, torch.Tensor]:
    assert pipe._head is not None
    return pipe._head.state_dict()


def test_a_pipeline_learns_and_scores_are_fractions() -> None:
    pipe = pipeline().fit(vectors(120, noise=0.2), vectors(60, seed=1, noise=0.2), Missing(left=0.5))
    scores = pipe.evaluate(vectors(60, seed=2, noise=0.2))
    assert set(scores) == {"accuracy", "macro_f1", "top3_accuracy", "ece"}
    assert scores["accuracy"] > 0.9
    assert all(0 <= v <= 1 for v in scores.values())
    assert len(pipe.history) == 5


@pytest.mark.parametrize("imputer", [*NAMES, None])
def test_features_of_sealed_rows_change_no_result(imputer: str | None, home: Path) -> None:
    train, val, test = vectors(60), vectors(30, seed=1), vectors(30, seed=2)
    sealed, sealed_test = Missing(left=0.5, right=0.3), Missing(left=0.4)
    judge = imputer if imputer in ("retrieval", "regression") else "mean"
    options = {"imputer": imputer, "eval_imputer": judge, "fusion": {"name": "dropout", "base": "score"}}

    def everything() -> tuple[dict[str, torch.Tensor], np.ndarray, dict[str, float]]:
        fresh()
        pipe = pipeline(**options).fit(train, val, sealed)
        return weights(pipe), pipe.predict_proba(test.with_missing(sealed_test, 0)), pipe.evaluate(test, sealed_test)

    workspace = gtimm.core.workspace.open_workspace(device="cpu")
    store = workspace.store(ToyBackbone(), "vector", "pooled")
    hidden = set()
    for data, missing in ((train, sealed), (test, sealed_test)):
        masked = data.with_missing(missing, 0)
        for m in data.modalities:
            workspace.column(data, m, ToyBackbone())
            hidden |= set(data.keys(m, np.flatnonzero(masked.sealed(m))))
    clean = everything()

    poisoned = 0
    for path in home.rglob(f"*{SUFFIX}"):
        shard = Shard(path)
        keys = [int(high).to_bytes(8) + int(low).to_bytes(8) for high, low in zip(shard.high, shard.low, strict=True)]
        table = shard.values.copy()
        for row, key in enumerate(keys):
            if key in hidden:
                table[row], poisoned = np.nan, poisoned + 1
        write_rows(path, keys, table, shard.dtype)
    assert poisoned == len(hidden) == 30 + 18 + 12
    fresh()
    assert np.isnan(
        gtimm.core.workspace.open_workspace(device="cpu").store(ToyBackbone(), "vector", "pooled").get(list(hidden))
    ).all()
    assert len(store)

    before = calls["encoded"]
    found = everything()
    assert calls["encoded"] == before
    assert all(torch.equal(found[0][name], value) for name, value in clean[0].items())
    np.testing.assert_array_equal(found[1], clean[1])
    assert found[2] == clean[2]


def test_features_of_sealed_rows_are_never_computed() -> None:
    pipeline().fit(vectors(40), missing=Missing(left=0.75))
    assert calls["prepared"] == 40 + 10


@pytest.mark.parametrize("imputer", NAMES)
def test_the_same_seed_gives_the_same_scores(imputer: str, tmp_path: Path) -> None:
    def scores(seed: int, store: str) -> Any:
        pipe = pipeline(imputer=imputer, seed=seed, store=tmp_path / store)
        pipe.fit(vectors(60), vectors(30, seed=1), {"left": 0.6})
        return weights(pipe), pipe.predict_proba(vectors(30, seed=2)).tobytes(), pipe.evaluate(vectors(30, seed=2), {"left": 0.5})

    one, two, other = scores(0, "a"), scores(0, "b"), scores(1, "a")
    assert one[1:] == two[1:]
    assert all(torch.equal(v, two[0][k]) for k, v in one[0].items())
    assert one[1] != other[1]


def test_the_seed_of_the_pipeline_makes_the_mask() -> None:
    data = vectors(40)
    run = pipeline(seed=5).prepare(data, missing={"left": 0.5})
    expected = data.with_missing({"left": 0.5}, seed=5).present("left")
    np.testing.assert_array_equal(run.train.sources["left"].index >= 0, expected)


def test_missing_is_for_training_and_validation_is_used_as_given() -> None:
    run = pipeline().prepare(vectors(20), vectors(20, seed=1), {"left": 0.5})
    assert run.val is not None
    assert (run.train.sources["left"].index < 0).sum() == 10
    assert (run.val.sources["left"].index >= 0).all()


def test_evaluation_takes_the_evaluation_imputer_fitted_on_training_rows() -> None:
    train = vectors(40).with_missing({"left": 0.5})
    pipe = pipeline(eval_imputer="mean", imputer="hot-deck").fit(train)
    holes = MultimodalDataset.from_arrays(
        {"left": [None] * 2, "right": [[0.0] * 4] * 2}, kinds={"left": "vector", "right": "vector"}
    )
    mean = np.mean([train.payload("left", r) for r in np.flatnonzero(train.present("left"))], axis=0, dtype=np.float64)
    x = torch.tensor(np.concatenate([mean, np.zeros(4)]), dtype=torch.float32)
    w = weights(pipe)
    expected = torch.softmax(w["first.weight"] @ x + w["first.bias"], 0)
    np.testing.assert_allclose(pipe.predict_proba(holes), np.tile(expected, (2, 1)), atol=1e-5)


@pytest.mark.parametrize("name", ["class-mean", "hot-deck", "toy-generator", "stable-diffusion-tiny"])
def test_filling_evaluation_data_by_label_is_refused_at_once(name: str, home: Path) -> None:
    for spec in (name, {"left": name, "right": "zero"}):
        with pytest.raises(LabelLeakError, match="labels must stay unknown"):
            pipeline(eval_imputer=spec)
    assert not home.exists()


def test_a_hole_without_imputer_is_refused_by_late_and_taken_by_score() -> None:
    train, options = vectors(30), {"imputer": None, "eval_imputer": None}
    with pytest.raises(IncompatibleError, match=r"15 rows have no 'left'"):
        pipeline(**options).fit(train, missing={"left": 0.5})
    for fusion in ("score", {"name": "dropout", "base": "score"}):
        pipe = pipeline(fusion=fusion, **options).fit(train, missing={"left": 0.5})
        assert pipe.predict_proba(vectors(5).with_missing({"left": 1.0})).shape == (5, 3)
    pipe = pipeline(**options).fit(train)
    with pytest.raises(IncompatibleError, match="such as 'zero'"):
        pipe.evaluate(vectors(10), {"left": 0.5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "toi"}, "Did you mean 'toy'"),
        ({"imputer": "hotdeck"}, "Did you mean 'hot-deck'"),
        ({"fusion": "latte"}, "Did you mean 'late'"),
        ({"engine": "locale"}, "Did you mean 'local'"),
        ({"imputer": {"name": "zero", "levle": "payload"}}, "Did you mean 'level'"),
        ({"imputer": {"left": {"name": "zero", "level": "pixel"}}}, "level"),
        ({"fusion": {"name": "late", "hidden": -1}}, "hidden"),
        ({"fusion": {"hidden": 3}}, "needs a 'name'"),
        ({"fusion": None}, "Expected a name"),
        ({"imputer": LateFusion()}, "found LateFusion"),
        ({"train": {"epoch": 3}}, "epoch"),
        ({"train": {"lr": "fast"}}, "lr"),
        ({"rows": "some"}, "option 'rows'"),
        ({"generate": "maybe"}, "option 'generate'"),
    ],
)
def test_a_wrong_option_is_refused_when_the_pipeline_is_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pipeline(**options)


def test_a_backbone_that_cannot_embed_a_kind_is_refused_before_anything_is_written(home: Path) -> None:
    data = MultimodalDataset.from_arrays({"video": ["a.mp4", "b.mp4"]}, [0, 1], classes=["a", "b"])
    with pytest.raises(IncompatibleError, match="cannot embed 'video'"):
        pipeline().fit(data)
    assert not home.exists()


def test_an_imputer_that_cannot_fill_a_kind_is_refused_before_anything_is_written(home: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"ToyGenerator fills image, but 'vector' .* may have holes"):
        pipeline(imputer="toy-generator").fit(pictures(), missing={"vector": 0.5})
    assert not home.exists()


def test_depths_that_do_not_meet_are_refused() -> None:
    from typing import ClassVar

    from gtimm.core.plugin import Info

    class Deep(LateFusion):
        info: ClassVar[Info] = Info(depths=("last_block",))

    with pytest.raises(IncompatibleError, match=r"Deep needs 'last_block' features, and ZeroFill"):
        pipeline(fusion=Deep(), eval_imputer={"name": "zero", "level": "embedding"})
    with pytest.raises(IncompatibleError, match="and MeanFill"):
        pipeline(fusion=Deep(), imputer={"left": "mean"}, eval_imputer=None)
    with pytest.raises(IncompatibleError, match="and ToyBackbone gives only"):
        pipeline(fusion=Deep(), imputer="hot-deck", eval_imputer=None)


def test_data_that_does_not_fit_is_refused() -> None:
    unlabelled = MultimodalDataset.from_arrays({"left": [[0.0] * 4]}, kinds={"left": "vector"})
    with pytest.raises(DataError, match="Training data needs labels"):
        pipeline().fit(unlabelled)
    with pytest.raises(DataError, match="Validation data needs labels"):
        pipeline().fit(vectors(6), unlabelled)
    with pytest.raises(GtimmError, match="not trained"):
        pipeline().predict(vectors(3))
    with pytest.raises(MissingnessError, match="Did you mean 'left'"):
        pipeline().fit(vectors(6), missing={"lef": 0.5})
    with pytest.raises(DataError, match="Did you mean 'left'"):
        pipeline(modalities=["lfet"]).fit(vectors(6))
    with pytest.raises(ConfigError, match="Nothing in 'backbones' for 'right'"):
        pipeline(backbone={"left": "toy"}).fit(vectors(6))
    pipe = pipeline().fit(vectors(6))
    with pytest.raises(DataError, match="trained with 'right'"):
        pipe.predict(unlabelled)
    with pytest.raises(DataError, match="needs labels"):
        pipe.evaluate(unlabelled)
    with pytest.raises(DataError, match="differ from those of training"):
        pipe.evaluate(vectors(8, classes=4))


def test_a_fit_that_fails_leaves_no_model_of_other_data_behind() -> None:
    pipe = pipeline().fit(vectors(6))
    with pytest.raises(DataError):
        pipe.fit(vectors(8, classes=4), vectors(6))
    with pytest.raises(GtimmError, match="not trained"):
        pipe.predict(vectors(6))


def test_strategies_by_modality(home: Path) -> None:
    data = vectors(20).with_missing({"left": 0.5, "right": 0.5})
    pipe = pipeline(
        backbone={"left": "toy", "right": {"name": "toy", "scale": 2.0}}, imputer={"left": "hot-deck", "right": MeanFill()}
    )
    run = pipe.prepare(data)
    left, right = run.train.sources["left"], run.train.sources["right"]
    there = data.present("right")
    mean = 2 * np.mean([data.payload("right", r) for r in np.flatnonzero(there)], axis=0)
    assert right.fills is not None
    assert left.pool is not None
    np.testing.assert_allclose(right.fills[0], mean, atol=1e-6)
    assert left.pool.counts().max() > 1
    assert pipe.config()["imputer"] == {"left": {"name": "hot-deck"}, "right": {"name": "mean"}}


def test_one_modality_alone_is_a_baseline() -> None:
    pipe = pipeline(modalities=["right"]).fit(vectors(30), missing={"left": 1.0})
    assert calls["prepared"] == 30
    assert weights(pipe)["first.weight"].shape == (3, 4)


def test_complete_rows_only() -> None:
    data = vectors(30).with_missing({"left": 0.8})
    run = pipeline(rows="complete").prepare(data)
    assert len(run.train) == 6
    assert data.labels is not None
    np.testing.assert_array_equal(run.train.labels, data.labels[data.present("left")])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="leaves nothing"):
        pipeline(rows="complete").prepare(vectors(6), missing={"left": 1.0})


def test_text_trains_for_thirty_epochs_and_others_for_fifteen() -> None:
    texts = MultimodalDataset.from_arrays({"text": ["a", "b"]}, [0, 1], classes=["a", "b"])
    assert Pipeline("toy", device="cpu").prepare(texts).options.epochs == 30
    assert Pipeline("toy", device="cpu").prepare(vectors(4)).options.epochs == 15
    assert Pipeline("toy", device="cpu", train=TrainOptions(epochs=2)).prepare(vectors(4)).options.epochs == 2


def test_a_generator_works_where_no_image_is_left_and_makes_each_item_once() -> None:
    train = pictures(30)
    first = pipeline(imputer={"image": "toy-generator"}).fit(train, missing=Missing(image=1.0))
    again = pipeline(imputer={"image": ToyGenerator()}, seed=1).fit(train, missing=Missing(image=0.5))
    assert first.counters["generated"] == 9
    assert again.counters == {"generated": 0, "embedded": 15}
    assert first.predict(train).shape == (30,)


def test_predictions_are_class_names_and_frames_work_without_labels(tmp_path: Path) -> None:
    data = vectors(30, noise=0.1)
    frame = pd.DataFrame(
        {"l": [data.payload("left", r) for r in range(30)], "r": [data.payload("right", r) for r in range(30)], "y": data.labels}
    )
    train = MultimodalDataset.from_frame(
        frame, {"left": Column("l", kind="vector"), "right": Column("r", kind="vector")}, "y", classes=data.classes
    )
    pipe = pipeline(train={**FAST, "epochs": 20}).fit(train)
    found = pipe.predict(frame.drop(columns="y"))
    assert set(found) <= set(data.classes)
    np.testing.assert_array_equal(found, pipe.predict(train))
    np.testing.assert_allclose(pipe.predict_proba(frame).sum(1), 1, atol=1e-6)
    with pytest.raises(DataError, match="no column 'l'"):
        pipe.predict(frame[["r"]])
    pipe.save(tmp_path / "model")
    np.testing.assert_array_equal(Pipeline.load(tmp_path / "model", device="cpu").predict(frame), found)


@pytest.mark.parametrize("fusion", ["late", "score", {"name": "dropout", "base": {"name": "late", "hidden": 3}}])
def test_a_saved_pipeline_predicts_the_same_without_its_training_data(fusion: Any, tmp_path: Path) -> None:
    test = vectors(20, seed=2).with_missing({"left": 0.5})
    pipe = pipeline(fusion=fusion, imputer="class-mean", eval_imputer="mean", seed=3, store=tmp_path / "first")
    pipe.fit(vectors(40), vectors(20, seed=1), {"left": 0.5})
    expected = pipe.predict_proba(test)
    pipe.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "first")
    loaded = Pipeline.load(tmp_path / "model", device="cpu", store=tmp_path / "second")
    np.testing.assert_array_equal(loaded.predict_proba(test), expected)
    assert (loaded.config(), loaded.seed, loaded.classes, loaded.history) == (pipe.config(), 3, pipe.classes, pipe.history)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["MODEL_CARD.md", "pipeline.json", "weights.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "second"]


def test_saving_replaces_a_saved_pipeline_and_nothing_else(tmp_path: Path) -> None:
    pipe = pipeline().fit(vectors(6))
    pipe.save(tmp_path / "model")
    pipe.save(tmp_path / "model")
    (tmp_path / "empty").mkdir()
    pipe.save(tmp_path / "empty")
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "holiday.jpg").write_text("dear")
    for place in (foreign, foreign / "holiday.jpg"):
        with pytest.raises(ConfigError, match="not a saved pipeline"):
            pipe.save(place)
    assert (foreign / "holiday.jpg").read_text() == "dear"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["empty", "model", "photos"]
    with pytest.raises(GtimmError, match="not trained"):
        pipeline().save(tmp_path / "other")


def test_a_pipeline_of_unregistered_parts_cannot_be_saved_and_leaves_nothing(tmp_path: Path) -> None:
    class Mine(LateFusion):
        pass

    pipe = pipeline(fusion=Mine()).fit(vectors(6))
    with pytest.raises(ConfigError, match=r"gtimm\.register"):
        pipe.save(tmp_path / "deep" / "model")
    assert not list((tmp_path / "deep").iterdir())


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    pipe = pipeline(eval_imputer="mean").fit(vectors(20), missing={"left": 0.5})
    model = tmp_path / "model"

    def refused(message: str) -> None:
        with pytest.raises(WeightsError, match=message):
            Pipeline.load(model)
        pipe.save(tmp_path / "model")

    refused("not a saved pipeline")
    weights_file, settings = model / "weights.safetensors", model / "pipeline.json"
    weights_file.write_bytes(weights_file.read_bytes()[:-8])
    refused("not a saved pipeline")
    settings.write_text(settings.read_text()[:50])
    refused("not a saved pipeline")
    settings.write_text("[]")
    refused("format None")
    for change, message in (
        ({"format": 99}, r"format 99, and this version of gtimm reads format 1\. It was saved by a newer gtimm: update gtimm"),
        ({"format": 0}, "format 0.*Save the pipeline again"),
        ({"classes": ["one"]}, "does not fit"),
        ({"sizes": {"left": 4, "right": 5}}, "does not fit"),
        ({"classes": 5}, r"pipeline\.json is damaged \(classes: "),
        ({"record": {"train": {"rows": []}}}, r"pipeline\.json is damaged \(record\.train"),
        ({"kinds": {"right": "vector"}}, "belongs to none"),
    ):
        settings.write_text(json.dumps({**json.loads(settings.read_text()), **change}))
        refused(message)
    settings.write_text(json.dumps({"format": 2}))
    weights_file.unlink()
    refused("update gtimm")  # whatever the files of a newer version are
    content = json.loads(settings.read_text())
    del content["kinds"]
    settings.write_text(json.dumps(content))
    refused("kinds: Field required")
    assert Pipeline.load(model).classes == pipe.classes


def test_loading_takes_options_of_the_place_and_the_prediction_and_refuses_others(tmp_path: Path) -> None:
    pipeline(eval_imputer="regression").fit(vectors(20)).save(tmp_path / "model")
    for wrong, says in (
        ({"devise": "cpu"}, r"Pipeline\.load has no option 'devise'\. Did you mean 'device'"),
        ({"train": {"epochs": 3}}, r"no option 'train'.* Options: device, draws, engine, generate, store"),
        ({"seed": 1}, "no option 'seed'"),
        ({"draws": 0}, "option 'draws'"),
    ):
        with pytest.raises(ConfigError, match=says):
            Pipeline.load(tmp_path / "model", **wrong)
    loaded = Pipeline.load(tmp_path / "model", device="cpu", draws=3)
    holes = vectors(6, seed=1).with_missing({"left": 1.0})
    assert np.isfinite(loaded.predict_frame(holes)["uncertainty"]).all()


def test_a_fault_of_a_strategy_is_not_called_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: ToyBackbone) -> str:
        raise TypeError("a bug of the plug-in")

    pipeline().fit(vectors(6)).save(tmp_path / "model")
    monkeypatch.setattr(ToyBackbone, "fingerprint", broken)
    with pytest.raises(TypeError, match="a bug of the plug-in"):
        Pipeline.load(tmp_path / "model")


def test_the_plain_form_makes_the_same_pipeline() -> None:
    options: dict[str, Any] = {
        "backbone": {"name": "toy", "scale": 2.0},
        "imputer": {"left": {"name": "zero"}, "right": None},
        "fusion": {"name": "dropout", "rate": 0.25},
        "eval_imputer": {"name": "mean"},
        "modalities": ["left"],
        "rows": "complete",
        "train": {"epochs": 3},
    }
    assert Pipeline(**options).config() == options
    assert Pipeline(**Pipeline(**options).config()).config() == options
    assert "dropout" in repr(Pipeline(**options))


def test_a_third_partys_strategies_go_the_whole_way(tmp_path: Path) -> None:
    """What is registered by hand is named, saved and loaded like a built-in."""
    import gtimm

    class Twice(MeanFill):
        factor: float = 2.0

        def pool(self, view: Any, target: str, state: Any) -> Any:
            return super().pool(view, target, {"mean": self.factor * state["mean"]})

    gtimm.register("imputer", "twice-the-mean", Twice, replace=True)  # type: ignore[arg-type]
    pipe = pipeline(eval_imputer={"name": "twice-the-mean", "factor": 3}).fit(vectors(20), missing={"left": 0.5})
    pipe.save(tmp_path / "model")
    loaded = Pipeline.load(tmp_path / "model", device="cpu")
    assert loaded.config()["eval_imputer"] == {"name": "twice-the-mean", "factor": 3.0}
    holes = vectors(6, seed=1).with_missing({"left": 1.0})
    np.testing.assert_array_equal(loaded.predict_proba(holes), pipe.predict_proba(holes))


def test_a_model_of_a_plug_in_that_is_not_installed_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from test_registry import Named

    from gtimm.core.registry import Entry, registry

    point = EntryPoint("shrunk", "gtimm.imputers.fill:MeanFill", "gtimm.imputers")
    vars(point).update(dist=Named("gtimm-shrunk"))
    entries = registry("imputers")._entries
    with monkeypatch.context() as patch:
        patch.delitem(entries, "mean")
        patch.setitem(entries, "shrunk", [Entry("shrunk", point)])
        pipeline(eval_imputer="shrunk").fit(vectors(20)).save(tmp_path / "model")
        assert Pipeline.load(tmp_path / "model", device="cpu").config()["eval_imputer"] == {"name": "shrunk"}
    with pytest.raises(
        PluginError, match=r"model: 'shrunk' of 'imputers' is not installed here; it was in the plug-in gtimm-shrunk 1\.2"
    ):
        Pipeline.load(tmp_path / "model", device="cpu")
    gtimm.register("imputers", "made-here", type("MadeHere", (MeanFill,), {}))
    pipeline(eval_imputer="made-here").fit(vectors(20)).save(tmp_path / "own")
    monkeypatch.delitem(entries, "made-here")
    with pytest.raises(PluginError, match=r"'made-here'.*registered in the session.*gtimm\.register"):
        Pipeline.load(tmp_path / "own", device="cpu")


def test_hiding_values_needs_something_in_their_place() -> None:
    with pytest.raises(IncompatibleError, match="nothing takes their place"):
        pipeline(fusion="dropout", eval_imputer=None)
    pipeline(fusion={"name": "dropout", "base": "score"}, eval_imputer=None)


def test_embedding_options_are_part_of_the_configuration(home: Path) -> None:
    pipe = pipeline(embed={"feature_dtype": "float16", "batch_size": 7}).fit(vectors())
    assert pipe.config()["embed"] == {"feature_dtype": "float16", "batch_size": 7}
    assert {json.loads(path.read_text())["dtype"] for path in home.rglob("about.json")} == {"float16"}
    with pytest.raises(ConfigError, match="Did you mean 'workers'"):
        pipeline(embed={"worker": 1})


def test_a_model_refuses_a_backbone_that_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline().fit(vectors()).save(tmp_path / "model")
    monkeypatch.setattr(ToyBackbone, "fingerprint", lambda self: "other weights")
    with pytest.raises(WeightsError, match="another backbone"):
        Pipeline.load(tmp_path / "model")


def test_rows_as_candidates_are_refused_at_evaluation() -> None:
    from gtimm.core.imputer import Imputer
    from gtimm.core.pool import Pool, Rows

    class Neighbour(Imputer):
        def pool(self, view: Any, target: str, state: Any) -> Pool:
            return Pool.constant(Rows(np.flatnonzero(view.present(target))), view.rows)

    pipe = pipeline(eval_imputer=Neighbour()).fit(vectors())
    with pytest.raises(PluginError, match="return Features"):
        pipe.evaluate(vectors(seed=1), missing={"left": 0.5})


def test_dropout_of_a_modality_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'left'"):
        pipeline(fusion={"name": "dropout", "rate": {"lfet": 0.5}}).fit(vectors())


def test_holes_at_validation_are_refused_before_anything_is_embedded(home: Path) -> None:
    with pytest.raises(IncompatibleError, match="nothing fills it"):
        pipeline(eval_imputer=None).fit(vectors(), vectors(seed=1).with_missing({"left": 0.5}))
    assert not home.exists()


def test_a_save_that_was_killed_between_two_names_is_finished_by_the_next(tmp_path: Path) -> None:
    pipe, test = pipeline().fit(vectors(6)), vectors(4)
    pipe.save(tmp_path / "model")
    expected = pipe.predict_proba(test)
    (tmp_path / "model").rename(tmp_path / ".model.replaced")
    np.testing.assert_array_equal(Pipeline.load(tmp_path / "model").predict_proba(test), expected)
    pipe.save(tmp_path / "model")
    (tmp_path / ".model.replaced").mkdir()  # killed before the old one was removed
    pipe.save(tmp_path / "model")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["model"]
