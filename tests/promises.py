"""What every method promises, and rows of any pattern to try it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gtimm import MultimodalDataset, Pipeline

KINDS = {"image": "image", "left": "vector", "right": "vector", "sound": "audio"}
CLASSES = ("ant", "bee", "cow")
FAST = {"epochs": 2, "lr": 0.05, "batch_size": 8}
GENERATOR = {"name": "toy-generator", "per_class": 2}
IMPUTERS: dict[str, Any] = {
    "zero": "zero",
    "zero-payload": {"image": {"name": "zero", "level": "payload"}, "left": "zero", "right": "mean", "sound": "zero"},
    "mean": "mean",
    "class-mean": "class-mean",
    "hot-deck": "hot-deck",
    "retrieval": {"name": "retrieval", "k": 3},
    "retrieval-average": {"name": "retrieval", "average": True, "dtype": "float16"},
    "regression": {"name": "regression", "draws": 3},
    "toy-generator": {"image": GENERATOR, "left": "hot-deck", "right": "regression", "sound": "retrieval"},
    "bank": {"image": {"name": "bank", "folder": "bank"}, "left": "class-mean", "right": "zero", "sound": "hot-deck"},
    "retrieval-bank": {
        "image": {"name": "retrieval", "bank": {"name": "bank", "folder": "bank"}},
        "left": "mean",
        "right": "zero",
    },
    "retrieval-generator": {
        "image": {"name": "retrieval", "bank": GENERATOR, "average": True},
        "left": "mean",
        "right": "zero",
        "sound": "mean",
    },
    "none": None,
}
OF_A_BANK = ("retrieval-bank", "retrieval-generator")
BY_LABEL = ("class-mean", "hot-deck", "toy-generator", "bank")
FUSIONS: dict[str, Any] = {
    "late": "late",
    "late-hidden": {"name": "late", "hidden": 5},
    "score": "score",
    "sum": {"name": "sum", "width": 4},
    "mean": {"name": "mean", "width": 4},
    "gated": {"name": "gated", "width": 4},
    "attention": {"name": "attention", "width": 4, "heads": 2},
    "dropout": {"name": "dropout", "rate": 0.3, "base": {"name": "gated", "width": 4, "gate": "sigmoid"}},
    "dropout-late": {"name": "dropout", "rate": 0.3},
}
NEED_ALL = ("late", "late-hidden", "dropout-late")


def imputer_of(name: str, count: int, bank: Path) -> Any:
    """The strategy for the first `count` modalities."""
    found = IMPUTERS[name]
    if not isinstance(found, dict) or "name" in found:
        return found
    found = {m: one for m, one in found.items() if m in list(KINDS)[:count]}
    if name == "bank":
        found["image"] = {"name": "bank", "folder": str(bank)}
    if name == "retrieval-bank":
        found["image"] = {"name": "retrieval", "bank": {"name": "bank", "folder": str(bank)}}
    return found


def rows(
    size: int = 30, count: int = 3, seed: int = 0, holes: float = 0.3, *, sets: bool = False, only: int | None = None
) -> MultimodalDataset:
    """Rows of any pattern, the first of which has nothing; the first modality tells the class, the others too, with noise.

    Args:
        size: number of rows.
        count: number of modalities.
        seed: of holes and noise.
        holes: chance of a hole.
        sets: label rows by sets of classes, one of them empty.
        only: the class of all rows; by default they take turns.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(size) % 3 if only is None else np.full(size, only)
    codes = np.random.default_rng(9).normal(size=(3, 2, 4))
    parts: dict[str, list[Any]] = {m: [] for m in list(KINDS)[:count]}
    for row, label in enumerate(labels.tolist()):
        values = {"image": np.full((4, 4, 3), 80 * label + random.integers(0, 9), np.uint8)}
        values |= {m: (codes[label, i] + 0.3 * random.normal(size=4)).astype(np.float32) for i, m in enumerate(("left", "right"))}
        values["sound"] = (np.full((1, 80), (label + 1) / 4, np.float32), 8000)
        for m, part in parts.items():
            part.append(None if row == 0 or random.random() < holes else values[m])
    named: Any = [{0: ["ant"], 1: ["ant", "bee"], 2: []}[c] for c in labels.tolist()] if sets else labels
    return MultimodalDataset.from_arrays(parts, named, classes=CLASSES, kinds=KINDS, name="toys")


def without(data: MultimodalDataset, *modalities: str) -> MultimodalDataset:
    """The same rows, of which none has any of these modalities; without names none has anything."""
    gone = modalities or data.modalities
    parts = {m: [None if m in gone else data[r].get(m) for r in range(len(data))] for m in data.modalities}
    kinds = {m: data.kind(m) for m in data.modalities}
    return MultimodalDataset.from_arrays(parts, data.labels, classes=data.classes, kinds=kinds, name="without")


def pipeline(imputer: Any, fusion: str, **options: Any) -> Pipeline:
    return Pipeline("toy", imputer, FUSIONS[fusion], **{"train": FAST, "device": "cpu", **options})


def judge_of(name: str, imputer: Any) -> Any:
    """What fills evaluation data beside an imputer: itself where it goes without labels."""
    return "zero" if name in BY_LABEL else imputer


def keeps_its_promises(pipe: Pipeline, train: MultimodalDataset, tests: list[MultimodalDataset], folder: Path) -> None:
    """Train, score, predict any rows, one row and rows with nothing, save, load, and predict the same."""
    pipe.fit(train, tests[0])
    assert np.isfinite(pipe.history).all()
    for test in tests:
        scores = pipe.evaluate(test)
        assert all(0 <= value <= 1 for value in scores.values()), scores
    test = tests[0]
    expected, frame = pipe.predict_proba(test), pipe.predict_frame(test)
    assert expected.shape == (len(test), 3)
    assert ((expected >= 0) & (expected <= 1)).all()
    if not test.multilabel:
        np.testing.assert_allclose(expected.sum(1), 1, atol=1e-5)
    empty = ~np.logical_or.reduce([test.present(m) for m in pipe.kinds])
    assert empty[0]
    np.testing.assert_array_equal(frame["empty"], empty)
    np.testing.assert_array_equal(expected[empty], np.tile(pipe.prior, (empty.sum(), 1)))
    for row in (0, 1, len(test) - 1):
        np.testing.assert_allclose(pipe.predict_proba(test.subset([row]))[0], expected[row], atol=1e-5)
    pipe.save(folder)
    again = Pipeline.load(folder, device="cpu")
    assert again.config() == pipe.config()
    np.testing.assert_array_equal(again.predict_proba(test), expected)
    pd.testing.assert_frame_equal(again.predict_frame(test), frame)
