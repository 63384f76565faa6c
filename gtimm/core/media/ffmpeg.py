"""Containers of sound and pictures, by PyAV. One place for what makes an untrusted file safe to open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gtimm.core.errors import MediaError
from gtimm.core.media.image import MAX_PIXELS
from gtimm.core.media.sources import Payload, describe, opened

MAX_PACKETS = 1_000_000  # of one stream; an hour has 90,000 frames at 25 a second, and 170,000 packets of sound


@contextmanager
def container(noun: str, payload: Payload) -> Iterator[Any]:
    """Open a path or bytes as an `av.container.InputContainer`; errors in the block name the payload.

    The file is read through Python and can name no other: playlists would reach into the file system or the network.
    """
    import av

    limits = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
    with (
        opened(noun, payload) as file,
        av.open(file, "r", options=limits, metadata_errors="replace", io_open=_refuse) as found,
    ):
        for stream in found.streams:
            if stream.type in ("audio", "video") and stream.codec_context is not None:
                stream.codec_context.options = limits
        yield found


def decode(found: Any, stream: Any, payload: Payload) -> Iterator[tuple[Any, int]]:
    """Yield (frame, damaged packets so far) of a stream to its end, or to where the file breaks off.

    A packet that cannot be decoded is skipped and counted, as players do.

    Raises:
        MediaError: more than `MAX_PACKETS` packets.
    """
    import av

    damaged = 0
    packets = found.demux(stream)
    for _ in range(MAX_PACKETS):
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the file breaks off: what the decoder still holds comes out below
            packet = None
        try:
            frames = stream.codec_context.decode(None) if packet is None else packet.decode()
        except EOFError:  # flushed before
            frames = []
        except av.error.FFmpegError:
            damaged += 1
            frames = []
        for frame in frames:
            yield frame, damaged
        if packet is None:
            return
    raise MediaError(f"{describe(payload)} has more than {MAX_PACKETS:,} packets in one stream; cut it.")


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    raise PermissionError(f"it refers to another file, {url!r}")
