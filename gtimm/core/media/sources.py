"""Payloads as files: which are readable, how messages name them, and one place where decoders' errors become ours."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from gtimm.core.errors import GtimmError, MediaError
from gtimm.core.media.part import FilmPart

Payload = Any
"""A path, bytes, a PIL image, a uint8 array (height, width, 3), a string, `(samples, rate)`, a `FilmPart`, or a float vector."""

_LONGEST = 200  # characters of a path or a string in a message


def describe(payload: Payload) -> str:
    """Name a payload in a message: its path (the middle left out where it is long), or its type and shape."""
    if isinstance(payload, (str, os.PathLike)):
        text = os.fspath(payload)
        if len(text) <= _LONGEST:
            return repr(text)
        return f"{text[: _LONGEST // 2]!r}...{text[-_LONGEST // 2 :]!r} ({len(text)} characters)"
    if isinstance(payload, FilmPart):
        return describe(payload.path) + ("" if payload.start is None else f" from {payload.start:g} s to {payload.end:g} s")
    if isinstance(payload, bytes):
        return f"{len(payload)} bytes"
    if isinstance(payload, np.ndarray):
        return f"an array of shape {payload.shape} and type {payload.dtype}"
    return f"a {type(payload).__name__}"


@contextmanager
def opened(noun: str, payload: Payload) -> Iterator[BinaryIO]:
    """Open a path or encoded bytes; what a decoder raises in the block becomes a `MediaError` that names the payload.

    Only regular files are opened (links to them are fine): a pipe or a device would wait or never end.

    Args:
        noun: what the payload should be, such as `"Image"`, for messages.
        payload: a path or bytes.
    """
    with decoding(noun, payload), _open(noun, payload) as file:
        yield file


@contextmanager
def decoding(noun: str, payload: Payload) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into a `MediaError` that names the payload."""
    try:
        yield
    except GtimmError:
        raise
    except Exception as error:  # decoders raise anything: struct.error, ZeroDivisionError, UnicodeDecodeError, ...
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = str(reason).rstrip(". ")
        raise MediaError(f"{noun} {describe(payload)} cannot be decoded: {reason}. Replace the file or drop the row.") from error


def _open(noun: str, payload: Payload) -> BinaryIO:
    file: BinaryIO
    if isinstance(payload, bytes):
        size, file = len(payload), io.BytesIO(payload)
    elif isinstance(payload, (str, os.PathLike)):
        path = os.fspath(payload)
        if not os.path.isfile(path):
            state = "is not a file" if os.path.lexists(path) else "does not exist"
            raise MediaError(f"{noun} {describe(payload)} {state}. Mend the path or drop the row.")
        size, file = os.path.getsize(path), open(path, "rb")  # noqa: SIM115 - the caller closes it
    else:
        raise MediaError(f"{noun} must be a path or bytes; found {describe(payload)}.")
    if size == 0:
        file.close()
        raise MediaError(f"{noun} {describe(payload)} cannot be decoded: it is empty. Replace the file or drop the row.")
    return file
