"""The feature store keeps what it was given, and shrugs off damage."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from toys import ToyBackbone, calls, vectors

from gtimm.core.errors import DataError, IncompatibleError, StoreError
from gtimm.core.features import FeatureStore
from gtimm.core.workspace import Workspace, open_workspace


def keys(*names: str) -> list[bytes]:
    return [hashlib.blake2b(name.encode(), digest_size=16).digest() for name in names]


def rows(*values: float) -> np.ndarray:
    return np.array([[v, v + 0.5, -v] for v in values], np.float32)


def test_what_is_put_is_got_in_any_order_and_by_other_processes(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "f", 3)
    store.put(keys("a", "b"), rows(1, 2))
    store.put(keys("c"), rows(3))
    for reader in (store, FeatureStore(tmp_path / "f", 3)):
        assert len(reader) == 3
        np.testing.assert_array_equal(reader.get(keys("c", "a", "c", "b")), rows(3, 1, 3, 2))
        assert keys("a")[0] in reader
        assert keys("d")[0] not in reader
        with pytest.raises(KeyError):
            reader.get(keys("d"))
    assert store.get([]).shape == (0, 3)


def test_a_key_is_stored_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 3)
    store.put(keys("a", "a", "b"), rows(1, 1, 2))
    store.put(keys("a", "b"), rows(7, 8))
    assert len(list(tmp_path.glob("*.npy"))) == 1
    np.testing.assert_array_equal(FeatureStore(tmp_path, 3).get(keys("a", "b")), rows(1, 2))


def test_two_writers_meet_in_no_file(tmp_path: Path) -> None:
    one, two = FeatureStore(tmp_path, 3), FeatureStore(tmp_path, 3)
    one.put(keys("a", "b"), rows(1, 2))
    two.put(keys("b", "c"), rows(2, 3))
    assert keys("c")[0] not in one
    one.refresh()
    np.testing.assert_array_equal(one.get(keys("a", "b", "c")), rows(1, 2, 3))
    np.testing.assert_array_equal(FeatureStore(tmp_path, 3).get(keys("a", "b", "c")), rows(1, 2, 3))


def test_a_shard_without_keys_does_not_count(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 3)
    store.put(keys("a"), rows(1))
    next(tmp_path.glob("*.keys")).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(FeatureStore(tmp_path, 3)) == 0


@pytest.mark.parametrize("damage", ["cut table", "no table", "other table", "cut keys", "empty keys", "flipped key"])
def test_a_damaged_shard_is_left_out_with_a_warning(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path, 3)
    store.put(keys("a", "b"), rows(1, 2))
    table, names = next(tmp_path.glob("*.npy")), next(tmp_path.glob("*.keys"))
    if damage == "cut table":
        table.write_bytes(table.read_bytes()[:-4])
    elif damage == "no table":
        table.unlink()
    elif damage == "other table":
        np.save(table, np.zeros((2, 4), np.float32))
    elif damage == "cut keys":
        names.write_bytes(names.read_bytes()[:-16])
    elif damage == "empty keys":
        names.write_bytes(b"")
    else:
        content = bytearray(names.read_bytes())
        content[0] ^= 1
        names.write_bytes(content)
    store = FeatureStore(tmp_path / "x", 3)
    with pytest.warns(RuntimeWarning, match="damaged"):
        store = FeatureStore(tmp_path, 3)
    assert len(store) == 0
    store.put(keys("a"), rows(5))
    np.testing.assert_array_equal(store.get(keys("a")), rows(5))


def test_features_of_another_size_are_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 4)
    with pytest.raises(StoreError, match="size 4"):
        store.put(keys("a"), rows(1))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot write"):
        FeatureStore(tmp_path / "file" / "store", 3).put(keys("a"), rows(1))


def test_each_payload_is_embedded_once_in_the_life_of_a_project(home: Path) -> None:
    data, backbone = vectors(20), ToyBackbone()
    workspace = Workspace(home, "cpu")
    workspace.column(data.with_missing({"left": 0.5}), "left", backbone)
    assert calls["encoded"] == 10
    workspace.column(data, "left", backbone)
    assert calls["encoded"] == 20
    workspace.column(data.with_missing({"left": 0.2}, seed=9), "left", backbone)
    Workspace(home, "cpu").column(vectors(20), "left", backbone)
    assert calls["encoded"] == workspace.counters["embedded"] == 20


def test_equal_payloads_are_embedded_once(home: Path) -> None:
    workspace = Workspace(home, "cpu")
    table = workspace.embed(ToyBackbone(), "vector", [[1, 2, 3, 4], [0, 0, 0, 0], [1, 2, 3, 4]])
    assert calls["encoded"] == 2
    assert table.tolist() == [[1, 2, 3, 4], [0, 0, 0, 0], [1, 2, 3, 4]]


def test_another_fingerprint_has_features_of_its_own(home: Path) -> None:
    workspace, data = Workspace(home, "cpu"), vectors(5)
    one, _ = workspace.column(data, "left", ToyBackbone())
    two, _ = workspace.column(data, "left", ToyBackbone(scale=2))
    np.testing.assert_array_equal(two, 2 * one)


def test_a_column_gives_present_rows_and_their_places(home: Path) -> None:
    data = vectors(8).with_missing({"left": 0.5})
    table, index = Workspace(home, "cpu").column(data, "left", ToyBackbone())
    there = data.present("left")
    assert (index >= 0).tolist() == there.tolist()
    for row in np.flatnonzero(there):
        np.testing.assert_array_equal(table[index[row]], data.payload("left", int(row)))


def test_many_payloads_keep_their_order_over_batches_and_shards(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtimm.core.workspace.FLUSH", 50)
    monkeypatch.setattr("gtimm.core.workspace.BATCH", 7)
    payloads = [[i, -i, 0, 1] for i in range(120)]
    workspace = Workspace(home, "cpu")
    np.testing.assert_array_equal(workspace.embed(ToyBackbone(), "vector", payloads), np.array(payloads, np.float32))
    assert len(list(home.rglob("*.npy"))) == 3


def test_a_feature_that_is_not_finite_names_the_row(home: Path) -> None:
    data = vectors(4)
    data.payload("left", 2)[:] = np.nan
    with pytest.raises(DataError, match=r"Row 2: the embedding of 'left' is not finite"):
        Workspace(home, "cpu").column(data, "left", ToyBackbone())


def test_a_kind_that_cannot_be_embedded_is_refused_before_anything_is_written(home: Path) -> None:
    from gtimm import MultimodalDataset

    data = MultimodalDataset.from_arrays({"video": ["a.mp4"]})
    with pytest.raises(IncompatibleError, match="cannot embed 'video'; it embeds vector, image"):
        Workspace(home, "cpu").column(data, "video", ToyBackbone())
    assert not home.exists()
    with pytest.raises(IncompatibleError, match="cannot embed 'video'"):
        ToyBackbone().embed({"video": ["a.mp4"]})
    with pytest.raises(IncompatibleError, match="cannot embed 'video'"):
        ToyBackbone().preprocess("video", "a.mp4")


def test_a_payload_that_fails_leaves_no_half_of_its_batch(home: Path) -> None:
    with pytest.raises(DataError, match="shape"):
        Workspace(home, "cpu").embed(ToyBackbone(), "vector", [[1, 2, 3, 4], [1, 2]])
    assert not list(home.rglob("*.npy"))


def test_one_process_has_one_workspace_a_folder(tmp_path: Path) -> None:
    assert open_workspace(tmp_path / "a") is open_workspace(str(tmp_path / "a"))
    assert open_workspace(tmp_path / "a") is not open_workspace(tmp_path / "b")


def test_the_store_folder_is_the_environments(home: Path) -> None:
    assert open_workspace().home == home.resolve()


def test_embedding_in_batches_gives_one_tensor_a_kind() -> None:
    found = ToyBackbone().embed({"vector": [[float(i)] * 4 for i in range(5)], "text": []}, batch_size=2)
    assert found["vector"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert found["text"].shape == (0, 4)
