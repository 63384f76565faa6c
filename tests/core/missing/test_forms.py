"""What a configuration file, a table or a hurried user writes for `Missing` is read as it was meant, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gtimm import Missing, MultimodalDataset
from gtimm.core.config import RunConfig, read_yaml
from gtimm.core.errors import ConfigError, MissingnessError
from gtimm.experiments.folder import RunFolder


def vectors(rows: int = 20, modalities: str = "abc", **extra: Any) -> MultimodalDataset:
    cells = {m: [[float(row)] for row in range(rows)] for m in modalities}
    return MultimodalDataset.from_arrays(cells, [0] * rows, kinds=dict.fromkeys(modalities, "vector"), extra=extra)


def test_on_is_a_plain_word_in_yaml_too(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: digits\nmissing: {image: 0.5, on: label}\nevaluate: {missing: {image: 0.5, on: -image.brightness}}\n")
    config = RunConfig.of(read_yaml(path))
    assert Missing.of(config.missing) == Missing(image=0.5, on="label")
    assert Missing.of(config.evaluate.missing).on == "-image.brightness"
    assert Missing.of({"image": 0.5, True: "label"}).on == "label"  # type: ignore[dict-item]


def test_patterns_come_back_from_a_run_folder_with_the_same_masks(tmp_path: Path) -> None:
    patterns = {"b": 0.3, "a+b+c": 0.4, "c+a": 0.3}
    RunFolder(tmp_path / "run").config({"data": "digits", "missing": {"patterns": patterns}})
    read = Missing.of(RunConfig.of(read_yaml(tmp_path / "run" / "config.yaml")).missing)
    for m, mask in Missing(patterns=dict(reversed(patterns.items()))).masks(vectors(), 3).items():
        np.testing.assert_array_equal(read.masks(vectors(), 3)[m], mask)


@pytest.mark.parametrize("on", [lambda data: np.arange(len(data)), [1.0, 2.0], np.arange(3)])
def test_a_run_folder_refuses_what_it_cannot_hold(on: Any) -> None:
    with pytest.raises(ConfigError, match="a configuration cannot hold"):
        RunConfig.of({"data": "digits", "missing": {"image": 0.5, "on": on}})


def test_numbers_are_copied_and_compare() -> None:
    numbers = np.arange(20.0)
    missing = Missing(a=0.5, on=numbers)
    assert missing == Missing(a=0.5, on=list(range(20)))
    assert missing != Missing(a=0.5, on=-numbers)
    before = missing.masks(vectors(), 0)["a"]
    numbers[:] = -numbers
    np.testing.assert_array_equal(missing.masks(vectors(), 0)["a"], before)
    series = Missing(a=0.5, on=pd.Series(range(20), index=range(50, 70)))
    np.testing.assert_array_equal(series.masks(vectors(), 0)["a"], before)


def test_modalities_that_are_called_like_an_option_keep_their_name() -> None:
    missing = Missing({"on": 0.5, "seed": 0.25}, seed=3)
    assert Missing.of(missing.to_config()) == missing


def test_the_fullest_pattern_only_grows() -> None:
    few = vectors().with_missing(Missing(patterns={"a+b+c": 0.3, "a": 0.4, "b": 0.3}), 1)
    many = vectors().with_missing(Missing(patterns={"a+b+c": 0.6, "a": 0.1, "b": 0.3}), 1)
    whole = [np.logical_and.reduce([data.present(m) for m in "abc"]) for data in (few, many)]
    assert whole[0].sum() == 6
    assert not (whole[0] & ~whole[1]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": 0.5, "strength": 0.5}, "Leave strength= out"),
        ({"a": 0.5, "on": "-land"}, "column of words"),
        ({"a": 0.5, "on": "price"}, "row 19 'n/a'"),
        ({"a": 0.5, "on": lambda data: 1 / 0}, "ZeroDivisionError"),
        ({"a": 0.5, "on": [[1.0], [1.0, 2.0]]}, "a number for each of the 20 rows"),
        ({1: 0.5}, "Missing names the modality '1'"),
        ({"patterns": {"a": 0.5, "a+b": 0.5}}, "No pattern names 'c'"),
        ({"patterns": {1: 1.0}}, "found 1 as a key"),
        ({"patterns": {None: 1.0}}, "found None as a key"),
        ({"patterns": {"a+a": 1.0}}, "each of its modalities once"),
        ({"patterns": {"a+": 1.0}}, "each of its modalities once"),
    ],
)
def test_what_means_nothing_is_refused(options: dict[Any, Any], message: str) -> None:
    data = vectors(land=list("xy") * 10, price=["1.5"] * 19 + ["n/a"])
    with pytest.raises(MissingnessError, match=message):
        Missing.of(options).masks(data, 0)


def test_a_modality_that_no_row_is_to_keep_is_said_by_a_share_of_zero() -> None:
    masks = Missing(patterns={"a+b+c": 0, "a": 0.5, "a+b": 0.5}).masks(vectors(), 0)
    assert masks["c"].all()
