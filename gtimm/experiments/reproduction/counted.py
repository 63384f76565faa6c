"""Exhibits that need no training: what the data set holds (Table 1), and how it is trained on (Tables 8 and 9)."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.training import TrainOptions
from gtimm.experiments.reproduction.bench import Bench, Counted, Place

OPTIONS = {"Total Epoch": "epochs", "Batch Size": "batch_size", "Learning Rate": "lr", "Weight Decay": "weight_decay"}


def dataset_places(b: Bench) -> list[Place]:
    """Return the cells of Table 1: classes, and rows of all splits."""
    return [
        Place(b.at(), "Classes", counted=_classes, metric="count"),
        Place(b.at(), "Data Size", counted=_rows, metric="count"),
    ]


def option_places(b: Bench) -> list[Place]:
    """Return the cells of Tables 8 and 9."""
    places = []
    for column, name in OPTIONS.items():
        note = "of AdamW, the one optimizer" if name == "weight_decay" else ""
        places.append(Place(b.at(), column, counted=_option(name), metric="option", note=note))
    return places


def options(b: Bench) -> dict[str, Any]:
    """Return all options of training, those of `TrainOptions` where preset and choices say nothing.

    Raises:
        ConfigError: an option that there is not, or a value that it cannot have.
    """
    try:
        found = TrainOptions(**{**b.preset.train, **b.choices.train}).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = did_you_mean(name, TrainOptions.model_fields) if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"Training option {name!r}: {first['msg']} (found {first['input']!r}).{known}") from error
    return {**found, "epochs": found["epochs"] or 15}


def _option(name: str) -> Counted:
    return lambda _, bench: float(options(bench)[name])


def _classes(data: Splits, b: Bench) -> float:
    return float(len(data.train.classes))


def _rows(data: Splits, b: Bench) -> float:
    return float(sum(len(part) for part in (data.train, data.val, data.test)))
