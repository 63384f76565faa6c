"""Sound, by soundfile, and by FFmpeg what that does not know: MP4, M4A, WebM, the sound track of a video."""

from __future__ import annotations

import io
import math
import os
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import ConfigError, MediaError
from gtimm.core.media import ffmpeg
from gtimm.core.media.part import FilmPart
from gtimm.core.media.sources import Payload, describe, opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Sound = tuple[NDArray[np.float32], int]

MAX_SECONDS = 3_600
"""The longest sound that is decoded."""

MAX_VALUES = 2 * 48_000 * MAX_SECONDS  # samples x channels: an hour of stereo at 48 kHz, 1.4 GB
RATES = (1_000, 384_000)  # Hz; sound is 8,000 to 96,000, anything far outside is a damaged header

_BLOCK = 1 << 22  # values that are read at a time: memory grows with what a file holds, not with what its header says
_PREROLL = 0.5  # seconds decoded before a cut: what codecs that overlap their frames need to be in step
_DAMAGED = 0.01  # share of packets that may be damaged, as in files that were cut from broadcasts; two always may


def load_audio(payload: Payload, start: float | None = None, end: float | None = None) -> Sound:
    """Decode an audio payload, or a part of it.

    Args:
        payload: a path or encoded bytes of any format that soundfile or FFmpeg reads (a video's sound track included), a
            `FilmPart`, from whose start the bounds count, or `(samples, rate)` with samples (n,) or (channels, n), floats in
            -1..1 or integers of full range.
        start: seconds from the beginning of the sound; None is the beginning. A file is not decoded from its beginning for it.
        end: seconds from the beginning of the sound; None, or later than the sound's end, is its end.

    Returns:
        Samples (channels, n) as float32 in -1..1, and the sampling rate in Hz. With bounds they are samples
        round(start x rate) to round(end x rate) of the whole, as exactly as the file's time stamps are.

    Raises:
        MediaError: not audio, damaged, cut short, without a sound track or samples, at a rate outside 1..384 kHz, longer than
            an hour (found in the header where it says so, before anything is decoded); names the payload.
        ConfigError: bounds that are not 0 <= start < end.
    """
    first, last = _bounds(start, end)
    if isinstance(payload, FilmPart) and payload.start is not None and payload.end is not None:
        first, last = payload.start + first, min(payload.start + last, payload.end)
        start, end = first, last
    payload = payload.path if isinstance(payload, FilmPart) else payload
    if isinstance(payload, tuple):
        samples, rate = _from_array(payload)
        samples = samples[:, round(first * rate) : _sample(last, rate)]
    else:
        if not isinstance(payload, (str, bytes, os.PathLike)):
            raise MediaError(f"Audio must be a path, bytes or (samples, rate); found {describe(payload)}.")
        found = _by_soundfile(payload, first, last)
        samples, rate = found if found is not None else _by_ffmpeg(payload, first, last)
    if samples.shape[1] == 0:
        where = "" if start is None and end is None else f" from {first:g} s to {last:g} s"
        raise MediaError(f"Audio {describe(payload)} holds no samples{where}. Replace the file or drop the row.")
    if not np.isfinite(samples).all():
        raise MediaError(f"Audio {describe(payload)} contains NaN or infinity. Replace the file or drop the row.")
    return np.ascontiguousarray(samples), rate


def has_sound(path: str | os.PathLike[str]) -> bool:
    """Return whether a film has a sound track, by its header; raises `MediaError` for what is no film."""
    with ffmpeg.container("Video", path) as found:
        return bool(found.streams.audio)


def _bounds(start: float | None, end: float | None) -> tuple[float, float]:
    first, last = 0.0 if start is None else float(start), math.inf if end is None else float(end)
    if not 0 <= first < last or math.isinf(first):
        raise ConfigError(f"A part of a sound needs 0 <= start < end in seconds; found start={start}, end={end}.")
    return first, last


def _sample(seconds: float, rate: int) -> int:
    return round(min(seconds, MAX_SECONDS + 1) * rate)


def _check_rate(rate: int, payload: Payload) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise MediaError(
            f"Audio {describe(payload)} has {rate} samples a second; {RATES[0]:,} to {RATES[1]:,} Hz can be read. "
            "Replace the file or drop the row."
        )


def _check_size(samples: float, channels: int, rate: int, payload: Payload) -> None:
    if samples > MAX_SECONDS * rate or samples * channels > MAX_VALUES:
        raise MediaError(
            f"Audio {describe(payload)} is longer than {MAX_SECONDS} s, or has more than {MAX_VALUES:,} samples in its "
            f"{channels} channels; cut it."
        )


