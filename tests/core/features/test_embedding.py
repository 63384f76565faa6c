"""Embedding: workers, batches that fit in memory, and errors that name the row."""

from __future__ import annotations

import gc
import os
import signal
import time
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import torch
from toys import ToyBackbone, calls, vectors

from gtimm import MultimodalDataset
from gtimm.core.errors import ConfigError, DataError, GtimmError, MediaError, PluginError
from gtimm.core.features import room, shard_files
from gtimm.core.features.embedding import planned
from gtimm.core.features.encoders import LOADED
from gtimm.core.features.workers import Workers, can_fork
from gtimm.core.options import EmbedOptions
from gtimm.core.workspace import Workspace, open_workspace

FORKS = pytest.mark.skipif(not can_fork(), reason="this system cannot fork")
TWO = EmbedOptions(workers=2)


def toy(act: Any = None, ready: Any = None) -> ToyBackbone:
    """The toy with an encoder, or something before preparing, that a test gives."""

    class Toy(ToyBackbone):
        def encode(self, kind: str, batch: torch.Tensor, depth: str = "pooled") -> torch.Tensor:
            return super().encode(kind, batch, depth) if act is None else act(batch)

        def prepare(self, kind: str, payload: Any) -> torch.Tensor:
            if ready is not None:
                ready(payload)
            return super().prepare(kind, payload)

    return Toy()


def numbered(count: int) -> MultimodalDataset:
    return MultimodalDataset.from_arrays({"vector": [np.array([i, 1, 2, 3], np.float32) for i in range(count)]})


def workspace(home: Path, **options: Any) -> Workspace:
    return Workspace(home, "cpu", EmbedOptions(**options))


@FORKS
@pytest.mark.parametrize("batch_size", [None, 1, 7, 500])
@pytest.mark.parametrize("machine", [1, 64])
def test_workers_give_what_one_process_gives_in_order(
    home: Path, batch_size: int | None, machine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gtimm.core.features.embedding.cores", lambda: machine)  # workers run ahead, or in turn with the encoder
    data = numbered(150)
    here, _ = workspace(home / "a", workers=0).column(data, "vector", toy())
    calls.clear()
    there, _ = workspace(home / "b", workers=2, batch_size=batch_size).column(data, "vector", toy())
    np.testing.assert_array_equal(here, there)
    assert calls["encoded"] == 150
    assert calls["prepared"] <= 3  # the others were prepared elsewhere


def test_a_small_job_starts_no_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "__init__", lambda *_: pytest.fail("started a worker"))
    workspace(home).column(numbered(100), "vector", toy())
    assert calls["prepared"] == 100


