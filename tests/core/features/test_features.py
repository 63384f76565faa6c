"""The feature store keeps what it was given, and shrugs off damage."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyBackbone, calls, vectors

from gtimm.core.errors import DataError, IncompatibleError, StoreError
from gtimm.core.features import FAN, FeatureStore, shard_files
from gtimm.core.features.shards import ALIGN, Shard, merge, split_keys
from gtimm.core.media import payload_key
from gtimm.core.options import EmbedOptions
from gtimm.core.terminal import notes_of
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
    assert len(shard_files(tmp_path)) == 1
    np.testing.assert_array_equal(FeatureStore(tmp_path, 3).get(keys("a", "b")), rows(1, 2))


def test_two_writers_meet_in_no_file(tmp_path: Path) -> None:
    one, two = FeatureStore(tmp_path, 3), FeatureStore(tmp_path, 3)
    one.put(keys("a", "b"), rows(1, 2))
    two.put(keys("b", "c"), rows(2, 3))
    assert keys("c")[0] not in one
    one.refresh()
    np.testing.assert_array_equal(one.get(keys("a", "b", "c")), rows(1, 2, 3))
    np.testing.assert_array_equal(FeatureStore(tmp_path, 3).get(keys("a", "b", "c")), rows(1, 2, 3))


def test_keys_that_share_their_first_half_are_told_apart(tmp_path: Path) -> None:
    twins = [b"same key" + bytes([0, 0, 0, 0, 0, 0, 0, i]) for i in range(40)]
    store = FeatureStore(tmp_path, 3)
    store.put(twins[::2], rows(*range(20)))
    np.testing.assert_array_equal(store.get(twins[38::-2]), rows(*range(19, -1, -1)))
    assert store.missing(twins) == list(range(1, 40, 2))
    assert twins[39] not in store


@pytest.mark.parametrize(
    "damage", ["cut row", "cut index", "empty", "flipped key", "flipped checksum", "flipped header", "junk", "older"]
)
def test_a_damaged_shard_is_left_out_with_a_warning(tmp_path: Path, damage: str) -> None:
    FeatureStore(tmp_path, 3).put(keys("a", "b"), rows(1, 2))
    shard = shard_files(tmp_path)[0]
    content = bytearray(shard.read_bytes())
    changed = {"flipped key": ALIGN, "flipped checksum": ALIGN + 33, "flipped header": 9}
    if damage in changed:
        content[changed[damage]] ^= 1
    shard.write_bytes(
        {
            "cut row": content[:-4],
            "cut index": content[:90],
            "empty": b"",
            "junk": b"?" * 500,
            "older": b"gtimmfs0" + content[8:],
        }.get(damage, content)
    )
    with pytest.warns(RuntimeWarning, match="damaged"):
        store = FeatureStore(tmp_path, 3)
    assert len(store) == 0
    store.put(keys("a"), rows(5))
    np.testing.assert_array_equal(store.get(keys("a")), rows(5))


def test_no_single_flipped_bit_gives_a_wrong_feature(tmp_path: Path) -> None:
    FeatureStore(tmp_path, 3).put(keys("a", "b"), rows(1, 2))
    shard = shard_files(tmp_path)[0]
    content = shard.read_bytes()
    for bit in range(len(content) * 8):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            store = FeatureStore(tmp_path, 3)
            with suppress(KeyError):
                np.testing.assert_array_equal(store.get(keys("a", "b")), rows(1, 2))


def test_a_damaged_row_alone_is_lost_and_can_be_put_again(tmp_path: Path) -> None:
    FeatureStore(tmp_path, 3).put(keys("a", "b"), rows(1, 2))
    path = shard_files(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = FeatureStore(tmp_path, 3)
    with pytest.warns(RuntimeWarning, match="1 rows .* damaged"), pytest.raises(KeyError):
        store.get(keys("a", "b"))
    (lost,) = store.missing(keys("a", "b"))
    name, value = "ab"[lost], [1, 2][lost]
    other, kept = "ba"[lost], [2, 1][lost]
    assert len(store) == 1
    np.testing.assert_array_equal(store.get(keys(other)), rows(kept))
    store.put(keys(name), rows(value))
    with warnings.catch_warnings():  # whether the damaged row is met first depends on the shards' names
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_array_equal(FeatureStore(tmp_path, 3).get(keys("a", "b")), rows(1, 2))


def test_small_shards_are_merged_and_every_reader_keeps_all(tmp_path: Path) -> None:
    store, early = FeatureStore(tmp_path, 3), FeatureStore(tmp_path, 3)
    for i in range(600):
        store.put(keys(f"k{i}"), rows(i))
        if i == 300:
            early.refresh()
    assert len(shard_files(tmp_path)) < 3 * FAN
    names, values = keys(*(f"k{i}" for i in range(600))), rows(*range(600))
    np.testing.assert_array_equal(early.get(names[:301]), values[:301])  # from files that are gone
    early.refresh()
    for reader in (store, early, FeatureStore(tmp_path, 3)):
        assert len(reader) == 600
        np.testing.assert_array_equal(reader.get(names), values)


def test_merging_keeps_the_sound_one_of_two_rows(tmp_path: Path) -> None:
    one, two = FeatureStore(tmp_path, 3), FeatureStore(tmp_path, 3)
    one.put(keys("a", "b"), rows(1, 2))
    two.put(keys("b", "c"), rows(2, 3))
    for path in shard_files(tmp_path)[:1]:
        content = bytearray(path.read_bytes())
        content[-13] ^= 1
        content[-1] ^= 1
        path.write_bytes(content)
    shards = [Shard(path) for path in shard_files(tmp_path)]
    merge(tmp_path / "merged.shard", shards)
    merged = Shard(tmp_path / "merged.shard")
    assert merged.rows == 3
    assert len(merged.damaged()) == 1
    high, low = split_keys(keys("b"))
    out = np.zeros((1, 3), np.float32)
    assert merged.read(merged.find(high, low), out, np.zeros(1, np.int64)).all()
    np.testing.assert_array_equal(out, rows(2))


def test_merging_waits_while_another_process_is_at_it(tmp_path: Path) -> None:
    import fcntl

    store = FeatureStore(tmp_path, 3)
    store.put(keys("first"), rows(0))
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for i in range(2 * FAN):
            store.put(keys(f"k{i}"), rows(i))
        assert len(shard_files(tmp_path)) == 2 * FAN + 1
    store.put(keys("last"), rows(0))
    assert len(shard_files(tmp_path)) == 1


def test_what_dead_writers_left_is_ignored_and_swept_when_old(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 3)
    store.put(keys("a"), rows(1))
    old, young = tmp_path / ".0123-x.tmp.shard", tmp_path / ".4567-y.tmp.shard"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(FeatureStore(tmp_path, 3)) == 1
    store.compact()
    assert young.exists()
    assert not old.exists()


WRITER = """
import hashlib, sys
from pathlib import Path
import numpy as np
from gtimm.core.features import FAN, FeatureStore, shard_files
from gtimm.core.features.shards import ALIGN, Shard, merge, split_keys
store, name = FeatureStore(Path(sys.argv[1]), 64), sys.argv[2]
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    names = [f"{name}-{i}-{j}" for j in range(20)] + [f"both-{i}"]
    keys = [hashlib.blake2b(n.encode(), digest_size=16).digest() for n in names]
    store.put(keys, np.stack([np.full(64, int.from_bytes(k[:2]), np.float32) for k in keys]))
    print(i, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name, str(count)], stdout=subprocess.PIPE, text=True)