def _by_soundfile(payload: Payload, first: float, last: float) -> Sound | None:
    """Decode what libsndfile knows; None for what it does not, which may still be a container that FFmpeg reads."""
    import soundfile

    with opened("Audio", payload):
        try:
            file = soundfile.SoundFile(io.BytesIO(payload) if isinstance(payload, bytes) else os.fspath(payload))
        except (soundfile.SoundFileError, RuntimeError, TypeError):  # TypeError: named .raw, which soundfile takes as headerless
            return None
        with file:
            rate, channels = int(file.samplerate), int(file.channels)
            _check_rate(rate, payload)
            begin, stop = round(first * rate), min(_sample(last, rate), file.frames)
            _check_size(stop - begin, channels, rate, payload)
            position = max(0, begin - int(_PREROLL * rate))
            if begin >= stop:
                return np.zeros((channels, 0), np.float32), rate
            if position:
                file.seek(position)
            parts, skip = [], begin - position
            while position < stop:
                part = file.read(min(stop - position, max(1, _BLOCK // channels)), dtype="float32", always_2d=True)
                if not len(part):
                    break
                parts.append(part)
                position += len(part)
            if file.format == "FLAC" and position < stop:
                raise MediaError(f"Audio {describe(payload)} is cut short: {position:,} of {stop:,} samples. Replace the file.")
            return np.concatenate([np.zeros((0, channels), np.float32), *parts])[skip:].T, rate


def _by_ffmpeg(payload: Payload, first: float, last: float) -> Sound:
    with ffmpeg.container("Audio", payload) as found:
        if not found.streams.audio:
            raise MediaError(f"{describe(payload)} has no sound track. Replace the file or drop the row.")
        stream = found.streams.audio[0]
        frames = ffmpeg.decode(found, stream, payload)
        head = next(frames, None)
        if head is None:
            raise MediaError(f"Audio {describe(payload)} holds no samples that decode. Replace the file or drop the row.")
        rate, channels = int(head[0].sample_rate), len(head[0].layout.channels)
        _check_rate(rate, payload)
        seconds = None if stream.duration is None else float(stream.duration * stream.time_base)
        if seconds is not None:
            _check_size((min(seconds, last) - first) * rate, channels, rate, payload)
        position = 0
        # Coarse time stamps, as Matroska's milliseconds, would move the cut by some samples: there, decode up to it.
        if first > _PREROLL and head[0].pts is not None and stream.time_base <= Fraction(1, rate):
            origin = head[0].pts
            found.seek(origin + int((first - _PREROLL) / stream.time_base), stream=stream)
            frames = ffmpeg.decode(found, stream, payload)
            head = next(((f, damaged) for f, damaged in frames if f.pts is not None), None)
            position = 0 if head is None else round(float((head[0].pts - origin) * stream.time_base) * rate)
        wanted = chain([] if head is None else [head], frames)
        parts, reached, ended = _collect(wanted, position, round(first * rate), _sample(last, rate), rate, payload)
        if ended and head is not None and seconds is not None and "mp4" in found.format.name:  # others estimate the duration
            _check_end(reached / rate, seconds, payload)
    return np.concatenate([np.zeros((channels, 0), np.float32), *parts], axis=1), rate


def _collect(
    frames: Iterable[Any], position: int, begin: int, stop: int, rate: int, payload: Payload
) -> tuple[list[NDArray[np.float32]], int, bool]:
    """Samples `begin` to `stop` in parts (channels, n) of frames that start at `position`; where they end, and if all were read."""
    import av

    resampler = av.AudioResampler(format="fltp", rate=rate)
    parts: list[NDArray[np.float32]] = []
    packets = damaged = kept = 0
    for frame, damaged in frames:  # noqa: B007 - read after the loop
        packets += 1
        for part in resampler.resample(frame):
            samples = part.to_ndarray()[:, max(begin - position, 0) : max(stop - position, 0)]
            position += part.samples
            kept += samples.shape[1]
            parts.append(samples.astype(np.float32, copy=False))
            _check_size(kept, len(samples), rate, payload)
        if position >= stop:
            return parts, position, False
    if damaged > max(2, _DAMAGED * packets):
        raise MediaError(f"Audio {describe(payload)} is damaged: {damaged} packets cannot be decoded. Replace the file.")
    return parts, position, True


def _check_end(reached: float, promised: float, payload: Payload) -> None:
    """Refuse a file whose sound ends long before its index says."""
    if reached < 0.95 * promised - 0.5:
        raise MediaError(
            f"Audio {describe(payload)} is cut short: {reached:.1f} of {promised:.1f} s can be decoded. Replace the file."
        )


def _from_array(payload: tuple[Any, ...]) -> Sound:
    try:
        raw, rate = payload
        samples, hertz = np.asarray(raw), int(rate)
    except (TypeError, ValueError) as error:
        raise MediaError("Audio must be (samples, rate) with an array and a rate in Hz.") from error
    if samples.ndim not in (1, 2) or samples.size == 0 or hertz <= 0:
        raise MediaError(f"Audio must be (samples (n,) or (channels, n), rate > 0); found {describe(samples)} at {hertz} Hz.")
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise MediaError(f"Audio samples must be (channels, n); found shape {samples.shape}: transpose them.")
    if samples.dtype.kind == "i":
        samples = samples / float(-np.iinfo(samples.dtype).min)
    elif samples.dtype.kind != "f":
        raise MediaError(f"Audio samples must be floats in -1..1 or signed integers; found {samples.dtype}.")
    return np.atleast_2d(samples).astype(np.float32, copy=False), hertz
