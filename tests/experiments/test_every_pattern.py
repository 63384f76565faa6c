"""Every fusion, fill and preset, with one to four modalities, on one class, one row, and rows that have nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from promises import (
    BY_LABEL,
    CLASSES,
    FAST,
    FUSIONS,
    IMPUTERS,
    NEED_ALL,
    OF_A_BANK,
    imputer_of,
    judge_of,
    keeps_its_promises,
    pipeline,
    rows,
    without,
)
from toys import ToyGenerator

import gtimm
from gtimm import Missing, MultimodalDataset, Pipeline, load_dataset, preset
from gtimm.core.errors import IncompatibleError
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool, Request, Requests
from gtimm.core.prompts import plan_requests
from gtimm.core.registry import registry
from gtimm.experiments.methods import METHODS

SITUATIONS = ("any pattern", "one class", "one row", "nothing at test", "nothing at all")
Data = tuple[MultimodalDataset, list[MultimodalDataset]]
pytestmark = pytest.mark.usefixtures("_quiet")


def situation(name: str, count: int) -> Data:
    """Training rows, and evaluation rows the first of which has nothing."""
    train, test = rows(count=count), rows(12, count, seed=1)
    alike = rows(18, count, only=1)
    return {
        "any pattern": (train, [test]),
        "one class": (alike, [test, alike]),
        "one row": (train.subset([1]), [test]),
        "nothing at test": (train, [without(test), test]),
        "nothing at all": (without(train), [test, without(test)]),
    }[name]


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion(fusion: str, count: int, name: str, tmp_path: Path) -> None:
    train, tests = situation(name, count)
    keeps_its_promises(pipeline("regression", fusion, eval_imputer="retrieval"), train, tests, tmp_path / "model")
    if fusion not in NEED_ALL and name != "nothing at test":
        keeps_its_promises(
            pipeline(None, fusion, eval_imputer=None if fusion != "dropout" else "zero"), train, tests, tmp_path / "gaps"
        )


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("imputer", IMPUTERS)
def test_every_fill(imputer: str, count: int, name: str, bank: Path, tmp_path: Path) -> None:
    train, tests = situation(name, count)
    fills = imputer_of(imputer, count, bank)
    pipe = pipeline(fills, "attention", eval_imputer=judge_of(imputer, fills))
    if imputer in OF_A_BANK and count == 1:
        with pytest.raises(IncompatibleError, match="compares items of 'image'"):
            pipe.fit(train)
        return
    keeps_its_promises(pipe, train, tests, tmp_path / "model")


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("balance", ["ogm-ge", "agm"])
def test_every_balance(balance: str, count: int, name: str, tmp_path: Path) -> None:
    train, tests = situation(name, count)
    keeps_its_promises(pipeline("zero", "late", balance=balance), train, tests, tmp_path / "model")


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_prompts(count: int, name: str, tmp_path: Path) -> None:
    digits = load_dataset("digits").train.subset(np.arange(12))
    words = [digits.classes[c] for c in digits.labels]
    given: dict[str, tuple[str, Sequence[Any]]] = {
        "image": ("image", [digits.payload("image", r) for r in range(12)]),
        "audio": ("audio", [digits.payload("audio", r) for r in range(12)]),
        "text": ("text", words),
        "photo": ("image", [digits.payload("image", r) for r in range(11, -1, -1)]),
    }
    given = dict(list(given.items())[:count])
    random = np.random.default_rng(0)
    there = random.random((12, 4)) < 0.7
    there[0] = False

    def data(chosen: Any, mask: Any, only: int | None = None) -> MultimodalDataset:
        parts = {m: [values[r] if mask[r, i] else None for r in chosen] for i, (m, (_, values)) in enumerate(given.items())}
        labels = [int(digits.labels[r]) % 3 if only is None else only for r in chosen]
        return MultimodalDataset.from_arrays(parts, labels, classes=CLASSES, kinds={m: kind for m, (kind, _) in given.items()})

    every, nothing = range(12), np.zeros((12, 4), bool)
    test = data(every, there)
    train, tests = {
        "any pattern": (test, [test]),
        "one class": (data(every, there, 1), [test]),
        "one row": (data([3], ~nothing), [test]),
        "nothing at test": (test, [data(every, nothing), test]),
        "nothing at all": (data(every, nothing), [test]),
    }[name]
    pipe = Pipeline("imagebind-tiny", "zero", "missing-aware", "zero", train={"epochs": 1, "batch_size": 4}, device="cpu")
    keeps_its_promises(pipe, train, tests, tmp_path / "model")


class ToyPainter(ToyGenerator):
    """The toy generator, beside prompts too."""

    info: ClassVar[Info] = Info(kinds=("image",), items="request", needs_label=True, depths=("pooled", "last_block"))

    def fingerprint(self) -> str:
        return "toy-painter"


class ToySpeaker(ToyPainter):
    """Makes a sound of one level from the request alone."""

    info: ClassVar[Info] = Info(kinds=("audio",), items="request", needs_label=True, depths=("pooled", "last_block"))

    def fingerprint(self) -> str:
        return "toy-speaker"

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        strategy = registry("prompts").create(self.prompts)
        requests, owner = plan_requests(strategy, view.classes, "audio", self.per_class, 1.0, self.seed)
        return Pool.by_class(Requests(requests), np.array(owner), view.labels, len(view.classes))

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        return lambda batch: [(np.full((1, 80), (1 + r.seed % 7) / 8, np.float32), 8000) for r in batch]


@pytest.fixture
def generators() -> dict[str, Any]:
    """By kind, what generates it; nothing here writes texts or vectors, so for these one of another kind, to be refused."""
    gtimm.register("imputers", "toy-speaker", ToySpeaker)
    gtimm.register("imputers", "toy-painter", ToyPainter)
    painter = {"name": "toy-painter", "per_class": 2}
    return {"image": painter, "audio": {"name": "toy-speaker", "per_class": 2}, "text": painter, "left": painter}


def media(count: int, size: int, seed: int = 0, *, sets: bool = False, only: int | None = None) -> MultimodalDataset:
    """Rows of an image, a sound, a text and a vector, whose first has nothing; as many of them as `count`."""
    random = np.random.default_rng(seed)
    kinds = dict(list({"text": "text", "image": "image", "audio": "audio", "left": "vector"}.items())[:count])
    labels = np.arange(size) % 3 if only is None else np.full(size, only)
    parts: dict[str, list[Any]] = {m: [] for m in kinds}
    for row, label in enumerate(labels.tolist()):
        values: dict[str, Any] = {
            "image": np.full((4, 4, 3), 80 * label + random.integers(0, 9), np.uint8),
            "audio": (np.full((1, 80), label / 4 + 0.1, np.float32), 8000),
            "text": f"about {CLASSES[label]} {row}",
            "left": np.eye(4, dtype=np.float32)[label],
        }
        for m, part in parts.items():
            part.append(None if row == 0 or random.random() < 0.3 else values[m])
    named: Any = [{0: ["ant"], 1: ["ant", "bee"], 2: []}[c] for c in labels.tolist()] if sets else labels
    return MultimodalDataset.from_arrays(parts, named, classes=CLASSES, kinds=kinds, name="media")


TARGETS = ("text", "image", "audio", "left")
CASES = [(target, count) for count in (2, 3, 4) for target in TARGETS[:count]]


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.fusion != "missing-aware"])
@pytest.mark.parametrize(("target", "count"), CASES)
def test_every_preset_whichever_modality_is_missing(
    target: str, count: int, name: str, generators: dict[str, Any], tmp_path: Path
) -> None:
    made = METHODS[name].generates
    for sets in (False, True):
        train, test = media(count, 30, sets=sets), media(count, 12, 1, sets=sets)
        pipe = preset(name, train, target, generators[target], rate=0.3, backbone="toy", train=FAST, device="cpu")
        if (made and target in ("text", "left")) or (name == "zero-fill-payload" and target == "left"):
            with pytest.raises(IncompatibleError, match=r"fills image|no empty payload"):
                pipe.fit(train, test)
            continue
        keeps_its_promises(pipe, train, [test], tmp_path / f"model {sets}")
    alike, nothing = media(count, 18, 3, only=1), without(media(count, 12, 1))
    if (
        not METHODS[name].complete_rows
        and not (made and target in ("text", "left"))
        and (name, target) != ("zero-fill-payload", "left")
    ):
        again = preset(name, alike, target, generators[target], rate=0.3, backbone="toy", train=FAST, device="cpu")
        keeps_its_promises(again, alike, [nothing, alike], tmp_path / "alike")


@pytest.mark.parametrize("target", ["image", "audio"])
def test_the_preset_of_prompts_whichever_modality_is_missing(target: str, generators: dict[str, Any], tmp_path: Path) -> None:
    digits = load_dataset("digits").train.subset(np.arange(24))
    parts: dict[str, list[Any]] = {m: [None, *(digits.payload(m, r) for r in range(1, 24))] for m in digits.modalities}
    data = MultimodalDataset.from_arrays(parts, digits.labels % 3, classes=CLASSES)
    options: dict[str, Any] = {"backbone": "imagebind-tiny", "train": {"epochs": 1}, "device": "cpu"}
    pipe = preset("gti-mm-prompts", data, target, generators[target], **options)
    keeps_its_promises(pipe, data.with_missing(Missing({target: 0.5}, allow_empty=True)), [data], tmp_path / "model")


def test_every_label_imputer_is_known_as_one(bank: Path) -> None:
    for name in IMPUTERS:
        needs = [one.needs_label() for one in pipeline(imputer_of(name, 3, bank), "score").imputers]
        assert any(needs) == (name in BY_LABEL)
