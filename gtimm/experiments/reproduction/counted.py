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
        notes = ["of AdamW, the one optimizer"] if name == "weight_decay" else []
        if isinstance(found := getattr(options(b), name), tuple):
            notes.append(f"here each run takes one of {', '.join(map(str, found))} by its validation score")
        places.append(Place(b.at(), column, counted=_option(name), metric="option", note="; ".join(notes)))
    return places


def options(b: Bench) -> TrainOptions:
    """Return the options of training; raises `ConfigError` for one that there is not, or a value that it cannot have."""
    return TrainOptions(**{**b.preset.train, **b.choices.train})


def _option(name: str) -> Counted:
    def value(data: Splits, b: Bench) -> float | None:
        found, kinds = options(b), {data.train.kind(m) for m in data.train.modalities}
        one = found.epochs_for(kinds) if name == "epochs" else getattr(found, name)
        return None if isinstance(one, tuple) else float(one)

    return value


def _classes(data: Splits, b: Bench) -> float:
    return float(len(data.train.classes))


def _rows(data: Splits, b: Bench) -> float:
    return float(sum(len(part) for part in (data.train, data.val, data.test)))
