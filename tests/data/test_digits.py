"""The embedded digits: real images, each with its digit spoken; splits share nothing; the same on every call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gtimm import MultimodalDataset, load_dataset
from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError, DataError
from gtimm.data.spoken import Recording, in_noise, read_recordings

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def quiet() -> Splits:
    return load_dataset("digits", noise_db=None)


@pytest.fixture(scope="module")
def uci() -> Splits:
    return load_dataset("digits-uci")


def parts(found: Splits) -> list[MultimodalDataset]:
    return [found.train, found.val, found.test]


def images(data: MultimodalDataset) -> np.ndarray:
    return np.stack([data.payload("image", r) for r in range(len(data))])


def sounds(data: MultimodalDataset) -> list[bytes]:
    return [data.payload("audio", r)[0].tobytes() for r in range(len(data))]


def test_splits_have_their_sizes_and_classes(digits: Splits, uci: Splits) -> None:
    assert [len(d) for d in parts(digits)] == [1000, 1000, 3002]
    assert [len(d) for d in parts(uci)] == [800, 400, 597]
    for found, train in ((digits, 100), (uci, 80)):
        for data in parts(found):
            assert data.classes == WORDS
            assert data.modalities == ("image", "audio")
            assert data.present("image").all()
            assert data.present("audio").all()
        assert found.train.labels is not None
        assert np.bincount(found.train.labels).tolist() == [train] * 10


@pytest.mark.parametrize("name", ["digits", "uci"])
def test_no_image_is_in_two_splits(name: str, request: pytest.FixtureRequest) -> None:
    train, val, test = ({i.tobytes() for i in images(d)} for d in parts(request.getfixturevalue(name)))
    assert not train & val
    assert not train & test
    assert not val & test


def test_no_recording_is_in_two_splits(quiet: Splits) -> None:
    train, val, test = (set(sounds(d)) for d in parts(quiet))
    assert not train & val
    assert not train & test
    assert not val & test
    assert len(train) > 10


def test_a_row_hears_its_own_digit(quiet: Splits) -> None:
    for data in parts(quiet):
        assert data.labels is not None
        owner: dict[bytes, int] = {}
        for sound, label in zip(sounds(data), data.labels.tolist(), strict=True):
            assert owner.setdefault(sound, label) == label


def test_images_are_rgb_and_sounds_are_in_range(digits: Splits, uci: Splits) -> None:
    for found in (digits, uci):
        assert images(found.val).shape[1:] == (28, 28, 3)
        assert images(found.val).dtype == np.uint8
        for row in range(20):
            samples, rate = found.val.payload("audio", row)
            assert rate == 8_000
            assert samples.dtype == np.float32
            assert np.abs(samples).max() <= 1


def test_the_same_on_every_call_and_other_noise_with_another_seed(digits: Splits) -> None:
    again, other = load_dataset("digits"), load_dataset("digits", seed=1)
    assert sounds(again.val) == sounds(digits.val)
    np.testing.assert_array_equal(images(again.val), images(digits.val))
    np.testing.assert_array_equal(images(other.val), images(digits.val))
    assert not set(sounds(other.val)) & set(sounds(digits.val))


@pytest.mark.parametrize("noise_db", [-10.0, 0.0, 10.0])
def test_noise_has_the_asked_power(noise_db: float) -> None:
    tone = (0.01 * np.sin(np.arange(16_000) / 7)).astype(np.float32)
    noisy, rate = in_noise(Recording(tone, 16_000, 0, "train"), noise_db, np.random.default_rng(0))
    ratio = 10 * np.log10(np.mean(tone**2) / np.mean((noisy - tone) ** 2))
    assert ratio == pytest.approx(noise_db, abs=0.2)
    assert rate == 16_000


def test_facts_say_what_is_synthetic(digits: Splits, uci: Splits) -> None:
    assert digits.facts["name"] == "digits"
    assert "synthetic" in digits.facts["speech"]
    assert digits.facts["noise"] == "white, 0 dB signal to noise"
    assert uci.facts["name"] == "digits-uci"


def record(folder: Path, speakers: str, digits: Any = range(10)) -> Path:
    for place, speaker in enumerate(speakers):
        for digit in digits:
            samples = np.full(800, (place + 1) / 10 + digit / 1000, np.float32)
            soundfile.write(folder / f"{digit}_{speaker}_0.wav", samples, 8000, subtype="FLOAT")
    return folder


def test_own_recordings_are_split_by_speaker(tmp_path: Path) -> None:
    found = load_dataset("digits", speech=str(record(tmp_path, "abcdefg")), noise_db=None)
    for data, speakers in zip(parts(found), ((1, 2, 3), (4, 5), (6, 7)), strict=True):
        heard = {round(float(data.payload("audio", r)[0][0]), 3) for r in range(len(data))}
        assert heard == {round(s / 10 + d / 1000, 3) for s in speakers for d in range(10)}
        assert data.labels is not None
        for row in range(20):
            assert round(float(data.payload("audio", row)[0][0]) * 1000) % 100 == data.labels[row]
    assert "split by speaker" in found.facts["speech"]


def test_recordings_that_cannot_be_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_recordings(tmp_path / "nowhere")
    with pytest.raises(DataError, match="2 speakers; at least 3"):
        read_recordings(record(tmp_path, "ab"))
    record(tmp_path, "c", range(9))
    with pytest.raises(DataError, match=r"'c' .* does not say \[9\]"):
        read_recordings(tmp_path)


def test_an_unknown_data_set_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'digits'"):
        load_dataset("digitz")
    with pytest.raises(ConfigError, match="Did you mean 'noise_db'"):
        load_dataset("digits", noise_dbs=3)


@pytest.mark.skipif("GTIMM_FSDD" not in os.environ, reason="GTIMM_FSDD names no folder of real recordings")
def test_real_recordings_replace_the_synthetic_speech_split_by_speaker() -> None:
    folder = os.environ["GTIMM_FSDD"]
    data = load_dataset("digits", speech=folder)
    speakers = sorted({path.stem.split("_")[1] for path in Path(folder).glob("*.wav")})
    found = {recording.split for recording in read_recordings(Path(folder))}
    assert found == {"train", "val", "test"}
    assert len(speakers) >= 3
    assert "synthetic" not in data.facts["speech"]
    samples, rate = data.test.payload("audio", 0)
    assert rate == 8000
    assert samples.ndim == 1
    assert np.abs(samples).max() <= 1
