"""ActivityNet's JSON: a row a segment, films found by id, lost films counted, and mistakes named with their entry."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import all_frames, film

from gtimm import load_dataset
from gtimm.core.errors import DataError
from gtimm.core.media import load_audio, load_image, payload_key
from gtimm.data.activitynet import LIST, ActivityNet
from gtimm.testing import check_dataset

LABELS = ("Archery", "Playing badminton")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    makers = {"mp4": {}, "mkv": {}, "mute": {"sound": False}}
    return {
        name: film(folder / f"{name}.{'mkv' if name == 'mkv' else 'mp4'}", 2.0, **more).read_bytes()
        for name, more in makers.items()
    }


def write(root: Path, films: dict[str, bytes], change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """Eight training films of two labels, four of validation and a test film without labels; the third film of training is lost."""
    (root / "videos" / "more").mkdir(parents=True)
    database: dict[str, Any] = {}
    for number in range(12):
        video, subset = f"a-{number:02d}_xyz", "training" if number < 8 else "validation"
        notes = [{"label": LABELS[number % 2], "segment": [0.2, 0.9]}, {"label": LABELS[number % 2], "segment": [1.0, 2.5]}]
        database[video] = {"subset": subset, "annotations": notes, "duration": 2.0, "resolution": "96x64", "url": "https://x"}
        if number == 5:
            (root / "videos" / f"v_{video}.mp4").write_bytes(films["mute"])
        elif number == 9:
            (root / "videos" / "more" / f"v_{video}.mkv").write_bytes(films["mkv"])
        elif number != 2:
            (root / "videos" / f"v_{video}.mp4").write_bytes(films["mp4"])
    database["a-00_xyz"]["annotations"].append({"label": LABELS[0], "segment": [1.5, 1.5]})
    database["test_000000"] = {"subset": "testing", "annotations": [], "duration": 5.0, "url": "https://x"}
    change(database)
    (root / LIST).write_text(json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    return root


@pytest.fixture
def root(tmp_path: Path, films: dict[str, bytes]) -> Path:
    return write(tmp_path / "activitynet", films)


@pytest.mark.filterwarnings("ignore:.*clips of activitynet are left out")
def test_rows_are_segments_with_the_frame_in_their_middle_and_their_sound(root: Path) -> None:
    data = load_dataset("activitynet", root=str(root))
    assert data.train.classes == tuple(sorted(LABELS))
    assert (len(data.train) + len(data.val), len(data.test)) == (12, 8)  # 16 of training; a film is lost and one is mute
    rows = {name: row for row, name in enumerate(data.test.extra["clip"])}
    first, second = rows["a-09_xyz/000"], rows["a-09_xyz/001"]
    path = root / "videos" / "more" / "v_a-09_xyz.mkv"
    times, frames, _ = all_frames(path)
    for row, middle in ((first, 0.55), (second, 1.75)):
        shown = max(i for i, time in enumerate(times) if time <= middle + 1e-6)
        np.testing.assert_array_equal(np.asarray(load_image(data.test.payload("image", row))), frames[shown])
    whole, rate = load_audio(path)
    np.testing.assert_array_equal(
        load_audio(data.test.payload("audio", first))[0], whole[:, round(0.2 * rate) : round(0.9 * rate)]
    )
    np.testing.assert_array_equal(load_audio(data.test.payload("audio", second))[0], whole[:, rate:])  # annotated beyond the end
    keys = {payload_key(kind, data.test.payload(kind, row)) for kind in ("image", "audio") for row in (first, second)}
    assert len(keys) == 4


def test_lost_and_mute_films_and_empty_segments_are_counted_and_warned_of(root: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"2 of 24 clips of activitynet are left out.*v_a-02_xyz\.mp4.*absent_clips"):
        data = load_dataset("activitynet", root=str(root))
    assert data.facts["clips without a film"] == "2 of 24: v_a-02_xyz.mp4"
    assert data.facts["clips without sound"] == "2, left out"
    assert data.facts["segments without length"] == "1, left out"
    assert {clip.group for clip in ActivityNet(root=str(root)).absent_clips()} == {"a-02_xyz"}
    with pytest.raises(DataError, match=r"'a-02_xyz', annotation 0: .*v_a-02_xyz\.mp4 does not exist .2 of 24"):
        load_dataset("activitynet", root=str(root), absent="error")


@pytest.mark.filterwarnings("ignore:.*clips of activitynet are left out")
def test_mute_films_may_stay_with_a_hole_and_validation_is_cut_by_film(root: Path) -> None:
    data = load_dataset("activitynet", root=str(root), silent="hole", val_share=0.5)
    parts = [{name.split("/")[0] for name in split.extra["clip"]} for split in (data.train, data.val, data.test)]
    assert len(parts[0] | parts[1]) == 7
    assert 3 <= len(parts[1]) <= 4
    assert not parts[0] & parts[1]
    assert parts[2] == {f"a-{number:02d}_xyz" for number in range(8, 12)}
    holes = [
        name
        for split in (data.train, data.val)
        for name, there in zip(split.extra["clip"], split.present("audio"), strict=True)
        if not there
    ]
    assert sorted(holes) == ["a-05_xyz/000", "a-05_xyz/001"]
    again = load_dataset("activitynet", root=str(root), silent="hole", val_share=0.5)
    assert list(again.val.extra["clip"]) == list(data.val.extra["clip"])


@pytest.mark.filterwarnings("ignore:.*clips of activitynet are left out")
def test_films_and_segments_of_the_list_are_counted_whether_they_are_there_or_not(root: Path) -> None:
    loader = ActivityNet(root=str(root))
    assert loader.counts(loader.load()) == {
        "videos, training": 8,
        "videos, validation": 4,
        "videos, testing": 1,
        "segments, training": 17,
        "segments, validation": 8,
        "segments, testing": 0,
        "classes": 2,
        "clips with sound": 20,
    }
    assert set(ActivityNet.published) <= set(loader.counts(loader.load()))


def rename(database: dict[str, Any], old: str, new: str) -> None:
    note = database["a-01_xyz"]["annotations"][0]
    note[new] = note.pop(old)


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "renamed field": (
        lambda d: rename(d, "segment", "segments"),
        r"'a-01_xyz', annotation 0: there is no 'segment' .*Did you mean 'segments'",
    ),
    "no subset": (lambda d: d["a-01_xyz"].pop("subset"), r"'a-01_xyz': there is no 'subset' among annotations, duration"),
    "other subset": (
        lambda d: d["a-01_xyz"].update(subset="train"),
        r"subset 'train' is none of training, .*Did you mean 'training'",
    ),
    "unknown label": (
        lambda d: d["a-08_xyz"]["annotations"][0].update(label="Archer"),
        r"'a-08_xyz', annotation 0: no training film .*'Archery'",
    ),
    "segment": (lambda d: d["a-01_xyz"]["annotations"][1].update(segment=[1, "2"]), r"annotation 1: the segment is \[1, '2'\]"),
    "label": (lambda d: d["a-01_xyz"]["annotations"][1].update(label=7), r"annotation 1: 'label' is 7"),
    "id": (lambda d: d.update({"../x": d["a-01_xyz"]}), r"'../x' is not the id of a video"),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_their_entry(
    tmp_path: Path, films: dict[str, bytes], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset("activitynet", root=str(write(tmp_path / "a", films, change)))


def test_files_that_are_not_there_or_not_json_are_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder\. root= must be"):
        load_dataset("activitynet", root=str(root / "nowhere"))
    with pytest.raises(DataError, match=r"films is not a folder\. root= must be .*videos= name them"):
        load_dataset("activitynet", root=str(root), videos="films")
    with pytest.raises(DataError, match=r"other\.json does not exist"):
        load_dataset("activitynet", root=str(root), annotations="other.json")
    text = (root / LIST).read_text()
    (root / LIST).write_text(text.replace('"a-01_xyz"', '"a-00_xyz"'))
    with pytest.raises(DataError, match=r"'a-00_xyz' stands twice.*Download it again"):
        load_dataset("activitynet", root=str(root))
    for content, message in (
        (text[:-9], "cannot be read as JSON"),
        ('{"data": {}}', "must hold an object with 'database'; found data"),
    ):
        (root / LIST).write_text(content)
        with pytest.raises(DataError, match=message):
            load_dataset("activitynet", root=str(root))


def test_it_keeps_every_promise_of_a_data_set(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        check_dataset(
            ActivityNet(root=str(root), val_share=0.4),
            expected_failed_checks={"check_no_row_is_in_two_splits": "all films here have the same content"},
        )
