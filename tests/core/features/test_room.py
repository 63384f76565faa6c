"""Many features lie in a file without a name, few in memory; nothing else differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gtimm import Missing, Pipeline, load_dataset
from gtimm.core.errors import StoreError
from gtimm.core.features import room
from gtimm.core.features.room import Room, finite_rows, gathered
from gtimm.core.training.table import Table


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """All features are many."""
    monkeypatch.setattr(room, "LARGE", 0)
    monkeypatch.setattr(room, "STEP", 4 * 3 * 7)


@pytest.fixture(params=["few", "many"])
def either(request: pytest.FixtureRequest) -> None:
    if request.param == "many":
        request.getfixturevalue("large")


@pytest.mark.usefixtures("either")
def test_rows_that_are_not_written_are_zeros(tmp_path: Path) -> None:
    found = Room(9, 3, tmp_path / "store")
    values = np.arange(15, dtype=np.float32).reshape(5, 3)
    found.write(np.array([1, 2, 3, 6, 8]), values)
    expected = np.zeros((9, 3), np.float32)
    expected[[1, 2, 3, 6, 8]] = values
    np.testing.assert_array_equal(found.array(), expected)


@pytest.mark.usefixtures("either")
def test_what_is_gathered_is_what_was_given(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_array_equal(gathered(20, 3, tmp_path, lambda part: values[part]), values)
    assert gathered(0, 3, tmp_path, lambda part: values[part]).shape == (0, 3)


@pytest.mark.usefixtures("large")
def test_the_file_has_no_name_and_little_is_asked_for_at_a_time(tmp_path: Path) -> None:
    asked: list[int] = []

    def get(part: slice) -> Any:
        asked.append(part.stop - part.start)
        return np.ones((part.stop - part.start, 3), np.float32)

    found = gathered(20, 3, tmp_path, get)
    assert isinstance(found, np.memmap)
    assert asked == [7, 7, 6]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("large")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match=r"5 features need 0\.0 GB for a while in .*store"):
        Room(5, 3, tmp_path / "store")


@pytest.mark.usefixtures("either")
def test_rows_that_are_not_finite_are_found() -> None:
    values = np.ones((20, 3), np.float32)
    values[[4, 19], [0, 2]] = np.nan, np.inf
    assert np.flatnonzero(~finite_rows(values)).tolist() == [4, 19]


@pytest.mark.usefixtures("either")
def test_a_table_of_several_pieces_reads_as_one() -> None:
    parts = [torch.zeros(1, 3), torch.randn(5, 3), torch.randn(1, 3), torch.randn(4, 3)]
    table, whole = Table(parts), torch.cat(parts)
    places = torch.tensor([[0, 10, 3], [6, 5, 1]])
    assert torch.equal(table.take(places), whole[places])
    into = torch.empty(6, 6)[:, :3]
    assert torch.equal(table.take(places, into), whole[places])
    assert torch.equal(into, whole[places.flatten()])
    assert table.finite()
    assert not Table([*parts, torch.full((2, 3), torch.nan)]).finite()


@pytest.mark.parametrize("imputer", ["hot-deck", "class-mean", {"name": "stable-diffusion-tiny", "per_class": 2}])
def test_a_model_is_the_same_whether_its_features_are_many_or_few(
    imputer: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (room.LARGE, 1 << 12):
        monkeypatch.setattr(room, "LARGE", limit)
        data = load_dataset("digits")
        pipe = Pipeline("imagebind-tiny", imputer, train={"epochs": 2}, store=home, device="cpu")
        pipe.fit(data.train, val=data.val, missing=Missing(image=0.9))
        found.append(pipe.predict_proba(data.test.with_missing(Missing(image=0.5))))
    np.testing.assert_array_equal(found[0], found[1])
