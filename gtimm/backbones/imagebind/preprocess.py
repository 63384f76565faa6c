"""Media to the tensors that ImageBind takes, as in the original's `data.py`; no weights needed.

Raise `VERSION` with every change that moves an output: it is part of the fingerprint under which embeddings are stored.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from gtimm.backbones.imagebind.config import AudioConfig, TextConfig, VisionConfig
from gtimm.backbones.overlong import token_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from gtimm.backbones.overlong import Overlong

VERSION = 1
Downmix = Literal["first", "mean"]

FRAME_LENGTH = 0.025  # seconds, Kaldi's defaults from here on
FRAME_SHIFT = 0.010
PREEMPHASIS = 0.97
LOWEST_FREQUENCY = 20.0  # Hz


def prepare_image(image: Image, sizes: VisionConfig) -> Tensor:
    """Shorter side to `image_size` (bicubic, antialiased), centre crop, normalise.

    Args:
        image: RGB, any size.
        sizes: of the image branch.

    Returns:
        (3, image_size, image_size) float32.
    """
    from PIL.Image import Resampling

    side = sizes.image_size
    width, height = image.size
    shorter = min(width, height)
    if shorter != side:
        width, height = (side if length == shorter else int(side * length / shorter) for length in (width, height))
        image = image.resize((width, height), Resampling.BICUBIC)
    left, top = round((width - side) / 2), round((height - side) / 2)
    pixels = np.asarray(image, dtype=np.float32)[top : top + side, left : left + side] / np.float32(255)
    normalised = (pixels - np.array(sizes.mean, np.float32)) / np.array(sizes.std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1)))


def prepare_audio(samples: NDArray[np.float32], rate: int, sizes: AudioConfig, downmix: Downmix) -> Tensor:
    """Resample, take evenly spaced clips, and make a normalised log mel spectrogram of each.

    Sound shorter than one frame (25 ms) is filled with silence; clips shorter than `target_length` frames are filled with
    zeros before they are normalised, as in the original.

    Args:
        samples: (channels, samples) in -1..1.
        rate: sampling rate in Hz.
        sizes: of the audio branch.
        downmix: `"first"` channel, as in the original, or the `"mean"` of all.

    Returns:
        (clips, 1, num_mel_bins, target_length) float32.
    """
    wave = torch.from_numpy(np.array(samples if downmix == "first" else samples.mean(axis=0, keepdims=True)))
    if rate != sizes.sample_rate:
        wave = _resampler(rate, sizes.sample_rate)(wave)
    shortest = round(FRAME_LENGTH * sizes.sample_rate)
    if wave.shape[1] < shortest:
        wave = torch.nn.functional.pad(wave, (0, shortest - wave.shape[1]))
    clips = clip_times(wave.shape[1], sizes)
    bank = torch.zeros(len(clips), 1, sizes.num_mel_bins, sizes.target_length)
    for index, (start, end) in enumerate(clips):
        # Over all channels and in place, as in the original: where clips overlap, the next one sees the step that this leaves.
        clip = wave[:, start:end]
        clip -= clip.mean()
        energies = log_mel(clip[0], sizes.sample_rate, sizes.num_mel_bins)[: sizes.target_length]
        bank[index, 0, :, : len(energies)] = energies.T
    return (bank - sizes.mean) / sizes.std


def clip_times(length: int, sizes: AudioConfig) -> list[tuple[int, int]]:
    """First and one-past-last sample of the clips of a sound of `length` samples at `sizes.sample_rate`.

    Clip i starts at i / clips of the room there is, so the last one ends before the sound does: pytorchvideo's
    ConstantClipsPerVideoSampler as the original used it. In fractions, since a rounding error moves a clip by a sample.
    """
    rate, duration = sizes.sample_rate, Fraction(sizes.clip_duration)
    room = max(Fraction(length / rate) - duration, Fraction(0))
    starts = [room * index / sizes.clips for index in range(sizes.clips)]
    return [(int(start * rate), int((start + duration) * rate)) for start in starts]


def log_mel(wave: Tensor, rate: int, bins: int) -> Tensor:
    """Kaldi's filter-bank features with a Hann window, without dither and energy: torchaudio's `kaldi.fbank`, but faster.

    Args:
        wave: (..., samples), at least one frame of 25 ms.
        rate: Hz.
        bins: mel bins.

    Returns:
        (..., frames, bins) natural logarithms of mel energies.
    """
    length, shift = round(FRAME_LENGTH * rate), round(FRAME_SHIFT * rate)
    window, banks = _filters(rate, bins)
    frames = wave.unfold(-1, length, shift)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * window, n=_padded(length)).abs().square()
    energies: Tensor = spectrum[..., :-1] @ banks
    return energies.clamp_min(torch.finfo(torch.float32).eps).log()


def prepare_text(text: str, sizes: TextConfig, overlong: Overlong | None = None) -> Tensor:
    """CLIP's byte-pair encoding: (context_length,) int64 ids, between start and end tokens, filled with zeros; what is cut is counted."""
    ids = token_ids(_tokenizer(sizes.context_length), text, overlong)
    if sizes.token_ids is None:
        return ids
    kept = _kept(sizes.token_ids)
    fallback = kept[sizes.unknown or 0]
    end = int(ids.argmax())
    return torch.tensor([kept.get(int(i), fallback) if n <= end else 0 for n, i in enumerate(ids)], dtype=torch.long)


def _padded(length: int) -> int:
    return 1 << (length - 1).bit_length()


@lru_cache(maxsize=8)
def _filters(rate: int, bins: int) -> tuple[Tensor, Tensor]:
    from torchaudio.compliance.kaldi import get_mel_banks

    length = round(FRAME_LENGTH * rate)
    banks, _ = get_mel_banks(bins, _padded(length), float(rate), LOWEST_FREQUENCY, 0.0, 100.0, -500.0, 1.0)
    return torch.hann_window(length, periodic=False), banks.T.contiguous()


@lru_cache(maxsize=16)
def _resampler(rate: int, target: int) -> Any:
    from torchaudio.transforms import Resample

    # Exact for every usual rate; an odd one, as a damaged header may name, would need a kernel of gigabytes.
    ratio = Fraction(rate, target).limit_denominator(640)
    # The kernel in the precision of `functional.resample`.
    return Resample(ratio.numerator, ratio.denominator, dtype=torch.float32)


@lru_cache(maxsize=4)
def _tokenizer(context_length: int) -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=context_length)


@lru_cache(maxsize=4)
def _kept(token_ids: tuple[int, ...]) -> dict[int, int]:
    return {token: row for row, token in enumerate(token_ids)}
