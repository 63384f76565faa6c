"""A bank that is killed, filled by several at once, short of space or damaged comes out as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from bank_program import Slow, requests
from PIL import Image
from toys import ToyGenerator, calls, picture

from gtimm.core.bank import Bank
from gtimm.core.bank import files as bank_files
from gtimm.core.bank.files import is_sound, is_whole
from gtimm.core.claims import Staging, claim, sweep
from gtimm.core.errors import GenerationError, MediaError, StoreError
from gtimm.core.plugin import Info
from gtimm.core.prompts import plan_requests
from gtimm.core.terminal import notes_of
from gtimm.core.workspace import Workspace
from gtimm.engines.local import LocalEngine
from gtimm.prompts.label import LabelPrompts


def start(folder: Path, made: Path, seconds: float, per_class: int = 20, wait: bool = True) -> subprocess.Popen[str]:
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests / 'core'}", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("bank_program.py")), str(folder), str(made), str(seconds), str(per_class)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if wait:
        ready(process)
    return process


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def at_work(folder: Path) -> None:
    """Wait until a process has claimed a batch."""
    deadline = time.monotonic() + 20
    while not list(folder.rglob(".claims/*.lock")) and time.monotonic() < deadline:
        time.sleep(0.02)


def make(folder: Path, per_class: int = 3, generator: Any = None, **options: Any) -> int:
    bank, generator = Bank(folder), generator or ToyGenerator()
    return bank.make(generator, bank.plan(generator, requests(per_class)), LocalEngine(), "cpu", True, **options)


def items(folder: Path) -> dict[str, bytes]:
    """By path, the generator's folder left out."""
    return {"/".join(p.parts[-2:]): p.read_bytes() for p in folder.rglob("*.png")}


def names(folder: Path) -> list[str]:
    return [json.loads(line)["file_name"] for line in next(folder.rglob("metadata.jsonl")).read_text().splitlines()]


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.name.startswith(".")]


def check_log(folder: Path) -> None:
    root = next(folder.rglob("metadata.jsonl")).parent
    assert sorted(names(folder)) == sorted(items(root))


def test_a_bank_killed_three_times_makes_only_what_was_in_flight_again(tmp_path: Path) -> None:
    chance, broken, made = random.Random(0), tmp_path / "broken", tmp_path / "made"
    for _ in range(3):
        process = start(broken, made, 0.02)
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(broken, made, 0).wait() == 0
    assert len(items(broken)) == 60
    assert len(made.read_text().split()) <= 60 + 3 * 4 * 6  # a batch being made, and those that waited to be written


def test_two_processes_fill_one_bank_and_make_nothing_twice(tmp_path: Path) -> None:
    make(tmp_path / "whole", 20)
    made = [tmp_path / "made0", tmp_path / "made1"]
    processes = [start(tmp_path / "shared", path, 0.2, wait=False) for path in made]
    for process in processes:
        ready(process)
    assert [process.wait() for process in processes] == [0, 0]
    assert items(tmp_path / "shared") == items(tmp_path / "whole")
    both = [path.read_text().split() for path in made]
    assert all(both)
    assert Counter(both[0] + both[1]) == Counter(str(r.seed) for r in requests(20))
    check_log(tmp_path / "shared")
    assert not hidden(tmp_path / "shared")


def test_a_batch_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    first = start(tmp_path / "bank", tmp_path / "a", 60.0)
    at_work(tmp_path / "bank")
    second = start(tmp_path / "bank", tmp_path / "b", 0.0, 3)
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for the batch that the first one makes
        second.wait(1.5)
    first.kill()
    first.wait()
    assert second.wait(30) == 0
    assert len(items(tmp_path / "bank")) == 9
    assert not hidden(tmp_path / "bank")


def test_claims_exclude_each_other_and_leave_no_file(tmp_path: Path) -> None:
    mine = claim(tmp_path / "a" / "x.lock")
    assert mine is not None
    assert claim(mine.path) is None
    mine.release()
    mine.release()
    assert not mine.path.exists()
    again = claim(mine.path)
    assert again is not None
    again.release()


def test_files_of_dead_writers_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    with Staging(tmp_path) as live:
        with live.whole_file(tmp_path / "x.png") as half:
            half.write_bytes(b"half")
            for dead in ("dead", "bare"):
                (tmp_path / ".writing" / dead).mkdir()
                (tmp_path / ".writing" / dead / "1.png").write_bytes(b"left")
            (tmp_path / ".writing" / "dead.lock").touch()
            assert sweep(tmp_path) == 2
            assert half.read_bytes() == b"half"
        assert len(list((tmp_path / ".writing").iterdir())) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    (tmp_path / ".writing" / "dead").mkdir(parents=True)
    make(tmp_path)
    root = next(tmp_path.rglob("metadata.jsonl")).parent
    (root / ".writing" / "dead").mkdir(parents=True)
    (root / ".writing" / "dead.lock").touch()
    make(tmp_path, 4)
    assert not hidden(root)


