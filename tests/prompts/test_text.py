"""A row's own text becomes its prompt, without labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.prompts import plan_rows
from gtimm.core.registry import registry
from gtimm.prompts.text import TextPrompts


class Captions:
    """A view of captions (None: absent), by modality, beside images that nobody has; reading what is absent fails."""

    labels = None

    def __init__(self, **texts: list[str | None]) -> None:
        self._texts = texts
        self.rows = len(next(iter(texts.values()), []))
        self.modalities = ("image", *texts)

    def kind(self, modality: str) -> str:
        return "image" if modality == "image" else "text"

    def present(self, modality: str) -> np.ndarray:
        return np.array([False if modality == "image" else t is not None for t in next(iter(self._texts.values()))])

    def payload(self, modality: str, row: int) -> Any:
        value = self._texts[modality][row]
        assert value is not None
        return value


def test_the_caption_is_the_prompt() -> None:
    view = Captions(text=["a {flooded}  street", None, "  ", "a dog", "x" * 900])
    pool = plan_rows(registry("prompts").create("text"), view, "image", 2, (1, 5), 0)
    assert pool.counts().tolist() == [2, 0, 0, 2, 2]
    assert [r.prompt for r in pool.items.values] == ["a {flooded} street", "a dog", "x" * 900] * 2
    assert len({r.seed for r in pool.items.values}) == 6


def test_templates_take_turns() -> None:
    found = TextPrompts(templates=("{text}", "A photo of {text}")).prompts("a dog", "image", 4, 0)
    assert sorted(found) == ["A photo of a dog"] * 2 + ["a dog"] * 2


def test_the_text_must_be_clear() -> None:
    two = Captions(caption=["a"], title=["b"])
    with pytest.raises(IncompatibleError, match=r"caption, title.*option 'modality'"):
        TextPrompts().texts(two, "image")
    assert TextPrompts(modality="title").texts(two, "image") == ["b"]
    with pytest.raises(IncompatibleError, match="Did you mean 'title'"):
        TextPrompts(modality="titel").texts(two, "image")
    with pytest.raises(IncompatibleError, match="none"):
        TextPrompts().texts(Captions(text=["a"]), "text")


@pytest.mark.parametrize(("templates", "message"), [((), "empty list"), (("photo",), "lacks"), (("{label} {text}",), "unknown")])
def test_templates_that_do_not_fit_are_refused(templates: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextPrompts(templates=templates)
