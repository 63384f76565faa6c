"""UCF101 in its published form: films as image and sound, groups that stay together, and mistakes named with their line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from films import all_frames, film
from miniatures import ACTIONS, write_ucf101

from gtimm import Pipeline, load_dataset
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.films.prepare import prepare
from gtimm.core.media import FilmPart, load_audio, load_image
from gtimm.data.ucf101 import UCF101, WITH_SOUND
from gtimm.testing import check_dataset

UCF50 = """BaseballPitch Basketball BenchPress Biking Billiards BreastStroke CleanAndJerk Diving Drumming Fencing GolfSwing HighJump
HorseRace HorseRiding HulaHoop JavelinThrow JugglingBalls JumpingJack JumpRope Kayaking Lunges MilitaryParade Mixing Nunchucks
PizzaTossing PlayingGuitar PlayingPiano PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps RockClimbingIndoor
RopeClimbing Rowing SalsaSpin SkateBoarding Skiing Skijet SoccerJuggling Swing TaiChi TennisSwing ThrowDiscus TrampolineJumping
VolleyballSpiking WalkingWithDog YoYo""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ucf101(tmp_path_factory.mktemp("ucf101"), {"train": 5, "test": 2}, clips=2, seconds=0.4)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def names(data: object) -> list[str]:
    return list(data.extra["clip"])  # type: ignore[attr-defined]


def group(name: str) -> str:
    return re.sub(r"_c\d+$", "", name)


def test_there_are_51_classes_with_sound_and_none_is_of_ucf50() -> None:
    assert len(set(WITH_SOUND)) == len(WITH_SOUND) == UCF101.published["classes with sound"] == 51
    assert len(set(UCF50)) == 50
    assert not set(UCF50) & set(WITH_SOUND)
    for split in (1, 2, 3):
        assert UCF101.published[f"train, split {split}"] + UCF101.published[f"test, split {split}"] == UCF101.published["clips"]


def test_rows_are_those_of_the_lists_with_picture_and_sound_of_the_same_film(whole: Path) -> None:
    data = load_dataset("ucf101", root=str(whole))
    assert (len(data.train), len(data.val), len(data.test)) == (48, 12, 24)
    assert data.train.classes == data.test.classes == ACTIONS
    assert data.facts["rows"] == "48 train, 12 val, 24 test"
    assert data.facts["clips without a film"] == "0 of 84"
    for row in range(0, len(data.test), 5):
        image, sound = data.test.payload("image", row), data.test.payload("audio", row)
        assert image.path == sound.path == str(whole / "UCF-101" / f"{names(data.test)[row]}.avi")
        assert Path(image.path).parent.name == data.test.classes[data.test.labels[row]]
        times, frames, duration = all_frames(Path(image.path))
        middle = max(i for i, time in enumerate(times) if time <= duration / 2 + 1e-6)
        np.testing.assert_array_equal(np.asarray(load_image(image)), frames[middle])
        assert load_audio(sound)[0].size


def test_sound_is_cut_and_silent_classes_are_holes(whole: Path) -> None:
    part = load_dataset("ucf101", root=str(whole), seconds=0.25, audio_only=False)
    assert part.train.classes == tuple(sorted((*ACTIONS, "Basketball")))
    silent = part.train.labels == part.train.classes.index("Basketball")
    np.testing.assert_array_equal(part.train.present("audio"), ~silent)
    assert part.train.present("image").all()
    heard = int(np.flatnonzero(~silent)[0])
    samples, rate = load_audio(part.train.payload("audio", heard))
    uncut, _ = load_audio(part.train.payload("audio", heard).path)
    assert samples.shape == (1, round(0.25 * rate))
    np.testing.assert_array_equal(samples, uncut[:, : samples.shape[1]])


def test_silent_films_of_the_51_classes_are_left_out_or_holes_and_counted(root: Path) -> None:
    mute = [root / f"UCF-101/Bowling/v_Bowling_g01_c0{clip}.avi" for clip in (1, 2)]
    for path in mute:
        film(path, 0.4, sound=False, codec="mpeg4")
    data = load_dataset("ucf101", root=str(root))
    assert len(data.train) + len(data.val) + len(data.test) == 82
    assert data.facts["clips without sound"] == "2, left out"
    assert not {f"Bowling/{path.stem}" for path in mute} & {
        name for part in (data.train, data.val, data.test) for name in names(part)
    }
    counts = UCF101(root=str(root)).counts(data)
    assert (counts["clips of the 51 classes"], counts["clips with sound"], counts["classes with sound"]) == (84, 82, len(ACTIONS))
    every = load_dataset("ucf101", root=str(root), audio_only=False)
    assert sum(map(len, (every.train, every.val, every.test))) == 98
    assert UCF101(root=str(root), audio_only=False).counts(every)["clips with sound"] == 82


def test_validation_takes_whole_groups_of_every_class_never_of_test_and_is_seeded(whole: Path) -> None:
    data = load_dataset("ucf101", root=str(whole))
    groups = [{group(name) for name in names(split)} for split in (data.train, data.val, data.test)]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
    assert len(groups[1]) == len(ACTIONS)
    assert names(load_dataset("ucf101", root=str(whole)).val) == names(data.val)
    other = load_dataset("ucf101", root=str(whole), seed=1, val_share=0.4)
    assert len({group(name) for name in names(other.val)}) == 2 * len(ACTIONS)
    assert any(names(load_dataset("ucf101", root=str(whole), seed=seed).val) != names(data.val) for seed in (1, 2))
    assert names(other.test) == names(data.test)


