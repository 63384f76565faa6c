"""Spoken digits: recordings split by speaker, and the noise that they are heard in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import DataError
from gtimm.core.media import load_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
SPECTRUM = 4096  # samples a spectrum is taken over; longer than any spoken digit at 8 kHz but the slowest


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


def speech_spectrum(recordings: Sequence[Recording]) -> NDArray[np.float64]:
    """Return the long-term amplitude spectrum of the training recordings, (SPECTRUM // 2 + 1,), at most 1."""
    power = np.zeros(SPECTRUM // 2 + 1)
    for recording in recordings:
        if recording.split == "train":
            power += np.abs(np.fft.rfft(recording.samples, SPECTRUM)) ** 2
    spectrum: NDArray[np.float64] = np.sqrt(power / power.max())
    return spectrum


def in_noise(
    recording: Recording, noise_db: float | None, spectrum: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.float32], int]:
    """Mix a recording with speech-shaped noise: noise with the long-term spectrum of speech, which masks it at every pitch.

    Args:
        recording: what is said.
        noise_db: ratio of the mean powers of speech and noise over the recording, in dB; `None` adds none.
        spectrum: from `speech_spectrum`.
        random: source of the noise.

    Returns:
        Samples (n,) float32 in -1..1, and their rate.
    """
    samples = recording.samples
    if noise_db is not None:
        count = max(SPECTRUM, len(samples))
        white = np.fft.rfft(random.standard_normal(count))
        shape = np.interp(np.linspace(0, 1, len(white)), np.linspace(0, 1, len(spectrum)), spectrum)
        noise = np.fft.irfft(white * shape, count)[: len(samples)]
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        noise *= np.sqrt(power / 10 ** (noise_db / 10) / np.mean(noise**2))
        samples = samples + noise.astype(np.float32)
        samples = samples / max(1.0, float(np.abs(samples).max()))
    return samples.astype(np.float32), recording.rate