@pytest.mark.parametrize("part", [(1, 3), (2, 3)])
def test_shards_make_their_batches_only_and_together_the_whole(tmp_path: Path, part: tuple[int, int]) -> None:
    make(tmp_path / "whole", 20)
    make(tmp_path / "part", 20, shard=part)
    assert len(items(tmp_path / "part")) == 20
    for index in range(1, 4):
        make(tmp_path / "part", 20, shard=(index, 3))
    assert items(tmp_path / "part") == items(tmp_path / "whole")
    assert calls["made"] == 120
    check_log(tmp_path / "part")


def test_a_limit_makes_so_many_batches(tmp_path: Path) -> None:
    assert make(tmp_path, 20, limit=1) == 4
    assert make(tmp_path, 20, limit=2) == 8
    assert calls["batches"] == 3


@pytest.mark.parametrize("where", ["item", "log"])
def test_a_full_disk_stops_with_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    written, allowed = [], 6 if where == "item" else 1
    name = "write_bytes" if where == "item" else "_write_all"
    owner: Any = Path if where == "item" else bank_files
    real = getattr(owner, name)

    def full(target: Any, content: bytes) -> Any:
        written.append(target)
        if len(written) > allowed:
            real(target, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(target, content)

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(StoreError, match=r"No space left on device.*Free some space"):
        make(tmp_path, 20)
    monkeypatch.undo()
    there = items(tmp_path)
    assert 0 < len(there) <= 24
    assert not hidden(tmp_path)
    assert all(is_sound(path) for path in tmp_path.rglob("*.png"))
    for line in next(tmp_path.rglob("metadata.jsonl")).read_text().splitlines():
        json.loads(line)
    make(tmp_path, 20)
    check_log(tmp_path)
    mended = items(tmp_path)
    make(tmp_path / "whole", 20)
    assert mended == items(tmp_path / "whole")


def test_a_full_disk_ends_generation_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError):
        make(tmp_path, 100, Slow(made=str(tmp_path / "made"), seconds=0.005))
    assert len((tmp_path / "made").read_text().split()) <= 8 * 4


@pytest.mark.parametrize("harm", ["empty", "cut", "bit"])
def test_a_damaged_item_is_found_and_made_again(tmp_path: Path, harm: str) -> None:
    workspace, generator = Workspace(tmp_path, "cpu"), ToyGenerator()
    paths = workspace.items(generator, requests(3), range(9), LocalEngine(), True)
    whole, before = items(tmp_path), calls["made"]
    content = paths[4].read_bytes()
    bit = content[:45] + bytes([content[45] ^ 1]) + content[46:]
    paths[4].write_bytes({"empty": b"", "cut": content[:-5], "bit": bit}[harm])
    assert is_whole(paths[4]) == (harm == "bit")
    assert not is_sound(paths[4])
    workspace.items(generator, requests(3), range(9), LocalEngine(), True)
    assert items(tmp_path) == whole
    assert calls["made"] == before + 4
    check_log(tmp_path)


def test_every_failure_has_a_line_until_a_run_mends_it(tmp_path: Path) -> None:
    for count in (1, 2):
        with pytest.raises(GenerationError):
            make(tmp_path, 2, ToyGenerator(fails=("dog",)))
        lines = [json.loads(line) for line in next(tmp_path.rglob("failures.jsonl")).read_text().splitlines()]
        assert sorted(Counter(line["file_name"] for line in lines).values()) == [count, count]
    assert {(line["reason"], line["label"]) for line in lines} == {("too hard", "dog")}
    assert make(tmp_path, 2) == 2
    make(tmp_path, 2)
    assert next(tmp_path.rglob("failures.jsonl")).read_text() == ""


def test_failures_are_logged_without_reading_the_log_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, read = bank_files.Log.read, []
    monkeypatch.setattr(bank_files.Log, "read", lambda self: read.append(self.path.name) or real(self))
    reads = []
    for folder, per_class in ((tmp_path / "few", 2), (tmp_path / "many", 30)):
        read.clear()
        with pytest.raises(GenerationError):
            make(folder, per_class, ToyGenerator(fails=("dog",)))
        reads.append(len(read))
    assert reads[0] == reads[1]


def test_memory_that_runs_out_halves_the_batch_and_the_log_says_so(tmp_path: Path) -> None:
    sizes = []

    class Small(ToyGenerator):
        def open(self, device: str) -> Any:
            def make(batch: Sequence[Any]) -> list[Any]:
                sizes.append(len(batch))
                if len(batch) > 2:
                    raise MemoryError
                return [picture(request) for request in batch]

            return make

    assert make(tmp_path, 3, Small()) == 9
    assert sizes == [4, 2, 2, 2, 2, 2, 2]
    lines = [json.loads(line) for line in next(tmp_path.rglob("metadata.jsonl")).read_text().splitlines()]
    assert {line["batch_size"] for line in lines} == {2}
    halved = items(tmp_path)
    make(tmp_path / "whole")
    assert halved == items(tmp_path / "whole")


