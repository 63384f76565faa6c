"""Cells as the parts of `results.json`: scores, differences, errors by class, costs, holes, licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.plan import seconds_per_item
from gtimm.core.licences import licences
from gtimm.experiments.cells import Cell
from gtimm.experiments.statistics import Interval, interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gtimm.core.dataset import MultimodalDataset, Splits
    from gtimm.core.pipeline import Pipeline
    from gtimm.core.targets import Labels
    from gtimm.core.workspace import Workspace
    from gtimm.experiments.jobs import Job
    from gtimm.experiments.methods import Setting

MANY_CLASSES = 25
"""Above it a confusion matrix is left out: nobody reads it, and it would be most of the file."""
BINS = 15  # as in `calibration.ece`


def rows_of(cells: Sequence[Cell], *, every_score: bool = False) -> list[dict[str, Any]]:
    """Return the cells as rows of `results.json`: the main score, with `every_score` the others too, which have no interval."""
    rows = []
    for cell in cells:
        found = interval(cell.values)
        row = {
            **trained(cell.setting),
            "metric": cell.metric,
            **_numbers(found),
            "std": found.std,
            "seeds": len(cell.values),
            "seconds": cell.seconds,
        }
        rows.append({**row, "mean": found.mean})
        for name, values in cell.scores.items() if every_score else ():
            if name != cell.metric:
                spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                rows.append({**row, "metric": name, "mean": float(values.mean()), "std": spread, "ci_low": None, "ci_high": None})
    return rows


def compare_pairs(pairs: Sequence[tuple[Cell, Cell]]) -> list[dict[str, Any]]:
    """Return the paired differences of pairs of cells, the first less the second, as comparisons of `results.json`."""
    gains = [interval(one.values - other.values, difference=True) for one, other in pairs]
    return [
        {
            **trained(one.setting),
            "against": other.setting.method,
            "against_budget": other.setting.budget,
            "metric": one.metric,
            "difference": gain.mean,
            **_numbers(gain),
        }
        for (one, other), gain in zip(pairs, gains, strict=True)
    ]


def trained(setting: Setting) -> dict[str, Any]:
    """Return what a part of `results.json` says of its setting."""
    return {
        "dataset": setting.dataset,
        "method": setting.method,
        "mechanism": setting.mechanism,
        "missing_train": dict(setting.missing_train),
        "missing_test": dict(setting.missing_test),
        "budget": setting.budget,
        "variant": dict(setting.variant),
    }


def _numbers(found: Interval) -> dict[str, float]:
    return {"ci_low": found.low, "ci_high": found.high}


def detail_of(cell: Cell, labels: Labels, classes: Sequence[str], baseline: Cell | None = None) -> dict[str, Any]:
    """Return a cell's errors class by class, over its seeds, as a detail of `results.json`.

    Of multi-label data a class's recall is over the rows that have it, and every class of every row counts for the calibration.

    Args:
        cell: what was predicted.
        labels: of the test rows.
        classes: their names.
        baseline: of the same rows, whose recall is subtracted.
    """
    recall = _recall(cell, labels, len(classes))
    found = {**trained(cell.setting), "classes": list(classes), "recall": _plain(recall), "ece": float(cell.scores["ece"].mean())}
    if baseline is not None and baseline is not cell:
        found |= {"baseline": baseline.setting.method, "gain": _plain(recall - _recall(baseline, labels, len(classes)))}
    if labels.ndim == 1 and len(classes) <= MANY_CLASSES:
        pairs = np.tile(labels * len(classes), len(cell.predicted)) + cell.predicted.ravel()
        found["confusion"] = np.bincount(pairs, minlength=len(classes) ** 2).reshape(len(classes), -1).tolist()
    right = (cell.predicted == labels) if labels.ndim == 1 else np.broadcast_to(labels, cell.confidence.shape)
    return {**found, "calibration": _calibration(cell.confidence.ravel(), right.ravel())}


def _recall(cell: Cell, labels: Labels, classes: int) -> np.ndarray[Any, Any]:
    """Return (classes,) recall over all seeds, NaN for a class that no row has."""
    if labels.ndim == 2:
        hits, rows = (cell.predicted & labels).sum((0, 1)), labels.sum(0)
    else:
        hits = np.bincount(np.tile(labels, len(cell.predicted))[(cell.predicted == labels).ravel()], minlength=classes)
        rows = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / (rows * len(cell.predicted)))


def _calibration(confidence: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Return the bins of equal width over 0..1 that hold predictions."""
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    count = np.bincount(place, minlength=BINS)
    sums = [np.bincount(place, value.astype(np.float64), minlength=BINS) for value in (confidence, right)]
    return [
        {"count": int(count[b]), "confidence": float(sums[0][b] / count[b]), "accuracy": float(sums[1][b] / count[b])}
        for b in np.flatnonzero(count)
    ]


