"""Vectors that users bring go through as they are; what is wrong with one is said with its row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.backbones.precomputed import Precomputed
from gtimm.core.errors import ConfigError, DataError, IncompatibleError, MediaError

BACKBONE = {"name": "precomputed", "dim": 4}


def data(rows: int = 60) -> MultimodalDataset:
    random = np.random.default_rng(0)
    labels = np.arange(rows) % 3
    codes = 3 * random.normal(size=(2, 3, 4))
    parts = {m: [codes[i, c] + random.normal(size=4) for c in labels] for i, m in enumerate(("left", "right"))}
    return MultimodalDataset.from_arrays(parts, labels, classes=["a", "b", "c"], kinds={"left": "vector", "right": "vector"})


def test_vectors_are_their_own_features() -> None:
    given = np.random.default_rng(0).normal(size=(70, 5))
    found = Precomputed(dim=5).embed({"vector": [*given[:69], given[69].tolist()]})["vector"]
    np.testing.assert_array_equal(found.numpy(), given.astype(np.float32))
    given[0] = 0
    assert found[0].abs().min() > 0  # a copy


def test_a_pipeline_learns_from_vectors_with_holes() -> None:
    pipe = Pipeline(BACKBONE, {"right": "hot-deck"}, train={"epochs": 60, "lr": 0.02}).fit(data(), missing=Missing(right=0.5))
    assert pipe.evaluate(data())["accuracy"] > 0.8


NUMBERS = [
    (np.zeros(3), r"shape \(4,\); found shape \(3,\)"),
    (np.zeros((2, 2)), r"shape \(4,\); found shape \(2, 2\)"),
    (np.array([0, 1, np.nan, np.nan]), r"finite; found nan at position 2 \(2 such\)"),
    (np.array([0, -np.inf, 1, 1]), "finite; found -inf at position 1"),
    (np.array([0, 1, 1, 1e300]), "finite; found 1e[+]300 at position 3"),
]
OTHERS = [("0 1 2 3", "4 numbers"), (["0", "1", "2", "3"], "4 numbers"), ([[1], [1, 2]], "4 numbers"), (None, "4 numbers")]


@pytest.mark.parametrize(("value", "says"), [*NUMBERS, *OTHERS])
def test_what_is_no_such_vector_is_refused(value: Any, says: str) -> None:
    with pytest.raises(MediaError, match=f"^A vector must .*{says}"):
        Precomputed(dim=4).preprocess("vector", value)


@pytest.mark.parametrize(("value", "says"), NUMBERS)
def test_in_a_data_set_the_row_is_named(value: Any, says: str) -> None:
    vectors = [np.ones(4) * i for i in range(6)]
    vectors[3] = value
    bad = MultimodalDataset.from_arrays({"vector": vectors}, list("ababab"))
    with pytest.raises(DataError, match=f"^Row 3, modality 'vector': A vector must .*{says}"):
        Pipeline(BACKBONE).fit(bad)


def test_its_options_and_kind_are_checked() -> None:
    with pytest.raises(ConfigError, match="dim"):
        Precomputed()
    with pytest.raises(ConfigError, match="dim"):
        Precomputed(dim=0)
    with pytest.raises(IncompatibleError, match="cannot embed 'image'"):
        Precomputed(dim=4).size("image")
    assert Precomputed(dim=4).fingerprint() != Precomputed(dim=5).fingerprint()
