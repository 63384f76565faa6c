"""The comparison set: what each method trains on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import vectors

from gtimm import Missing, MultimodalDataset, Pipeline, preset
from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError
from gtimm.experiments.grid import Grid
from gtimm.experiments.jobs import method_options
from gtimm.experiments.methods import METHODS, Setting, method

GENERATOR = {"name": "toy-generator"}
MODALITIES = ("left", "right")


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if not m.generates and n != "zero-fill-payload"])
def test_every_method_trains(name: str) -> None:
    options = method(name).options(MODALITIES, "left")
    pipe = Pipeline(backbone="toy", train={"epochs": 1}, **options)
    data = vectors() if method(name).complete_data else vectors().with_missing(Missing(left=0.5))
    assert 0 <= pipe.fit(data, vectors(seed=1)).evaluate(vectors(seed=2))["accuracy"] <= 1


def test_a_generator_that_generates_nothing_is_refused_as_such() -> None:
    setting = Setting.of("toys", "gti-mm", Missing(left=0.5), Missing(), 5)
    assert method_options("gti-mm", setting, MODALITIES, "left", GENERATOR, {})["imputer"]["left"]["per_class"] == 5
    with pytest.raises(ConfigError, match="'hot-deck' is no generator"):
        method_options("gti-mm", setting, MODALITIES, "left", {"name": "hot-deck"}, {})


def test_unimodal_methods_use_one_side_only() -> None:
    assert method("audio-only").options(MODALITIES, "left")["modalities"] == ["right"]
    assert method("visual-only").options(MODALITIES, "left")["modalities"] == ["left"]


def test_low_resource_trains_on_complete_rows_only() -> None:
    options = method("low-resource-multimodal").options(MODALITIES, "left")
    pipe = Pipeline(backbone="toy", **options)
    assert len(pipe.prepare(vectors(60), None, Missing(left=0.75)).train) == 15


def test_dropout_drops_the_target_at_the_given_rate() -> None:
    options = method("mm-dropout").options(MODALITIES, "left", rate=0.7)
    assert options["fusion"] == {"name": "dropout", "rate": {"left": 0.7}, "base": "late"}


def test_another_fusion_of_embeddings_stands_inside_what_a_method_puts_around() -> None:
    wide = {"name": "late", "hidden": 5}
    assert "fusion" not in method("zero-fill").options(MODALITIES, "left")
    assert method("zero-fill").options(MODALITIES, "left", fusion=wide)["fusion"] == wide
    dropped = method("mm-dropout").options(MODALITIES, "left", rate=0.7, fusion=wide)["fusion"]
    assert dropped == {"name": "dropout", "rate": {"left": 0.7}, "base": wide}
    prompted = method("gti-mm-dropout-prompts").options(MODALITIES, "left", GENERATOR, rate=0.7, fusion="score")["fusion"]
    assert prompted == {"name": "dropout", "rate": {"left": 0.7}, "base": {"name": "missing-aware", "base": "score"}}


def test_the_level_of_zero_is_that_of_training_and_test_where_a_method_says_no_more() -> None:
    black = {"name": "zero", "level": "payload"}
    found = method("zero-fill").options(MODALITIES, "left", zero=black)
    assert (found["imputer"], found["eval_imputer"]) == ({"left": black}, black)
    found = method("hot-deck").options(MODALITIES, "left", zero=black)
    assert (found["imputer"], found["eval_imputer"]) == ({"left": "hot-deck"}, black)


def test_a_variant_changes_generator_pipeline_and_dropout_rate_and_nothing_else(tmp_path: Path) -> None:
    data = Splits(pictures(), pictures(), pictures())
    options = {"backbone": "toy", "train": {"epochs": 1, "lr": 0.1}, "store": tmp_path, "device": "cpu"}
    grid = Grid(data, "image", options, GENERATOR, (0,))
    plain = Setting("toys", "gti-mm-dropout", missing_train={"image": 0.5}, missing_test={"image": 0.7}, budget=2)
    other = replace(
        plain, generator={"seed": 3}, pipeline={"train": {"lr": 0.2}, "draws": 2}, rate=0.1, variant={"plan": "another"}
    )
    one, two = (job.pipes[0].config() for job in grid.plan([plain, other]))
    assert one["imputer"]["image"] == {"name": "toy-generator", "per_class": 2}
    assert two["imputer"]["image"] == {"name": "toy-generator", "per_class": 2, "seed": 3}
    assert one["imputer"]["audio"] == two["imputer"]["audio"]
    assert (one["fusion"]["rate"], two["fusion"]["rate"]) == ({"image": 0.7}, {"image": 0.1})
    assert (one["train"], two["train"]) == ({"epochs": 1, "lr": 0.1}, {"epochs": 1, "lr": 0.2})
    assert ("draws" in one, two["draws"]) == (False, 2)
    assert {k: v for k, v in one.items() if k not in ("imputer", "fusion", "train")} == {
        k: v for k, v in two.items() if k not in ("imputer", "fusion", "train", "draws")
    }


def test_generation_needs_a_generator() -> None:
    assert method("gti-mm").options(MODALITIES, "left", GENERATOR)["imputer"] == {"left": GENERATOR}
    with pytest.raises(ConfigError, match="needs a generator"):
        method("gti-mm").options(MODALITIES, "left")


def test_an_unknown_method_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="zero-fill"):
        method("zero-fil")


def pictures(rows: int = 12) -> MultimodalDataset:
    images = [np.full((4, 4, 3), 20 * row, np.uint8) for row in range(rows)]
    sounds = [(np.full((1, 80), row / 20, np.float32), 8000) for row in range(rows)]
    return MultimodalDataset.from_arrays(
        {"image": images, "audio": sounds}, [row % 3 for row in range(rows)], classes=list("abc")
    )


@pytest.mark.parametrize(("name", "used"), [("zs-visual", ("image",)), ("zs-multimodal", ("image", "audio"))])
def test_zero_shot_methods_see_no_real_item_of_the_target(name: str, used: tuple[str, ...], tmp_path: Path) -> None:
    data = pictures()
    pipe = preset(name, data, "image", GENERATOR, backbone="toy", device="cpu", store=tmp_path, train={"epochs": 1})
    run = pipe.prepare(data, None)
    assert tuple(run.train.sources) == used
    assert (run.train.sources["image"].index == -1).all()
    assert pipe.counters["generated"] == 9
    assert Pipeline.from_config(pipe.config()).unseen == ("image",)
    with pytest.raises(ConfigError, match=r"write \[image\]"):
        Pipeline("toy", unseen="image")


def test_a_preset_is_a_pipeline_whose_options_can_be_replaced() -> None:
    data = pictures()
    assert preset("gti-mm", data, "image", "stable-diffusion-tiny").config()["imputer"] == {
        "image": {"name": "stable-diffusion-tiny"},
        "audio": {"name": "zero"},
    }
    assert preset("zero-fill", data, "audio", fusion="score").config()["fusion"] == {"name": "score"}
    assert preset("audio-only", data, "image").modalities == ("audio",)
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        preset("zero-fill", data, "imge")
    alone = MultimodalDataset.from_arrays({"image": [None, None]}, ["x", "y"])
    with pytest.raises(ConfigError, match="the data has none"):
        preset("audio-only", alone, "image")
