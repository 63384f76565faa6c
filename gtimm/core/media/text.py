"""Text payloads."""

from __future__ import annotations

from gtimm.core.errors import MediaError
from gtimm.core.media.sources import Payload, describe


def load_text(payload: Payload) -> str:
    """Return a text payload; raises `MediaError` for anything but a string. A path is text too: no file is read."""
    if not isinstance(payload, str):
        raise MediaError(f"Text must be a string; found {describe(payload)}.")
    return payload
