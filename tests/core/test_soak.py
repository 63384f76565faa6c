"""Nothing is lost by kills, over all forms of files together; `make soak` does a thousand."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from soak import Soak
from soak_works import works


@pytest.mark.parametrize("kills", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_what_is_killed_again_and_again_ends_as_if_it_never_was(tmp_path: Path, kills: int) -> None:
    (tmp_path / "sources").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        soak = Soak(tmp_path / "soak", works(tmp_path / "sources"), seed=kills)
        soak.run(kills)
    for name, ends in soak.ends.items():
        print(f"{name}: {ends['killed']} killed, {ends['done']} done")
        assert ends["killed"]
