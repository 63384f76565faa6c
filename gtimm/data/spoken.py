"""Spoken digits: recordings split by speaker, and the noise that they are heard in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import DataError
from gtimm.core.media import load_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Recording:
    """One spoken digit: samples (n,) float32 in -1..1, and where it belongs."""

    samples: NDArray[np.float32]
    rate: int
    digit: int
    split: str


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


def in_noise(recording: Recording, noise_db: float | None, random: np.random.Generator) -> tuple[NDArray[np.float32], int]:
    """Mix a recording with white noise.

    Args:
        recording: what is said.
        noise_db: ratio of the mean powers of speech and noise over the recording, in dB; `None` adds none.
        random: source of the noise.

    Returns:
        Samples (n,) float32 in -1..1, and their rate.
    """
    samples = recording.samples
    if noise_db is not None:
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        scale = np.sqrt(power / 10 ** (noise_db / 10))
        samples = samples + (scale * random.standard_normal(len(samples))).astype(np.float32)
        samples = samples / max(1.0, float(np.abs(samples).max()))
    return samples.astype(np.float32), recording.rate
