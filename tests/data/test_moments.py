"""Moments in Time in its published form: the most frequent classes, films with sound, and mistakes named with their line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from films import film

from gtimm import load_dataset
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.media import load_audio, load_image
from gtimm.data import moments
from gtimm.data.moments import MomentsInTime
from gtimm.testing import check_dataset

COUNTS = {"clapping": 6, "adult+female+singing": 5, "barking": 5, "boiling": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes; each source gives two films, and one film of each class has no sound."""
    root = tmp_path_factory.mktemp("moments")
    made = {name: film(root / f"{name}.mp4", 0.6, sound=name == "sound").read_bytes() for name in ("sound", "mute")}
    (root / "annotations").mkdir()
    for part, name in (("training", "trainingSet.csv"), ("validation", "validationSet.csv")):
        lines = []
        for label, count in COUNTS.items():
            (root / part / label).mkdir(parents=True)
            for number in range(2 * count if part == "training" else 2):
                file = f"yt-{label[:3]}{part[0]}{number // 2}_{number % 2 * 30}.mp4"
                mute = number == (2 * count - 1 if part == "training" else 1)
                (root / part / label / file).write_bytes(made["mute" if mute else "sound"])
                lines.append(f"{label}/{file},{label},{3 + number % 2},0\n")
        (root / "annotations" / name).write_text("".join(lines))
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def add(root: Path, line: str, name: str = "trainingSet.csv") -> None:
    with (root / "annotations" / name).open("a") as file:
        file.write(line + "\n")


def test_the_most_frequent_classes_with_sound_are_taken(whole: Path) -> None:
    data = load_dataset("moments", root=str(whole), classes=3, val_share=0.3)
    assert data.train.classes == ("adult+female+singing", "barking", "clapping")
    assert len(data.train) + len(data.val) == 2 * 16 - 3
    assert len(data.test) == 3
    assert data.facts["clips without sound"] == "6, left out"
    assert data.facts["classes"] == "the 3 most frequent of 4"
    row = data.test[0]
    assert load_image(row["image"]).size == (96, 64)
    assert load_audio(row["audio"])[0].shape[1] > 8000
    assert load_dataset("moments", root=str(whole), classes=2).train.classes == (
        "adult+female+singing",
        "clapping",
    )  # ties by name
    named = load_dataset("moments", root=str(whole), classes=["boiling", "barking"])
    assert named.train.classes == ("barking", "boiling")


def test_lines_of_the_lists_are_counted_whatever_classes_are_chosen(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = MomentsInTime(root=str(whole), classes=2)
    assert loader.counts(loader.load()) == {"clips, training": 40, "clips, validation": 8, "classes": 4}
    monkeypatch.setattr(moments, "PAPER", (2, 3))
    assert MomentsInTime(root=str(whole), classes=3).counts(load_dataset("moments", root=str(whole), classes=3)) == {
        "clips, training": 40,
        "clips, validation": 8,
        "classes": 4,
        "clips with sound, 3 classes": 32,
    }


def test_films_of_one_source_validate_together(whole: Path) -> None:
    data = load_dataset("moments", root=str(whole), classes=4, val_share=0.4, silent="hole")
    sources = [{name.rsplit("_", 1)[0] for name in split.extra["clip"]} for split in (data.train, data.val)]
    assert not sources[0] & sources[1]
    assert len(sources[1]) == 2 + 2 + 2 + 2
    assert int((~data.train.present("audio")).sum()) + int((~data.val.present("audio")).sum()) == 4


def test_lists_may_lie_beside_the_films(root: Path) -> None:
    for path in list((root / "annotations").iterdir()):
        path.rename(root / path.name)
    assert len(load_dataset("moments", root=str(root), classes=4).test) == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "filename,label,votes",
            r"trainingSet\.csv, line 41: the first column is 'filename', not <class>/<file>\.mp4\. The lists have no header",
        ),
        ("clapping/yt-clat0_0.mp4,clapping,3,0", r"line 41: 'training/clapping/yt-clat0_0' stands in .*line 1 too"),
        ("clapping/new.mp4,barking,3,0", r"line 41: the film is in the folder 'clapping' and labelled 'barking'"),
        ("clapping/new.mp4,clapping,3,0", r"line 41: .*new\.mp4 does not exist \(1 of 49 clips .*root="),
        ("../x.mp4,,3,0", r"line 41: the first column is '\.\./x\.mp4'"),
    ],
)
def test_lines_that_cannot_be_read_are_named(root: Path, line: str, message: str) -> None:
    add(root, line)
    with pytest.raises(DataError, match=message):
        load_dataset("moments", root=str(root), classes=4)


def test_classes_and_files_that_are_not_there_are_named(root: Path) -> None:
    for classes, message in ((1, "at least two"), (["clapping", "clapping"], "each once")):
        with pytest.raises(ConfigError, match=message):
            load_dataset("moments", root=str(root), classes=classes)
    with pytest.raises(DataError, match=r"has 4 classes, and classes=10 asks for more"):
        load_dataset("moments", root=str(root))
    with pytest.raises(DataError, match=r"no class 'claping'\. Did you mean 'clapping'"):
        load_dataset("moments", root=str(root), classes=["claping", "barking"])
    add(root, "waving/x.mp4,waving,3,0", "validationSet.csv")
    with pytest.raises(DataError, match=r"validationSet\.csv, line 9: class 'waving' is not in trainingSet\.csv"):
        load_dataset("moments", root=str(root), classes=4)
    (root / "annotations" / "validationSet.csv").unlink()
    with pytest.raises(DataError, match=r"validationSet\.csv does not exist\. root="):
        load_dataset("moments", root=str(root), classes=4)
    (root / "annotations" / "trainingSet.csv").write_text("")
    add(root, "clapping/a_1.mp4", "validationSet.csv")
    with pytest.raises(DataError, match="has no lines"):
        load_dataset("moments", root=str(root), classes=4)


def test_it_keeps_every_promise_of_a_data_set(whole: Path) -> None:
    check_dataset(
        MomentsInTime(root=str(whole), classes=3, val_share=0.3),
        expected_failed_checks={"check_no_row_is_in_two_splits": "all films here have the same content"},
    )
