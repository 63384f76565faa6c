"""Films and sounds of a table are taken once, each file once, and the new table reads as the old one did."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from films import film
from PIL import Image

from gtimm import Column, MultimodalDataset
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.films.tables import prepare_tables
from gtimm.core.media import load_audio, load_image, load_still
from gtimm.core.table_files import read_table, write_table

MODALITIES = {"video": "clip", "audio": "clip", "note": Column("note", "audio"), "image": "photo", "text": "words"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for folder in ("films", "photos", "notes"):
        (root / folder).mkdir()
    for number in range(4):
        film(root / f"films/{number}.mp4", 0.8 + 0.2 * number, sound=number != 3)
        Image.new("RGB", (6, 4), (number, 0, 0)).save(root / f"photos/{number}.png")
        random = np.random.default_rng(number)
        soundfile.write(root / f"notes/{number}.flac", random.uniform(-0.5, 0.5, (44_100, 2)), 44_100)
    return root


def rows() -> pd.DataFrame:
    """Six rows: a film twice, one that is mute, holes everywhere."""
    return pd.DataFrame(
        {
            "clip": ["films/0.mp4", "films/1.mp4", "films/2.mp4", "films/3.mp4", "films/../films/0.mp4", None],
            "note": ["notes/0.flac", None, "notes/1.flac", "notes/2.flac", "notes/3.flac", "notes/0.flac"],
            "photo": [None, "photos/1.png", "photos/2.png", None, "photos/0.png", "photos/3.png"],
            "words": ['a "b", c', None, "d\te", "f", "g", "h"],
            "kind": list("ababab"),
        },
        dtype=object,
    )


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_new_table_has_what_the_old_one_had(root: Path, tmp_path: Path, ending: str) -> None:
    made = prepare_tables({"rows": rows()}, MODALITIES, tmp_path / "out", root=root, ending=ending, workers=2)
    assert (made.report.clips, made.report.made, made.report.silent, made.report.failures) == (8, 8, 1, [])
    assert made.paths == {"rows": tmp_path / "out" / f"rows{ending}"}
    old = MultimodalDataset.from_frame(rows(), MODALITIES, "kind", root=root)
    new = MultimodalDataset.from_table(made.paths["rows"], made.modalities, "kind", root=made.root)
    assert new.modalities == old.modalities
    assert (new.kind("video"), new.kind("audio"), new.kind("note")) == ("image", "audio", "audio")
    np.testing.assert_array_equal(new.labels, old.labels)
    for modality in ("video", "note", "image", "text"):
        np.testing.assert_array_equal(new.present(modality), old.present(modality))
    assert new.present("audio").tolist() == [True, True, True, False, True, False]
    for row in range(6):
        if old.present("video")[row]:
            frame = load_still("video", old.payload("video", row))
            np.testing.assert_array_equal(np.asarray(load_image(new.payload("video", row))), np.asarray(frame))
        if new.present("audio")[row]:
            samples, rate = load_audio(old.payload("audio", row))
            found, found_rate = load_audio(new.payload("audio", row))
            assert rate == found_rate == 16_000
            np.testing.assert_allclose(found, samples[:1], atol=0.51 / 32768)
        if old.present("note")[row]:
            found, rate = load_audio(new.payload("note", row))
            assert (found.shape, rate) == ((1, 16_000), 16_000)
        if old.present("image")[row]:
            assert os.path.samefile(old.payload("image", row), new.payload("image", row))
    assert [row.get("text") for row in new] == [row.get("text") for row in old]


def test_without_other_files_paths_are_relative_to_the_new_table(root: Path, tmp_path: Path) -> None:
    made = prepare_tables({"rows": rows()}, {"video": "clip", "audio": "clip"}, tmp_path / "out", root=root, workers=1)
    assert made.root == tmp_path / "out"
    data = MultimodalDataset.from_table(made.paths["rows"], made.modalities, "kind")
    assert int(data.present("video").sum()) == 5
    assert (tmp_path / "out/frames/films/0.mp4.png").is_file()
    assert not (tmp_path / "out/audio/films/3.mp4.wav").exists()


def test_the_next_run_keeps_what_is_there_and_takes_what_is_new(root: Path, tmp_path: Path) -> None:
    first = rows().head(1)
    chosen = {"video": "clip", "audio": "clip"}
    assert prepare_tables({"t": first}, chosen, tmp_path / "out", root=root, workers=1).report.made == 1
    again = prepare_tables({"train": first, "test": rows()}, chosen, tmp_path / "out", root=root, workers=1)
    assert (again.report.clips, again.report.kept, again.report.made) == (4, 1, 3)
    assert [len(read_table(again.paths[part])) for part in ("train", "test")] == [1, 6]


def test_films_that_cannot_be_decoded_leave_no_table_unless_they_may_be_holes(root: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    table = pd.DataFrame({"clip": [str(root / "films/0.mp4"), str(tmp_path / "bad.mp4")]})
    chosen = {"video": "clip", "audio": "clip"}
    made = prepare_tables({"t": table}, chosen, tmp_path / "out", workers=1)
    assert not made.paths
    assert not (tmp_path / "out/t.csv").exists()
    assert {(line["what"], Path(line["film"]).name) for line in made.report.failures} == {
        ("image", "bad.mp4"),
        ("audio", "bad.mp4"),
    }
    made = prepare_tables({"t": table}, chosen, tmp_path / "out", workers=1, skip_unreadable=True)
    assert len(made.report.failures) == 2
    data = MultimodalDataset.from_table(made.paths["t"], made.modalities)
    assert data.present("video").tolist() == data.present("audio").tolist() == [True, False]


def test_what_cannot_be_prepared_is_named(root: Path, tmp_path: Path) -> None:
    table, out = rows(), tmp_path / "out"
    with pytest.raises(ConfigError, match=r"No modality is of kind video or audio.*kind='video'"):
        prepare_tables({"t": table}, {"image": "photo", "text": "words"}, out, root=root)
    with pytest.raises(DataError, match=r"Table 't' has no column 'clips'\. Did you mean 'clip'"):
        prepare_tables({"t": table}, {"video": "clips"}, out, root=root)
    with pytest.raises(ConfigError, match=r"Table 't' has a column 'clip_frame' already"):
        prepare_tables({"t": table.assign(clip_frame="x")}, {"video": "clip"}, out, root=root)
    with pytest.raises(DataError, match=r"t, row 2, modality 'video': .*does not exist"):
        prepare_tables(
            {"t": table.assign(clip=[*table["clip"][:2], "films/9.mp4", None, None, None])}, {"video": "clip"}, out, root=root
        )
    with pytest.raises(DataError, match="t, row 0, modality 'video': 3 bytes is no path"):
        prepare_tables({"t": pd.DataFrame({"clip": [b"abc"]})}, {"video": "clip"}, out)
    assert not out.exists()


def test_tables_are_written_as_they_are_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ['x "y", z', "two\nlines", None], "b": ["1", "02", ""]}, dtype=object)
    for ending in (".csv", ".jsonl", ".parquet"):
        write_table(table, tmp_path / f"t{ending}")
        found = read_table(tmp_path / f"t{ending}")
        assert found.fillna("").to_numpy().tolist() == table.fillna("").to_numpy().tolist()
    write_table(table[["b"]].assign(c='"'), tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv")["c"].tolist() == ['"'] * 3
    with pytest.raises(DataError, match="line 3: a cell of a TSV holds no tab or line end"):
        write_table(table, tmp_path / "u.tsv")
    with pytest.raises(ConfigError, match="tables end in"):
        write_table(table, tmp_path / "u.txt")
    assert not (tmp_path / "u.tsv").exists()
