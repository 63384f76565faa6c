"""Losses and validation scores of a stack of runs, for one class a row and for sets of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gtimm.core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.targets import Labels

ClassWeights = Literal["balanced"] | tuple[float, ...] | None


def stacked_targets(labels: Sequence[Labels], dtype: torch.dtype) -> Tensor:
    """Return (runs, rows) int64 class indices, or (runs, rows, classes) 0 and 1 in `dtype` where labels are sets of classes."""
    found = torch.stack([torch.from_numpy(np.asarray(one)) for one in labels])
    return found if found.dim() == 2 else found.to(dtype)


def by_row(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each row in nats: cross-entropy, or binary cross-entropy averaged over the classes.

    Args:
        logits: (runs, n, classes).
        targets: (runs, n) class indices, or (runs, n, classes) 0 and 1.

    Returns:
        (runs, n).
    """
    if targets.dim() == 3:
        return binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
    # With the classes in the second place softmax runs along the rows, five times as fast as over a few classes in the last.
    return cross_entropy(logits.transpose(1, 2).contiguous(), targets, reduction="none")


def scores_by_row(logits: Tensor, targets: Tensor) -> Tensor:
    """Return (runs, n): 1 where the class is right, or the F1 of a row's set of classes at probability 0.5.

    Their mean over the rows is the main score, `accuracy` or `samples_f1`; arguments as for `by_row`.
    """
    if targets.dim() == 2:
        return (logits.argmax(-1) == targets).float()
    found = (logits >= 0).to(targets.dtype)
    either = (found + targets).sum(-1)
    return (2 * (found * targets).sum(-1) / either.clamp(min=1)).float()


def row_weights(labels: Labels, classes: int, imputed: NDArray[np.bool_], fill: float, by_class: ClassWeights) -> NDArray[Any]:
    """Return (rows,) loss weights; a batch's loss is the weighted mean, so weights of 1 are no weights.

    Args:
        labels: of the training rows.
        classes: number of classes.
        imputed: (rows,) True where an imputer fills some value.
        fill: weight of those rows.
        by_class: a weight a class, or `"balanced"`: rows / (classes * rows of the class), as scikit-learn has it.

    Raises:
        ConfigError: class weights for sets of classes, or not one a class.
    """
    refuse_class_weights(by_class, classes, sets=labels.ndim == 2)
    weights = np.where(imputed, fill, 1.0)
    if by_class is None:
        return weights
    if by_class == "balanced":
        given = len(labels) / (classes * np.maximum(np.bincount(labels, minlength=classes), 1))
    else:
        given = np.array(by_class)
    return weights * given[labels]


def refuse_class_weights(by_class: ClassWeights, classes: int, *, sets: bool) -> None:
    """Raise `ConfigError` for class weights where labels are sets of classes, or that are not one a class."""
    if by_class is not None and sets:
        raise ConfigError("class_weights weigh rows by their one class; these rows have sets of classes. Leave it out.")
    if isinstance(by_class, tuple) and len(by_class) != classes:
        raise ConfigError(f"class_weights has {len(by_class)} numbers; the data has {classes} classes. Give one a class.")
