"""Every fusion keeps the promises of a head, whatever is there, and computes its formula."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import fusion_formulas as formulas
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from gtimm.core.fusion import Fusion, Head, alone
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


@pytest.mark.parametrize("case", MASKED)
@pytest.mark.parametrize("poison", [1e30, float("nan"), float("inf")])
def test_an_absent_value_is_never_read(case: str, count: int, poison: float) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    there = filled | observed
    dirty = {m: torch.where(there[:, [i]], v, torch.full_like(v, poison)) for i, (m, v) in enumerate(x.items())}
    assert torch.equal(head(dirty, filled, observed), head(x, filled, observed))


@pytest.mark.parametrize("case", CASES)
def test_a_row_says_the_same_alone_in_any_place_and_beside_any_mates(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    whole = head(x, filled, observed)
    order = torch.randperm(len(filled), generator=torch.Generator().manual_seed(0))
    moved = head({m: v[order] for m, v in x.items()}, filled[order], observed[order])
    torch.testing.assert_close(moved, whole[order], rtol=0, atol=1e-12)
    for row in range(0, len(filled), 7):
        one = head({m: v[row : row + 1] for m, v in x.items()}, filled[row : row + 1], observed[row : row + 1])
        torch.testing.assert_close(one, whole[row : row + 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_features_are_found_by_name_not_by_place(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    assert torch.equal(head(dict(reversed(x.items())), filled, observed), head(x, filled, observed))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_stay_finite_where_everything_is_absent(case: str, count: int) -> None:
    head = make(case, count)
    x, filled, observed = batch(count)
    nothing = torch.zeros_like(filled[:2])
    out = head({m: torch.zeros_like(v[:2]) for m, v in x.items()}, nothing, nothing)
    assert torch.equal(out[0], out[1])
    mixed = head(x, filled, observed)
    (out.sum() + mixed.square().sum()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


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


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shared", [True, False])
def test_many_heads_at_once_are_each_alone(case: str, count: int, shared: bool) -> None:
    heads = [make(case, count, seed) for seed in range(3)]
    batches = [batch(count, 0 if shared else seed) for seed in range(3)]
    weights, buffers = stack_module_state(heads)  # type: ignore[arg-type]

    def forward(w: Any, b: Any, x: Any, f: Tensor, o: Tensor) -> Tensor:
        return functional_call(heads[0], (w, b), (x, f, o))

    x = batches[0][0] if shared else {m: torch.stack([b[0][m] for b in batches]) for m in batches[0][0]}
    filled, observed = torch.stack([b[1] for b in batches]), torch.stack([b[2] for b in batches])
    found = vmap(forward, in_dims=(0, 0, None if shared else 0, 0, 0), randomness="error")(weights, buffers, x, filled, observed)
    for which, head in enumerate(heads):
        torch.testing.assert_close(found[which], head(*batches[which]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_head_is_pure_and_has_no_buffers(case: str, count: int) -> None:
    head = make(case, count).train()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    first = head(*batch(count))
    assert torch.equal(head(*batch(count)), first)
    assert torch.equal(head.eval()(*batch(count)), first)
    assert not list(head.buffers())
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


@pytest.mark.parametrize("case", CASES)
def test_own_parameters_move_with_their_modality_alone(case: str, count: int) -> None:
    """Where only one modality has values, only its own parameters and the shared ones get a gradient."""
    head = make(case, count)
    own = head.own_parameters()
    x, filled, observed = batch(count)
    assert list(own) == list(x)
    for m in x:
        head.zero_grad()
        head(*alone(x, filled, observed, {m})).square().sum().backward()
        gradients = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
        moved = {o: sum(gradients[n][..., part].abs().sum().item() for n, part in own[o].items()) for o in own}
        assert moved[m] > 0
        assert all(value == 0 for o, value in moved.items() if o != m)


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