def holds(store: FeatureStore, names: list[str]) -> bool:
    """Whether all are there, each with its own features."""
    found = keys(*names)
    expected = np.array([int.from_bytes(key[:2]) for key in found], np.float32)
    return bool((store.get(found) == expected[:, None]).all())


def test_a_store_whose_writers_were_killed_holds_all_that_was_written(tmp_path: Path) -> None:
    random, written = np.random.default_rng(0), []
    for turn in range(4):
        process = writer(tmp_path, f"w{turn}", 10_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(random.uniform(0.02, 0.3)))
        process.kill()
        written += [f"w{turn}-{line.strip()}-{j}" for line in process.stdout.read().splitlines() if line for j in range(20)]
        process.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store = FeatureStore(tmp_path, 64)
        assert holds(store, written)
        assert not any(len(Shard(path).damaged()) for path in shard_files(tmp_path))
    assert len(written) > 100


def test_two_processes_write_one_store(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 60) for name in ("one", "two")]
    assert [process.wait(60) for process in processes] == [0, 0] or not [process.communicate() for process in processes]
    store = FeatureStore(tmp_path, 64)
    assert len(store) == 60 * 41
    assert holds(store, [f"{name}-{i}-{j}" for name in ("one", "two") for i in range(60) for j in range(20)])
    assert holds(store, [f"both-{i}" for i in range(60)])


