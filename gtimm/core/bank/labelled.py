"""Folders of images or sounds by class, whoever made them: class folders, or a `metadata.jsonl` with `file_name` and `label`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gtimm.core.bank.files import LOG
from gtimm.core.errors import DataError
from gtimm.core.files import leads_out
from gtimm.core.media import describe
from gtimm.core.plain import from_json
from gtimm.core.tables import EXTENSIONS

SUFFIXES = {suffix: kind for kind in ("image", "audio") for suffix in EXTENSIONS[kind]}
"""Kinds of item by suffix of the file's name."""


@dataclass(frozen=True)
class LabelledFile:
    """One file and its class.

    Attributes:
        path: of the file.
        name: relative to the folder, with slashes.
        label: name of the class; `""` where none is asked for and the line has none.
        record: its line of `metadata.jsonl`; empty where the folder has none.
    """

    path: Path
    name: str
    label: str
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledFolder:
    """The files of a folder, in the order of `metadata.jsonl`, else by class and name.

    Attributes:
        folder: where they are.
        kind: `"image"` or `"audio"`.
        files: at least one.
    """

    folder: Path
    kind: str
    files: tuple[LabelledFile, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in order of appearance."""
        return tuple(dict.fromkeys(file.label for file in self.files))


def read_labelled(folder: Path, *, need_labels: bool = True) -> LabelledFolder:
    """Read which files a folder has, and their classes; the files themselves are not opened.

    Args:
        folder: class folders, `<class>/**/<file>`, or files that a `metadata.jsonl` names, a JSON object a line with `file_name`
            and `label`, as a Hugging Face imagefolder or audiofolder. Every bank of gtimm is of this form.
        need_labels: refuse lines without a label.

    Raises:
        DataError: no such folder, nothing in it, both images and sounds, a file that is not there or that is outside the folder
            (absolute, through `..`, or through a symbolic link), a line without a label.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Name one with class folders, or with a {LOG} of file_name and label.")
    listed = (folder / LOG).is_file()
    files = tuple(_listed(folder, need_labels) if listed else _by_folder(folder))
    if not files:
        raise DataError(
            f"{folder} holds no images or sounds by class: "
            + (f"its {LOG} is empty." if listed else f"neither class folders with such files nor a {LOG} of file_name and label.")
        )
    kinds = {SUFFIXES[file.path.suffix.lower()]: file.name for file in reversed(files)}
    if len(kinds) > 1:
        raise DataError(f"{folder} holds both images ({kinds['image']!r}) and sounds ({kinds['audio']!r}). Keep them apart.")
    return LabelledFolder(folder, next(iter(kinds)), files)


def _listed(folder: Path, need_labels: bool) -> Iterator[LabelledFile]:
    seen: set[str] = set()
    for number, line in enumerate((folder / LOG).read_text("utf-8", "replace").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{folder / LOG}, line {number}"
        record = _record(line, where)
        name, label = record["file_name"], record.get("label")
        if name in seen:
            continue
        seen.add(name)
        path = _checked(folder, name, where)
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{where}: {describe(name)} is neither an image nor a sound by its suffix. Take the line out.")
        if need_labels and (label is None or isinstance(label, (dict, list)) or not str(label).strip()):
            raise DataError(f"{where}: {describe(name)} has no label. Write the name of its class into the field 'label'.")
        yield LabelledFile(path, name, "" if label is None else str(label), record)


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = from_json(line)
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
        raise DataError(
            f"{where} is not a JSON object with file_name: {describe(line)}. Take it out; `gtimm bank verify --repair` mends a bank."
        )
    return record


def _by_folder(folder: Path) -> Iterator[LabelledFile]:
    for below in sorted(folder.iterdir()):
        if below.name.startswith(".") or not below.is_dir():
            continue
        _refuse_link(folder, below)
        for root, folders, names in os.walk(below):
            folders.sort()
            for name in folders:
                _refuse_link(folder, Path(root) / name)
            for name in sorted(names):
                path = Path(root) / name
                if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                    relative = path.relative_to(folder).as_posix()
                    if any("\ud800" <= letter <= "\udfff" for letter in relative):
                        raise DataError(f"{folder}: the name {relative!a} is not UTF-8. Rename it.")
                    yield LabelledFile(_checked(folder, relative, str(folder)), relative, below.name)


def _refuse_link(folder: Path, path: Path) -> None:
    if path.is_symlink() and (reason := leads_out(folder, path.relative_to(folder).as_posix())):
        raise DataError(f"{folder}: {path.relative_to(folder).as_posix()!r} {reason}. Copy the files into the folder.")


def _checked(folder: Path, name: str, where: str) -> Path:
    if reason := leads_out(folder, name):
        raise DataError(f"{where}: {describe(name)} {reason}. Copy the file into the folder, or take it out.")
    path = folder / name
    if not os.path.isfile(path):  # also of names that are too long for this system
        raise DataError(f"{where}: {describe(name)} is not a file. Take it out; `gtimm bank verify --repair` mends a bank.")
    return path
