"""Images and sounds of a run folder as parts of a page: small enough to be in it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from gtimm.core.errors import DataError, MediaError

SMALL = 64  # pixels: images up to this size are enlarged with their pixels visible
THUMBNAIL = 224  # pixels of the longer side
SECONDS = 15.0  # of a sound

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Item:
    """An image or a sound: its data address, and how to show it (`pixel`, `photo` or `sound`)."""

    source: str
    scale: str


def item(root: Path, name: str) -> Item | None:
    """Return a PNG or WAV of a folder; `None` if it is not there.

    Large images become thumbnails, long sounds their first seconds; what is small stays byte for byte.

    Raises:
        DataError: outside the folder (links followed), or neither PNG nor WAV, or it cannot be decoded.
    """
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root.resolve())
        content = path.read_bytes() if inside and path.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(
            f"The gallery file {name!r} cannot be read: {error}. Run the experiment again to write it anew."
        ) from error
    if not inside:
        raise DataError(
            f"The gallery names {name!r}, which is outside the run folder {root}. Put the file into its gallery/ folder."
        )
    if content is None:
        return None
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return Item(address("audio/wav", content if len(content) < 1 << 18 else sound(path)), "sound")
    if not content.startswith(_PNG):
        raise DataError(f"The gallery file {name!r} is neither a PNG image nor a WAV sound. Save it as one of these.")
    size = max(int.from_bytes(content[16:20]), int.from_bytes(content[20:24]))
    try:
        shown = content if size <= THUMBNAIL else thumbnail(path)[0]
    except MediaError as error:
        raise DataError(f"The gallery file {name!r} cannot be decoded: {error}") from error
    return Item(address("image/png", shown), "pixel" if size <= SMALL else "photo")


def thumbnail(path: Path) -> tuple[bytes, int]:
    """Return an image as PNG, no larger than a thumbnail, and the longer side that it had.

    Raises:
        MediaError: it cannot be decoded.
    """
    from gtimm.core.media import load_image

    image = load_image(path)
    size = max(image.size)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    memory = io.BytesIO()
    image.save(memory, format="PNG", optimize=True)
    return memory.getvalue(), size


def sound(path: Path) -> bytes:
    """Return the first seconds of a sound as WAV.

    Raises:
        MediaError: it cannot be decoded.
    """
    from gtimm.core.bank.files import encode
    from gtimm.core.media import load_audio

    return encode("audio", load_audio(path, end=SECONDS))


def address(kind: str, content: bytes) -> str:
    """Return content as a data address."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()
