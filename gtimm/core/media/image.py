"""Images, by Pillow."""

from __future__ import annotations

import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from gtimm.core.errors import MediaError
from gtimm.core.media.part import FilmPart
from gtimm.core.media.sources import Payload, decoding, describe, opened

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
"""Pixels of the largest image, or frame of a video, that is decoded."""

_FILMS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
# Formats that Pillow hands to another program or to the operating system, and one that its older versions unpack whole, whatever the
# header says.
_REFUSED = ("EPS", "WMF", "FITS")
_header = threading.Lock()  # warning filters belong to the process, and images are opened from many threads


def load_image(payload: Payload) -> Image:
    """Decode an image payload to RGB.

    Args:
        payload: a path, encoded bytes, a PIL image, a uint8 array (height, width), (height, width, 1|3|4), or a `FilmPart`,
            whose middle frame it is.

    Returns:
        A PIL image of mode RGB, 0..255, turned as its EXIF tag says; alpha is laid over black, 16 bits are scaled to 8, and of
        an animation it is the first frame.

    Raises:
        MediaError: not an image, damaged, cut short, or more than `MAX_PIXELS` pixels (found in the header, before anything is
            decoded); names the payload.
    """
    from PIL import Image

    if isinstance(payload, np.ndarray):
        return _from_array(payload)
    if isinstance(payload, FilmPart):
        from gtimm.core.media.video import load_frame  # which imports this module

        return load_frame(payload.path, payload.middle)
    if isinstance(payload, Image.Image):
        with decoding("Image", payload):
            return _decode(payload, payload)
    if not isinstance(payload, (str, bytes)) and not hasattr(payload, "__fspath__"):
        raise MediaError(
            f"An image must be a path, bytes, a PIL image or a uint8 array (height, width, 3); found {describe(payload)}."
        )
    with opened("Image", payload) as file, _read_header(file, payload) as image:
        return _decode(image, payload)


def check_pixels(width: int, height: int, payload: Payload) -> None:
    """Raise `MediaError` for pictures of more than `MAX_PIXELS` pixels."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"Image {describe(payload)} has {width}x{height} pixels, more than {MAX_PIXELS:,}; scale it down.")


def _read_header(file: BinaryIO, payload: Payload) -> Image:
    """Identify the image; our own limit stands in for Pillow's, whose warning must not reach the user."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    formats = [name for name in Image.ID if name not in _REFUSED]
    try:
        with _header, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise MediaError(f"Image {describe(payload)} has more than {MAX_PIXELS:,} pixels; scale it down.") from error
    except UnidentifiedImageError as error:
        film = isinstance(payload, (str, os.PathLike)) and os.fspath(payload).lower().endswith(_FILMS)
        mend = "A column of films is of kind 'video'." if film else "Replace the file or drop the row."
        raise MediaError(
            f"Image {describe(payload)} cannot be decoded: it is of no image format that Pillow reads. {mend}"
        ) from error


def _decode(image: Image, payload: Payload) -> Image:
    check_pixels(*image.size, payload)
    return _to_rgb(_upright(image), payload)


def _upright(image: Image) -> Image:
    from PIL import ExifTags
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a damaged tag beside sound pixels: as if there were none, like every viewer
        return image
    return image.transpose(turns[tag]) if tag in turns else image


def _to_rgb(image: Image, payload: Payload) -> Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image, dtype=np.float64), image.mode, payload)).convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over).convert("RGB")
    return image.convert("RGB")


def _to_bytes(values: NDArray[np.float64], mode: str, payload: Payload) -> NDArray[np.uint8]:
    """Scale grey values of more than 8 bits: `I;16` by its range, the wider modes by the smallest usual one that holds them."""
    largest = float(values.max(initial=0.0))
    tops = (65535.0,) if mode.startswith("I;16") else (255.0, 65535.0) if mode == "I" else (1.0, 255.0, 65535.0)
    top = next((t for t in tops if largest <= t), None)
    if top is None or not np.isfinite(values).all():
        raise MediaError(f"Image {describe(payload)} has grey values up to {largest:g}; scale them to 0..255.")
    return (values * (255.0 / top)).clip(0, 255).astype(np.uint8)


def _from_array(array: NDArray[Any]) -> Image:
    from PIL import Image

    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise MediaError(
            f"An image array must be uint8 of shape (height, width) or (height, width, 1|3|4); found {describe(array)}."
        )
    if 0 in array.shape:
        raise MediaError(f"An image array must have pixels; found {describe(array)}.")
    return _to_rgb(Image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array), array)
