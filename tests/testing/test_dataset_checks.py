"""The kit passes the embedded data (what one brings: `tests/data`); each check fails for a data set that breaks its promise alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from broken import blames, failing
from pydantic import ConfigDict

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.plugin import Info
from gtimm.core.registry import registry
from gtimm.core.seeding import stream
from gtimm.testing import DATASET_CHECKS, check_dataset

CLASSES = ("ant", "bee")


def test_the_embedded_data_keeps_every_promise() -> None:
    check_dataset(registry("datasets").create("digits"))


@pytest.mark.slow
def test_the_other_embedded_data_keeps_every_promise() -> None:
    check_dataset(registry("datasets").create("digits-uci"))


def test_every_data_set_of_ours_is_tried_where_its_files_are_made() -> None:
    tests = [path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].glob("*/test_*.py")]
    tried = {
        name for text in tests for name in re.findall(r'\bcheck_dataset\(\s*(?:\w+\("datasets"\)\.create\()?"?([\w-]+)', text)
    }
    ours = [(name, entry) for name, entry in registry("datasets").view.items() if entry.distribution == "gtimm"]
    assert [name for name, entry in ours if not {name, entry.target.split(":")[1]} & tried] == []


class Honest(DatasetLoader):
    info: ClassVar[Info] = Info(licence="MIT")

    rows: int = 12

    def load(self) -> Splits:
        return Splits(*(self.part(name) for name in ("train", "val", "test")))

    def part(self, name: str) -> MultimodalDataset:
        random = stream(0, name)
        images: list[Any] = [random.integers(0, 255, (4, 4, 3), np.uint8) for _ in range(self.rows)]
        texts = [None if row == 1 else f"{name} {row}" for row in range(self.rows)]
        return self.made(name, {"image": images, "text": texts})

    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        return MultimodalDataset.from_arrays(parts, np.arange(self.rows) % 2, classes=CLASSES, name=name)


class OtherModalities(Honest):
    def part(self, name: str) -> MultimodalDataset:
        found = super().part(name)
        if name != "test":
            return found
        return self.made(name, {"image": [found.payload("image", row) for row in range(self.rows)]})


class Unlabelled(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        found = super().made(name, parts)
        if name == "val":
            found.labels = None
        return found


class OutsideLabels(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        found = super().made(name, parts)
        assert found.labels is not None
        found.labels[3] = 2
        return found


class Shuffles(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        legacy: Any = np.random.get_state()
        order = np.random.default_rng(legacy[1][0]).permutation(self.rows)
        return super().made(name, parts).subset(order)


class Rolls(Honest):
    def part(self, name: str) -> MultimodalDataset:
        np.random.random()
        return super().part(name)


class Leaks(Honest):
    def part(self, name: str) -> MultimodalDataset:
        return super().part("train" if name == "test" else name)


class HalfTruths(list[Any]):
    """Payloads that say that all are there."""

    def there(self) -> Any:
        return np.ones(len(self), bool)


class SaysAllIsThere(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        return MultimodalDataset(
            {"image": parts["image"], "text": HalfTruths(text or "  " for text in parts["text"])},
            {"image": "image", "text": "text"},
            np.arange(self.rows) % 2,
            CLASSES,
            name=name,
        )


class Damaged(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        parts["image"][5] = f"no picture of {name}".encode()
        return super().made(name, parts)


class Wears(list[Any]):
    """Pictures that fade when they are read."""

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        self[index] = value // 2
        return value


class Fades(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        kinds = {"image": "image", "text": "text"}
        return MultimodalDataset({**parts, "image": Wears(parts["image"])}, kinds, np.arange(self.rows) % 2, CLASSES, name=name)


class Sticky(MultimodalDataset):
    def with_missing(self, missing: Any, seed: int = 0) -> MultimodalDataset:
        return self


class CannotBeSealed(Honest):
    def made(self, name: str, parts: dict[str, Any]) -> MultimodalDataset:
        kinds = {"image": "image", "text": "text"}
        return Sticky(parts, kinds, np.arange(self.rows) % 2, CLASSES, name=name)


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="ignore")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info(licence="")


BROKEN = [
    (OtherModalities(), "check_splits_agree", "test has"),
    (Unlabelled(), "check_labels_are_classes", "val has no labels"),
    (OutsideLabels(), "check_labels_are_classes", "row 3 has label 2"),
    (Shuffles(), "check_same_options_same_rows", "train differs"),
    (Rolls(), "check_global_randomness_is_left_alone", "global random generator"),
    (Leaks(), "check_no_row_is_in_two_splits", "train, row 0, and test, row 0"),
    (SaysAllIsThere(), "check_what_is_present_can_be_read", "said to be present and is '  '"),
    (Damaged(), "check_what_is_present_can_be_read", "MediaError"),
    (Fades(), "check_reading_changes_nothing", "another the second time"),
    (CannotBeSealed(), "check_rows_can_be_sealed", "12 rows left, not 6"),
    (LosesOptions(rows=14), "check_options_round_trip", "became LosesOptions"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]


@pytest.mark.parametrize(("loader", "name", "message"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(loader: DatasetLoader, name: str, message: str) -> None:
    blames(loader, name, message)


def test_every_check_has_somebody_who_breaks_it_and_an_honest_one_keeps_all() -> None:
    assert {check.__name__ for check in DATASET_CHECKS} == {name for _, name, _ in BROKEN}
    assert failing(Honest(rows=14)) == {}
