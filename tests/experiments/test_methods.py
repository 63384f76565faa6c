"""The comparison set: what each method trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import vectors

from gtimm import Missing, MultimodalDataset, Pipeline, preset
from gtimm.core.errors import ConfigError
from gtimm.experiments.methods import METHODS, method

GENERATOR = {"name": "toy-generator"}
MODALITIES = ("left", "right")


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if not m.generates and n != "zero-fill-payload"])
def test_every_method_trains(name: str) -> None:
    options = method(name).options(MODALITIES, "left")
    pipe = Pipeline(backbone="toy", train={"epochs": 1}, **options)
    data = vectors() if method(name).complete_data else vectors().with_missing(Missing(left=0.5))
    assert 0 <= pipe.fit(data, vectors(seed=1)).evaluate(vectors(seed=2))["accuracy"] <= 1


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
    with pytest.raises(ConfigError, match=r"Write \[image\]"):
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
