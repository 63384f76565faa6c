"""Forked workers free nothing that is the parent's: its threads, which a frame of a film may have, are not there."""

from __future__ import annotations

import gc
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from forks import garbage

from gtimm.core.features.workers import Workers, can_fork, forking

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs fork")


def item(position: int) -> np.ndarray:
    gc.collect()
    return np.full(3, position)


def test_workers_leave_the_garbage_of_the_parent_alone(tmp_path: Path) -> None:
    with garbage(tmp_path / "freed") as freed, closing(Workers(item, 9, [np.full(3, 0)], 4, 2, 2)) as workers:
        blocks = [items.copy() for _, items in workers]
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0], np.arange(9))
    assert freed == [os.getpid()]


@pytest.mark.parametrize("collecting", [True, False])
def test_collection_is_as_it_was_after_a_fork(collecting: bool) -> None:
    if not collecting:
        gc.disable()
    try:
        with forking():
            assert not gc.isenabled()
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
