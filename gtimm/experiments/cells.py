"""A setting's outcome, and the files in which a run keeps it so that an interrupted run goes on."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.calibration import ece
from gtimm.core.files import whole_file
from gtimm.core.metrics import THRESHOLD, by_row, scores
from gtimm.core.plain import from_json
from gtimm.experiments.methods import Setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.targets import Labels

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]

LARGEST = 1 << 32  # bytes of an outcome, unpacked
ARRAYS = ("values", "predicted", "confidence", "rank")


@dataclass
class Cell:
    """A setting's outcome on the test rows, over the seeds.

    Attributes:
        setting: what was run.
        values: (seeds, test rows) float32, the score of each row: right or wrong, or the F1 of its set of classes.
        seconds: of training and scoring.
        metric: of which the values' mean is the score.
        scores: every score by name, (seeds,) each.
        predicted: (seeds, rows) int32 class indices; of multi-label data (seeds, rows, classes) bool.
        confidence: float32, the probability of what was predicted, (seeds, rows); of multi-label data that of each class.
        rank: (seeds, rows) int32, how many classes are held more probable than the row's own: 0 where it is right, below k where it is
            among the first k; of multi-label data empty.
        validation: (seeds,) the main score on the validation rows, with the holes of the test; empty where it was not asked for.
        chosen: of each seed, the options that were chosen on validation.
        items: how many generated items were used, by their folder in the bank.
        model: what was trained; cells that differ only in what is missing at test have one model.
    """

    setting: Setting
    values: F32
    seconds: float
    metric: str = "accuracy"
    scores: Mapping[str, F64] = field(default_factory=dict)
    predicted: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    confidence: F32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    rank: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    validation: F64 = field(default_factory=lambda: np.zeros(0))
    chosen: list[dict[str, float]] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)
    model: str = ""

    @classmethod
    def of(cls, setting: Setting, seeds: list[Scored], seconds: float, items: dict[str, int], model: str) -> Cell:
        """Return the cell of what was scored seed by seed."""
        return cls(
            setting,
            np.stack([seed.values for seed in seeds]),
            seconds,
            seeds[0].metric,
            {name: np.array([seed.scores[name] for seed in seeds]) for name in seeds[0].scores},
            np.stack([seed.predicted for seed in seeds]),
            np.stack([seed.confidence for seed in seeds]),
            np.stack([seed.rank for seed in seeds]),
            np.array([seed.validation for seed in seeds if seed.validation is not None]),
            [seed.chosen for seed in seeds],
            items,
            model,
        )


@dataclass(frozen=True)
class Scored:
    """One seed of a cell; the attributes are those of `Cell`."""

    metric: str
    values: F32
    scores: dict[str, float]
    predicted: NDArray[Any]
    confidence: F32
    rank: NDArray[np.int32]
    validation: float | None
    chosen: dict[str, float]

    @classmethod
    def of(cls, probabilities: F32, labels: Labels, validation: float | None, chosen: Mapping[str, float]) -> Scored:
        """Score probabilities (rows, classes)."""
        metric, values = by_row(probabilities, labels)
        found = {**scores(probabilities, labels), "ece": ece(probabilities, labels)}
        if labels.ndim == 2:
            predicted, confidence, rank = probabilities >= THRESHOLD, probabilities, np.zeros(0, np.int32)
        else:
            predicted, confidence = probabilities.argmax(1).astype(np.int32), probabilities.max(1)
            rank = _rank(probabilities, labels)
        return cls(metric, values, found, predicted, confidence, rank, validation, dict(chosen))


def _rank(probabilities: F32, labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return how many classes come before each row's own; ties go to the lower class index, as in `top_k_accuracy`."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    before = (probabilities > own) | ((probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None]))
    return np.asarray(before.sum(1), np.int32)


def write_cell(path: Path, cell: Cell) -> None:
    """Write a cell, whole or not at all; what it is called is not in it."""
    about = {
        "metric": cell.metric,
        "scores": {name: values.tolist() for name, values in cell.scores.items()},
        "validation": cell.validation.tolist(),
        "chosen": cell.chosen,
        "items": cell.items,
        "seconds": cell.seconds,
        "model": cell.model,
    }
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, about=np.array(json.dumps(about)), **{name: getattr(cell, name) for name in ARRAYS})


def read_cell(path: Path, setting: Setting) -> Cell | None:
    """Return the cell of a setting from its file, `None` where there is none that is whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(part.file_size for part in file.zip.infolist()) > LARGEST:
                return None
            about = from_json(str(file["about"]))
            arrays = {name: file[name] for name in ARRAYS}
        return Cell(
            setting=setting,
            seconds=float(about["seconds"]),
            metric=about["metric"],
            scores={name: np.array(values) for name, values in about["scores"].items()},
            validation=np.array(about["validation"]),
            chosen=about["chosen"],
            items=about["items"],
            model=about["model"],
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error, zipfile.BadZipFile):
        return None
