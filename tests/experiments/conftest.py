"""A bank made by somebody else, and quiet about what is on purpose."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from promises import CLASSES
from toys import picture

from gtimm.core.pool import Request


@pytest.fixture
def _quiet() -> Iterator[None]:
    """Rows that no candidate fills and classes without rows are warned of elsewhere; here they are on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message="The saved model holds embeddings")
        yield


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures by class; sets of classes are named as the labels of a table."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("bank")
    for name in (*CLASSES, "ant, bee"):
        (folder / name).mkdir()
        for i in range(2):
            Image.fromarray(picture(Request("image", name, i, 1.0))).save(folder / name / f"{i}.png")
    return folder
