"""A filled data set as a folder that other programs read: files by modality, and `metadata.jsonl`, a line a row."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.files import encode
from gtimm.core.errors import DataError, StoreError
from gtimm.core.files import entries, leads_out, whole_file, write_json
from gtimm.core.media import load_image
from gtimm.core.plain import from_json
from gtimm.core.targets import class_names

if TYPE_CHECKING:
    from gtimm.core.filled import Filled
    from gtimm.core.media import Payload

LINES = "metadata.jsonl"
MARK = ".gtimm-export.json"


def export(filled: Filled, folder: str | os.PathLike[str]) -> None:
    """Write every row, each hole with its first fill.

    Files are `<modality>/<row>.<suffix>`: copies of files, PNG, WAV, and NPY for vectors. A line of `metadata.jsonl` has `row`, `label`,
    the texts, `filled_<modality>`, and for each modality of files `<modality>_file_name`; the first one of images is `file_name`, as a
    Hugging Face imagefolder wants it. What nothing fills is null.

    Args:
        filled: from `impute`.
        folder: a new or empty folder, or an earlier export, which is replaced.

    Raises:
        DataError: the folder holds anything else, or a payload cannot be read; names the row.
        StoreError: the folder cannot be written.
    """
    root = Path(folder).expanduser()
    data, lines = filled.data, []
    images = [m for m in data.modalities if data.kind(m) == "image"]
    try:
        _clear(root)
        folders = [_folder(m) for m in data.modalities]
        write_json(root / MARK, {"made_by": "gtimm.impute", "data": data.name, "rows": len(data), "folders": folders})
        for row, item in enumerate(filled.first()):
            line: dict[str, Any] = {"row": row}
            for m in data.modalities:
                if data.kind(m) == "text" and not isinstance(item[m], np.ndarray):
                    line[m] = item[m]
                    continue
                name = "file_name" if images[:1] == [m] else f"{m}_file_name"
                line[name] = None if item[m] is None else _write(root, m, row, data.kind(m), item[m], data.row_names[row])
            line |= {f"filled_{m}": item[f"filled_{m}"] for m in data.modalities}
            if data.labels is not None:
                line["label"] = class_names(data.labels, data.classes, row)
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StoreError(
            f"Cannot write to {root}: {error.strerror or error}. Choose another folder or free some space."
        ) from error
    with whole_file(root / LINES) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _clear(root: Path) -> None:
    """Remove the files of an earlier export, and nothing else."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; export needs a folder.")
    if not root.is_dir() or not entries(root):
        return
    if not (root / MARK).is_file():
        raise DataError(f"{root} holds files that no export wrote. Give a new or an empty folder.")
    try:
        folders = [str(one) for one in from_json((root / MARK).read_text(encoding="utf-8"))["folders"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / MARK} cannot be read: {error}. Give a new or an empty folder.") from error
    for folder in folders:
        if reason := leads_out(root, folder):
            raise DataError(f"{root / MARK}: {folder!r} {reason}. Give a new or an empty folder.")
    (root / LINES).unlink(missing_ok=True)  # first: where it is, all that it names is there
    for folder in folders:
        for path in (root / folder).glob("*"):
            if path.is_file() and path.stem.isdecimal():
                path.unlink()


def _write(root: Path, modality: str, row: int, kind: str, payload: Payload, name: str) -> str:
    folder = root / _folder(modality)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{row:06d}"
    if isinstance(payload, (str, os.PathLike)) and kind != "text":
        source = Path(payload)
        if not source.is_file():
            raise DataError(f"{name}: {modality!r} {source} is no longer there.")
        path = stem.with_suffix(source.suffix)
        shutil.copyfile(source, path)
    elif kind == "image" and not _vector(payload):
        path = stem.with_suffix(".png")
        load_image(payload).save(path, format="PNG")
    elif kind == "audio" and not _vector(payload):
        path = stem.with_suffix(".wav")
        path.write_bytes(encode("audio", payload))
    elif isinstance(payload, bytes):
        path = stem.with_suffix(".bin")
        path.write_bytes(payload)
    else:
        path = stem.with_suffix(".npy")
        np.save(path, np.asarray(payload), allow_pickle=False)
    return path.relative_to(root).as_posix()


def _folder(modality: str) -> str:
    return "".join(c if c.isalnum() or c in " -_" else "_" for c in modality)


def _vector(payload: Payload) -> bool:
    return isinstance(payload, np.ndarray) and payload.ndim == 1
