"""Options are checked when they are made, all alike: the message names the option, what was found and what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gtimm import Pipeline
from gtimm.core.config import RunConfig
from gtimm.core.errors import ConfigError
from gtimm.core.options import EmbedOptions, PipelineOptions, TrainOptions

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"store": 5}, r"Pipeline option 'store': .*path.* \(found 5\)"),
    ({"modalities": [1]}, r"option 'modalities\.0': .*string \(found 1\)"),
    ({"modalities": "image"}, r"option 'modalities': a list of names is needed; write \[image\]"),
    ({"unseen": "image"}, r"option 'unseen': .*write \[image\]"),
    ({"device": ["cpu"]}, r"option 'device': .*string \(found \['cpu'\]\)"),
    ({"seed": "x"}, r"option 'seed': .*integer \(found 'x'\)"),
    ({"seed": 1.7}, r"option 'seed': .*\(found 1\.7\)"),
    ({"rows": "some"}, r"option 'rows': Input should be 'all' or 'complete' \(found 'some'\)"),
    ({"generate": "never"}, r"option 'generate': Input should be True, False or 'ask'"),
    ({"draws": 0}, r"option 'draws': .*greater than or equal to 1 \(found 0\)"),
    ({"train": 5}, r"option 'train': .*TrainOptions \(found 5\)"),
    ({"train": {"epoch": 5}}, r"TrainOptions has no option 'epoch'\. Did you mean 'epochs'"),
    ({"train": {1: 5}}, r"TrainOptions has no option '1'"),
    ({"embed": {"precision": "int8"}}, r"EmbedOptions option 'precision': .*'float32' or 'bfloat16' \(found 'int8'\)"),
    ({"modalities": ["a"], "unseen": ["b"]}, r"option 'unseen': the model uses only a; leave 'b' out"),
]


@pytest.mark.parametrize(("options", "says"), WRONG, ids=str)
def test_a_wrong_option_of_a_pipeline_is_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Pipeline("toy", **options)
    with pytest.raises(ConfigError, match=says):
        Pipeline.from_config({"backbone": "toy", **options})


def test_an_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Pipeline has no option 'sed'\. Did you mean 'seed'"):
        Pipeline.from_config({"sed": 1})


def test_numbers_of_numpy_and_paths_are_taken() -> None:
    pipe = Pipeline("toy", seed=np.int64(3), draws=np.int32(2), store=Path("home"), modalities=np.array(["left"]).tolist())
    assert (pipe.seed, type(pipe.seed), pipe.draws, pipe.store) == (3, int, 2, Path("home"))


def test_the_plain_form_holds_what_differs_from_the_defaults() -> None:
    made = {"modalities": ["left"], "draws": 3, "train": {"lr": [0.1, 0.2]}, "embed": {"workers": 2}}
    plain = Pipeline("toy", seed=7, store="home", device="cpu", generate=False, **made).config()
    assert plain.keys() - made.keys() == {"backbone", "imputer", "fusion", "eval_imputer"}
    assert {name: plain[name] for name in made} == made
    assert Pipeline("toy", train=TrainOptions(), embed=EmbedOptions()).config() == Pipeline("toy").config()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"data": "digits", "compare": {"method": []}},
            r"option 'compare': compare has no option 'method'\. Did you mean 'methods'",
        ),
        ({"data": "digits", "evaluate": {1: 2}}, r"evaluate has no option '1'\. Options: missing"),
        ({"data": "digits", "seeds": 0}, r"Configuration option 'seeds': at least one seed is needed \(found 0\)"),
        ({"sed": 1}, r"Configuration option 'data': Field required\. Configuration has no option 'sed'"),
    ],
)
def test_a_wrong_option_of_a_configuration_is_named_where_it_stands(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RunConfig.of(config)


@pytest.mark.parametrize(("kinds", "epochs"), [(("image", "text"), 30), (("image", "audio"), 15), ((), 15)])
def test_epochs_go_by_the_kinds_of_the_data_unless_they_are_said(kinds: tuple[str, ...], epochs: int) -> None:
    assert TrainOptions().epochs_for(kinds) == epochs
    assert TrainOptions(epochs=4).epochs_for(kinds) == 4


def test_a_device_may_be_that_of_torch() -> None:
    import torch

    assert PipelineOptions(device=torch.device("cpu")).device == "cpu"
