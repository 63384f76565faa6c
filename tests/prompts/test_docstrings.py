"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "gtimm.core.prompts",
        *(f"gtimm.prompts.{name}" for name in ("label", "domain", "descriptions", "text", "factors", "language")),
    ],
)
def test_examples_give_what_they_show(module: str) -> None:
    failed, attempted = doctest.testmod(import_module(module))
    assert attempted
    assert not failed