def test_no_memory_for_one_item_says_so(tmp_path: Path) -> None:
    class Huge(ToyGenerator):
        def open(self, device: str) -> Any:
            def make(batch: Sequence[Any]) -> list[Any]:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

            return make

    with pytest.raises(GenerationError, match="not enough memory to make a single item"):
        make(tmp_path, 3, Huge())
    assert not hidden(tmp_path)


def test_an_error_of_the_generator_is_not_hidden(tmp_path: Path) -> None:
    class Faulty(ToyGenerator):
        def open(self, device: str) -> Any:
            def make(batch: Sequence[Any]) -> list[Any]:
                raise RuntimeError("shapes differ")

            return make

    with pytest.raises(RuntimeError, match="shapes differ"):
        make(tmp_path, 3, Faulty())
    assert not hidden(tmp_path)


def test_other_settings_never_reuse_a_bank(tmp_path: Path) -> None:
    from gtimm.imputers.stable_diffusion import StableDiffusionTiny

    asked = requests(2)
    tiny = StableDiffusionTiny()
    changes: list[dict[str, Any]] = [{"steps": 7}, {"size": (64, 64)}, {"dtype": "bfloat16"}, {"batch_size": 2}, {"threads": 2}]
    plans = [Bank(tmp_path).plan(StableDiffusionTiny(**change), asked) for change in [{}, *changes]]
    assert len({plan.folder for plan in plans}) == len({plan.keys[0] for plan in plans}) == len(plans)
    assert Bank(tmp_path).plan(tiny.model_copy(update={"per_class": 3}), asked).keys == plans[0].keys


def test_the_log_carries_what_made_an_item(tmp_path: Path) -> None:
    make(tmp_path)
    line = json.loads(next(tmp_path.rglob("metadata.jsonl")).read_text().splitlines()[0])
    assert next(iter(line)) == "file_name"
    known = {"prompt", "label", "seed", "guidance", "model", "revision", "weights", "steps", "size", "scheduler"}
    assert known | {"diffusers", "torch", "batch_size", "threads", "scores"} <= set(line)
    assert line["torch"]
    about = json.loads(next(tmp_path.rglob("about.json")).read_text())
    assert about["seconds_per_item"]["cpu"] >= 0


def test_ten_thousand_items_lie_in_small_folders(tmp_path: Path) -> None:
    plan = Bank(tmp_path).plan(ToyGenerator(), requests(20_000))
    largest = Counter(plan.path(i).parent for i in range(60_000)).most_common(1)[0][1]
    assert largest < 400


def test_items_are_what_was_asked_whatever_happened(tmp_path: Path) -> None:
    make(tmp_path)
    plan = Bank(tmp_path).plan(ToyGenerator(), requests(3))
    for index, request in enumerate(plan.requests):
        np.testing.assert_array_equal(np.asarray(Image.open(plan.path(index))), picture(request))


def test_an_error_of_the_generator_says_at_which_items(tmp_path: Path) -> None:
    class Faulty(ToyGenerator):
        def open(self, device: str) -> Any:
            def make(batch: Sequence[Any]) -> list[Any]:
                raise RuntimeError("shapes differ")

            return make

    with pytest.raises(RuntimeError) as found:
        make(tmp_path, 3, Faulty())
    assert ") raised RuntimeError as it made 4 items, the first " in notes_of(found.value)[0]
    assert repr(requests(3)[0].prompt) in notes_of(found.value)[0]


def test_a_generator_that_hangs_is_interrupted_and_said(tmp_path: Path) -> None:
    process = start(tmp_path / "bank", tmp_path / "made", 600.0)
    at_work(tmp_path / "bank")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) in (1, 130, -signal.SIGINT)
    assert not hidden(tmp_path / "bank")


@pytest.mark.parametrize("item", [(np.full(100, np.nan, np.float32), 16_000), (np.full(100, np.inf, np.float32), 16_000)])
def test_a_sound_that_is_no_number_is_refused_by_its_request_and_not_kept(item: Any, tmp_path: Path) -> None:
    class Sounds(ToyGenerator):
        info: ClassVar[Info] = Info(kinds=("audio",), items="request")

        def open(self, device: str) -> Any:
            return lambda batch: [item] * len(batch)

    generator = Sounds()
    asked = plan_requests(LabelPrompts(), ["cat"], "audio", 3, 1.0, 0)[0]
    bank = Bank(tmp_path)
    with pytest.raises(MediaError, match=r"Sounds made no audio of '.*cat.*' \(seed \d+\): .*NaN or infinity"):
        bank.make(generator, bank.plan(generator, asked), LocalEngine(), "cpu", True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("item", [None, "text", np.full((4, 4, 3), np.nan), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused_by_its_request_and_not_kept(item: Any, tmp_path: Path) -> None:
    class Odd(ToyGenerator):
        def open(self, device: str) -> Any:
            return lambda batch: [item] * len(batch)

    with pytest.raises(MediaError, match=r"Odd made no image of '.*' \(seed \d+\)"):
        make(tmp_path, 3, Odd())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
