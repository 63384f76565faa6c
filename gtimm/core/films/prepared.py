"""A folder of frames and sounds that were taken from films once, and its index.

about.json                     the form of the files; all in a folder have one
index.jsonl                    a line a clip: what was asked of which film, and the files that came of it
frames/<clip>.png (.jpg)       the middle frame in the film's size
audio/<clip>.wav (.flac)       the sound: 16 kHz, the first channel, 16 bits
failures.jsonl                 clips that could not be prepared in the last run, and why
absent.jsonl                   clips whose film was not there in the last run
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gtimm.core.bank.files import is_whole
from gtimm.core.errors import DataError
from gtimm.core.files import names_outside
from gtimm.core.films.clips import Clip
from gtimm.core.media import FilmPart
from gtimm.core.plain import from_json

ABOUT, INDEX, FAILURES, ABSENT = "about.json", "index.jsonl", "failures.jsonl", "absent.jsonl"
RATE = 16_000  # Hz
JPEG_QUALITY = 95

Bounds = list[float | None]


@dataclass(frozen=True)
class Form:
    """The form of a folder's files.

    Attributes:
        frames: `png` keeps every pixel; `jpeg` (quality 95, full colour) takes about a fifth of the room.
        sound: `wav` or `flac`, both the same samples of 16 bits.
    """

    frames: Literal["png", "jpeg"] = "png"
    sound: Literal["wav", "flac"] = "wav"

    def plain(self) -> dict[str, Any]:
        """Return what `about.json` holds."""
        return {**asdict(self), "jpeg_quality": JPEG_QUALITY, "rate": RATE, "channel": "first", "bits": 16, "version": 1}

    def files(self, clip: Clip) -> tuple[str, str]:
        """Return the paths of a clip's frame and sound in the folder."""
        return f"frames/{clip.name}.{'png' if self.frames == 'png' else 'jpg'}", f"audio/{clip.name}.{self.sound}"


@dataclass(frozen=True)
class Record:
    """A line of the index: a clip's parts as they were asked for, its files, and the film's state then."""

    clip: str
    image: Bounds | None
    audio: Bounds | None
    frame: str | None
    sound: str | None
    silent: bool
    bytes: int
    modified: int
    failed: dict[str, str] = field(default_factory=dict)

    def fits(self, clip: Clip) -> bool:
        """Return whether the clip still asks for the same parts."""
        return (self.image, self.audio) == (bounds(clip.image), bounds(clip.audio))

    def complete(self, folder: Path) -> bool:
        """Return whether the files are there and not cut short."""
        return all(is_whole(folder / name) for name in (self.frame, self.sound) if name is not None)


def bounds(part: FilmPart | None) -> Bounds | None:
    """Return the bounds of a part as JSON has them; None where nothing is wanted."""
    return None if part is None else [part.start, part.end]


class Prepared:
    """A folder that `prepare` filled, read.

    Raises:
        DataError: no such folder, or one that nothing was prepared in.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        path = self.folder / ABOUT
        if not path.is_file():
            raise DataError(
                f"{self.folder} holds no {ABOUT}: nothing was prepared there. Run `gtimm prepare ... --out {folder}`."
            )
        self.about = read_about(path)
        self._records = read_index(self.folder)

    def find(self, clip: Clip) -> Record | None:
        """Return a clip's record, or None where it was never prepared.

        Raises:
            DataError: prepared with other bounds, or a file of it is gone.
        """
        record = self._records.get(clip.name)
        if record is None:
            return None
        if not record.fits(clip):
            raise DataError(
                f"{self.folder} has {clip.name!r} with image {record.image} and sound {record.audio} (seconds), and {clip.where} asks "
                "for others. Prepare with the same options, into a folder of its own."
            )
        if not record.complete(self.folder):
            raise DataError(f"{self.folder}: a file of {clip.name!r} is gone or cut short. Run the same `gtimm prepare` again.")
        return record

    def describe(self) -> str:
        """Return what the files are, for reports."""
        frames = "PNG" if self.about["frames"] == "png" else f"JPEG, quality {self.about['jpeg_quality']}"
        return f"prepared frames ({frames}) and sound ({self.about['sound'].upper()}, {self.about['rate']} Hz, first channel)"


def read_about(path: Path) -> dict[str, Any]:
    """Return what an `about.json` says; raises `DataError` where it is no form of a prepared folder."""
    try:
        found = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Prepare into a new folder.") from error
    texts, numbers = ("frames", "sound"), ("jpeg_quality", "rate")
    if not isinstance(found, dict) or not (
        all(isinstance(found.get(name), str) for name in texts) and all(isinstance(found.get(name), int) for name in numbers)
    ):
        raise DataError(f"{path} does not say {', '.join((*texts, *numbers))}. Prepare into a new folder.")
    return found


def read_index(folder: Path) -> dict[str, Record]:
    """Return the records of a folder by clip, the last of each; a line that a killed process left half-written is no record."""
    path = folder / INDEX
    records: dict[str, Record] = {}
    if not path.is_file():
        return records
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    for line in text.split("\n"):
        try:
            record = Record(**from_json(line))
        except (ValueError, TypeError):
            continue
        if _is_sound(record):
            records[record.clip] = record
    return records


def _is_sound(record: Record) -> bool:
    """Return whether a line that anyone may have written has a record's types, and names files of its own folder."""
    names = [name for name in (record.frame, record.sound) if name is not None]
    if not all(isinstance(name, str) for name in (record.clip, *names)) or not isinstance(record.failed, dict):
        return False
    return not any(names_outside(name) or any("\ud800" <= letter <= "\udfff" for letter in name) for name in names)


def to_lines(values: Sequence[dict[str, Any]]) -> str:
    """Return JSON lines."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
