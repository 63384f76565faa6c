"""Files are whole or not there, and digests follow content."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from gtimm.core import files
from gtimm.core.errors import StoreError
from gtimm.core.files import default_home, entries, file_digest, folder_digest, sweep, whole_file, write_json
from gtimm.core.seeding import stable_seed, stream, torch_seeded


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    with whole_file(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "new"
    with suppress(KeyError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Choose another folder"), whole_file(tmp_path / "file" / "x"):
        pass


def test_json_is_readable_by_people(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ä": [1]})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"ä": [1]}
    assert "ä" in (tmp_path / "a.json").read_text("utf-8")


def test_digests_follow_names_and_content_of_the_chosen_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.json").write_text("1")
    before = folder_digest(tmp_path, (".json",))
    (tmp_path / "notes.md").write_text("ignored")
    assert folder_digest(tmp_path, (".json",)) == before
    (tmp_path / "sub" / "a.json").rename(tmp_path / "sub" / "b.json")
    assert folder_digest(tmp_path, (".json",)) != before
    (tmp_path / "sub" / "b.json").rename(tmp_path / "sub" / "a.json")
    (tmp_path / "sub" / "a.json").write_text("22")
    assert folder_digest(tmp_path, (".json",)) != before
    with pytest.raises(StoreError, match="cannot be read"):
        file_digest(tmp_path / "gone")


def test_the_store_is_in_the_users_cache_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTIMM_HOME", "/somewhere")
    assert default_home() == Path("/somewhere")
    monkeypatch.delenv("GTIMM_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_home() == Path("/cache/gtimm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_home() == Path(os.path.expanduser("~")) / ".cache" / "gtimm"


def test_streams_are_named_stable_and_independent() -> None:
    assert stable_seed(0, "a") == 1481238324449861677
    assert stable_seed(0, "a") != stable_seed(0, "b") != stable_seed(1, "b")
    assert stable_seed("a", "b") != stable_seed("ab")
    np.testing.assert_array_equal(stream(1, "x").random(4), stream(1, "x").random(4))
    assert (stream(1, "x").random(4) != stream(1, "y").random(4)).all()


def test_a_seeded_block_repeats_and_leaves_the_global_state() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with torch_seeded(7, "weights"):
            drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_a_killed_writer_left_is_no_content_and_goes_when_it_is_old(tmp_path: Path) -> None:
    with whole_file(tmp_path / "config.yaml") as temporary:
        left = tmp_path / f"{temporary.name}"
        left.write_text("half")
        assert entries(tmp_path) == []
        assert sweep(tmp_path) == 0
        os.utime(left, (0, 0))
        assert sweep(tmp_path) == 4
        left.write_text("whole")
    assert [path.name for path in entries(tmp_path)] == ["config.yaml"]


@pytest.mark.parametrize("name", ["9" * 300, "a\0b"], ids=["too long", "NUL"])
def test_names_that_no_file_can_have_are_of_no_file(name: str, tmp_path: Path) -> None:
    assert not files.is_file(tmp_path / name)
    assert not files.is_dir(tmp_path / name)
