"""Large float32 products on a CPU through oneDNN, which uses the widest registers of every maker's processors.

MKL, behind `torch.mm` and `torch.bmm`, does not on AMD's, where oneDNN reaches twice its rate (`benchmarks/limits.py` prints both). Values
differ by the order of summation. A product always goes the same way, whatever stands beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LARGE = 1 << 22
"""Multiplications of a product from which a call of oneDNN's is worth it."""
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""PyTorch's linear layer by oneDNN; `None` in builds without it."""

aten = torch.ops.aten


def serves(a: Tensor, out: int) -> bool:
    """Return whether oneDNN is to compute a (n, size) @ (size, out)."""
    return _ONEDNN is not None and a.dtype == torch.float32 and a.device.type == "cpu" and a.numel() * out >= LARGE


def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Return x (n, size) @ w (out, size)^T + b (out,) by oneDNN, where it `serves`."""
    assert _ONEDNN is not None
    return _ONEDNN(_dense(x), _dense(w), b, "none", [], "")  # type: ignore[no-any-return]


def _dense(a: Tensor) -> Tensor:
    """Return a matrix that oneDNN reads fast: the transpose of a part of a wider one is multiplied very slowly."""
    return a if a.stride(1) == 1 or a.mT.is_contiguous() else a.mT.contiguous().mT


class FastLinears(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, large products of two matrices go through oneDNN, those in linear layers and in attention too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not kwargs:
            if func is aten.linear.default and serves(args[0], len(args[1])):
                return linear(*args)
            if func is aten.mm.default and serves(args[0], args[1].shape[1]):
                return linear(args[0], args[1].T)
            if func is aten.addmm.default and args[0].dim() == 1 and serves(args[1], args[2].shape[1]):
                return linear(args[1], args[2].T, args[0])
        return func(*args, **(kwargs or {}))
