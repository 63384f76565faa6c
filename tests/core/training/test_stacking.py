"""Many heads at once give what each gives alone, whichever of a linear layer's parts they share."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import linear

from gtimm.core.training.stacking import _FastLinears

RUNS, ROWS, SIZE, OUT = 3, 5, 4, 2
SHARED = [mix for mix in product([0, None], repeat=3) if any(place is not None for place in mix)]


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
