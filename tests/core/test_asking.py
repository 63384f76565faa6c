"""Errors of strategies name the strategy, its package, what it was asked and where; what they return is of the right kind."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toys import ToyBackbone, vectors

import gtimm
from gtimm import Missing, Pipeline, impute
from gtimm.core.asking import Fault, asking
from gtimm.core.backbone import Backbone
from gtimm.core.errors import ConfigError, PluginError
from gtimm.core.fusion import Fusion, Head
from gtimm.core.imputer import Imputer
from gtimm.core.pool import Features, Pool, Rows
from gtimm.core.terminal import notes_of
from gtimm.imputers.fill import ZeroFill as Zero


class Raises(Imputer):
    def fit(self, train: Any, target: str) -> dict[str, Any]:
        return {}["oops"]

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        raise NotImplementedError


class Returns(Imputer):
    what: str

    def fit(self, train: Any, target: str) -> Any:
        return None if self.what == "fit" else {}

    def pool(self, view: Any, target: str, state: Any) -> Any:
        values, group = np.zeros((1, view.dim(target)), np.float32), np.zeros(view.rows, int)
        start, members = np.array([0, 1]), np.zeros(1, int)
        made: dict[str, Any] = {
            "array": lambda: values,
            "short": lambda: Pool.constant(Features(values), 1),
            "group": lambda: Pool(Features(values), group.astype(float), start, members),
            "items": lambda: Pool(values, group, start, members),  # type: ignore[arg-type]
            "rows": lambda: Pool.constant(Rows(np.zeros(1)), view.rows),  # type: ignore[arg-type]
            "features": lambda: Pool.constant(Features(values.astype(str)), view.rows),  # type: ignore[arg-type]
        }
        return made[self.what]()


class Odd(Fusion):
    what: str = "none"

    def build(self, sizes: dict[str, int], classes: int, encoder: Any) -> Any:
        what = self.what

        class Linear(Head):
            def __init__(self) -> None:
                super().__init__()
                self.out = nn.Linear(sizes["left"], 2)

            def forward(self, x: Any, filled: Any, observed: Any) -> torch.Tensor:
                return self.out(x["left"] if what == "few" else x["up"])

        return None if what == "none" else Linear()


def fit(imputer: Any = "zero", fusion: Any = "late", backbone: Any = None) -> None:
    pipe = Pipeline(backbone or ToyBackbone(), imputer, fusion, train={"epochs": 1}, device="cpu")
    pipe.fit(vectors(), missing=Missing(left=0.5))


def test_an_error_of_an_imputer_stays_itself_and_says_whose_it_is() -> None:
    gtimm.register("imputers", "raises", Raises, replace=True)
    for call in (lambda: fit(Raises()), lambda: impute(vectors(), Raises(), Missing(left=0.5), backbone=ToyBackbone())):
        with pytest.raises(KeyError, match="oops") as found:
            call()
        note = notes_of(found.value)[0]
        assert note == "Imputer raises (registered in this session) raised KeyError in fit, test_asking.py line 29"
        assert isinstance(note, Fault)
        assert not note.ours
        assert note.hint == " gtimm.testing.check_imputer shows what it must hold."
        assert pickle.loads(pickle.dumps(found.value)).__notes__[0].hint == note.hint  # as it comes from other processes


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("fit", r"Imputer Returns \(module .*\) returned NoneType from fit; it must return the arrays that it learned by name"),
        ("short", "Returns made a pool for 1 rows; the data has 60"),
        ("group", "group must be an array of integers; found float64"),
        ("items", "items are of type ndarray, not Payloads, Requests, Rows or Features"),
        ("rows", "rows must be an array of integers; found float64"),
        ("features", "features must be an array of numbers; found <U"),
    ],
)
def test_what_an_imputer_returns_is_of_the_right_kind(what: str, message: str) -> None:
    with pytest.raises(PluginError, match=message) as found:
        fit(Returns(what=what))
    if what in ("group", "items", "rows", "features"):  # the pool itself refuses them
        assert "Returns (module " in notes_of(found.value)[0]


def test_a_pool_that_is_an_array_is_refused() -> None:
    with pytest.raises(PluginError, match=r"returned ndarray from pool; it must return a gtimm.core.pool.Pool.*check_imputer"):
        fit(Returns(what="array"))
    with pytest.raises(PluginError, match=r"returned ndarray from pool"):
        impute(vectors(), Returns(what="array"), Missing(left=0.5), backbone=ToyBackbone())


def test_what_a_fusion_builds_is_a_head_with_a_logit_for_each_class() -> None:
    with pytest.raises(PluginError, match=r"Fusion Odd \(module .*\) returned NoneType from build; .*Head"):
        fit(fusion=Odd())
    with pytest.raises(PluginError, match=r"The head of Odd returned logits \(60, 2\); expected \(60, 3\)"):
        fit(fusion=Odd(what="few"))
    with pytest.raises(KeyError, match="up") as found:
        fit(fusion=Odd(what="raises"))
    assert "raised KeyError in its head's forward, test_asking.py line " in notes_of(found.value)[0]


def test_the_innermost_strategy_is_named_and_an_error_of_ours_is_left_alone() -> None:
    inner, outer = ToyBackbone(), Zero()
    with pytest.raises(ValueError, match="x") as found, asking(outer, "in fit"), asking(inner, lambda: "late"):
        raise ValueError("x")
    assert [note.split(" (")[0] for note in notes_of(found.value)] == ["Backbone toy"]
    with pytest.raises(ConfigError) as plain, asking(outer, "in fit"):
        raise ConfigError("x")
    assert notes_of(plain.value) == []
    with pytest.raises(KeyboardInterrupt) as stop, asking(outer, "in fit"):
        raise KeyboardInterrupt
    assert notes_of(stop.value) == [f"Imputer zero (package gtimm {gtimm.__version__}) was interrupted in fit"]
    assert notes_of(stop.value)[0].ours  # type: ignore[attr-defined]


def test_an_encoder_that_raises_is_named() -> None:
    class Broken(ToyBackbone):
        def encode(self, kind: str, batch: torch.Tensor, depth: str = "pooled") -> torch.Tensor:
            raise IndexError("beyond")

    assert issubclass(Broken, Backbone)
    with pytest.raises(IndexError, match="beyond") as found:
        fit(backbone=Broken())
    assert "raised IndexError as it embedded vectors (0 of " in notes_of(found.value)[0]
    assert Path(__file__).name in notes_of(found.value)[0]
