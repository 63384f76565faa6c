"""What a configuration asks generators for is what its runs use: each item once, over seeds, splits, shards and modalities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyGenerator, calls

import gtimm
from gtimm.core.bank.gate import Gate
from gtimm.core.bank.planning import Done, Outlook, Work, plan_config
from gtimm.core.config import RunConfig
from gtimm.core.dataset import MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, LabelLeakError
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool
from gtimm.core.prompts import plan_rows
from gtimm.experiments.run import run_config
from gtimm.prompts.text import TextPrompts


class ByCaption(ToyGenerator):
    """Goes by the row's caption, so it may fill evaluation data."""

    info = Info(kinds=("image",), items="request")

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return plan_rows(TextPrompts(), view, target, 1, 1.0, self.seed)


@pytest.fixture(scope="module", autouse=True)
def _by_caption() -> None:
    gtimm.register("imputers", "toy-by-caption", ByCaption, replace=True)


def split(rows: int, name: str) -> MultimodalDataset:
    labels = np.arange(rows) % 3
    images = [np.full((4, 4, 3), 60 * c + row // 3, np.uint8) for row, c in enumerate(labels)]
    texts = [f"{name} {row // 2}" for row in range(rows)]
    return MultimodalDataset.from_arrays({"image": images, "text": texts}, labels, classes=["ant", "bee", "cow"], name=name)


DATA = Splits(split(30, "train"), split(12, "val"), split(15, "test"), {"name": "toy"})


def plan(imputer: Any = "toy-generator", data: Splits = DATA, missing: Any = None, seeds: int = 2, **more: Any) -> Work:
    evaluate = {"missing": more.pop("hidden", {})}
    pipeline = {"backbone": "toy", "imputer": {"image": imputer, "text": "zero"}, "device": "cpu", **more}
    config = RunConfig.of(
        {"data": "none", "missing": missing or {"image": 0.5}, "pipeline": pipeline, "evaluate": evaluate, "seeds": seeds}
    )
    return plan_config(config, data)


def only(work: Work, shard: tuple[int, int] = (1, 1)) -> Outlook:
    (job,) = work.jobs
    return work.outlook(job, shard)


def fill(work: Work, shard: tuple[int, int] = (1, 1), limit: int | None = None) -> Done:
    done = Done()
    for job in work.jobs:
        work.make(job, done, shard, limit)
    return done


def items(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def test_label_prompts_are_planned_once_for_all_seeds_and_nothing_is_made(home: Path) -> None:
    ahead = only(plan(seeds=5))
    assert (ahead.classes, ahead.wanted, ahead.there, ahead.to_make, ahead.batches) == (3, 9, 0, 9, 3)
    assert ahead.seconds is None
    assert not ahead.measured
    assert not calls["made"]
    assert not home.exists()


def test_rows_that_differ_by_mask_are_joined_and_evaluation_counts() -> None:
    sealed = [DATA.train.with_missing(gtimm.Missing(image=0.5), seed) for seed in range(3)]
    tests = [DATA.test.with_missing(gtimm.Missing(image=0.4), seed) for seed in range(3)]
    captions = {data.payload("text", int(row)) for data in [*sealed, *tests] for row in np.flatnonzero(~data.present("image"))}
    work = plan("toy-by-caption", eval_imputer={"image": "toy-by-caption"}, hidden={"image": 0.4}, seeds=3)
    ahead = only(work)
    assert ahead.wanted == ahead.to_make == len(captions)
    assert ahead.classes == 0
    assert ahead.batches == -(-len(captions) // 4)
    done = fill(work)
    assert done.made == len(captions)
    assert calls["batches"] == ahead.batches
    assert only(work).to_make == 0
    assert not fill(work).made


def test_labels_stay_unknown_at_evaluation() -> None:
    with pytest.raises(LabelLeakError):
        plan(eval_imputer={"image": "toy-generator"})


def test_shards_share_the_batches_and_together_equal_one_run(tmp_path: Path) -> None:
    whole = plan("toy-by-caption", store=tmp_path / "whole", seeds=3)
    total = only(whole)
    fill(whole)
    shared = plan("toy-by-caption", store=tmp_path / "shared", seeds=3)
    parts = [only(shared, (i, 3)) for i in (1, 2, 3)]
    assert sum(part.batches for part in parts) == total.batches
    assert sum(part.to_make for part in parts) == total.to_make
    for i in (3, 1, 2):
        fill(shared, (i, 3))
        assert only(shared, (i, 3)).to_make == 0
    assert items(tmp_path / "shared") == items(tmp_path / "whole")
    assert items(tmp_path / "whole")


def test_a_limit_counts_batches() -> None:
    work = plan("toy-by-caption", seeds=3)
    done = fill(work, limit=2)
    assert (done.batches, calls["batches"]) == (2, 2)
    assert only(work).to_make > 0


def test_time_and_disk_are_measured_once_something_is_there() -> None:
    work = plan()
    fill(work, limit=1)
    ahead = only(work)
    assert ahead.there == 4
    assert ahead.seconds is not None
    assert ahead.seconds == pytest.approx(work.bank.speed(work.plan(work.jobs[0]), "cpu") * 2 * 4)
    assert ahead.measured
    sizes = [len(content) for content in items(ahead.folder).values()]
    assert ahead.bytes == round(float(np.mean(sizes)) * 5)
    fill(work)
    assert only(work).seconds == 0
    assert only(work).bytes == 0


def test_items_that_are_damaged_are_made_again() -> None:
    work = plan()
    fill(work)
    before = items(only(work).folder)
    path = next(only(work).folder.rglob("*.png"))
    content = bytearray(path.read_bytes())
    content[45] ^= 1
    path.write_bytes(bytes(content))
    assert fill(work).made == 1
    assert items(only(work).folder) == before


def test_what_fails_is_told_with_its_reasons_and_the_rest_is_made() -> None:
    work = plan({"name": "toy-generator", "fails": ["bee"]})
    done = fill(work)
    (text,) = done.failed.values()
    assert "3 of 9 items could not be made" in text
    assert "too hard (3)" in text
    assert done.made == 6
    assert only(work).to_make == 3


def test_what_a_gate_turned_down_for_good_is_no_more_work() -> None:
    work = plan({"name": "toy-generator", "gate": Gate(retries=0)})  # one colour is flat
    assert fill(work).failed
    ahead = only(work)
    assert (ahead.given_up, ahead.to_make, ahead.batches) == (9, 0, 0)
    assert fill(work).failed
    assert calls["made"] == 12  # three batches of four, the last one padded


def test_with_a_gate_every_plan_is_a_job_of_its_own() -> None:
    gate = Gate(flat=0)
    assert len(plan({"name": "toy-generator", "gate": gate}, seeds=3).jobs) == 1
    work = plan({"name": "toy-by-caption", "gate": gate}, seeds=3)
    assert len(work.jobs) == 3
    assert not fill(work).failed
    assert [work.outlook(job).to_make for job in work.jobs] == [0, 0, 0]


def test_a_run_finds_everything(tmp_path: Path) -> None:
    rows = ["caption,vision,kind"]
    rows += [f"text {i},,{'ab'[i % 2]}" for i in range(40)]
    from PIL import Image

    for i in range(0, 40, 3):
        Image.new("RGB", (4, 4), (i, 2 * i, 0)).save(tmp_path / f"{i}.png")
        rows[i + 1] = f"text {i},{i}.png,{'ab'[i % 2]}"
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    config = {
        "data": {
            "frame": str(tmp_path / "rows.csv"),
            "modalities": {"text": "caption", "image": {"name": "vision", "kind": "image"}},
            "label": "kind",
        },
        "missing": {"image": 0.8},
        "pipeline": {
            "backbone": "toy",
            "imputer": {"image": "toy-generator"},
            "eval_imputer": {"image": "toy-by-caption", "text": "zero"},
            "train": {"epochs": 1},
            "device": "cpu",
        },
        "evaluate": {"missing": {"image": 0.7}},
        "seeds": 3,
    }
    parsed = RunConfig.of(config)
    work = plan_config(parsed, parsed.load_data(), store=tmp_path / "store")
    assert len(work.jobs) == 2
    assert fill(work).made
    made = calls["made"]
    assert run_config(config, tmp_path / "out", store=tmp_path / "store")["counters"]["generated"] == 0
    assert calls["made"] == made


def test_without_a_generator_or_without_holes_there_is_nothing_to_generate() -> None:
    with pytest.raises(ConfigError, match="neither is a generator"):
        plan("hot-deck")
    with pytest.raises(ConfigError, match="no row lacks"):
        plan("toy-generator", missing={"text": 0.5})
