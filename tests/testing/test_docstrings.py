"""The examples in the docstrings of the kit, the licences and the details are true."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "gtimm.core.details",
        "gtimm.core.licences",
        *(f"gtimm.testing.{name}" for name in ("imputer", "backbone", "fusion", "prompts")),
    ],
)
def test_examples_give_what_they_show(module: str) -> None:
    failed, attempted = doctest.testmod(import_module(module))
    assert attempted
    assert not failed