def _plain(values: np.ndarray[Any, Any]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def costs_of(cells: Sequence[Cell], workspace: Workspace) -> list[dict[str, Any]]:
    """Return what a model of each method, budget and variant cost; its items' seconds as the bank measured them."""
    found: dict[str, tuple[dict[str, Any], list[Cell]]] = {}
    for cell in cells:
        who = {name: trained(cell.setting)[name] for name in ("dataset", "method", "budget", "variant")}
        found.setdefault(repr(who), (who, []))[1].append(cell)
    return [{**who, **_cost(same, workspace)} for who, same in found.values()]


def _cost(cells: Sequence[Cell], workspace: Workspace) -> dict[str, Any]:
    """Return the mean seconds of training a model, and the most items that one of the cells asks for."""
    items = max((cell.items for cell in cells), key=lambda one: sum(one.values()))
    speeds = {name: seconds_per_item(workspace.bank.folder / name, workspace.device) for name in items}
    known = [count * speed for name, count in items.items() if (speed := speeds[name]) is not None]
    return {
        "train_seconds": float(np.mean([cell.seconds / max(len(cell.values), 1) for cell in cells])),
        "items": sum(items.values()),
        "generate_seconds": sum(known) if len(known) == len(items) else None,
    }


def patterns_of(data: Splits, simulated: Iterable[tuple[str, str, MultimodalDataset]] = ()) -> list[dict[str, Any]]:
    """Return how many rows of each split have which modalities, as they are, and as simulated missingness leaves them.

    Args:
        data: the splits.
        simulated: of a split what was simulated and the rows with their holes: `("train", "95% of images", masked)`.
    """
    found = []
    every = [("train", "", data.train), ("val", "", data.val), ("test", "", data.test), *simulated]
    for split, note, rows in every:
        there = np.stack([rows.present(m) for m in rows.modalities], 1)
        kept, counts = np.unique(there, axis=0, return_counts=True)
        for place in np.argsort(-counts, kind="stable"):
            present = [m for m, yes in zip(rows.modalities, kept[place], strict=True) if yes]
            found.append({"split": split, "present": present, "rows": int(counts[place]), "note": note})
    return found


def simulated(jobs: Iterable[Job]) -> list[tuple[str, str, MultimodalDataset]]:
    """Return what jobs hide of the training and of the test rows, with their first seed, each way once, for `patterns_of`."""
    found: dict[tuple[str, str], MultimodalDataset] = {}
    for job in jobs:
        setting = job.setting
        parts = (
            ("train", setting.missing_train, job.trains[0], setting.mechanism),
            ("test", setting.missing_test, job.tests[0], ""),
        )
        for split, shares, rows, mechanism in parts:
            if shares:
                words = ", ".join(f"{share:.4g} of {name}" for name, share in shares.items())
                found[split, f"simulated: {words} missing" + (f" ({mechanism})" if mechanism else "")] = rows
    return [(split, note, rows) for (split, note), rows in found.items()]


def licences_of(pipes: Iterable[Pipeline]) -> dict[str, str]:
    """Return strategy to the licence of its code, and of its weights where it has some; see `gtimm.core.licences.licences`."""
    return licences(*pipes)
