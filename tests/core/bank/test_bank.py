"""The bank makes each item once, keeps what it has, and its log tells of every item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from toys import ToyGenerator, calls, picture

from gtimm.core.bank import Bank
from gtimm.core.bank import generation as module
from gtimm.core.errors import GenerationError, MediaError, PluginError
from gtimm.core.pool import Request
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.prompts.label import LabelPrompts

CLASSES = ["cat", "dog", "owl"]


def requests(per_class: int) -> list[Request]:
    return plan_requests(LabelPrompts(), CLASSES, "image", per_class, 1.0, 0)[0]


def make(folder: Path, per_class: int, generator: ToyGenerator | None = None, **options: Any) -> int:
    bank, generator = Bank(folder), generator or ToyGenerator()
    return bank.make(generator, bank.plan(generator, requests(per_class)), LocalEngine(), "cpu", options.get("allow", True))


def items(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in next(folder.rglob("metadata.jsonl")).read_text().splitlines()]


def check_log(folder: Path) -> None:
    root = next(folder.rglob("metadata.jsonl")).parent
    names = [line["file_name"] for line in log(folder)]
    assert sorted(names) == sorted(items(root))
    for line in log(folder):
        assert line["generator"] == "ToyGenerator"
        assert line["label"] in line["prompt"]
        expected = picture(Request("image", line["prompt"], line["seed"], line["guidance"]))
        np.testing.assert_array_equal(np.asarray(Image.open(root / line["file_name"])), expected)


def test_every_request_becomes_one_file_under_its_key(tmp_path: Path) -> None:
    assert make(tmp_path, 3) == 9
    plan = Bank(tmp_path).plan(ToyGenerator(), requests(3))
    assert plan.missing == 0
    assert not plan.batches
    for index, request in enumerate(plan.requests):
        assert plan.path(index).name == f"{request.key('toy-generator')}.png"
        assert plan.path(index).parent.name == request.key("toy-generator")[:2]
        np.testing.assert_array_equal(np.asarray(Image.open(plan.path(index))), picture(request))
    check_log(tmp_path)


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    make(tmp_path, 3)
    before = calls["made"]
    assert make(tmp_path, 3) == 0
    assert make(tmp_path, 2) == 0
    assert calls["made"] == before


def test_batches_have_one_size_and_the_last_is_padded(tmp_path: Path) -> None:
    plan = Bank(tmp_path).plan(ToyGenerator(), requests(3))
    assert plan.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 8, 8, 8]]
    make(tmp_path, 3)
    assert (calls["batches"], calls["made"], len(items(tmp_path))) == (3, 12, 9)


def test_the_small_bank_is_part_of_the_large_one(tmp_path: Path) -> None:
    make(tmp_path / "five", 5)
    make(tmp_path / "twenty", 20)
    make(tmp_path / "grown", 5)
    assert make(tmp_path / "grown", 20) == 45
    five, twenty, grown = (items(tmp_path / name) for name in ("five", "twenty", "grown"))
    assert (len(five), len(twenty)) == (15, 60)
    assert five.items() <= twenty.items()
    assert grown == twenty
    check_log(tmp_path / "grown")


def test_only_batches_of_wanted_items_are_made(tmp_path: Path) -> None:
    bank, generator = Bank(tmp_path), ToyGenerator()
    plan = bank.plan(generator, requests(3), [5])
    assert (plan.batches, plan.missing) == ([[4, 5, 6, 7]], 1)


def test_a_half_done_batch_is_completed(tmp_path: Path) -> None:
    make(tmp_path, 3)
    whole = items(tmp_path)
    plan = Bank(tmp_path).plan(ToyGenerator(), requests(3))
    kept = plan.path(4).stat().st_mtime_ns
    plan.path(5).unlink()
    plan.path(6).unlink()
    assert make(tmp_path, 3) == 2
    assert items(tmp_path) == whole
    assert plan.path(4).stat().st_mtime_ns == kept


def test_failures_are_raised_and_the_others_kept(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"3 of 9 items could not be made; the first: '.*dog.*too hard"):
        make(tmp_path, 3, ToyGenerator(fails=("dog",)))
    assert len(items(tmp_path)) == 6
    check_log(tmp_path)
    assert make(tmp_path, 3) == 3
    check_log(tmp_path)


def test_generation_may_be_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"9 items are not in the bank .*generate=False"):
        make(tmp_path, 3, allow=False)
    assert not list(tmp_path.iterdir())
    make(tmp_path, 3)
    assert make(tmp_path, 3, allow=False) == 0


def test_long_generation_stops_unless_it_was_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 3000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(GenerationError, match=r"would take about \d+\.\d more hours.*generate=True"):
        make(tmp_path, 20, allow="ask")
    made = len(items(tmp_path))
    assert 0 < made < 60
    check_log(tmp_path)
    assert make(tmp_path, 20, allow=True) == 60 - made


@pytest.mark.parametrize("cut", ["lines", "part of a line", "all"])
def test_an_interrupted_log_is_completed(tmp_path: Path, cut: str) -> None:
    make(tmp_path, 3)
    whole = log(tmp_path)
    path = next(tmp_path.rglob("metadata.jsonl"))
    lines = path.read_text().splitlines(keepends=True)
    if cut == "all":
        path.unlink()
    else:
        path.write_text("".join(lines[:4]) + (lines[4][:20] if cut == "part of a line" else ""))
    assert make(tmp_path, 3) == 0
    check_log(tmp_path)
    assert sorted(line["file_name"] for line in log(tmp_path)) == sorted(line["file_name"] for line in whole)


def test_an_engine_that_stops_in_between_leaves_items_and_log_whole(tmp_path: Path) -> None:
    class Stops(LocalEngine):
        def run(self, make_worker: Any, batches: Any, *where: Any) -> Any:
            for index, result in super().run(make_worker, batches, *where):
                if index == 2:
                    raise KeyboardInterrupt
                yield index, result

    bank, generator = Bank(tmp_path), ToyGenerator()
    with pytest.raises(KeyboardInterrupt):
        bank.make(generator, bank.plan(generator, requests(4)), Stops(), "cpu", True)
    assert len(items(tmp_path)) == 8
    check_log(tmp_path)
    assert make(tmp_path, 4) == 4
    check_log(tmp_path)


def test_batches_may_finish_in_any_order(tmp_path: Path) -> None:
    class Backwards(LocalEngine):
        def run(self, make_worker: Any, batches: Any, *where: Any) -> Any:
            yield from reversed(list(super().run(make_worker, batches, *where)))

    bank, generator = Bank(tmp_path / "b"), ToyGenerator()
    bank.make(generator, bank.plan(generator, requests(4)), Backwards(), "cpu", True)
    make(tmp_path / "a", 4)
    assert items(tmp_path / "a") == items(tmp_path / "b")


def test_a_generator_that_loses_items_is_at_fault(tmp_path: Path) -> None:
    class Loses(ToyGenerator):
        def open(self, device: str) -> Any:
            return lambda batch: [picture(r) for r in batch[1:]]

    with pytest.raises(PluginError, match="returned 3 items for 4 requests"):
        make(tmp_path, 3, Loses())


def test_an_item_that_is_no_image_leaves_no_file(tmp_path: Path) -> None:
    class Odd(ToyGenerator):
        def open(self, device: str) -> Any:
            return lambda batch: [np.zeros((2, 2), np.float64)] * len(batch)

    with pytest.raises(MediaError, match="uint8"):
        make(tmp_path, 3, Odd())
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_two_generators_have_two_folders(tmp_path: Path) -> None:
    class Other(ToyGenerator):
        def fingerprint(self) -> str:
            return "other"

    make(tmp_path, 1)
    make(tmp_path, 1, Other())
    assert len(list(tmp_path.iterdir())) == 2
    assert len(items(tmp_path)) == 6


def test_sounds_are_kept_as_wav_of_every_channel(tmp_path: Path) -> None:
    class Sounds(ToyGenerator):
        def open(self, device: str) -> Any:
            return lambda batch: [(np.array([[0.5, -0.5, 0.25], [0, 0, 0]], np.float32), 8000)] * len(batch)

    wanted = [Request("audio", "a bell", seed, 1.0) for seed in range(2)]
    bank, generator = Bank(tmp_path), Sounds()
    plan = bank.plan(generator, wanted)
    assert bank.make(generator, plan, LocalEngine(), "cpu", True) == 2
    samples, rate = soundfile.read(plan.path(0))
    assert rate == 8000
    np.testing.assert_allclose(samples.T, [[0.5, -0.5, 0.25], [0, 0, 0]], atol=1e-4)
