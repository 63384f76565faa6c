"""Content keys of payloads, under which features and generated items are stored."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import MediaError, StoreError
from gtimm.core.files import file_digest
from gtimm.core.media.image import load_image
from gtimm.core.media.part import FilmPart
from gtimm.core.media.sources import Payload, describe
from gtimm.core.media.text import load_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def payload_key(kind: str, payload: Payload) -> bytes:
    """Return 16 bytes that identify a payload's kind and content: two files with equal bytes have one key.

    Files are read, never decoded. Of kind `"text"` a payload is a string, also where it looks like a path.

    Raises:
        MediaError: the payload is a path that cannot be read, or of a form that no kind has.
    """
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    if kind == "text":
        digest.update(load_text(payload).encode("utf-8", "surrogatepass"))
    elif isinstance(payload, bytes):
        digest.update(payload)
    elif isinstance(payload, (str, os.PathLike)):
        digest.update(_of_file(payload).encode())
    elif isinstance(payload, FilmPart):
        bounds = "" if payload.start is None else f" {payload.start!r} {payload.end!r}"
        digest.update((_of_file(payload.path) + bounds).encode())
    elif isinstance(payload, tuple) and kind != "vector":
        samples, rate = _sound(payload)
        _update(digest, samples)
        digest.update(str(rate).encode())
    elif isinstance(payload, np.ndarray) or kind != "image":
        _update(digest, _array(payload))
    else:
        _update(digest, np.asarray(load_image(payload)))
    return digest.digest()


def _of_file(path: str | os.PathLike[str]) -> str:
    try:
        return file_digest(path)
    except (StoreError, OSError, ValueError) as error:
        raise MediaError(f"{describe(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _sound(payload: tuple[Any, ...]) -> tuple[NDArray[Any], int]:
    try:
        samples, rate = payload
        return _array(samples), int(rate)
    except (TypeError, ValueError) as error:
        raise MediaError("Audio must be (samples, rate) with an array and a rate in Hz.") from error


def _array(payload: Payload) -> NDArray[Any]:
    try:
        array = np.asarray(payload)
    except ValueError:  # rows of unequal length
        array = np.asarray(None)
    if array.dtype.hasobject:  # its bytes would be addresses, other in every process
        raise MediaError(f"A payload must be a path, bytes, text or numbers; found {describe(payload)}.")
    return array


def _update(digest: Any, array: NDArray[Any]) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
