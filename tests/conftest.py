"""One thread, a store folder for each test, and the toy strategies by name."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from toys import ToyBackbone, ToyGenerator, calls
from wheels import ROOT, Distributions, Environment, build, found

import gtimm
import gtimm.core.features.encoders
from gtimm.core.dataset import Splits, load_dataset
from gtimm.core.registry import BASES, registry

torch.set_num_threads(1)
settings.register_profile(
    "gtimm", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("gtimm")


@pytest.fixture(scope="session", autouse=True)
def _toys() -> None:
    gtimm.register("backbones", "toy", ToyBackbone, replace=True)
    gtimm.register("imputers", "toy-generator", ToyGenerator, replace=True)


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    """What a test registers is gone after it."""
    groups = [registry(group) for group in BASES]
    before = [(dict(group._entries), dict(group._loaded)) for group in groups]
    yield
    for group, (entries, loaded) in zip(groups, before, strict=True):
        group._entries, group._loaded = entries, loaded


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store folder of this test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("GTIMM_HOME", str(folder))
    gtimm.core.features.encoders._loaded.cache_clear()
    calls.clear()
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows of the data sets of reproductions."""
    from gtimm.experiments.reproduction import presets

    def load(name: str, **options: Any) -> Splits:
        whole, rows = load_dataset(name, **options), np.arange(80)
        return Splits(whole.train.subset(rows), whole.val.subset(rows[:20]), whole.test.subset(rows[:30]), whole.facts)

    monkeypatch.setattr(presets, "load_dataset", load)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist and the wheel of this tree; those in the folder `GTIMM_DIST`, where the tests run against these."""
    given = os.environ.get("GTIMM_DIST")
    return found(Path(given)) if given else build(ROOT, tmp_path_factory.mktemp("gtimm"))


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A virtual environment with the wheel, which sees the dependencies of this one and nothing of the tree."""
    return Environment.make(tmp_path_factory.mktemp("user") / "venv", distributions.wheel)