def test_half_precision_halves_the_space_and_rounds(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
    values[0, :3] = [1e-6, 65504, -60000]
    names = keys(*map(str, range(len(values))))
    sizes = {}
    for dtype in ("float32", "float16"):
        store = FeatureStore(tmp_path / dtype, 64, dtype)
        store.put(names, values)
        sizes[dtype] = shard_files(tmp_path / dtype)[0].stat().st_size
    found = FeatureStore(tmp_path / "float16", 64, "float16").get(names)
    assert found.dtype == np.float32
    assert (np.abs(found - values) <= np.maximum(np.abs(values) * 2**-11, 3e-8)).all()
    assert not (found == values).all()
    assert sizes["float16"] < 0.6 * sizes["float32"]
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert len(FeatureStore(tmp_path / "float16", 64)) == 0


def test_features_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="do not fit float16"):
        FeatureStore(tmp_path, 3, "float16").put(keys("a"), rows(70000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(StoreError, match="not finite"):
        FeatureStore(tmp_path, 3).put(keys("a", "b"), rows(1, value))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_named_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path, 3)
    store.put(keys("a"), rows(1))
    before = sorted(tmp_path.iterdir())

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gtimm.core.features.shards.checksums", lambda r: np.zeros(len(r), np.uint32))
    monkeypatch.setattr("gtimm.core.features.shards.SYNC", 0)
    monkeypatch.setattr("gtimm.core.features.shards.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.put(keys("b"), rows(2))
    assert sorted(tmp_path.iterdir()) == before
    assert keys("b")[0] not in store


def test_a_read_only_folder_can_be_read_and_says_so_when_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FeatureStore(tmp_path, 3).put(keys("a"), rows(1))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("gtimm.core.files.tempfile.mkstemp", refuse)
    store = FeatureStore(tmp_path, 3)
    np.testing.assert_array_equal(store.get(keys("a")), rows(1))
    with pytest.raises(StoreError, match="Read-only file system"):
        store.put(keys("b"), rows(2))
    store.compact()


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
    monkeypatch.setattr("gtimm.core.features.embedding.SIZE", 7)
    payloads = [[i, -i, 0, 1] for i in range(120)]
    workspace = Workspace(home, "cpu")
    np.testing.assert_array_equal(workspace.embed(ToyBackbone(), "vector", payloads), np.array(payloads, np.float32))
    assert len(list(home.rglob("*.shard"))) == 3


def test_a_feature_that_is_not_finite_names_the_row(home: Path) -> None:
    data = vectors(4)
    data.payload("left", 2)[:] = np.nan
    with pytest.raises(DataError, match=r"Row 2, modality 'left': the embedding of an array .* is not finite"):
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
    assert not list(home.rglob("*.shard"))


def test_one_process_has_one_workspace_a_folder(tmp_path: Path) -> None:
    assert open_workspace(tmp_path / "a") is open_workspace(str(tmp_path / "a"))
    assert open_workspace(tmp_path / "a") is not open_workspace(tmp_path / "b")


def test_the_store_folder_is_the_environments(home: Path) -> None:
    assert open_workspace().home == home.resolve()


def test_embedding_in_batches_gives_one_tensor_a_kind() -> None:
    found = ToyBackbone().embed({"vector": [[float(i)] * 4 for i in range(5)], "text": []}, batch_size=2)
    assert found["vector"][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert found["text"].shape == (0, 4)


def test_an_encoder_that_fails_says_how_far_it_came_and_what_was_done_is_kept(home: Path) -> None:
    class Third(ToyBackbone):
        def fingerprint(self) -> str:
            return "third"

        def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
            if (batch[:, 0] == 2).any():
                raise RuntimeError("shapes differ")
            return batch

    payloads = [np.full(4, n, np.float32) for n in range(4)]
    workspace = Workspace(home, "cpu", EmbedOptions(batch_size=1, workers=0))
    with pytest.raises(RuntimeError, match="shapes differ") as found:
        workspace.embed(Third(), "vector", payloads)
    assert "Third (module " in notes_of(found.value)[0]
    assert "raised RuntimeError as it embedded vectors (2 of 4 were done), test_features.py line " in notes_of(found.value)[0]
    assert not workspace.store(Third(), "vector", "pooled").missing([payload_key("vector", one) for one in payloads[:2]])
