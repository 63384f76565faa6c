"""Every fusion computes its formula, whatever is there. What else a head promises, `tests/testing/test_fusion_checks.py` holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import fusion_formulas as formulas
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from gtimm.core.fusion import Fusion, Head
from gtimm.core.registry import registry

SIZES = {"image": 5, "audio": 3, "text": 4, "my.video": 2, "depth": 1}
CLASSES = 3
CASES: dict[str, tuple[Any, Callable[..., Any]]] = {
    "late": ("late", formulas.late),
    "late-hidden": ({"name": "late", "hidden": 6}, formulas.late),
    "score": ("score", formulas.score),
    "sum": ({"name": "sum", "width": 6}, formulas.total),
    "mean": ({"name": "mean", "width": 6}, formulas.mean),
    "gated": ({"name": "gated", "width": 6}, formulas.gated),
    "gated-sigmoid": ({"name": "gated", "width": 6, "gate": "sigmoid"}, formulas.gated_alone),
    "attention": ({"name": "attention", "width": 6, "heads": 1}, formulas.attention),
    "attention-heads": ({"name": "attention", "width": 6, "heads": 3}, formulas.attention),
    "dropout": ({"name": "dropout", "base": {"name": "gated", "width": 6}}, formulas.gated),
}
MASKED = [name for name in CASES if not name.startswith("late")]
pytestmark = pytest.mark.parametrize("count", [1, 2, 3, 4, 5])


def make(case: str, count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Head:
    torch.manual_seed(seed)
    sizes = dict(list(SIZES.items())[:count])
    fusion: Fusion = registry("fusion").create(CASES[case][0])
    return fusion.build(sizes, CLASSES, None).to(dtype)


def batch(count: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Every pattern of absent (0), filled (1) and observed (2) once, features zero where absent."""
    state = torch.tensor(list(product([0, 1, 2], repeat=count)))
    random = torch.Generator().manual_seed(seed)
    x = {}
    for column, (m, size) in enumerate(list(SIZES.items())[:count]):
        values = 3 * torch.randn(len(state), size, generator=random, dtype=torch.float64)
        x[m] = values * (state[:, column] > 0).unsqueeze(-1)
    return x, state == 1, state == 2


@pytest.mark.parametrize("case", CASES)
def test_a_head_computes_its_formula_for_every_pattern(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    found = head(x, filled, observed)
    assert found.shape == (3**count, CLASSES)
    assert found.dtype == torch.float64
    weights = {name: value.detach().numpy() for name, value in head.named_parameters()}
    for row in range(len(found)):
        values = {m: v[row].numpy() for m, v in x.items()}
        expected = CASES[case][1](weights, values, (filled | observed)[row].tolist())
        np.testing.assert_allclose(found[row].detach(), expected, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_finite_differences(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    rows = slice(0, None, 3 ** (count - 1) - 1 or 1)
    names = list(dict(head.named_parameters()))

    def loss(*values: Tensor) -> Any:
        part = {m: v[rows] for m, v in x.items()}
        return functional_call(head, dict(zip(names, values, strict=True)), (part, filled[rows], observed[rows])).square().sum()

    assert torch.autograd.gradcheck(loss, tuple(head.parameters()), fast_mode=True)


@pytest.mark.parametrize("case", MASKED)
def test_unimodal_is_the_answer_without_the_others(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    found = head.unimodal(x, filled, observed)
    assert list(found) == list(x)
    weights = {name: value.detach().numpy() for name, value in head.named_parameters()}
    for column, m in enumerate(x):
        for row in range(0, len(filled), 5):
            values = {o: v[row].numpy() * (o == m) for o, v in x.items()}
            there = [i == column and bool((filled | observed)[row, i]) for i in range(count)]
            np.testing.assert_allclose(found[m][row].detach(), CASES[case][1](weights, values, there), atol=1e-12)


def test_the_unimodal_logits_of_late_fusion_add_up_to_all(count: int) -> None:
    head = make("late", count)
    x, filled, observed = batch(count)
    parts = head.unimodal(x, filled, observed)
    torch.testing.assert_close(sum(parts.values()), head(x, filled, observed), rtol=0, atol=1e-12)
