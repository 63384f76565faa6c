"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import gtimm

PARTS = ("core", "imputers", "fusion", "prompts", "engines", "data", "backbones", "balance", "cli", "experiments", "report")
MODULES = [m.name for part in PARTS for m in pkgutil.walk_packages([f"{gtimm.__path__[0]}/{part}"], f"gtimm.{part}.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("name", ["backbone", "engine", "fusion", "imputer", "prompts", "plugin", "pipeline", "missing.masks"])
def test_what_users_extend_has_an_example(name: str) -> None:
    assert doctest.testmod(import_module(f"gtimm.core.{name}")).attempted > 0
