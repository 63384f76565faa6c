"""Spoken digits: recordings split by speaker, and the noise that they are heard in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import DataError
from gtimm.core.media import load_audio
from gtimm.core.splitting import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RecordingFile:
    """A file `{digit}_{speaker}_{index}.wav`, as the Free Spoken Digit Dataset has them."""

    path: Path
    digit: int
    speaker: str
    index: int


@dataclass(frozen=True)
class Recording:
    """One spoken digit: samples (n,) float32 in -1..1, and where it belongs."""

    samples: NDArray[np.float32]
    rate: int
    digit: int
    split: str


def recording_files(folder: Path) -> list[RecordingFile]:
    """List a folder's recordings, sorted by name; nothing is decoded.

    Raises:
        DataError: no such folder, or no such file in it.
    """
    paths = sorted(folder.glob("*.wav")) if folder.is_dir() else []
    matches = [(path, re.fullmatch(r"([0-9])_([^_]+)_(\d+)", path.stem)) for path in paths]
    found = [RecordingFile(path, int(match[1]), match[2], int(match[3])) for path, match in matches if match]
    if not found:
        state = "has no recordings" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder} {state}. speech= must be the folder of the Free Spoken Digit Dataset's recordings, such as 7_jackson_32.wav."
        )
    return found


def read_recordings(folder: Path) -> list[Recording]:
    """Read a folder's recordings and split them by speaker.

    Raises:
        DataError: no such folder or no recordings, fewer than three speakers, or a speaker who does not say every digit.
    """
    files = recording_files(folder)
    speakers = sorted({file.speaker for file in files})
    if len(speakers) < len(PARTS):
        raise DataError(f"{folder} has recordings by {len(speakers)} speakers; at least {len(PARTS)} are needed, one a split.")
    third = len(speakers) // 3
    recordings = []
    for place, speaker in enumerate(speakers):
        split = "test" if place >= len(speakers) - third else "val" if place >= len(speakers) - 2 * third else "train"
        own = [file for file in files if file.speaker == speaker]
        if lacking := set(range(10)) - {file.digit for file in own}:
            raise DataError(f"Speaker {speaker!r} in {folder} does not say {sorted(lacking)}.")
        for file in own:
            samples, rate = load_audio(file.path)
            recordings.append(Recording(samples[0], rate, file.digit, split))
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
