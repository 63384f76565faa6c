"""Candidates train as one problem, each as it would alone, and validation alone chooses among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.errors import ConfigError, GtimmError
from gtimm.core.pool import Features, Pool
from gtimm.core.registry import registry
from gtimm.core.training.losses import by_row, row_weights, scores_by_row
from gtimm.core.training.splits import Source, Split, Tables
from gtimm.core.training.stacking import StackedAdamW
from gtimm.core.training.stacks import Stack
from gtimm.core.training.trainer import Run, TrainOptions, train

CLASSES = 3
BACKBONE = {"name": "precomputed", "dim": 5}


def split(rows: int, seed: int, dtype: torch.dtype = torch.float64, *, sets: bool = False) -> Split:
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows)
    values = torch.tensor(random.normal(size=(rows, 5)) + 1.5 * np.eye(CLASSES, 5)[labels], dtype=dtype)
    other = torch.tensor(random.normal(size=(rows, 2)), dtype=dtype)
    index = np.where(np.arange(rows) % 2, np.arange(rows), -1)
    fills = torch.tensor(random.normal(size=(3, 5)), dtype=dtype)
    sources = {
        "a": Source(values, index, fills, Pool.constant(Features(fills.float().numpy()), rows), torch.ones(5, dtype=dtype)),
        "b": Source(other, np.arange(rows)),
    }
    return Split(np.eye(CLASSES, dtype=bool)[labels] if sets else labels, sources)


def run(fusion: Any = "late", seed: int = 0, dtype: torch.dtype = torch.float64, *, sets: bool = False, **options: Any) -> Run:
    chosen = TrainOptions(**{"epochs": 4, "lr": 0.02, "batch_size": 16, **options})
    train, val = split(50, seed, dtype, sets=sets), split(40, seed + 1, dtype, sets=sets)
    return Run(registry("fusion").create(fusion), CLASSES, train, val, chosen, seed)


def weights(found: Run) -> dict[str, torch.Tensor]:
    assert found.head is not None
    return found.head.state_dict()


FUSIONS: list[Any] = [
    "late", {"name": "late", "hidden": 4}, "score", {"name": "sum", "width": 4}, {"name": "mean", "width": 4},
    {"name": "gated", "width": 4}, {"name": "attention", "width": 4, "heads": 2}, {"name": "dropout", "modalities": ["a"]},
]  # fmt: skip
MIXED: list[dict[str, Any]] = [
    {"lr": 0.02}, {"lr": 1e-3, "weight_decay": 0.1}, {"lr": 0.02, "fill_weight": 0.3}, {"lr": 0.05, "class_weights": "balanced"},
]  # fmt: skip


@pytest.mark.parametrize("fusion", FUSIONS, ids=repr)
@pytest.mark.parametrize("sets", [False, True])
def test_runs_of_other_rates_and_weights_end_together_where_each_ends_alone(fusion: Any, sets: bool) -> None:
    kinds = MIXED[:3] if sets else MIXED
    together = [run(fusion, seed, sets=sets, **options) for seed in range(2) for options in kinds]
    assert len({one.signature() for one in together}) == 1
    train(together)
    for found in together:
        alone = run(fusion, found.seed, sets=sets, **found.options.model_dump())
        train([alone])
        torch.testing.assert_close(weights(found), weights(alone), atol=1e-9, rtol=0)
        assert found.history == alone.history
        assert found.best_epoch == alone.best_epoch


@pytest.mark.parametrize("fusion", FUSIONS, ids=repr)
def test_in_single_precision_an_epoch_together_is_an_epoch_alone(fusion: Any) -> None:
    together = [run(fusion, seed, torch.float32, epochs=1, lr=lr) for seed in range(2) for lr in (1e-4, 0.02)]
    train(together)
    for found in together:
        alone = run(fusion, found.seed, torch.float32, epochs=1, lr=found.options.lr)
        train([alone])
        torch.testing.assert_close(weights(found), weights(alone), atol=1e-4, rtol=0)


def test_a_stacked_step_is_adamw_of_each_run() -> None:
    rates = [(1e-3, 0.1), (1e-3, 0.1), (0.05, 0.0), (2e-4, 1e-4)]
    random = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(4, 3, 5, generator=random), "b": torch.randn(4, 3, generator=random)}
    stacked = {name: value.clone() for name, value in start.items()}
    ours = StackedAdamW(stacked, rates)
    theirs = [{name: nn.Parameter(value[i].clone()) for name, value in start.items()} for i in range(4)]
    adams = [torch.optim.AdamW(one.values(), lr=lr, weight_decay=wd) for one, (lr, wd) in zip(theirs, rates, strict=True)]
    for _ in range(20):
        # A gradient whose memory is not in the order of the weight, as matrix products give it.
        found = {"w": torch.randn(4, 5, 3, generator=random).transpose(1, 2), "b": torch.randn(4, 3, generator=random)}
        ours.step(list(found.values()))
        for i, (one, adam) in enumerate(zip(theirs, adams, strict=True)):
            for name, value in one.items():
                value.grad = found[name][i].clone()
            adam.step()
    for i, one in enumerate(theirs):
        for name, value in one.items():
            torch.testing.assert_close(ours.weights[name][i].detach(), value.detach(), atol=1e-6, rtol=1e-5)


def test_the_loss_is_the_weighted_mean_of_pytorch() -> None:
    random = np.random.default_rng(0)
    logits = torch.tensor(random.normal(size=(2, 30, CLASSES)))
    labels, imputed = random.integers(0, 2, 30), random.random(30) < 0.5
    found = by_row(logits, torch.tensor(np.stack([labels, labels])))
    for i in range(2):
        torch.testing.assert_close(found[i], cross_entropy(logits[i], torch.tensor(labels), reduction="none"))
    by_class = row_weights(labels, CLASSES, np.zeros(30, bool), 1.0, "balanced")
    from sklearn.utils.class_weight import compute_class_weight

    # scikit-learn counts only the classes that are there; here two of three.
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels) * 2 / 3
    np.testing.assert_allclose(by_class, expected[labels])
    ours = (found[0] * torch.tensor(by_class)).sum() / by_class.sum()
    per_class = torch.tensor([*expected, 1.0])
    torch.testing.assert_close(ours, cross_entropy(logits[0], torch.tensor(labels), weight=per_class))
    np.testing.assert_array_equal(row_weights(labels, CLASSES, imputed, 0.3, None), np.where(imputed, 0.3, 1.0))
    sets = torch.tensor(random.random((2, 30, CLASSES)) < 0.4).double()
    mean = binary_cross_entropy_with_logits(logits, sets)
    torch.testing.assert_close(by_row(logits, sets).mean(), mean)


def test_the_score_of_sets_is_the_f1_of_each_row() -> None:
    from sklearn.metrics import f1_score

    random = np.random.default_rng(0)
    logits, sets = random.normal(size=(30, CLASSES)), random.random((30, CLASSES)) < 0.5
    found = scores_by_row(torch.tensor(logits)[None], torch.tensor(sets)[None].double())
    assert found.mean().item() == pytest.approx(f1_score(sets, logits >= 0, average="samples", zero_division=0.0), abs=1e-6)


def test_the_best_candidate_on_validation_is_taken() -> None:
    found = run(lr=(1e-9, 0.05, 0.02), fill_weight=(1.0, 0.3))
    train([found])
    assert len(found.tried) == 6
    best = max(found.tried, key=lambda one: one["score"] or 0)
    assert found.chosen == {"lr": best["lr"], "fill_weight": best["fill_weight"]}
    assert found.chosen["lr"] != 1e-9
    alone = run(lr=found.chosen["lr"], fill_weight=found.chosen["fill_weight"])
    train([alone])
    torch.testing.assert_close(weights(found), weights(alone), atol=1e-9, rtol=0)
    assert found.history == alone.history


def test_of_equal_candidates_the_first_is_taken() -> None:
    found = run(lr=(2e-9, 1e-9))
    train([found])
    assert found.chosen == {"lr": 2e-9}


def test_a_candidate_that_diverges_is_left_out_and_the_others_go_on() -> None:
    found = run(lr=(1e300, 0.02))
    train([found])
    assert found.tried[0] == {"lr": 1e300, "score": None}
    assert found.chosen == {"lr": 0.02}
    alone = run(lr=0.02)
    train([alone])
    torch.testing.assert_close(weights(found), weights(alone), atol=1e-9, rtol=0)
    with pytest.raises(GtimmError, match=r"Every candidate of seed 0 diverged.*Lower the learning rate"):
        train([run(lr=(1e300, 1e301))])


def test_there_is_nothing_to_choose_by_without_validation() -> None:
    found = run(lr=(0.1, 0.2))
    found.val = None
    with pytest.raises(ConfigError, match=r"Several values of lr .* give val="):
        train([found])


def test_filled_rows_weigh_as_asked() -> None:
    runs = [run(fill_weight=0.25), run(seed=1)]
    tables = Tables([one.train for one in runs])
    stack = Stack(runs, tables, None)
    assert stack.row_weights is not None
    assert stack.row_weights[0].tolist() == [0.25, 1.0] * 25
    assert stack.row_weights[1].tolist() == [1.0] * 50
    assert Stack(runs[1:], tables, None).row_weights is None


@pytest.mark.parametrize(
    "options", [{"lr": ()}, {"lr": (0.1, -1)}, {"fill_weight": 0}, {"fill_weight": float("inf")}, {"class_weights": "equal"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        TrainOptions(**options)


def test_class_weights_must_fit_the_labels() -> None:
    with pytest.raises(ConfigError, match="2 numbers; the data has 3 classes"):
        train([run(class_weights=(1.0, 2.0))])
    with pytest.raises(ConfigError, match="sets of classes"):
        train([run(sets=True, class_weights="balanced")])


def test_a_pipeline_searches_on_validation_and_keeps_what_it_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTIMM_HOME", str(tmp_path / "home"))
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, 60)
    values = {"a": random.normal(size=(60, 5)) + np.eye(CLASSES, 5)[labels], "b": random.normal(size=(60, 5))}
    kinds = dict.fromkeys(values, "vector")
    data = MultimodalDataset.from_arrays({m: cast("Any", v.astype(np.float32)) for m, v in values.items()}, labels, kinds=kinds)
    options: dict[str, Any] = {"lr": [1e-9, 0.05], "epochs": 5}
    pipe = Pipeline(BACKBONE, train=options).fit(data, val=data, missing={"a": 0.5})
    assert pipe.chosen == {"lr": 0.05}
    alone = Pipeline(BACKBONE, train={**options, "lr": 0.05}).fit(data, val=data, missing={"a": 0.5})
    np.testing.assert_allclose(pipe.predict_proba(data), alone.predict_proba(data), atol=1e-5)
    pipe.save(tmp_path / "model")
    again = Pipeline.load(tmp_path / "model")
    assert again.chosen == pipe.chosen
    assert again.config()["train"] == options
    with pytest.raises(ConfigError, match="val="):
        Pipeline(BACKBONE, train=options).fit(data)
