"""Decode payloads: what a data set holds for one row and modality, in any form, to arrays that a backbone takes."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import DataError, MediaError, StoreError
from gtimm.core.files import file_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Payload = Any
"""A path, bytes, a PIL image, a uint8 array (height, width, 3), a string, `(samples, rate)`, or a float vector."""

MAX_PIXELS = 100_000_000
MAX_SECONDS = 3_600


def describe(payload: Payload) -> str:
    """Name a payload in a message: its path, or its type and shape."""
    if isinstance(payload, (str, os.PathLike)):
        return repr(os.fspath(payload))
    if isinstance(payload, bytes):
        return f"{len(payload)} bytes"
    if isinstance(payload, np.ndarray):
        return f"an array of shape {payload.shape} and type {payload.dtype}"
    return f"a {type(payload).__name__}"


def load_image(payload: Payload) -> Image:
    """Decode an image payload to RGB.

    Args:
        payload: a path, encoded bytes, a PIL image, or a uint8 array (height, width), (height, width, 1|3|4).

    Returns:
        A PIL image of mode RGB, turned as its EXIF tag says; alpha is laid over black.

    Raises:
        MediaError: not an image, damaged, or more than `MAX_PIXELS` pixels; names the payload.
    """
    from PIL import Image, ImageOps

    if isinstance(payload, np.ndarray):
        return _image_from_array(payload)
    try:
        if isinstance(payload, Image.Image):
            return _to_rgb(ImageOps.exif_transpose(payload))
        with Image.open(io.BytesIO(payload) if isinstance(payload, bytes) else os.fspath(payload)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise MediaError(
                    f"Image {describe(payload)} has {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}; scale it down."
                )
            return _to_rgb(ImageOps.exif_transpose(image))
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"Image {describe(payload)} does not exist.") from error
    except Exception as error:
        raise MediaError(f"Image {describe(payload)} cannot be decoded: {error}. Replace the file or drop the row.") from error


def load_audio(payload: Payload) -> tuple[NDArray[np.float32], int]:
    """Decode an audio payload.

    Args:
        payload: a path or encoded bytes of any format that soundfile or FFmpeg reads (a video's sound track included), or
            `(samples, rate)` with samples (n,) or (channels, n), floats in -1..1 or integers of full range.

    Returns:
        Samples (channels, n) as float32 in -1..1, and the sampling rate in Hz.

    Raises:
        MediaError: not audio, damaged, without a sound track, or longer than an hour; names the payload.
    """
    if isinstance(payload, tuple):
        return _audio_from_array(payload)
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(payload) if isinstance(payload, bytes) else os.fspath(payload)) as file:
            if file.frames > MAX_SECONDS * file.samplerate:
                raise MediaError(f"Audio {describe(payload)} is longer than {MAX_SECONDS} s; cut it.")
            samples = file.read(dtype="float32", always_2d=True).T
            rate = int(file.samplerate)
    except MediaError:
        raise
    except TypeError as error:
        raise MediaError(f"Audio must be a path, bytes or (samples, rate); found {describe(payload)}.") from error
    except (soundfile.SoundFileError, RuntimeError):
        samples, rate = _audio_by_ffmpeg(payload)
    if samples.shape[1] == 0:
        raise MediaError(f"Audio {describe(payload)} holds no samples. Replace the file or drop the row.")
    return np.ascontiguousarray(samples), rate


def load_text(payload: Payload) -> str:
    """Return a text payload; raises `MediaError` for anything but a string."""
    if not isinstance(payload, str):
        raise MediaError(f"Text must be a string; found {describe(payload)}.")
    return payload


def payload_key(kind: str, payload: Payload) -> bytes:
    """Return 16 bytes that identify a payload's content: two files with equal bytes have one key.

    Raises:
        MediaError: the payload is a path that cannot be read.
    """
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    if isinstance(payload, tuple):
        samples, rate = payload
        _update(digest, np.asarray(samples))
        digest.update(str(int(rate)).encode())
    elif isinstance(payload, np.ndarray):
        _update(digest, payload)
    elif isinstance(payload, bytes):
        digest.update(payload)
    elif kind == "text":
        digest.update(str(payload).encode("utf-8", "surrogatepass"))
    elif isinstance(payload, (str, os.PathLike)):
        try:
            digest.update(file_digest(payload).encode())
        except StoreError as error:
            raise MediaError(str(error)) from error
    else:
        _update(digest, np.asarray(load_image(payload) if kind == "image" else payload))
    return digest.digest()


def _update(digest: Any, array: NDArray[Any]) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _image_from_array(array: NDArray[Any]) -> Image:
    from PIL import Image

    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise MediaError(
            f"An image array must be uint8 of shape (height, width) or (height, width, 1|3|4); found {describe(array)}."
        )
    if 0 in array.shape:
        raise MediaError(f"An image array must have pixels; found {describe(array)}.")
    return _to_rgb(Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def _to_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0.0) > 255 else 255.0
        return Image.fromarray((values * (255.0 / top)).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over).convert("RGB")
    return image.convert("RGB")


def _audio_from_array(payload: tuple[Any, ...]) -> tuple[NDArray[np.float32], int]:
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
    if not np.isfinite(samples).all():
        raise MediaError("Audio samples contain NaN or infinity.")
    return np.ascontiguousarray(np.atleast_2d(samples), dtype=np.float32), hertz


def _audio_by_ffmpeg(payload: Payload) -> tuple[NDArray[np.float32], int]:
    import av

    parts: list[NDArray[np.float32]] = []
    try:
        with av.open(io.BytesIO(payload) if isinstance(payload, bytes) else os.fspath(payload)) as container:
            if not container.streams.audio:
                raise MediaError(f"{describe(payload)} has no sound track.")
            rate = int(container.streams.audio[0].rate)
            resampler = av.AudioResampler(format="fltp", rate=rate)
            seconds = 0.0
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray() for part in resampler.resample(frame)]
                seconds += frame.samples / rate
                if seconds > MAX_SECONDS:
                    raise MediaError(f"Audio {describe(payload)} is longer than {MAX_SECONDS} s; cut it.")
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"Audio {describe(payload)} does not exist.") from error
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise MediaError(f"Audio {describe(payload)} cannot be decoded: {error}. Replace the file or drop the row.") from error
    if not parts:
        raise MediaError(f"Audio {describe(payload)} holds no samples. Replace the file or drop the row.")
    return np.concatenate(parts, axis=1).astype(np.float32, copy=False), rate


def check_path(path: str | os.PathLike[str], row: int, modality: str) -> Path:
    """Return the path if it is a readable file; raises `DataError` naming the row otherwise. Nothing is decoded."""
    found = Path(path)
    try:
        readable = found.is_file() and os.access(found, os.R_OK)
    except (OSError, ValueError):
        readable = False
    if not readable:
        state = "is not a readable file" if os.path.lexists(found) else "does not exist"
        raise DataError(f"Row {row}, modality {modality!r}: {os.fspath(path)!r} {state}. Mend the path or leave the cell empty.")
    return found
