"""The comparison set: what each method trains on."""

from __future__ import annotations

import pytest
from toys import vectors

from gtimm import Missing, Pipeline
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
