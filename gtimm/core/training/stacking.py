"""Many heads as one: their outputs, their optimiser steps and the batches they read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.functional import linear, pad
from torch.optim.adamw import adamw
from torch.overrides import TorchFunctionMode

from gtimm.core import products
from gtimm.core.products import serves

if TYPE_CHECKING:
    from gtimm.core.fusion import Head
    from gtimm.core.training.table import Table

Tensors = dict[str, Tensor]
REGISTER = 16
"""Floats in the widest vector register."""


class Stacked(Protocol):
    """All heads at once: weights and buffers (runs, ...), x (runs, n, size) or shared (n, size), masks (runs, n, modalities)."""

    def __call__(self, w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor) -> Tensor:
        """Return (runs, n, classes) logits."""
        ...


def stack(head: Head, *, stackable: bool) -> Stacked:
    """Return what runs heads of this form together; in turn where `stackable` is False."""
    skeleton = copy.deepcopy(head).to("meta")

    def forward(w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor) -> Tensor:
        return cast("Tensor", functional_call(skeleton, (w, b), (x, f, o)))

    return _together(forward) if stackable else _in_turn(forward)


def _together(forward: Stacked) -> Stacked:
    alone = _in_turn(forward)

    def run(w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor) -> Tensor:
        if len(f) == 1:  # without vmap's part, and with the very same products
            with _LoneLinears():
                return alone(w, b, x, f, o)
        shared = next(iter(x.values())).dim() == 2
        with _FastLinears():
            return vmap(forward, in_dims=(0, 0, None if shared else 0, 0, 0), randomness="error")(w, b, x, f, o)

    return run


class _FastLinears(TorchFunctionMode):
    """Linear layers of stacked heads as batched products in the layouts that are fast; vmap's own take twice the time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is linear:
            return _Linear.apply(*_of_linear(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


class _LoneLinears(TorchFunctionMode):
    """Linear layers of one head as batched products of one: a head ends with the same bits alone and among others."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not linear:
            return func(*args, **(kwargs or {}))
        x, w, b = _of_linear(*args, **(kwargs or {}))
        flat = _Stacked.apply(x.reshape(1, -1, x.shape[-1]), w.unsqueeze(0), None if b is None else b.unsqueeze(0))
        return flat.view(*x.shape[:-1], w.shape[0])


def _of_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the arguments of `torch.nn.functional.linear`, however they were given, in order."""
    return input, weight, bias


class _Linear(torch.autograd.Function):
    """A linear layer; `vmap` says how those of many heads are computed. What no head's weights reach has no gradient."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        out = x @ w.mT
        return out if b is None else out + b

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: called only where neither input nor layer differs by head."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, int]:
        if b is not None:
            b = b.expand(info.batch_size, -1) if in_dims[2] is None else b.movedim(in_dims[2], 0)
        if in_dims[1] is None:  # a frozen layer, the same in all heads
            out = x @ w.mT if in_dims[0] is None else x.movedim(in_dims[0], 0) @ w.mT
            out = out.expand(info.batch_size, *out.shape) if in_dims[0] is None else out
            return (out if b is None else out + b.view(len(b), *[1] * (out.dim() - 2), -1)), 0
        w = w.movedim(in_dims[1], 0)
        if in_dims[0] is None:
            out = (x @ w.flatten(0, 1).mT).view(*x.shape[:-1], *w.shape[:2]).movedim(-2, 0)
            return (out if b is None else out + b.view(len(b), *[1] * (x.dim() - 1), -1)), 0
        x = x.movedim(in_dims[0], 0)
        flat = _Stacked.apply(x.reshape(len(x), -1, x.shape[-1]), w, b)
        return flat.reshape(*x.shape[:-1], w.shape[1]), 0


class _Stacked(torch.autograd.Function):
    """x (runs, n, size) @ w (runs, out, size)^T + b (runs, out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, w)
        few = w.shape[1] < 32
        out = torch.bmm(w, x.mT).mT if few else product(x, w)
        return out if b is None else out.add_(b.unsqueeze(1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        g = gradients[0].contiguous()
        need = ctx.needs_input_grad
        return (
            product(g, w.mT) if need[0] else None,
            product(g.mT, x.mT) if need[1] else None,
            g.sum(1) if need[2] else None,
        )


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a (runs, n, size) @ b (runs, out, size)^T; large ones run by run, which gives each what it gets alone."""
    if serves(a[0], b.shape[1]):
        return torch.stack([products.linear(one, other) for one, other in zip(a, b, strict=True)])
    return torch.bmm(a, b.mT)


def joined(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor) -> Tensor:
    """Return `torch.cat` of tensors: their own memory where they lie in it side by side, as the features of `Batches` do, else `out`."""
    first, at = tensors[0], tensors[0].storage_offset()
    for tensor in tensors:
        alike = tensor.untyped_storage().data_ptr() == first.untyped_storage().data_ptr() and tensor.stride() == first.stride()
        if not alike or tensor.storage_offset() != at:
            return torch.cat(cast("list[Tensor]", tensors), dim, out=out)
        at += tensor.shape[dim] * tensor.stride(dim)
    return first.as_strided(out.shape, first.stride(), first.storage_offset())


def _in_turn(forward: Stacked) -> Stacked:
    def unbound(values: Tensors, count: int) -> list[Tensors]:
        if count == 1:  # the gradient of a view is a view, that of a selection is a copy
            return [{name: value.squeeze(0) for name, value in values.items()}]
        return [{name: value[i] for name, value in values.items()} for i in range(count)]

    def run(w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor) -> Tensor:
        count = len(f)
        each = [x] * count if next(iter(x.values())).dim() == 2 else unbound(x, count)
        given = zip(unbound(w, count), unbound(b, count), each, f, o, strict=True)
        found = [forward(*one) for one in given]
        return found[0].unsqueeze(0) if count == 1 else torch.stack(found)

    return run


class StackedAdamW:
    """AdamW of a stack of runs, each with its own learning rate and weight decay; runs of equal rates should be neighbours.

    Every neighbourhood is one fused step of PyTorch's on views of the weights, so each run moves as under `torch.optim.AdamW`. The last
    few elements of a tensor, those that do not fill a vector register, are rounded in another way than the others; so that a
    run's elements are none of these alone and others in a stack, each run's part is padded to whole registers.

    Args:
        weights: name to (runs, ...), to be learnt.
        rates: learning rate and weight decay of each run.

    Attributes:
        weights: the same values in the memory that `step` changes; each requires its gradient.
    """

    def __init__(self, weights: Tensors, rates: Sequence[tuple[float, float]]) -> None:
        self.weights: Tensors = {}
        self.padded: dict[int, Tensor] = {}
        whole = []
        for i, (name, value) in enumerate(weights.items()):
            flat = value.detach().reshape(len(value), -1)
            more = -flat.shape[1] % REGISTER
            whole.append(pad(flat, (0, more)) if more else flat)
            if more:
                self.padded[i] = torch.zeros_like(whole[-1])
            self.weights[name] = whole[-1][:, : flat.shape[1]].view(value.shape).requires_grad_()
        self.parts, begin = [], 0
        for (lr, decay), same in groupby(rates):
            part = slice(begin, begin + len(list(same)))
            views = [value[part] for value in whole]
            moments = [torch.zeros_like(view) for view in views], [torch.zeros_like(view) for view in views]
            self.parts.append((part, views, *moments, [torch.zeros(()) for _ in views], lr, decay))
            begin = part.stop

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Move the weights by gradients (runs, ...), in the order of the weights; what has none stays."""
        found = {i: self._flat(i, gradient) for i, gradient in enumerate(gradients) if gradient is not None}
        for part, *of_weights, lr, decay in self.parts:
            views, first, second, steps = ([values[i] for i in found] for values in of_weights)
            adamw(
                views, [gradient[part] for gradient in found.values()], first, second, [], steps, fused=True, amsgrad=False,
                beta1=0.9, beta2=0.999, lr=lr, weight_decay=decay, eps=1e-8, maximize=False,
            )  # fmt: skip

    def _flat(self, i: int, gradient: Tensor) -> Tensor:
        """Return a gradient as (runs, elements), padded like its weight."""
        flat = gradient.reshape(len(gradient), -1)
        if i not in self.padded:
            return flat.contiguous()
        room = self.padded[i]
        room[:, : flat.shape[1]] = flat
        return room


class Batches:
    """Features of one batch after another, copied into the same memory each time: a fresh block a step costs page faults.

    Those of one row lie side by side, so that a head that concatenates the modalities needs no copy (`joined`).

    Args:
        tables: by modality, of one type.
        rows: most rows of all runs together in a batch.
    """

    def __init__(self, tables: Mapping[str, Table], rows: int) -> None:
        self.tables = tables
        sizes = [table.size for table in tables.values()]
        room = next(iter(tables.values())).pieces[0].new_empty(rows, sum(sizes))
        self.room = dict(zip(tables, torch.split(room, sizes, 1), strict=True))

    def __call__(self, places: Tensors) -> Tensors:
        """Return modality to (runs, n, size) features at places (runs, n); valid until the next call."""
        found = {}
        for m, place in places.items():
            found[m] = self.tables[m].take(place, self.room[m][: place.numel()])
        return found
