"""Large products by oneDNN are those that PyTorch computes, up to rounding."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gtimm.core import products
from gtimm.core.products import FastLinears


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """All float32 products through oneDNN; notes the outputs of each."""
    found: list[int] = []
    linear = products.linear

    def noted(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        found.append(len(w))
        return linear(x, w, b)

    monkeypatch.setattr(products, "LARGE", 1)
    monkeypatch.setattr(products, "linear", noted)
    return found


def attention() -> Callable[[Tensor], Tensor]:
    layer = nn.MultiheadAttention(12, 3).eval()
    return lambda x: layer(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize(
    "form",
    [lambda: nn.Linear(12, 7), lambda: nn.Linear(12, 7, bias=False), attention, lambda: lambda x: x[0].mm(x[1].T)],
    ids=["linear", "without bias", "attention", "matrices"],
)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_layers_give_what_they_give_without(
    form: Callable[[], Callable[[Tensor], Tensor]], mode: type, served: list[int]
) -> None:
    torch.manual_seed(0)
    layer, x = form(), torch.randn(5, 4, 12)
    with mode():
        expected = layer(x)
        with FastLinears():
            found = layer(x)
    assert served
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_part_of_wider_features_costs_about_what_it_costs_alone() -> None:
    wide, gradient = torch.randn(128, 128), torch.randn(128, 512)
    part = wide[:, :64]  # as a head's own modality lies beside the others

    def seconds(x: Tensor) -> float:
        products.linear(gradient.mT, x.mT)
        began = time.process_time()
        for _ in range(5):
            products.linear(gradient.mT, x.mT)
        return time.process_time() - began

    assert min(seconds(part) for _ in range(3)) < 10 * min(seconds(part.contiguous()) for _ in range(3))
    torch.testing.assert_close(products.linear(gradient.mT, part.mT), gradient.mT @ part, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("other", [torch.float64, torch.bfloat16])
def test_other_types_are_left_alone(other: torch.dtype, served: list[int]) -> None:
    layer, x = nn.Linear(12, 7, dtype=other), torch.randn(5, 12, dtype=other)
    with torch.inference_mode():
        expected = layer(x)
        with FastLinears():
            assert torch.equal(layer(x), expected)
    assert not served


def test_small_products_are_left_alone() -> None:
    layer, x = nn.Linear(12, 7), torch.randn(5, 12)
    with torch.inference_mode():
        expected = layer(x)
        with FastLinears():
            assert torch.equal(layer(x), expected)