@FORKS
@pytest.mark.parametrize("slow", ["preparing", "encoding"])
def test_threads_prepare_beside_a_slow_encoder_and_processes_where_preparing_is_the_work(
    home: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(batch: torch.Tensor) -> torch.Tensor:
        time.sleep(0.01 * len(batch) if slow == "encoding" else 0)
        return batch.clone()

    monkeypatch.setattr("gtimm.core.features.embedding.cores", lambda: 1)
    monkeypatch.setattr("gtimm.core.features.embedding.SIZE", 8)
    monkeypatch.setattr("gtimm.core.features.preparing.WORTH_FORKING", 0.01)
    seen = []
    backbone = toy(act, lambda payload: (seen.append(payload[0]), time.sleep(0.0005 if slow == "encoding" else 0.002)))
    table, _ = workspace(home).column(numbered(48), "vector", backbone)
    np.testing.assert_array_equal(table[:, 0], np.arange(48))
    assert len(seen) == 48 if slow == "encoding" else len(seen) < 20


@FORKS
def test_processes_that_took_over_name_the_row_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ready(payload: Any) -> None:
        time.sleep(0.002)
        if payload[0] == 41:
            os._exit(3)

    monkeypatch.setattr("gtimm.core.features.embedding.cores", lambda: 1)
    monkeypatch.setattr("gtimm.core.features.embedding.SIZE", 8)
    monkeypatch.setattr("gtimm.core.features.preparing.WORTH_FORKING", 0.01)
    with pytest.raises(PluginError, match="Row 41"):
        workspace(home).column(numbered(48), "vector", toy(ready=ready))


def test_without_fork_threads_prepare(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtimm.core.features.preparing.can_fork", lambda: False)
    table, _ = workspace(home, workers=2, batch_size=7).column(numbered(60), "vector", toy())
    np.testing.assert_array_equal(table[:, 0], np.arange(60))
    assert calls["prepared"] == 60


@FORKS
def test_the_first_bad_payload_of_a_block_is_named_by_its_row(home: Path) -> None:
    payloads: list[Any] = [np.array([i, 1, 2, 3], np.float32) for i in range(60)]
    payloads[41] = payloads[23] = np.zeros(5, np.float32)
    payloads[5] = None
    data = MultimodalDataset.from_arrays({"vector": payloads})
    with pytest.raises(MediaError, match=r"^Row 23, modality 'vector': A vector of shape \(5,\)"):
        Workspace(home, "cpu", TWO).column(data, "vector", toy())


@FORKS
def test_an_error_of_ours_keeps_its_type_and_the_workers_traceback(home: Path) -> None:
    def fails(payload: Any) -> None:
        if payload[0] == 9:
            raise ZeroDivisionError("nine")

    with pytest.raises(ZeroDivisionError, match="nine") as caught:
        Workspace(home, "cpu", TWO).column(numbered(20), "vector", toy(ready=fails))
    assert "in fails" in caught.value.__notes__[0]


@FORKS
@pytest.mark.parametrize(
    ("end", "how"), [(lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"), (lambda: os._exit(3), "code 3")]
)
def test_a_worker_that_dies_is_an_error_that_names_the_row(home: Path, end: Any, how: str) -> None:
    def dies(payload: Any) -> None:
        if payload[0] == 11:
            end()

    began = time.monotonic()
    with pytest.raises(PluginError, match=rf"Row 11, modality 'vector': an array of shape \(4,\).* worker process .*{how}"):
        Workspace(home, "cpu", TWO).column(numbered(30), "vector", toy(ready=dies))
    assert time.monotonic() - began < 20


def test_prepared_payloads_must_be_alike(home: Path) -> None:
    class Uneven(ToyBackbone):
        def prepare(self, kind: str, payload: Any) -> torch.Tensor:
            return torch.zeros(4 + (payload[0] == 8))

    says = r"Row 8, modality 'vector': an array .*: Prepared payloads must be alike: found float32 \(5,\)"
    for workers in (0, 2):
        with pytest.raises(PluginError, match=says):
            workspace(home, workers=workers).column(numbered(12), "vector", Uneven())


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_that_does_not_fit_is_halved_and_the_job_goes_on(home: Path, error: Exception) -> None:
    sizes = []

    def act(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if len(batch) > 10:
            raise error
        return batch.clone()

    table, _ = workspace(home).column(numbered(100), "vector", toy(act=act))
    np.testing.assert_array_equal(table[:, 0], np.arange(100))
    assert sizes[:4] == [64, 32, 16, 8]
    assert set(sizes[4:]) <= {8, 4}


def test_no_memory_for_one_item_is_a_named_error(home: Path) -> None:
    def act(batch: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(GtimmError, match="not enough memory to encode a single item: CUDA out of memory"):
        workspace(home).column(numbered(9), "vector", toy(act=act))


def test_another_error_of_the_encoder_is_not_hidden(home: Path) -> None:
    def act(batch: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        workspace(home).column(numbered(9), "vector", toy(act=act))


def test_a_feature_that_is_not_finite_names_the_row_and_is_never_stored(home: Path) -> None:
    def act(batch: torch.Tensor) -> torch.Tensor:
        return torch.where(batch[:, :1] == 6, torch.nan, batch)

    backbone, data = toy(act=act), numbered(20)
    opened = workspace(home, batch_size=8)
    with pytest.raises(DataError, match=r"Row 6, modality 'vector': the embedding of an array .* is not finite"):
        opened.column(data, "vector", backbone)
    store, names = opened.store(backbone, "vector", "pooled"), data.keys("vector", np.arange(20))
    assert store.missing(names) == [6, *range(8, 20)]
    assert opened.counters["embedded"] == 7


def test_an_interrupted_job_goes_on_where_it_was(home: Path) -> None:
    def act(batch: torch.Tensor) -> torch.Tensor:
        if batch[0, 0] == 16:
            raise KeyboardInterrupt
        return batch.clone()

    with pytest.raises(KeyboardInterrupt):
        workspace(home, batch_size=8).column(numbered(40), "vector", toy(act=act))
    again = workspace(home, batch_size=8)
    again.column(numbered(40), "vector", toy())
    assert again.counters["embedded"] == calls["encoded"] == 24


def test_equal_payloads_of_one_job_are_embedded_once(home: Path) -> None:
    data = MultimodalDataset.from_arrays({"vector": [np.array([i % 5, 0, 0, 0], np.float32) for i in range(50)]})
    table, _ = workspace(home).column(data, "vector", toy())
    assert calls["encoded"] == calls["prepared"] == 5
    np.testing.assert_array_equal(table[:, 0], np.arange(50) % 5)


def test_a_row_damaged_on_disk_is_embedded_again(home: Path) -> None:
    data = vectors(30)
    table, _ = Workspace(home, "cpu").column(data, "left", ToyBackbone())
    (path,) = [path for folder in (home / "features").iterdir() for path in shard_files(folder)]
    content = bytearray(path.read_bytes())
    content[-5] ^= 8
    path.write_bytes(content)
    calls.clear()
    with pytest.warns(RuntimeWarning, match="1 rows"):
        again, _ = Workspace(home, "cpu").column(vectors(30), "left", ToyBackbone())
    np.testing.assert_array_equal(again, table)
    assert calls["encoded"] == 1


def test_rows_damaged_in_many_parts_of_a_large_table_are_all_embedded_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LARGE", 0)
    monkeypatch.setattr(room, "STEP", 4 * 4 * 5)
    table, _ = Workspace(home, "cpu").column(vectors(30), "left", ToyBackbone())
    (path,) = [path for folder in (home / "features").iterdir() for path in shard_files(folder)]
    content = bytearray(path.read_bytes())
    for row in range(30):
        content[-16 * row - 5] ^= 8
    path.write_bytes(content)
    calls.clear()
    with pytest.warns(RuntimeWarning, match="5 rows"):
        again, _ = Workspace(home, "cpu").column(vectors(30), "left", ToyBackbone())
    np.testing.assert_array_equal(again, table)
    assert calls["encoded"] == 30


def test_workspaces_share_an_encoder_and_only_the_last_few_stay_loaded(home: Path) -> None:
    alive: WeakSet[Any] = WeakSet()

    class Opening(ToyBackbone):
        def open(self, device: str = "cpu", dtype: str = "float32") -> Any:
            opened = self.model_copy()
            alive.add(opened)
            return opened

    spaces = [open_workspace(home, "cpu", EmbedOptions(batch_size=size)) for size in range(1, 6)]
    assert len({id(space.encoder(Opening())) for space in spaces}) == 1
    apart = open_workspace(home, "cpu", EmbedOptions(channels_last=True)).encoder(Opening())  # whose weights are laid out anew
    assert apart is not spaces[0].encoder(Opening())
    used = spaces[0].encoder(Opening(scale=2.0))
    for scale in range(3, 9):
        spaces[0].encoder(Opening(scale=scale))
    assert used in alive
    del apart, used
    gc.collect()
    assert len(alive) == LOADED


def test_an_encoder_that_returns_its_input_keeps_no_hold_on_the_workers_memory(home: Path) -> None:
    table, _ = workspace(home, workers=2, batch_size=4).column(numbered(40), "vector", toy(act=lambda batch: batch))
    np.testing.assert_array_equal(table[:, 0], np.arange(40))


def test_half_precision_features_are_stored_apart_and_close(home: Path) -> None:
    data = vectors(20)
    whole, _ = workspace(home).column(data, "left", ToyBackbone())
    half, _ = workspace(home, feature_dtype="float16").column(data, "left", ToyBackbone())
    assert half.dtype == np.float32
    assert 0 < np.abs(half - whole).max() <= np.abs(whole).max() * 2**-11
    assert len(list((home / "features").iterdir())) == 2


def test_autocast_features_are_stored_apart_and_close(home: Path) -> None:
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    data, backbone = vectors(20), toy(act=lambda batch: batch @ matrix)
    whole, _ = workspace(home).column(data, "left", backbone)
    rough, _ = workspace(home, precision="bfloat16").column(data, "left", backbone)
    assert 0 < np.abs(rough - whole).max() < 0.05 * np.abs(whole).max()
    assert len(list((home / "features").iterdir())) == 2


def test_channels_last_changes_nothing_but_rounding(home: Path) -> None:
    class Convolution(ToyBackbone):
        def prepare(self, kind: str, payload: Any) -> torch.Tensor:
            return torch.from_numpy(np.asarray(payload)).permute(2, 0, 1).float() / 255

        def open(self, device: str = "cpu", dtype: str = "float32") -> Any:
            self.__dict__["model"] = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
            torch.nn.init.constant_(self.model.weight, 0.1)
            torch.nn.init.zeros_(self.model.bias)
            return self

        def encode(self, kind: str, batch: torch.Tensor, depth: str = "pooled") -> torch.Tensor:
            formats.append(batch.is_contiguous(memory_format=torch.channels_last))
            return self.model(batch).mean((2, 3))

    formats: list[bool] = []
    images = list(np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), np.uint8))
    tables = [workspace(home / str(last), channels_last=last).embed(Convolution(), "image", images) for last in (False, True)]
    np.testing.assert_allclose(*tables, atol=1e-5)
    assert formats == [False, True]


def test_batches_are_cut_from_all_payloads_whatever_is_stored_of_them() -> None:
    keys = [bytes([i % 20]) for i in range(25)]
    assert planned(keys, range(20), 8) == list(range(20))
    assert planned(keys, range(8, 20), 8) == list(range(8, 20))  # as an interrupted job goes on
    assert planned(keys, [1, 3, *range(8, 16), 18], 8) == [*range(8, 16), 1, 3, 18]
    assert planned(keys, [], 8) == []


def test_an_interrupted_job_gives_the_same_bits_as_one_that_was_not(home: Path) -> None:
    """The encoder tells each item its place and the size of its batch, as rounding does."""
    began: list[int] = []

    def act(batch: torch.Tensor) -> torch.Tensor:
        began.append(len(batch))
        if len(began) == 3:
            raise KeyboardInterrupt
        return batch + torch.arange(len(batch))[:, None] / 7 + len(batch)

    data = numbered(45)
    with pytest.raises(KeyboardInterrupt):
        workspace(home / "a", batch_size=10).column(data, "vector", toy(act))
    stopped, _ = workspace(home / "a", batch_size=10).column(numbered(45), "vector", toy(act))
    whole, _ = workspace(home / "b", batch_size=10).column(numbered(45), "vector", toy(act))
    np.testing.assert_array_equal(stopped, whole)
    assert began == [10, 10, 10, *[10, 10, 5], *[10] * 4, 5]


def test_options_are_checked_and_part_of_the_workspace(tmp_path: Path) -> None:
    for wrong in ({"batch_size": 0}, {"workers": -1}, {"precision": "int8"}, {"feature_dtype": "float64"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            EmbedOptions(**wrong)
    assert open_workspace(tmp_path, "cpu", EmbedOptions(workers=0)) is not open_workspace(tmp_path, "cpu")
    assert open_workspace(tmp_path, "cpu", EmbedOptions()) is open_workspace(tmp_path, "cpu")
