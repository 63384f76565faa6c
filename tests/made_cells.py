"""Cells whose scores a test chooses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gtimm.experiments.cells import Cell
from gtimm.experiments.methods import Setting

ROWS, SEEDS = 400, 5


def setting(method: str, p: float = 0.95, **more: Any) -> Setting:
    return Setting("toys", method, missing_train={"image": p} if p else {}, **more)


def cell(what: Setting, accuracy: float, seed: int = 0) -> Cell:
    """A cell with just this accuracy in each seed; cells of one seed are right on nested rows, so their differences are sharp."""
    order = np.random.default_rng(seed).permutation(ROWS)
    values = np.zeros((SEEDS, ROWS), np.float32)
    values[:, order[: round(accuracy * ROWS)]] = 1
    return Cell(what, values, 1.0)
