"""Balancing in a Pipeline and in the trainer: named, saved, refused where it would do nothing, the same stacked and alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from toys import ToyGenerator, calls, pictures, vectors

from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.balance import Balance, Step
from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.fusion import Fusion, Head
from gtimm.core.plugin import Info
from gtimm.core.training.stacks import build
from gtimm.core.training.trainer import Run, train
from gtimm.fusion.late import LateFusion

FAST = {"epochs": 4, "lr": 0.05, "batch_size": 16}
DROPPED = {"name": "dropout", "rate": {"left": 0.3}, "base": {"name": "gated", "width": 8}}


def pipeline(**options: Any) -> Pipeline:
    return Pipeline(**{"backbone": "toy", "train": FAST, "device": "cpu", **options})


def prepared(seed: int, **options: Any) -> Run:
    return pipeline(seed=seed, **options).prepare(vectors(60), vectors(30, seed=1), Missing(left=0.5))


def weights(run: Run) -> dict[str, torch.Tensor]:
    assert run.head is not None
    return run.head.state_dict()


class Turn(LateFusion):
    """Late fusion whose heads are asked in turn."""

    info: ClassVar[Info] = Info(stackable=False)


class Opaque(Fusion):
    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Head:
        class Whole(Head):
            def __init__(self) -> None:
                super().__init__()
                self.out = torch.nn.Linear(sum(sizes.values()), classes)

            def forward(self, x: Any, filled: Any, observed: Any) -> torch.Tensor:
                return self.out(torch.cat(list(x.values()), -1))

        return Whole()


@pytest.mark.parametrize("balance", ["ogm-ge", "agm", {"name": "ogm-ge", "enhance": False, "starts": 1, "ends": 3}], ids=str)
@pytest.mark.parametrize("fusion", ["late", "score", DROPPED], ids=["late", "score", "dropout"])
def test_balanced_runs_end_together_where_each_ends_alone(balance: Any, fusion: Any) -> None:
    together = [prepared(seed, balance=balance, fusion=fusion) for seed in (0, 1)]
    plain = [prepared(seed, fusion=fusion) for seed in (0, 1)]
    train([*together, *plain])
    for seed, found in enumerate(together):
        alone = prepared(seed, balance=balance, fusion=fusion)
        train([alone])
        assert alone.history == found.history
        for name, value in weights(alone).items():
            torch.testing.assert_close(weights(found)[name], value, rtol=0, atol=1e-4)
        assert any(not torch.allclose(weights(plain[seed])[n], v, atol=1e-3) for n, v in weights(found).items())


def test_heads_that_do_not_stack_are_balanced_in_turn() -> None:
    turn, stacked = prepared(0, fusion=Turn(), balance="ogm-ge"), prepared(0, fusion="late", balance="ogm-ge")
    train([turn])
    train([stacked])
    for name, value in weights(turn).items():
        torch.testing.assert_close(weights(stacked)[name], value, rtol=0, atol=1e-4)


def test_a_balance_of_factors_of_one_changes_nothing() -> None:
    class Even(Balance):
        def coefficients(self, step: Step, state: Any) -> Any:
            return torch.ones(len(step.x)), state

    even, plain = prepared(0, balance=Even()), prepared(0)
    train([even, plain])
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(even)[name], value, rtol=0, atol=1e-6)


def test_a_factor_of_zero_freezes_a_modality() -> None:
    class Hold(Balance):
        def coefficients(self, step: Step, state: Any) -> Any:
            return torch.tensor([0.0, 1.0]), state

    options = {"train": {**FAST, "weight_decay": 0.0}}
    held, fresh = prepared(0, balance=Hold(), **options), prepared(0, balance=Hold(), **options)
    train([held])
    first = weights(held)["first.weight"]
    start = build(fresh).state_dict()["first.weight"]
    assert torch.equal(first[:, :4], start[:, :4])
    assert not torch.allclose(first[:, 4:], start[:, 4:])


def test_a_balanced_pipeline_names_saves_and_loads_its_method(tmp_path: Path) -> None:
    pipe = pipeline(balance={"name": "agm", "alpha": 0.5}).fit(vectors(60), vectors(30, seed=1), Missing(left=0.5))
    assert pipe.config()["balance"] == {"name": "agm", "alpha": 0.5}
    assert "balance" not in pipeline().config()
    assert pipeline(**pipe.config()).balance == pipe.balance
    pipe.save(tmp_path / "model")
    loaded = Pipeline.load(tmp_path / "model", device="cpu")
    assert loaded.config() == pipe.config()
    test = vectors(30, seed=2)
    np.testing.assert_array_equal(loaded.predict_proba(test), pipe.predict_proba(test))


def test_an_unknown_balance_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ogm-ge'"):
        pipeline(balance="ogm")
    with pytest.raises(ConfigError, match=r"no option 'alfa'.*Did you mean 'alpha'"):
        pipeline(balance={"name": "agm", "alfa": 1})


@pytest.mark.parametrize(
    ("options", "says"),
    [({"fusion": Opaque()}, "would change nothing of 'image'"), ({"modalities": ["image"]}, "only image")],
)
def test_a_balance_that_would_do_nothing_is_refused_before_anything_is_made(options: Any, says: str) -> None:
    pipe = pipeline(balance="ogm-ge", imputer={"image": ToyGenerator(), "vector": "zero"}, **options)
    with pytest.raises(IncompatibleError, match=says):
        pipe.fit(pictures(), None, Missing(image=0.5))
    assert calls["made"] == calls["encoded"] == 0


def test_sets_of_classes_cannot_be_balanced() -> None:
    data = vectors(12)
    parts = {m: [data.payload(m, r) for r in range(12)] for m in data.modalities}
    sets = MultimodalDataset.from_arrays(
        parts, np.eye(3, dtype=bool)[np.arange(12) % 3], classes=["a", "b", "c"], kinds=dict.fromkeys(parts, "vector")
    )
    with pytest.raises(IncompatibleError, match="sets of classes"):
        pipeline(balance="ogm-ge").fit(sets)
