"""Sounds as the audio branch of imagebind-tiny hears them: spoken clips under noise, as normalised log mel spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor

from gtimm.backbones.imagebind.config import AudioConfig
from gtimm.backbones.imagebind.preprocess import FRAME_LENGTH, FRAME_SHIFT, log_mel

SNR = (-5.0, 20.0)  # dB
MOST_LEAD = 0.12  # seconds of noise before a clip


def listen(clips: list[Tensor], sizes: AudioConfig, generator: torch.Generator) -> Tensor:
    """Shifts each clip, adds white or coloured noise at a random level, and makes the branch's input.

    As in `prepare_audio`, frames behind a clip's end are filled with zeros before normalising.

    Args:
        clips: n sounds (samples,) float32 in -1..1, at `sizes.sample_rate`.
        sizes: of the audio branch; one clip per sound.
        generator: source of all randomness.

    Returns:
        (n, 1, 1, num_mel_bins, target_length).
    """
    count, rate = len(clips), sizes.sample_rate
    longest = int(sizes.clip_duration * rate)
    wave, length = torch.zeros(count, longest), torch.zeros(count, dtype=torch.long)
    lead = (torch.rand(count, generator=generator) * MOST_LEAD * rate).long().tolist()
    for index, clip in enumerate(clips):
        start = min(lead[index], max(0, longest - len(clip)))
        said = clip[: longest - start]
        wave[index, start : start + len(said)] = said
        length[index] = min(longest, start + len(said) + lead[-1 - index])
    inside = torch.arange(longest)[None] < length[:, None]
    wave = (wave + _noise(wave, inside, generator)) * inside
    wave = wave * (torch.rand(count, 1, generator=generator) * 3 - 2).exp()  # the level of the recording
    bank = log_mel(wave, rate, sizes.num_mel_bins)[:, : sizes.target_length]
    frames = (length - round(FRAME_LENGTH * rate)) // round(FRAME_SHIFT * rate) + 1
    bank = bank * (torch.arange(bank.shape[1])[None] < frames[:, None])[..., None]
    bank = torch.nn.functional.pad(bank, (0, 0, 0, sizes.target_length - bank.shape[1]))
    return ((bank - sizes.mean) / sizes.std).transpose(1, 2)[:, None, None]


def _noise(wave: Tensor, inside: Tensor, generator: torch.Generator) -> Tensor:
    """White noise for two in three sounds, else falling by 0 to 6 dB per octave; (n, samples)."""
    count, samples = wave.shape
    white = torch.randn(count, samples, generator=generator)
    slope = (torch.rand(count, 1, generator=generator) - 2 / 3).clamp_min(0) * 3
    frequency = torch.arange(1, samples // 2 + 2)[None] / samples
    noise = torch.fft.irfft(torch.fft.rfft(white) * frequency**-slope, n=samples) * inside
    level = torch.rand(count, 1, generator=generator) * (SNR[1] - SNR[0]) + SNR[0]
    power = wave.square().sum(1, keepdim=True) / noise.square().sum(1, keepdim=True).clamp_min(1e-9)
    return noise * (power * 10 ** (-level / 10)).sqrt()
