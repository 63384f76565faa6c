"""Payloads that say nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from gtimm.core.errors import IncompatibleError

SILENCE_RATE = 16_000


def empty_payload(kind: str) -> Any:
    """Return the payload that says nothing: a black image (32, 32, 3), also of a video; a second of silence at 16 kHz; an empty text.

    Raises:
        IncompatibleError: the kind has none.
    """
    if kind in ("image", "video"):
        return np.zeros((32, 32, 3), np.uint8)
    if kind == "audio":
        return np.zeros(SILENCE_RATE, np.float32), SILENCE_RATE
    if kind == "text":
        return ""
    raise IncompatibleError(f"There is no empty payload of kind {kind!r}; use zero with level='embedding'.")
