"""One Ray cluster of two cores for all tests here that ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """Workers can import what the tests can; the GPU is there by name alone, for what asks for a share."""
    ray = pytest.importorskip("ray", reason="the extra gtimm[ray] is not installed")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield ray
        ray.shutdown()
