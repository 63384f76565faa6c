"""The files of a bank: items as bytes, whether they are whole, the log that other tools read, failures, what the bank is."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.claims import Staging, held
from gtimm.core.errors import StoreError
from gtimm.core.plain import from_json

if TYPE_CHECKING:
    from gtimm.core.media import Payload

SUFFIX = {"image": ".png", "audio": ".wav"}
LOG = "metadata.jsonl"
FAILURES = "failures.jsonl"
ABOUT = "about.json"
REJECTED = "rejected"
REJECTIONS = "rejected.jsonl"
_LOCK = ".log.lock"

Record = dict[str, Any]


def encode(kind: str, item: Payload) -> bytes:
    """Return an item as the bytes of a PNG, or of a 16-bit WAV."""
    memory = io.BytesIO()
    if kind == "image":
        from gtimm.core.media import load_image

        load_image(item).save(memory, format="PNG")
    else:
        import soundfile

        from gtimm.core.media import load_audio

        samples, rate = load_audio(item)
        soundfile.write(memory, samples.T, rate, format="WAV", subtype="PCM_16")
    return memory.getvalue()


def write_item(staging: Staging, path: Path, content: bytes) -> None:
    """Write an item's file, whole or not at all."""
    with staging.whole_file(path) as temporary:
        temporary.write_bytes(content)


def is_whole(path: Path | str) -> bool:
    """Return whether a file is there and not cut short, from its size and ends; a file that did not change is looked at once."""
    return _whole(str(path)) is not None


def _whole(path: str) -> tuple[str, int, int] | None:
    """Return name, size and time of a file that is whole."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # a name that is no path of this system
        return None
    seen = path, state.st_size, state.st_mtime_ns
    return seen if state.st_size > 0 and _ends_well(*seen) else None


@lru_cache(maxsize=1 << 20)
def _ends_well(path: str, size: int, time: int) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            if path.endswith(".png"):
                file.seek(max(size - 12, 0))
                return head == b"\x89PNG\r\n\x1a\n" and file.read() == b"\0\0\0\0IEND\xaeB`\x82"
            if path.endswith(".wav"):
                return head[:4] == b"RIFF" and struct.unpack("<I", head[4:])[0] + 8 == size
    except (OSError, struct.error):
        return False
    return True


def is_sound(path: Path) -> bool:
    """Return whether a file is whole and, where it is PNG, its checksums hold; a file that did not change is read once."""
    seen = _whole(str(path))
    if seen is None or path.suffix != ".png":
        return seen is not None
    if seen not in _SOUND:  # only what was sound: a damaged file may be made again within one tick of the file system's clock
        if not _sums_hold(path):
            return False
        _SOUND.add(seen)
    return True


_SOUND: set[tuple[str, int, int]] = set()


def _sums_hold(path: Path) -> bool:
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return False
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(content) or zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return False
        at = end + 4
    return at == len(content)


class Log:
    """A file of JSON lines that several processes append to, each line whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Record]:
        """Return the records; lines that an interruption cut off are left out."""
        return [record for _, record in _records(self._text())]

    def append(self, records: Iterable[Record]) -> None:
        """Append records: all of them, or none.

        Raises:
            StoreError: the file cannot be written; it is as it was.
        """
        text = "".join(map(_line, records))
        if not text:
            return
        with held(self.path.parent / _LOCK), _reported(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    text = text if file.read(1) == b"\n" else "\n" + text
                try:
                    _write_all(file.fileno(), text.encode())
                except OSError:
                    file.truncate(size)
                    raise

    def rewrite(self, keep: Callable[[Record, bool], bool], add: Callable[[set[str]], Iterable[Record]] | None = None) -> None:
        """Keep some records and append others; nothing is locked or written where that changes nothing.

        Args:
            keep: whether a record stays; is told whether one of the same file does already.
            add: the records to append to those of these files.

        Raises:
            StoreError: the file is to change and cannot be written; it is as it was.
        """
        if self._changed(keep, add) is None:
            return
        with held(self.path.parent / _LOCK):
            if (text := self._changed(keep, add)) is not None:
                with Staging(self.path.parent) as staging, staging.whole_file(self.path) as temporary:
                    temporary.write_text(text, encoding="utf-8")

    def _changed(self, keep: Callable[[Record, bool], bool], add: Callable[[set[str]], Iterable[Record]] | None) -> str | None:
        """Return the text that `rewrite` makes, `None` where it is so already."""
        before, names, kept = self._text(), set[str](), list[str]()
        for line, record in _records(before):
            if keep(record, record["file_name"] in names):
                names.add(record["file_name"])
                kept.append(line + "\n")
        text = "".join([*kept, *map(_line, add(names) if add else ())])
        return None if text == before else text

    def _text(self) -> str:
        if not self.path.is_file():
            return ""
        with _reported(self.path):
            return self.path.read_text("utf-8", "replace")


def _records(text: str) -> Iterator[tuple[str, Record]]:
    """Yield the lines that are whole, and their records."""
    for line in text.split("\n"):
        try:
            record = from_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("file_name"), str):
            yield line, record


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Cannot read or write {path}: {error.strerror or error}. Free some space or choose another folder."
        ) from error
