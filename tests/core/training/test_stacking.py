"""Many heads at once give what each gives alone, whichever of a linear layer's parts they share."""

from __future__ import annotations

from itertools import product as pairs
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import linear

from gtimm.core import products
from gtimm.core.training.stacking import Batches, _FastLinears, joined, product
from gtimm.core.training.table import Table

RUNS, ROWS, SIZE, OUT = 3, 5, 4, 2
SHARED = [mix for mix in pairs([0, None], repeat=3) if any(place is not None for place in mix)]


def parts(mix: tuple[int | None, ...], shape: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Input, weight and bias; those that are not shared have one of each run in front."""
    random = torch.Generator().manual_seed(seed)
    shapes = (shape, (OUT, SIZE), (OUT,))
    made = [
        torch.randn(*([RUNS] if p == 0 else []), *s, generator=random, dtype=torch.double)
        for p, s in zip(mix, shapes, strict=True)
    ]
    return [value.requires_grad_() for value in made]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(ROWS, SIZE), (ROWS, 3, SIZE)], ids=str)
@pytest.mark.parametrize("mix", SHARED, ids=str)
def test_stacked_linear_layers_are_each_layer_alone(mix: tuple[int | None, ...], shape: tuple[int, ...], bias: bool) -> None:
    if not bias and mix[:2] == (None, None):
        return
    given, again = parts(mix, shape), parts(mix, shape)
    if not bias:
        given, again, mix = given[:2], again[:2], mix[:2]
    with _FastLinears():
        found = vmap(linear, in_dims=mix)(*given)
    expected = torch.stack(
        [linear(*(p[i] if place == 0 else p for p, place in zip(again, mix, strict=True))) for i in range(RUNS)]
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    towards = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    for one, other in zip(
        torch.autograd.grad((found * towards).sum(), given), torch.autograd.grad((expected * towards).sum(), again), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_linear_layer_takes_its_arguments_by_name_in_any_order() -> None:
    x, weight, bias = parts((0, 0, 0), (ROWS, SIZE))

    def named(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return linear(bias=bias, weight=weight, input=x)

    with _FastLinears():
        found = vmap(named)(x, weight, bias)
    torch.testing.assert_close(found, torch.stack([linear(x[i], weight[i], bias[i]) for i in range(RUNS)]), rtol=0, atol=1e-12)


def test_large_products_are_those_of_float64() -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 128, 640, generator=random), torch.randn(3, 64, 640, generator=random)
    assert a[0].numel() * b.shape[1] >= products.LARGE
    backward = torch.randn(3, 128, 64, generator=random)
    for one, other in ((a, b), (backward.mT, a.mT), (backward, b.mT)):
        expected = torch.bmm(one.double(), other.double().mT)
        torch.testing.assert_close(product(one, other).double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("without", ["oneDNN", "float32"])
def test_products_without_onednn_are_batched_ones(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(2, 8, 16), torch.randn(2, 4, 16)
    monkeypatch.setattr(products, "LARGE", 1)
    if without == "oneDNN":
        monkeypatch.setattr(products, "_ONEDNN", None)
    else:
        a, b = a.double(), b.double()
    assert torch.equal(product(a, b), torch.bmm(a, b.mT))


def test_the_features_of_a_batch_are_joined_without_a_copy() -> None:
    tables = {m: Table([torch.randn(7, size)]) for m, size in (("image", 3), ("audio", 2), ("text", 4))}
    x = Batches(tables, 2 * 5)({m: torch.tensor([[0, 3, 6], [1, 2, 5]]) for m in tables})
    out = torch.empty(2, 3, 9)
    found = joined(list(x.values()), -1, out=out)
    assert torch.equal(found, torch.cat(list(x.values()), -1))
    assert found.data_ptr() == x["image"].data_ptr()
    part = joined([x["audio"], x["text"]], -1, out=torch.empty(2, 3, 6))
    assert torch.equal(part, torch.cat([x["audio"], x["text"]], -1))
    assert part.data_ptr() == x["audio"].data_ptr()


@pytest.mark.parametrize("order", [("audio", "image"), ("image", "text"), ("image", "image")])
def test_features_that_are_no_neighbours_are_copied(order: tuple[str, str]) -> None:
    tables = {m: Table([torch.randn(7, 3)]) for m in ("image", "audio", "text")}
    x = Batches(tables, 4)({m: torch.tensor([[0, 3], [1, 2]]) for m in tables})
    out = torch.empty(2, 2, 6)
    assert joined([x[m] for m in order], -1, out=out) is out
    assert torch.equal(out, torch.cat([x[m] for m in order], -1))