def test_a_pipeline_trains_on_films_and_on_prepared_files_to_nearly_the_same(whole: Path, tmp_path: Path) -> None:
    prepare(UCF101(root=str(whole)), tmp_path / "prepared", workers=1)
    probabilities = []
    for options in ({}, {"prepared": str(tmp_path / "prepared")}):
        data = load_dataset("ucf101", root=str(whole), **options)
        pipe = Pipeline("imagebind-tiny", {"image": "zero"}, train={"epochs": 3}, device="cpu")
        probabilities.append(pipe.fit(data.train, val=data.val, missing={"image": 0.5}).predict_proba(data.test))
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=2e-2)


def lists(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        path = root / "ucfTrainTestlist" / name
        path.write_bytes(change(path.read_bytes().decode()).encode())

    return damage


MISTAKES = {
    "film gone": (
        lambda root: (root / "UCF-101/Bowling/v_Bowling_g03_c01.avi").unlink(),
        r"trainlist01\.txt, line \d+: .*v_Bowling_g03_c01\.avi does not exist \(1 of 84 .*root=",
    ),
    "list gone": (lambda root: (root / "ucfTrainTestlist/testlist01.txt").unlink(), r"testlist01\.txt does not exist\. root="),
    "classes gone": (lambda root: (root / "ucfTrainTestlist/classInd.txt").unlink(), r"classInd\.txt does not exist\. root="),
    "unknown class": (
        lists("trainlist01.txt", lambda text: text.replace("Bowling/v_B", "Bowlin/v_B", 1)),
        r"trainlist01\.txt, line 31: class 'Bowlin' is not in classInd\.txt\. Did you mean 'Bowling'\?",
    ),
    "other number": (
        lists("trainlist01.txt", lambda text: text.replace("avi 1\r", "avi 9\r", 1)),
        r"trainlist01\.txt, line 1: class 'ApplyEyeMakeup' with the number 9",
    ),
    "no film": (
        lists("testlist01.txt", lambda text: text + "Bowling/film.mov\n"),
        r"testlist01\.txt, line 29: .*is not '<class>/v_",
    ),
    "twice": (
        lists("testlist01.txt", lambda text: text + text.split("\r\n")[0]),
        r"testlist01\.txt, line 29: 'ApplyEyeMakeup/.*' stands in .*testlist01\.txt, line 1 too",
    ),
    "in both parts": (
        lists("testlist01.txt", lambda text: text + "Typing/v_Typing_g03_c01.avi\n"),
        r"testlist01\.txt, line 29: .*stands in .*trainlist01\.txt, line \d+ too",
    ),
    "classes damaged": (
        lists("classInd.txt", lambda text: text.replace("2 ", "two ")),
        r"classInd\.txt, line 2: .*<number> <class>",
    ),
    "not text": (lambda root: (root / "ucfTrainTestlist/classInd.txt").write_bytes(b"\xff\xfe1"), "is UTF-16, not UTF-8"),
    "one group": (
        lists("trainlist01.txt", lambda text: "\r\n".join(x for x in text.split("\r\n") if "Typing" not in x or "_g03_" in x)),
        r"class 'Typing' come from one source, 'Typing/03'",
    ),
}


@pytest.mark.parametrize(("damage", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_file_line_and_mend(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root)
    with pytest.raises(DataError, match=message):
        load_dataset("ucf101", root=str(root))


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match="root"):
        load_dataset("ucf101")
    with pytest.raises(DataError, match=r"nowhere is not a folder\. root= must be the folder that holds UCF-101"):
        load_dataset("ucf101", root="nowhere")
    with pytest.raises(ConfigError, match="split"):
        load_dataset("ucf101", root="nowhere", split=4)


def test_absent_films_may_be_skipped_and_are_counted(root: Path) -> None:
    (root / "UCF-101/Bowling/v_Bowling_g03_c01.avi").unlink()
    with pytest.warns(RuntimeWarning, match=r"1 of 84 clips of ucf101 are left out.*v_Bowling_g03_c01\.avi"):
        data = load_dataset("ucf101", root=str(root), absent="skip")
    assert len(data.train) + len(data.val) + len(data.test) == 83
    assert data.facts["clips without a film"] == "1 of 84: v_Bowling_g03_c01.avi"
    assert [clip.name for clip in UCF101(root=str(root)).absent_clips()] == ["Bowling/v_Bowling_g03_c01"]


def test_a_part_of_a_film_needs_both_bounds() -> None:
    assert (FilmPart("a.mp4").middle, FilmPart("a.mp4", 2, 3).middle) == (None, 2.5)
    for bounds in ((1, None), (2, 1), (-1, 1), (float("nan"), 1), (0, float("inf"))):
        with pytest.raises(ConfigError, match=r"0 <= start < end"):
            FilmPart("a.mp4", *bounds)


def test_it_keeps_every_promise_of_a_data_set(whole: Path) -> None:
    check_dataset(UCF101(root=str(whole)))
