"""Real and generated items side by side, as parts of a page: images, and players for sounds."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import DataError

if TYPE_CHECKING:
    from gtimm.report.results import Exhibit

_PNG = b"\x89PNG\r\n\x1a\n"
_SMALL = 64  # pixels: images up to this size are enlarged with their pixels visible


def gallery(exhibits: Sequence[Exhibit], root: Path) -> tuple[list[dict[str, Any]], int]:
    """Return what the template shows of each class, and how many of the named files are no longer there.

    Raises:
        DataError: a file is outside the folder, or neither PNG nor WAV.
    """
    shown, absent = [], 0
    for exhibit in exhibits:
        real, made = [], []
        for number, file in enumerate(exhibit.real, 1):
            if source := tile(root, file):
                real.append({**source, "alt": f"{exhibit.name}, real, {number}"})
        for item in exhibit.generated:
            if source := tile(root, item.file):
                seed = "" if item.seed is None else f"seed {item.seed}"
                prompt = f"“{item.prompt}”" if item.prompt else ""
                caption = ", ".join(part for part in (prompt, seed) if part) or "prompt and seed not recorded"
                made.append({**source, "alt": f"{exhibit.name}, synthetic", "caption": caption})
        absent += len(exhibit.real) + len(exhibit.generated) - len(real) - len(made)
        prompts = list(dict.fromkeys(item.prompt for item in exhibit.generated if item.prompt))
        hint = f"“{prompts[0]}”" + (f" and {len(prompts) - 1} more" if prompts[1:] else "") if prompts else ""
        shown.append(
            {"name": exhibit.name, "hint": hint, "strips": (("real", False, real), ("synthetic (generated)", True, made))}
        )
    return shown, absent


def tile(root: Path, name: str) -> dict[str, str] | None:
    """Return a PNG or WAV of a folder as a data address, and how to show it; `None` if it is not there.

    Raises:
        DataError: outside the folder (links followed), or neither PNG nor WAV.
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
        return {"source": _address("audio/wav", content), "scale": "sound"}
    if not content.startswith(_PNG):
        raise DataError(f"The gallery file {name!r} is neither a PNG image nor a WAV sound. Save it as one of these.")
    small = int.from_bytes(content[16:20]) <= _SMALL and int.from_bytes(content[20:24]) <= _SMALL
    return {"source": _address("image/png", content), "scale": "pixel" if small else "photo"}


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + base64.b64encode(content).decode()
