"""MM-IMDb in its published form: several genres a film, its own splits, and what is wrong is named with its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gtimm import Pipeline, load_dataset
from gtimm.core.errors import ConfigError, DataError, MediaError
from gtimm.core.media import load_image
from gtimm.data.mmimdb import GENRES, MMIMDb
from gtimm.testing import check_dataset

FILMS: dict[str, tuple[str, list[str], list[str]]] = {
    # number: split, genres, plots
    "0111161": ("train", ["Crime", "Drama"], ["Two men.", "Two imprisoned men bond over a number of years."]),
    "0068646": ("train", ["Drama", "Crime"], ["An aging patriarch – “the Don” – hands over."]),
    "0000012": ("train", ["Short", "News"], ["A train arrives."]),
    "0050083": ("train", ["Comedy"], ["  ", "A joke."]),
    "0108052": ("dev", ["Film-Noir", "Drama"], ["A detective."]),
    "0167260": ("dev", ["Talk-Show"], ["A host talks."]),
    "0137523": ("test", ["Drama"], []),
    "0109830": ("test", ["Romance", "Comedy", "Drama"], ["He runs."]),
}


def write_mmimdb(root: Path) -> Path:
    """Write the files of the published form."""
    (root / "dataset").mkdir(parents=True)
    splits: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    random = np.random.default_rng(0)
    for key, (split, genres, plots) in FILMS.items():
        splits[split].append(key)
        film = {"genres": genres, "plot": plots, "title": "A film", "year": 1994}
        (root / "dataset" / f"{key}.json").write_text(json.dumps(film), encoding="utf-8")
        Image.fromarray(random.integers(0, 255, (40, 27, 3), np.uint8)).save(root / "dataset" / f"{key}.jpeg")
    (root / "split.json").write_text(json.dumps(splits), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mmimdb(tmp_path_factory.mktemp("mm") / "mmimdb")


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def edit(root: Path, key: str, **changes: Any) -> None:
    file = root / "dataset" / f"{key}.json"
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in content.items() if v != "gone"}))


def test_rows_genres_and_payloads_are_those_of_the_files(whole: Path) -> None:
    data = load_dataset("mmimdb", root=str(whole))
    for split, found in (("train", data.train), ("dev", data.val), ("test", data.test)):
        keys = [key for key, film in FILMS.items() if film[0] == split]
        assert len(found) == len(keys)
        assert found.multilabel
        assert found.classes == GENRES
        for row, key in enumerate(keys):
            genres, plots = FILMS[key][1:]
            assert {found.classes[c] for c in np.flatnonzero(found.labels[row])} == set(genres) & set(GENRES)
            assert found.payload("image", row) == str(whole / "dataset" / f"{key}.jpeg")
            written = [plot for plot in plots if plot.strip()]
            assert found[row].get("text") == (written[0] if written else None)
    assert not data.test.present("text")[0]
    assert np.asarray(load_image(data.train.payload("image", 0))).shape == (40, 27, 3)
    assert data.facts["genres left out"] == "News (1), Talk-Show (1)"
    assert data.facts["films without a genre"] == "1"


def test_there_are_the_23_genres_and_the_published_counts_of_the_literature() -> None:
    assert len(GENRES) == len(set(GENRES)) == MMIMDb.published["classes"] == 23
    assert MMIMDb.published["rows"] == sum(MMIMDb.published[split] for split in ("train", "val", "test"))


def test_the_longest_plot_can_be_the_text(whole: Path) -> None:
    found = load_dataset("mmimdb", root=str(whole), plot="longest").train
    assert found.payload("text", 0) == "Two imprisoned men bond over a number of years."
    with pytest.raises(ConfigError, match="plot"):
        load_dataset("mmimdb", root=str(whole), plot="shortest")


@pytest.mark.filterwarnings("ignore:No training row")
def test_films_with_one_set_of_genres_fill_for_one_another(whole: Path, tmp_path: Path) -> None:
    data = load_dataset("mmimdb", root=str(whole))
    assert data.train.groups()[0][0] == data.train.groups()[0][1]  # Crime and Drama, in either order
    pipe = Pipeline("imagebind-tiny", "hot-deck", train={"epochs": 1}, store=tmp_path, device="cpu")
    pipe.fit(data.train, missing={"image": 0.25})
    assert pipe.predict_proba(data.test).shape == (2, 23)


def test_what_is_not_there_is_named_with_what_to_do(root: Path) -> None:
    with pytest.raises(ConfigError, match="root"):
        load_dataset("mmimdb")
    with pytest.raises(DataError, match=r"nowhere does not exist\. root= must be the folder that holds split\.json"):
        load_dataset("mmimdb", root=str(root / "nowhere"))
    (root / "dataset" / "0068646.jpeg").unlink()
    with pytest.raises(DataError, match=r"split\.json, 'train': '0068646\.jpeg' is not in .*dataset\. root="):
        load_dataset("mmimdb", root=str(root))
    (root / "dataset" / "0111161.json").unlink()
    with pytest.raises(DataError, match=r"'0111161\.json' is not in"):
        load_dataset("mmimdb", root=str(root))
    shutil.rmtree(root / "dataset")
    with pytest.raises(DataError, match=r"dataset does not exist\. root="):
        load_dataset("mmimdb", root=str(root))


def test_the_folder_above_is_told_apart(whole: Path) -> None:
    with pytest.raises(DataError, match=r"Give root='.*mmimdb'"):
        load_dataset("mmimdb", root=str(whole.parent))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ["0111161"],\n "dev"}', r"split\.json, line 2 is no JSON"),
        ("[1]", r"split\.json holds list \[1\]; expected an object of train, dev, test"),
        ('{"train": ["0111161"], "test": []}', r"no list of films under 'dev'; it has 'train', 'test'"),
        ('{"train": ["0111161", 68646]}', r"split\.json, 'train', entry 1: 68646 is no film number"),
        ('{"train": ["../0111161"]}', r"entry 0: '\.\./0111161' is no film number"),
        ('{"train": ["0111161"], "dev": ["0111161"]}', r"'dev', entry 0: '0111161' stands in 'train' already"),
    ],
)
def test_a_split_of_another_form_is_named(root: Path, content: str, message: str) -> None:
    (root / "split.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset("mmimdb", root=str(root))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"genres": "gone"}, r"0068646\.json has no 'genres'\..* take '0068646' out"),
        ({"genres": "Drama"}, r"0068646\.json: 'genres' must be a list of texts; found str 'Drama'"),
        ({"plot": [1]}, r"'plot' must be a list of texts; found list \[1\]"),
    ],
)
def test_films_of_another_form_are_named(root: Path, changes: dict[str, Any], message: str) -> None:
    edit(root, "0068646", **changes)
    with pytest.raises(DataError, match=message):
        load_dataset("mmimdb", root=str(root))


def test_damaged_files_are_named(root: Path) -> None:
    film = root / "dataset" / "0068646.json"
    film.write_text('{"genres":\n ["Drama"')
    with pytest.raises(DataError, match=r"0068646\.json, line 2 is no JSON"):
        load_dataset("mmimdb", root=str(root))
    film.write_text("[]")
    with pytest.raises(DataError, match=r"0068646\.json holds list \[\]; expected an object"):
        load_dataset("mmimdb", root=str(root))
    film.write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match=r"0068646\.json is UTF-16, not UTF-8"):
        load_dataset("mmimdb", root=str(root))


def test_a_film_without_plots_has_a_hole_and_so_has_a_poster_that_cannot_be_decoded(root: Path) -> None:
    edit(root, "0109830", plot="gone")
    (root / "dataset" / "0109830.jpeg").write_bytes(b"no picture")
    found = load_dataset("mmimdb", root=str(root)).test
    assert not found.present("text").any()
    with pytest.raises(MediaError, match="0109830"):
        load_image(found.payload("image", 1))
    assert load_dataset("mmimdb", root=str(root), unreadable="missing").test.present("image").tolist() == [True, False]


def test_it_keeps_every_promise_of_a_data_set(whole: Path) -> None:
    check_dataset(MMIMDb(root=str(whole)))


def test_a_split_without_a_genre_is_named(root: Path) -> None:
    for key in ("0108052", "0167260"):
        edit(root, key, genres=["Adult"])
    with pytest.raises(DataError, match=r"split\.json, 'dev': no film has one of the 23 genres"):
        load_dataset("mmimdb", root=str(root))
