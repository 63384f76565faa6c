"""Exhibits that need no training: what the data set holds (Table 1), and how it is trained on (Tables 8 and 9)."""

from __future__ import annotations

from typing import Any

from gtimm.core.dataset import Splits
from gtimm.core.training import TrainOptions
from gtimm.experiments.bench import Bench, Place

OPTIONS = {"Total Epoch": "epochs", "Batch Size": "batch_size", "Learning Rate": "lr", "Weight Decay": "weight_decay"}


def dataset_places(b: Bench) -> list[Place]:
    """Return the cells of Table 1: classes, and rows of all splits."""
    return [
        Place(b.at(), "Classes", counted=_classes, metric="count"),
        Place(b.at(), "Data Size", counted=_rows, metric="count"),
    ]


def option_places(b: Bench) -> list[Place]:
    """Return the cells of Tables 8 and 9."""
    places = [
        Place(b.at(), column, counted=lambda _data, bench, name=name: float(options(bench)[name]), metric="option")  # type: ignore[misc]
        for column, name in OPTIONS.items()
    ]
    return [*places, Place(b.at(), "Optimizer", metric="option", note="AdamW, the only one that there is")]


def options(b: Bench) -> dict[str, Any]:
    """Return all options of training, those of `TrainOptions` where preset and choices say nothing."""
    found = TrainOptions(**{**b.preset.train, **b.choices.train}).model_dump()
    return {**found, "epochs": found["epochs"] or 15}


def _classes(data: Splits, b: Bench) -> float:
    return float(len(data.train.classes))


def _rows(data: Splits, b: Bench) -> float:
    return float(sum(len(part) for part in (data.train, data.val, data.test)))
