"""Items into a bank that another generator made, and out of a bank as a folder that other tools read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtimm.core.bank.files import ABOUT, LOG, REJECTED, Log, Record, is_whole
from gtimm.core.bank.labelled import LabelledFile, LabelledFolder, read_labelled
from gtimm.core.bank.upkeep import DIGEST, IMPORT_LOCK, IMPORTED, bank_folder, facts
from gtimm.core.claims import BESIDE, Staging, claim
from gtimm.core.errors import ConfigError, DataError, MediaError, StoreError
from gtimm.core.files import file_digest, write_json
from gtimm.core.media import load_audio, load_image
from gtimm.core.progress import progress_bar

LINES = 64  # items between writes of the log
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = 100  # bytes of a class folder's name
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789"), LOG, REJECTED}
_SPLITS = re.compile(
    r"(^|[^A-Za-z~])(?=(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:[^A-Za-z]|$))", re.IGNORECASE
)
"""Words at which a Hugging Face imagefolder takes a folder for a split, not a class."""


@dataclass
class Imported:
    """What an import did.

    Attributes:
        folder: the bank.
        added: items that are new in it.
        known: items that it had.
        duplicates: files of a class with the same bytes as another one of that class.
        unreadable: files that cannot be decoded, and why, by name.
    """

    folder: Path
    added: int = 0
    known: int = 0
    duplicates: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


def import_folder(source: Path, home: Path, name: str) -> Imported:
    """Copy a folder of images or sounds by class into the bank `imported-<name>`; going on where an earlier import stopped.

    Each file is decoded once before its bytes are copied. An item's key follows from its class and its bytes.

    Args:
        source: see `read_labelled`.
        home: the store folder.
        name: of letters, digits, `.`, `_` and `-`.

    Raises:
        ConfigError: the name cannot be used, or another process is at this import.
        DataError: the folder cannot be used, or the bank holds the other kind.
        StoreError: the bank cannot be written; what is there is whole.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name must be up to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit; found {name!r}."
        )
    found = read_labelled(source)
    result = Imported(bank_folder(home) / f"{IMPORTED}-{name}")
    if result.folder.resolve() == source.resolve():
        raise ConfigError(f"{source} is the bank itself; there is nothing to import.")
    there = facts(result.folder) if result.folder.is_dir() else None
    if there is not None and there.kind not in (None, found.kind):
        raise DataError(f"{result.folder} holds files of kind {there.kind!r}, {source} of {found.kind!r}. Choose another name.")
    mine = claim(result.folder / IMPORT_LOCK)
    if mine is None:
        raise ConfigError(f"Another process is importing into {result.folder}. Wait for it, or choose another name.")
    about = {"generator": IMPORTED, "model": None, "name": name, "source": source.resolve().name, "kind": found.kind}
    try:
        write_json(result.folder / ABOUT, about)
        with Staging(result.folder) as staging:
            _copy_all(found, result, staging)
    finally:
        mine.release()
    return result


def _copy_all(found: LabelledFolder, result: Imported, staging: Staging) -> None:
    log = Log(result.folder / LOG)
    names = {record["file_name"] for record in log.read()}
    seen: set[str] = set()
    lines: list[Record] = []
    try:
        with progress_bar(f"Importing {found.kind}s", len(found.files), "files") as advance:
            for file in found.files:
                advance(1)
                try:
                    record = _copy(file, found.kind, result, staging, seen)
                except MediaError as error:
                    result.unreadable[file.name] = str(error)
                    continue
                if record is not None and record["file_name"] not in names:
                    lines.append(record)
                if len(lines) >= LINES:
                    log.append(lines)
                    lines = []
    finally:  # also where copying stopped: what is there is in the log
        log.append(lines)


def _copy(file: LabelledFile, kind: str, result: Imported, staging: Staging, seen: set[str]) -> Record | None:
    """Copy one file that is not there yet; returns its line, `None` for a duplicate."""
    try:
        digest = file_digest(file.path)
    except (StoreError, OSError) as error:
        raise MediaError(f"{file.path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    key = hashlib.blake2b(f"{file.label}\0{digest}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    if key in seen:
        result.duplicates += 1
        return None
    target = result.folder / key[:2] / f"{key}{file.path.suffix.lower()}"
    if is_whole(target) and file_digest(target) == digest:
        result.known += 1
    else:
        (load_image if kind == "image" else load_audio)(file.path)
        with staging.whole_file(target) as temporary:
            shutil.copyfile(file.path, temporary)
            if file_digest(temporary) != digest:
                raise MediaError(f"{file.path} changed while it was read. Import it again.")
        result.added += 1
    seen.add(key)
    prompt = file.record.get("prompt")
    return {
        "file_name": target.relative_to(result.folder).as_posix(),
        "label": file.label,
        "prompt": None if prompt is None else str(prompt),
        "generator": IMPORTED,
        "source": file.name,
        DIGEST: digest,
    }


def export_bank(bank: Path, folder: Path) -> tuple[int, dict[str, str]]:
    """Copy a bank's items into class folders with a `metadata.jsonl`, as a Hugging Face imagefolder or audiofolder has it.

    Args:
        bank: the bank's folder.
        folder: new or empty; it is there only when all is in it.

    Returns:
        How many items, and by class the folder's name where that is another.

    Raises:
        ConfigError: the folder is not empty.
        DataError: the bank has no labels, or its log and files differ.
        StoreError: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty. Name a new or empty folder.")
    found = read_labelled(bank)
    folders = folder_names(found.labels)
    target = folder.resolve()
    with Staging(target.parent, BESIDE) as staging, staging.whole_folder(target) as temporary:
        _write_tree(found, folders, temporary)
    return len(found.files), {label: name for label, name in folders.items() if label != name}


def _write_tree(found: LabelledFolder, folders: dict[str, str], folder: Path) -> None:
    taken: set[str] = set()
    with (folder / LOG).open("w", encoding="utf-8") as log, progress_bar("Exporting", len(found.files), "items") as advance:
        for file in found.files:
            name = f"{folders[file.label]}/{file.path.name}"
            if name.casefold() in taken:
                mark = hashlib.blake2b(file.name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
                name = f"{folders[file.label]}/{mark}{file.path.suffix.lower()}"
            taken.add(name.casefold())
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(file.path, folder / name)
            record: dict[str, Any] = {**file.record, "file_name": name, "label": file.label}
            log.write(json.dumps({"file_name": name, **record}, ensure_ascii=False) + "\n")
            advance(1)


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each class: safe on all systems, distinct there also where upper and lower case are one.

    Example:
        >>> folder_names(["cat", "AC/DC", "..", "con", "train"])
        {'cat': 'cat', 'AC/DC': 'AC_DC', '..': '_', 'con': '_con', 'train': '~train'}
    """
    plain = {label: _safe(label) for label in dict.fromkeys(labels)}
    times = Counter(name.casefold() for name in plain.values())

    def distinct(label: str) -> str:
        if times[plain[label].casefold()] == 1:
            return plain[label]
        mark = hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        return f"{_cut(plain[label], _LONGEST - 9)}~{mark}"

    return {label: distinct(label) for label in plain}


def _safe(label: str) -> str:
    text = unicodedata.normalize("NFC", label)
    text = "".join("_" if c in '<>:"/\\|?*[]' or unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    text = _SPLITS.sub(r"\1~", _cut(text, _LONGEST - 10).lstrip(". ")).rstrip(". ") or "_"
    return f"_{text}" if text.split(".")[0].casefold() in _RESERVED or text.casefold() in _RESERVED else text


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
