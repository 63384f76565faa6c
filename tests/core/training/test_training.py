"""Stacked training ends where each run would end alone, and where a plain PyTorch loop does."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gtimm.core.errors import DataError, GtimmError
from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.predicting import batches
from gtimm.core.seeding import stream, torch_seeded
from gtimm.core.training.schedule import cut, run_bytes
from gtimm.core.training.splits import Source, Split
from gtimm.core.training.stacks import Stack
from gtimm.core.training.trainer import Run, TrainOptions, train
from gtimm.fusion.dropout import DropoutFusion
from gtimm.fusion.late import LateFusion
from gtimm.fusion.score import ScoreFusion

CLASSES = 3


def table(rows: int, seed: int, size: int = 5) -> tuple[Tensor, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows)
    values = random.normal(size=(rows, size)) + 1.5 * np.eye(CLASSES, size)[labels]
    return torch.tensor(values, dtype=torch.float32), labels


def whole(rows: int, seed: int) -> Split:
    values, labels = table(rows, seed)
    other, _ = table(rows, seed + 100, size=2)
    index = np.arange(rows)
    return Split(labels, {"a": Source(values, index), "b": Source(other, index)})


def holed(rows: int, seed: int) -> Split:
    """Half of `a` is absent, with three candidates for every hole."""
    values, labels = table(rows, seed)
    other, _ = table(rows, seed + 100, size=2)
    index = np.where(np.arange(rows) % 2, np.cumsum(np.arange(rows) % 2) - 1, -1)
    fills = torch.tensor(np.random.default_rng(seed + 7).normal(size=(3, 5)), dtype=torch.float32)
    pool = Pool.constant(Features(fills.numpy()), rows)
    return Split(
        labels, {"a": Source(values[: rows // 2], index, fills, pool, torch.ones(5)), "b": Source(other, np.arange(rows))}
    )


def run(fusion: Fusion | None = None, seed: int = 0, make: Any = holed, **options: Any) -> Run:
    chosen = TrainOptions(**{"epochs": 6, "lr": 0.02, "batch_size": 16, **options})
    return Run(fusion or LateFusion(), CLASSES, make(50, seed), make(40, seed + 1), chosen, seed)


def logits(head: Head, split: Split) -> Tensor:
    """(rows, classes), each hole filled by its first candidate."""
    return torch.cat([found[0] for _, found in batches(head, split, 1)])


def weights(found: Run) -> dict[str, Tensor]:
    assert found.head is not None
    return found.head.state_dict()


class Plain(Fusion):
    """Late fusion that says it cannot be stacked."""

    info: ClassVar[Info] = Info(stackable=False)

    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
        return LateFusion().build(sizes, classes, encoder)


@pytest.mark.parametrize(
    "fusion",
    [
        LateFusion(),
        LateFusion(hidden=4),
        ScoreFusion(),
        DropoutFusion(rate=0.5, modalities=("a", "b")),
        DropoutFusion(base="score"),
    ],
    ids=repr,
)
def test_runs_trained_together_end_where_each_ends_alone(fusion: Fusion) -> None:
    together = [run(fusion, seed) for seed in range(4)]
    train(together)
    for seed, found in enumerate(together):
        alone = run(fusion, seed)
        train([alone])
        for name, value in weights(alone).items():
            torch.testing.assert_close(weights(found)[name], value, atol=1e-5, rtol=1e-5)
        assert found.history == alone.history
        assert found.best_epoch == alone.best_epoch


def test_a_fusion_that_cannot_be_stacked_trains_alike() -> None:
    stacked, plain = [run(LateFusion(), s) for s in range(2)], [run(Plain(), s) for s in range(2)]
    train([*stacked, *plain])
    for one, two in zip(stacked, plain, strict=True):
        for name, value in weights(one).items():
            torch.testing.assert_close(weights(two)[name], value, atol=1e-5, rtol=1e-5)
        assert one.history == two.history


@pytest.mark.parametrize("fusion", [LateFusion(), ScoreFusion(), Plain()], ids=repr)
def test_runs_that_share_a_validation_set_end_where_each_ends_alone(fusion: Fusion) -> None:
    val = holed(40, 9)
    together, alone = ([run(fusion, seed) for seed in range(3)] for _ in range(2))
    for found in (*together, *alone):
        found.val = val
    train(together)
    for one, two in zip(together, alone, strict=True):
        train([two])
        assert one.history == two.history
        assert one.best_epoch == two.best_epoch
        assert one.head is not None
        right = logits(one.head, val).argmax(1).numpy() == val.labels
        assert one.history is not None
        assert right.mean() == pytest.approx(max(one.history))


def test_runs_of_unequal_shape_train_in_one_call() -> None:
    mixed = [run(seed=0), run(seed=1, epochs=2), run(ScoreFusion(), 2), run(seed=3, make=whole)]
    train(mixed)
    assert [len(r.history or ()) for r in mixed] == [6, 2, 6, 6]
    alone = run(seed=1, epochs=2)
    train([alone])
    torch.testing.assert_close(weights(mixed[1])["first.weight"], weights(alone)["first.weight"], atol=1e-5, rtol=1e-5)


def test_large_stacks_are_cut_to_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, whole = [run(seed=s) for s in range(5)], [run(seed=s) for s in range(5)]
    each = run_bytes(runs[0], LateFusion().build(runs[0].sizes, 3, None))
    seen: list[int] = []
    monkeypatch.setattr("gtimm.core.training.schedule.Stack", lambda part, *rest: seen.append(len(part)) or Stack(part, *rest))
    monkeypatch.setattr("gtimm.core.training.schedule.STACK_BYTES", int(2.5 * each))
    train(runs)
    assert sorted(seen) == [1, 2, 2]
    monkeypatch.undo()
    train(whole)
    for one, two in zip(runs, whole, strict=True):
        assert one.history == two.history
        assert all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(two).values(), strict=True))


@pytest.mark.parametrize(
    ("runs", "fit", "threads", "sizes"),
    [
        (5, 100, 1, [5]),
        (5, 2, 1, [1, 2, 2]),
        (30, 100, 2, [15, 15]),
        (30, 20, 2, [7, 8, 7, 8]),
        (5, 4, 2, [1, 1, 1, 2]),
        (3, 1, 2, [1, 1, 1]),
        (3, 0, 1, [1, 1, 1]),
    ],
)
def test_runs_are_cut_into_parts_of_about_equal_size(runs: int, fit: int, threads: int, sizes: list[int]) -> None:
    every = [run(seed=s) for s in range(runs)]
    found = cut(every, fit, threads)
    assert [len(part) for part in found] == sizes
    assert [one for part in found for one in part] == every


@pytest.mark.parametrize("batch_size", [50, 16])
def test_one_run_equals_a_plain_loop_with_adamw(batch_size: int) -> None:
    found = run(make=whole, batch_size=batch_size, epochs=4, lr=0.05, weight_decay=0.1)
    found.val = None
    train([found])

    values = torch.cat([found.train.sources[m].own for m in ("a", "b")], dim=1)
    labels = torch.tensor(found.train.labels)
    with torch_seeded(0, "weights"):
        layer = nn.Linear(7, CLASSES)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.05, weight_decay=0.1)
    random = stream(0, "epochs")
    for _ in range(4):
        order = random.permutation(50)
        for begin in range(0, 50, batch_size):
            rows = order[begin : begin + batch_size]
            optimiser.zero_grad()
            nn.functional.cross_entropy(layer(values[rows]), labels[rows]).backward()
            optimiser.step()
        random.random(50), random.random(50), random.random((50, 2), dtype=np.float32)  # two draws and dropout
    torch.testing.assert_close(weights(found)["first.weight"], layer.weight.detach(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights(found)["first.bias"], layer.bias.detach(), atol=1e-6, rtol=1e-5)


def test_the_best_epoch_on_validation_is_kept() -> None:
    # Labels turned round: accuracy on validation falls as training goes on.
    found = run(make=whole, epochs=8, lr=0.1)
    assert found.val is not None
    turned = Split((found.val.labels + 1) % CLASSES, found.val.sources)  # type: ignore[operator]
    found.val = turned
    train([found])
    assert found.history is not None
    assert len(found.history) == 8
    assert found.best_epoch == int(np.argmax(found.history))
    assert found.best_epoch < 7
    assert found.head is not None
    kept = float((logits(found.head, turned).argmax(1).numpy() == turned.labels).mean())
    assert kept == pytest.approx(max(found.history))
    shorter = run(make=whole, epochs=found.best_epoch + 1, lr=0.1)
    shorter.val = None
    train([shorter])
    torch.testing.assert_close(weights(shorter), weights(found), atol=1e-6, rtol=1e-6)


def test_of_equal_epochs_the_first_is_kept() -> None:
    found = run(epochs=3, lr=1e-9)
    train([found])
    assert found.history is not None
    assert len(set(found.history)) == 1
    assert found.best_epoch == 0


def test_history_is_the_accuracy_on_validation() -> None:
    found = run(epochs=1)
    train([found])
    assert found.head is not None
    assert found.val is not None
    right = logits(found.head, found.val).argmax(1).numpy() == found.val.labels
    assert found.history == [pytest.approx(right.mean())]


def test_other_seeds_differ_in_weights_order_and_draws() -> None:
    one, two = run(seed=0), run(seed=0)
    two.seed = 1
    train([one, two])
    assert not torch.equal(weights(one)["first.weight"], weights(two)["first.weight"])


def test_the_same_seed_is_bit_equal() -> None:
    one, two = run(seed=3), run(seed=3)
    train([one])
    train([two])
    assert all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(two).values(), strict=True))


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train([run(DropoutFusion())])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_seed() -> None:
    bad = run(seed=4, lr=1e38)
    with pytest.raises(GtimmError, match=r"seed 4 is not finite after epoch 1\. Lower the learning rate \(lr=1e\+38\)"):
        train([run(seed=2), bad])


def test_weights_that_the_last_step_made_infinite_are_an_error() -> None:
    with pytest.raises(GtimmError, match="seed 4 is not finite after epoch 1"):
        train([run(seed=4, lr=3e38, weight_decay=10, epochs=1, batch_size=50)])


def test_a_loss_that_runs_away_is_an_error_that_says_from_where_to_where() -> None:
    with pytest.raises(GtimmError, match=r"seed 4 is \d.*, from \d.* at the first step, after epoch 1\. Lower.*\(lr=1e\+06\)"):
        train([run(seed=2), run(seed=4, lr=1e6)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_an_error_that_names_the_row(value: float) -> None:
    bad = run(seed=4)
    bad.train.sources["b"].own[3] = value
    with pytest.raises(DataError, match=r"Training row 3: the features of 'b' are not finite \(1 rows\)"):
        train([run(seed=2), bad])
    judged = run(seed=4)
    assert judged.val is not None
    judged.val.sources["a"].own[5] = value
    with pytest.raises(DataError, match=r"Validation row 11: the features of 'a'"):
        train([run(seed=2), judged])
    filled = run(seed=4)
    assert filled.train.sources["a"].fills is not None
    filled.train.sources["a"].fills[1] = value
    with pytest.raises(DataError, match=r"Item 1 that fills 'a'"):
        train([run(seed=2), filled])


def test_features_that_no_row_takes_may_be_anything() -> None:
    clean, spoilt = run(), run()
    source = spoilt.train.sources["a"]
    spoilt.train.sources["a"] = Source(
        torch.cat([source.own, torch.full((2, 5), float("nan"))]), source.index, source.fills, source.pool, source.hidden
    )
    train([clean, spoilt])
    torch.testing.assert_close(weights(clean), weights(spoilt))


def test_each_epoch_draws_afresh_and_evaluation_takes_the_first() -> None:
    seen: list[Tensor] = []

    class Watching(Fusion):
        info: ClassVar[Info] = Info(stackable=False)

        def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
            class Watch(Head):
                def __init__(self) -> None:
                    super().__init__()
                    self.out = nn.Linear(5, classes)

                def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
                    seen.append(torch.cat([x["a"].detach(), filled.float(), observed.float()], 1))
                    return self.out(x["a"])

            return Watch()

    found = run(Watching(), epochs=30, batch_size=50)
    found.val = None
    train([found])
    fills = found.train.sources["a"].fills
    assert fills is not None
    counts = np.zeros(3)
    for batch in seen:
        filled = batch[batch[:, 5] == 1, :5]
        assert len(filled) == 25
        assert torch.equal(batch[:, 5] + batch[:, 7], torch.ones(50))  # a place is filled or observed
        counts += torch.stack([(filled == fill).all(1) for fill in fills]).sum(1).numpy()
    assert counts.sum() == 750
    assert counts.min() > 200
    assert len({tuple(sorted(batch[:, 0].tolist())) for batch in seen}) > 1

    seen.clear()
    assert found.head is not None
    logits(found.head, found.train)
    order = np.arange(50)
    expected = np.where((order % 2)[:, None], 0, fills[0].numpy())
    np.testing.assert_array_equal(seen[0][order % 2 == 0, :5].numpy(), expected[order % 2 == 0])


def test_what_nothing_fills_is_zeros_and_marked_absent() -> None:
    values, labels = table(6, 0)
    split = Split(labels, {"a": Source(values[:3], np.array([0, -1, 1, -1, 2, -1]))})
    heads: list[Any] = []

    class Look(Head):
        def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
            heads.append((x["a"], filled[:, 0].tolist(), observed[:, 0].tolist()))
            return x["a"]

    logits(Look(), split)
    x, filled, observed = heads[0]
    assert observed == [True, False] * 3
    assert filled == [False] * 6
    assert not x[1::2].any()


@pytest.mark.parametrize("options", [{"epochs": 0}, {"lr": 0}, {"batch_size": 0}, {"weight_decay": -1}, {"momentum": 0.9}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        TrainOptions(**options)
