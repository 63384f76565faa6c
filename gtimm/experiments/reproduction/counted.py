"""Exhibits that need no training: what the data set holds (Table 1), and how it is trained on (Tables 8 and 9)."""

from __future__ import annotations

from gtimm.core.dataset import Splits
from gtimm.core.options import TrainOptions
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


def options(b: Bench) -> TrainOptions:
    """Return the options of training; raises `ConfigError` for one that there is not, or a value that it cannot have."""
    return TrainOptions(**{**b.preset.train, **b.choices.train})


def _option(name: str) -> Counted:
    def value(data: Splits, b: Bench) -> float:
        found, kinds = options(b), {data.train.kind(m) for m in data.train.modalities}
        return float(found.epochs_for(kinds) if name == "epochs" else getattr(found, name))

    return value


def _classes(data: Splits, b: Bench) -> float:
    return float(len(data.train.classes))


def _rows(data: Splits, b: Bench) -> float:
    return float(sum(len(part) for part in (data.train, data.val, data.test)))
