"""The kit passes all prompts of ours, and each check fails for prompts that break their promise, and for that one alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from broken import blames, failing
from pydantic import ConfigDict

from gtimm import MultimodalDataset
from gtimm.core.plugin import Info
from gtimm.core.prompts import Prompts, RowPrompts
from gtimm.core.registry import registry
from gtimm.testing import CLASSES, PROMPT_CHECKS, ROW_PROMPT_CHECKS, check_prompts

WORDS = ("old", "new", "red")
counter = itertools.count()
OURS: list[Any] = [
    "label",
    {"name": "label", "performers": []},
    {"name": "label", "templates": ["{action}!", "{performer} {action}"]},
    "domain",
    {"name": "domain", "performers": []},
    {"name": "descriptions", "given": {name: [f"A {name} sits.", f"One more {name}."] for name in CLASSES}},
    "text",
    {"name": "text", "modality": "caption", "templates": ["A photo of {text}", "{text}"]},
]


@pytest.mark.parametrize("spec", OURS, ids=str)
def test_all_prompts_of_ours_keep_every_promise(spec: Any) -> None:
    check_prompts(registry("prompts").create(spec))


def test_all_prompts_of_ours_are_tried_here() -> None:
    ours = {name for name, entry in registry("prompts").view.items() if entry.distribution == "gtimm"}
    assert ours == {spec if isinstance(spec, str) else spec["name"] for spec in OURS}


def test_prompts_from_a_file_keep_every_promise_with_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "said.yaml"
    path.write_text("YoYo: [A toy.]\nArchery: [A bow., An arrow.]\n")
    check_prompts(registry("prompts").create({"name": "descriptions", "file": str(path)}), ["YoYo", "Archery"])


class Honest(Prompts):
    info: ClassVar[Info] = Info(kinds=("image", "audio"), licence="MIT")

    words: tuple[str, ...] = WORDS

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [f"{self.words[i % len(self.words)]} {label} ({kind})" for i in range(count)]


class OneMore(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return super().prompts(label, kind, max(count, 1), seed)


class Blank(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [f"a {label}", " ", f"the {label}", *super().prompts(label, kind, count, seed)][:count]


class Backwards(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return super().prompts(label, kind, count, seed)[::-1]


class GoesOn(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        legacy: Any = np.random.get_state()
        return [f"{prompt} {legacy[1][0]}" for prompt in super().prompts(label, kind, count, seed)]


class Rolls(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        np.random.random()
        return super().prompts(label, kind, count, seed)


TOLD: dict[str, int] = {}


class LooksAround(Honest):
    def prepare(self, classes: Sequence[str]) -> None:
        TOLD["count"] = len(classes)

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [f"{prompt}, one of {TOLD['count']}" for prompt in super().prompts(label, kind, count, seed)]


class Alike(Honest):
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return super().prompts("thing", kind, count, seed)


class Sorts(Honest):
    def prepare(self, classes: Sequence[str]) -> None:
        if isinstance(classes, list):
            classes.sort()


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="ignore")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info(kinds=("image",), licence="")


class ByRow(RowPrompts):
    info: ClassVar[Info] = Info(kinds=("image",), licence="MIT")

    def texts(self, view: Any, target: str) -> list[str | None]:
        there = view.present("caption")
        return [view.payload("caption", row) if there[row] else None for row in range(view.rows)]

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        return [label] * count


class OneShort(ByRow):
    def texts(self, view: Any, target: str) -> list[str | None]:
        found = super().texts(view, target)
        return found if view.present("caption").all() else found[:-1]


class EmptyTexts(ByRow):
    def texts(self, view: Any, target: str) -> list[str | None]:
        return [text or "" for text in super().texts(view, target)]


class Numbers(ByRow):
    def texts(self, view: Any, target: str) -> list[str | None]:
        return [None if text is None else f"{row}: {text}" for row, text in enumerate(super().texts(view, target))]


class ReadsSealed(ByRow):
    def texts(self, view: Any, target: str) -> list[str | None]:
        return [view._data._payloads["caption"].values[row] for row in range(view.rows)]


class ReadsLabels(ByRow):
    def texts(self, view: Any, target: str) -> list[str | None]:
        labels = view._data.labels
        return [None if text is None else f"{text} {labels[row]}" for row, text in enumerate(super().texts(view, target))]


BROKEN = [
    (OneMore(), "check_as_many_as_asked", "0 were asked for"),
    (Blank(), "check_as_many_as_asked", "is blank"),
    (Backwards(), "check_budgets_nest", "do not begin the list"),
    (GoesOn(), "check_same_seed_same_result", "equal options and seed differ"),
    (Rolls(), "check_global_randomness_is_left_alone", "global random generator"),
    (LooksAround(), "check_other_classes_change_nothing", "the only class"),
    (Alike(), "check_classes_differ", "the same prompts"),
    (Sorts(), "check_input_is_not_mutated", "changed the list of classes"),
    (LosesOptions(words=("big",)), "check_options_round_trip", "became LosesOptions"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]
BY_ROW = [
    (OneShort(), "check_a_text_or_none_for_every_row", "23 texts for 24 rows"),
    (EmptyTexts(), "check_a_text_or_none_for_every_row", "neither text nor None"),
    (Numbers(), "check_rows_stand_alone", "among other rows"),
    (ReadsSealed(), "check_sealed_payloads_are_never_read", "of 'caption' went into"),
    (ReadsLabels(), "check_no_label_is_used", "Labels went into"),
]


@pytest.mark.parametrize(("prompts", "name", "message"), [*BROKEN, *BY_ROW], ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(prompts: Prompts, name: str, message: str) -> None:
    blames(prompts, name, message)


def test_every_check_has_somebody_who_breaks_it_and_honest_ones_keep_all() -> None:
    assert {check.__name__ for check in PROMPT_CHECKS} == {name for _, name, _ in BROKEN}
    assert {check.__name__ for check in ROW_PROMPT_CHECKS} == {name for _, name, _ in BY_ROW}
    assert failing(Honest(words=("big", "small"))) == failing(ByRow()) == {}


def test_rows_without_any_text_prove_nothing() -> None:
    class Mute(ByRow):
        def texts(self, view: Any, target: str) -> list[str | None]:
            return [None] * view.rows

    blames(Mute(), "check_a_text_or_none_for_every_row", "No row has a text")


def test_rows_of_ones_own_are_used() -> None:
    data = MultimodalDataset.from_arrays(
        {"image": [np.zeros((2, 2, 3), np.uint8)] * 6, "note": ["a"] * 6}, ["x", "y"] * 3, kinds={"note": "text"}
    )
    check_prompts(registry("prompts").create("text"), data=data)
