"""One step of a stack of runs: its losses and gradients, as a flat list of tensor operations where a step is taken often.

A step through `torch.func` is mostly Python: functional calls, batching rules, the autograd graph. All of it does the same at every
step, since heads are pure and shapes are fixed. So it is run once and what it does to tensors is recorded (`make_fx`); the record gives
the same bits in a fraction of the time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gtimm.core.training.losses import by_row
from gtimm.core.training.stacking import joined

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from gtimm.core.training.stacking import Stacked, Tensors

WORTH_RECORDING, FIRST_TIME = 300, 1000
"""Steps from which recording pays: of one stack, some 50 ms; and of all in a process that has yet to load PyTorch's compiler, a second."""

Outcome = tuple[Tensor, tuple[Tensor | None, ...]]
"""Losses (runs, n) and the gradients of each run's mean loss, in the order of the learnt weights; `None` where a weight has none."""


def worth_recording(steps: int, every: int) -> bool:
    """Return whether a step taken this many times should be recorded, where all stacks together take `every` steps."""
    return steps >= WORTH_RECORDING and ("torch._dynamo" in sys.modules or every >= FIRST_TIME)


@dataclass(frozen=True)
class Recording:
    """What a step does to tensors.

    Attributes:
        run: weights, buffers, features, masks, targets and rooms in a row -> losses and the gradients that there are.
        rooms: shape, strides and type of the memory for what is computed on the way, the same at each step: a fresh block each time costs
            page faults, which take longer than the arithmetic.
        shape: of the masks, (runs, n, modalities); other batches are not served.
        without: which learnt weights have no gradient.
    """

    run: Callable[..., Sequence[Tensor]]
    rooms: tuple[tuple[tuple[int, ...], tuple[int, ...], torch.dtype], ...]
    shape: tuple[int, ...]
    without: tuple[bool, ...]


class Step:
    """Losses and gradients of a batch; both are in memory that the next step may write.

    Args:
        forward: the stacked heads; not to be used by two threads at a time.
        recording: of the step of another stack of this form and size.
    """

    def __init__(self, forward: Stacked, recording: Recording | None = None) -> None:
        self.forward, self.recording = forward, recording
        self._rooms: list[Tensor] = []

    def __call__(self, w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor, y: Tensor, weights: Tensor | None) -> Outcome:
        """Run the heads on a batch and go back.

        Args:
            w: weights, (runs, ...) each; those that require gradients are learnt.
            b: buffers, alike.
            x: modality to features (runs, n, size).
            f: (runs, n, modalities) bool, filled.
            o: (runs, n, modalities) bool, observed.
            y: targets (runs, n), or (runs, n, classes) for sets of classes.
            weights: (runs, n) loss weights; a batch's loss is the weighted mean. `None` is 1 each.
        """
        if self.recording is None or f.shape != self.recording.shape:
            return self._plain(w, b, x, f, o, y, weights)
        if not self._rooms:
            self._rooms = [torch.empty_strided(size, by, dtype=dtype) for size, by, dtype in self.recording.rooms]
        with torch.no_grad():
            losses, *found = self.recording.run(*_flat(w, b, x, f, o, y, weights), *self._rooms)
        left = iter(found)
        return losses, tuple(None if missing else next(left) for missing in self.recording.without)

    def record(self, w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor, y: Tensor, weights: Tensor | None) -> bool:
        """Record the step on batches of this shape; return whether the record gives what the step itself does, else it is not used.

        Not to be called while other threads run heads: recording looks into every module of the process.
        """
        from torch.fx.experimental.proxy_tensor import make_fx

        given = (w, b, x, f, o, y, weights)
        losses, gradients = self._plain(*given)
        names = list(w), list(b), list(x)

        def flat(*values: Tensor) -> list[Tensor]:
            each = iter(values)
            parts = [{name: next(each) for name in group} for group in names]
            filled, observed, targets = (next(each) for _ in range(3))
            losses, found = self._plain(parts[0], parts[1], parts[2], filled, observed, targets, next(each, None))
            return [losses, *(gradient for gradient in found if gradient is not None)]

        try:
            recorded = make_fx(flat)(*_flat(*given))
        except Exception:
            return False
        rooms = _with_rooms(recorded)
        self.recording = Recording(recorded, rooms, tuple(f.shape), tuple(gradient is None for gradient in gradients))
        again, found = self(*given)
        if torch.equal(again, losses) and all(a is b or torch.equal(a, b) for a, b in zip(found, gradients, strict=True)):  # type: ignore[arg-type]
            return True
        self.recording, self._rooms = None, []
        return False

    def _plain(self, w: Tensors, b: Tensors, x: Tensors, f: Tensor, o: Tensor, y: Tensor, weights: Tensor | None) -> Outcome:
        losses = by_row(self.forward(w, b, x, f, o), y)
        mean = losses.mean(1) if weights is None else (losses * weights).sum(1) / weights.sum(1)
        learnt = [value for value in w.values() if value.requires_grad]
        return losses.detach(), torch.autograd.grad(mean.sum(), learnt, allow_unused=True)


def _with_rooms(recorded: GraphModule) -> tuple[tuple[tuple[int, ...], tuple[int, ...], torch.dtype], ...]:
    """Let the large operations of a recording write into memory that is given to it, after its other arguments."""
    from torch.fx.graph import CodeGen

    graph, found = recorded.graph, []
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for node in list(graph.nodes):
        into = _INTO.get(str(node.target)) if node.op == "call_function" else None
        meta = node.meta.get("tensor_meta")
        if into is None or meta is None:
            continue
        found.append((tuple(meta.shape), tuple(meta.stride), meta.dtype))
        with graph.inserting_after(last):
            last = graph.placeholder(f"room_{len(found)}")
        node.target = into
        node.kwargs = {**node.kwargs, _OUT.get(str(into), "out"): last}
    graph.set_codegen(CodeGen())
    recorded.recompile()
    return tuple(found)


aten = torch.ops.aten
_INTO = {
    "aten.cat.default": joined,
    "aten.bmm.default": aten.bmm.out,
    "aten.relu.default": aten.relu.out,
    "aten.tanh.default": aten.tanh.out,
    "aten.threshold_backward.default": aten.threshold_backward.grad_input,
    "aten.tanh_backward.default": aten.tanh_backward.grad_input,
    "aten.mul.Tensor": aten.mul.out,
    "aten.where.self": aten.where.self_out,
    "aten.stack.default": aten.stack.out,
}
_OUT = {"aten.threshold_backward.grad_input": "grad_input", "aten.tanh_backward.grad_input": "grad_input"}


def _flat(w: Tensors, b: Tensors, x: Tensors, *others: Any) -> list[Tensor]:
    return [*w.values(), *b.values(), *x.values(), *(value for value in others if value is not None)]
