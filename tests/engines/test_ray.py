"""Batches on a real Ray cluster of this machine: each once, a few at a time, again where a worker is lost, an error once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from elsewhere import doubling, dying, looking, meeting, refusing, unmakeable, who

from gtimm.core.errors import ConfigError, DataError, EngineError, LostBatchError, PluginError
from gtimm.engines.ray import RayEngine
from gtimm.testing import check_engine

ray = pytest.importorskip("ray", reason="the extra gtimm[ray] is not installed")


pytestmark = pytest.mark.usefixtures("cluster")


class Counted:
    """Says how many batches were read."""

    def __init__(self, count: int) -> None:
        self.count, self.read = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        self.read += 1
        return index


def test_it_keeps_what_every_engine_promises() -> None:
    check_engine(RayEngine(workers=2, cpus=1, gpus=0))


def test_every_batch_is_run_once_and_few_are_read_ahead() -> None:
    batches = Counted(12)
    found = []
    for number, result in enumerate(RayEngine(workers=2, ahead=1).run(doubling, batches), 1):
        found.append(result)
        assert batches.read <= number + 4
    assert sorted(found) == [(i, 2 * i) for i in range(12)]
    assert batches.read == 12


def test_what_a_killed_worker_had_is_made_by_another(tmp_path: Path) -> None:
    batches = Counted(8)
    found = list(RayEngine(workers=2).run(partial(dying, tmp_path, 2), batches))
    assert sorted(found) == [(i, 2 * i) for i in range(8)]
    assert len(list(tmp_path.iterdir())) == 2
    assert batches.read == 8


def test_a_batch_that_kills_every_worker_is_given_up_and_those_that_waited_are_not_blamed(tmp_path: Path) -> None:
    engine = RayEngine(workers=1, ahead=3, retries=1)
    with pytest.raises(
        LostBatchError, match=r"Batch 3 of 5 was given up: .* alone was lost 2 times\. The last: The actor died"
    ) as lost:
        list(engine.run(partial(dying, tmp_path, 9), [1, 2, 3, 4, 5]))
    assert lost.value.batch == 2
    assert 3 <= len(list(tmp_path.iterdir())) <= 5  # in company, where it may take results of those before it along, and alone


@pytest.mark.parametrize("error", [DataError, KeyError])
def test_an_error_of_a_batch_is_raised_as_it_is_and_not_tried_again(tmp_path: Path, error: type[Exception]) -> None:
    with pytest.raises(error, match="batch 7 is bad"):
        list(RayEngine(workers=1).run(partial(refusing, tmp_path, error), [7]))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_worker_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no weights on this node"):
        list(RayEngine(workers=1).run(partial(unmakeable, tmp_path), [1, 2]))
    assert len(list(tmp_path.iterdir())) == 1


def test_workers_compute_where_they_are_told_and_find_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for engine, device, expected in (
        (RayEngine(gpus=1), None, "cpu"),  # work that needs no accelerator takes none
        (RayEngine(gpus=0.5), "cpu", "cuda"),  # this process has none, the nodes have
        (RayEngine(gpus=0), "cuda:0", "cpu"),
    ):
        assert list(engine.run(looking, [1], device)) == [(0, (expected, os.getcwd()))]


def test_what_no_node_has_is_an_error_and_more_workers_than_fit_are_none() -> None:
    for engine, device, threads, asked in (
        (RayEngine(cpus=64), None, 1, "64 CPU"),
        (RayEngine(), None, 48, "48 CPU"),
        (RayEngine(gpus=2), "cuda", 1, "1 CPU and 2 GPU"),
        (RayEngine(cpus=3), "cuda", 1, "3 CPU and 1 GPU"),
    ):
        with pytest.raises(EngineError, match=rf"No node of the Ray cluster has {asked}.*the nodes have 2 CPU and 1 GPU"):
            list(engine.run(doubling, [1], device, threads))
    assert sorted(RayEngine(workers=5).run(doubling, [1, 2, 3, 4, 5, 6])) == [(i, 2 * i + 2) for i in range(6)]


def test_two_workers_share_a_gpu(tmp_path: Path) -> None:
    """Each waits for the other, so that both are there at once."""
    assert {batch for _, batch in RayEngine(gpus=0.5, ahead=0).run(partial(meeting, tmp_path), [0, 1], "cuda:0")} == {"cuda"}


def test_workers_that_are_kept_serve_the_next_run_of_the_same_and_end_with_the_block() -> None:
    engine = RayEngine(workers=1)
    with engine.kept():
        first, again = (list(engine.run(who, [1])) for _ in range(2))
        with RayEngine(workers=1).kept():  # one inside another changes nothing
            inside = list(engine.run(who, [1, 2]))
        other = list(engine.run(doubling, [1]))
        later = list(engine.run(who, [1]))
    assert first == again == inside[:1]
    assert other == [(0, 2)]
    assert later != first
    assert _free()
    assert list(engine.run(who, [1])) not in (first, later)


def test_what_cannot_be_sent_is_named(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file, pytest.raises(PluginError, match=r"cannot be sent to a cluster: .*picklable"):
        list(RayEngine().run(partial(refusing, file, ValueError), [1]))


def test_who_has_enough_ends_the_workers() -> None:
    run = RayEngine(workers=2).run(doubling, list(range(50)))
    next(run)
    run.close()
    assert _free()


def _free() -> bool:
    """Whether the whole cluster is free again, which takes a moment."""
    began = time.monotonic()
    while ray.available_resources().get("CPU") != 2.0 and time.monotonic() - began < 20:
        time.sleep(0.05)
    return bool(ray.available_resources()["CPU"] == 2.0)


def test_without_batches_nothing_is_started() -> None:
    assert list(RayEngine(address="nowhere:1").run(doubling, [])) == []


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "no-such-host.invalid:6379"])
def test_an_address_where_nothing_answers_is_an_error_in_seconds(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(EngineError, match=rf"No Ray cluster at {address}: .*Start one with `ray start --head`"):
        list(RayEngine(address=address).run(doubling, [1]))
    assert time.monotonic() - began < 8


def test_a_note_of_a_cluster_that_was_killed_is_an_error_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("127.0.0.1:9")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(
        EngineError, match=r"names \S+:9, and nothing answers there: .* with the address local a cluster is started"
    ):
        list(RayEngine().run(doubling, [1]))
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("mode", [None, "token"])
def test_a_cluster_that_asks_for_a_token_says_how_to_send_it(mode: str | None, cluster: Any) -> None:
    address = cluster.get_runtime_context().gcs_address
    code = (
        "from gtimm.core.errors import EngineError\nfrom gtimm.engines.ray import RayEngine\n"
        f"try: print(list(RayEngine(address={address!r}).run(lambda device: abs, [-1])))\n"
        "except EngineError as error: print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    environment |= {} if mode is None else {"RAY_AUTH_MODE": mode}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    if mode:
        assert said == "[(0, 1)]\n"
    else:
        assert said.startswith(f"What answers at {address} does not let this process in: ")
        assert "set RAY_AUTH_MODE=token here" in said


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match=r"pip install 'gtimm\[ray\]'"):
        list(RayEngine().run(doubling, [1]))
    assert RayEngine().lacks()[0].endswith("pip install 'gtimm[ray]'")


def test_options_are_checked() -> None:
    for wrong in ({"workers": 0}, {"gpus": -1}, {"retries": -1}, {"ahead": -1}, {"cpus": 0}, {"nodes": 3}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            RayEngine(**wrong)
