"""A recorded step gives the same bits as the step itself, in one thread or several, and is not used where it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from gtimm.core import products
from gtimm.core.errors import GtimmError
from gtimm.core.fusion import Fusion, Head
from gtimm.core.pool import Features, Pool
from gtimm.core.training import schedule, stacks, steps
from gtimm.core.training.splits import Source, Split
from gtimm.core.training.trainer import Run, TrainOptions, train
from gtimm.fusion.attention import AttentionFusion
from gtimm.fusion.dropout import DropoutFusion
from gtimm.fusion.gated import GatedFusion
from gtimm.fusion.late import LateFusion
from gtimm.fusion.score import ScoreFusion
from gtimm.fusion.sum_mean import MeanFusion, SumFusion

CLASSES = 5  # biases that fill no vector register; all else does
FUSIONS = [
    LateFusion(),
    LateFusion(hidden=24),
    ScoreFusion(),
    GatedFusion(width=12),
    AttentionFusion(width=12, heads=3),
    SumFusion(width=20),
    MeanFusion(width=20),
    DropoutFusion(rate=0.5, modalities=("a", "b"), base={"name": "late", "hidden": 8}),
]


def split(rows: int, seed: int, *, sets: bool = False) -> Split:
    """Two thirds of `a` absent, three candidates for every hole."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows)
    own = random.normal(size=(rows, 32)) + 1.5 * np.eye(CLASSES, 32)[labels]
    index = np.where(np.arange(rows) % 3, -1, np.arange(rows))
    fills = random.normal(size=(3, 32)).astype(np.float32)
    sources = {
        "a": Source(torch.tensor(own, dtype=torch.float32), index, torch.from_numpy(fills), Pool.constant(Features(fills), rows)),
        "b": Source(torch.tensor(random.normal(size=(rows, 16)), dtype=torch.float32), np.arange(rows)),
    }
    return Split(random.random((rows, CLASSES)) < 0.3 if sets else labels, sources)


def run(fusion: Fusion, seed: int, *, sets: bool = False, **options: Any) -> Run:
    chosen = TrainOptions(**{"epochs": 4, "lr": 0.02, "batch_size": 32, **options})
    return Run(fusion, CLASSES, split(80, seed, sets=sets), split(30, seed + 50, sets=sets), chosen, seed)


def weights(found: Run) -> dict[str, Tensor]:
    assert found.head is not None
    return found.head.state_dict()


def same(one: Run, two: Run, within: float = 0.0) -> None:
    assert one.history == pytest.approx(two.history, abs=within)
    assert one.best_epoch == two.best_epoch
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(two)[name], rtol=0, atol=within)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record every step of a stack; returns what came of each record."""
    outcomes: list[bool] = []
    record = steps.Step.record

    def noted(self: steps.Step, *given: Any) -> bool:
        outcomes.append(record(self, *given))
        return outcomes[-1]

    monkeypatch.setattr(steps, "WORTH_RECORDING", 1)
    monkeypatch.setattr(steps, "FIRST_TIME", 1)
    monkeypatch.setattr(steps.Step, "record", noted)
    return outcomes


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads for any stack, however small."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(schedule, "SHARE", 1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fusion", FUSIONS, ids=repr)
def test_float32_runs_end_with_the_bits_of_each_alone(fusion: Fusion, always: list[bool]) -> None:
    together = [run(fusion, seed) for seed in range(5)]
    train(together)
    assert always == [True]
    for seed, found in enumerate(together):
        alone = run(fusion, seed)
        train([alone])
        same(found, alone)
    assert always == [True]  # one run alone is not recorded


@pytest.mark.parametrize("fusion", [LateFusion(hidden=48), LateFusion(hidden=64), ScoreFusion()], ids=repr)
def test_runs_of_large_products_end_with_the_bits_of_each_alone(
    fusion: Fusion, always: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "LARGE", 1)
    test_float32_runs_end_with_the_bits_of_each_alone(fusion, always)


@pytest.mark.parametrize(
    "options",
    [{"sets": True}, {"fill_weight": 0.1}, {"class_weights": "balanced"}, {"sets": True, "fill_weight": 0.5}],
    ids=repr,
)
def test_recorded_steps_weigh_rows_and_take_sets_of_classes(options: dict[str, Any], always: list[bool]) -> None:
    together = [run(LateFusion(hidden=8), seed, **options) for seed in range(3)]
    train(together)
    assert always == [True]
    for seed, found in enumerate(together):
        alone = run(LateFusion(hidden=8), seed, **options)
        train([alone])
        same(found, alone, 1e-5 if options.get("sets") else 0.0)  # losses of five classes a row fill no register


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_bits_of_one(always: list[bool]) -> None:
    together = [run(LateFusion(hidden=24), seed) for seed in range(5)]
    train(together)
    assert len(always) == 2  # parts of two and of three
    for seed, found in enumerate(together):
        alone = run(LateFusion(hidden=24), seed)
        train([alone])
        same(found, alone)


@pytest.mark.usefixtures("two_threads")
def test_a_run_that_diverges_in_one_thread_stops_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(stacks.BestEpochs, "finish", lambda self, *_: ended.extend(run.seed for run in self.runs))
    runs = [run(LateFusion(), 0, epochs=100_000), run(LateFusion(), 1, epochs=100_000, lr=1e38)]
    with pytest.raises(GtimmError, match="seed 1 is not finite"):
        train(runs)
    assert ended == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("train")]


class Counted(Head):
    """Not pure: it does something else each time, as no record can."""

    calls: ClassVar[int] = 0

    def __init__(self, size: int) -> None:
        super().__init__()
        self.out = nn.Linear(size, CLASSES)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        Counted.calls += 1
        return self.out(x["a"]) * Counted.calls


class Unrecorded(Counted):
    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        if get_proxy_mode() is not None:
            raise RuntimeError("cannot be recorded")
        return self.out(x["a"])


class Counting(Fusion):
    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
        return Counted(sizes["a"])


class Refusing(Fusion):
    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
        return Unrecorded(sizes["a"])


@pytest.mark.parametrize("fusion", [Counting(), Refusing()], ids=["differs", "fails"])
def test_a_record_that_differs_or_fails_is_not_used(fusion: Fusion, always: list[bool]) -> None:
    found = [run(fusion, seed, epochs=1) for seed in range(2)]
    train(found)
    assert always == [False]
    assert all(one.head is not None for one in found)


def test_recording_waits_for_enough_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.sys.modules, "torch._dynamo", None)
    assert [steps.worth_recording(n, n) for n in (299, 300)] == [False, True]
    monkeypatch.delitem(steps.sys.modules, "torch._dynamo")
    assert [steps.worth_recording(n, every) for n, every in ((300, 999), (300, 1000), (299, 1000))] == [False, True, False]
