"""Decode payloads: what a data set holds for one row and modality, in any form, to arrays that a backbone takes."""

from __future__ import annotations

from gtimm.core.media.audio import MAX_SECONDS, has_sound, load_audio
from gtimm.core.media.empty import empty_payload
from gtimm.core.media.image import MAX_PIXELS, load_image
from gtimm.core.media.keys import payload_key
from gtimm.core.media.part import FilmPart
from gtimm.core.media.sources import Payload, describe
from gtimm.core.media.text import load_text
from gtimm.core.media.video import load_frame, load_frames, load_still, still_kind

__all__ = [
    "MAX_PIXELS",
    "MAX_SECONDS",
    "FilmPart",
    "Payload",
    "describe",
    "empty_payload",
    "has_sound",
    "load_audio",
    "load_frame",
    "load_frames",
    "load_image",
    "load_still",
    "load_text",
    "payload_key",
    "still_kind",
]
