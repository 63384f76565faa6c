"""Read tables and folders into data sets. Paths are checked, nothing is decoded unless asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gtimm.core.cells import check_ids, check_unreadable, take_out_damaged, texts_of, warn_of_holes
from gtimm.core.dataset import Column, MultimodalDataset, modality_kind
from gtimm.core.errors import ConfigError, DataError, Together, did_you_mean
from gtimm.core.readable import TAKEN_OUT, checked_files
from gtimm.core.row_names import RowNames, listed
from gtimm.core.table_files import check_names, read_table
from gtimm.core.targets import encode_labels, is_missing

if TYPE_CHECKING:
    from pandas import DataFrame

    from gtimm.core.media import Payload

EXTENSIONS = {
    "image": {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"},
    "audio": {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac"},
    "text": {".txt"},
    "video": {".mp4", ".mkv", ".webm", ".avi", ".mov"},
}
FILE_KINDS = ("image", "audio", "video")


def read_frame(
    frame: DataFrame,
    modalities: Mapping[str, str | Column],
    label: str | Sequence[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    label_separator: str | None = None,
    id: str | None = None,
    unreadable: Literal["error", "missing"] = "error",
    name: str = "data",
    row_names: RowNames | None = None,
) -> MultimodalDataset:
    """Read a DataFrame.

    Args:
        frame: one row each.
        modalities: modality to column, or to `Column(column, kind=...)` where the modality's name is not its kind. Cells of
            images, audio and video are paths, bytes, arrays, PIL images or `(samples, rate)`.
        label: column of class names or indices; `None` for data to predict. Multi-label: a column whose cells are lists of them, or
            several columns of 0 and 1, one a class.
        root: folder that paths are relative to; none may lead out of it.
        classes: class names in order; by default the sorted distinct labels.
        label_separator: what stands between the classes of a cell, `"drama|comedy"`; the data is multi-label then.
        id: column of names of the rows, which must all be there and differ.
        unreadable: `"error"` refuses files that do not exist and leaves damaged ones to their first use; `"missing"` decodes all now
            and takes both as holes, which the data set's `unreadable` lists.
        name: for reports.
        row_names: how messages name the rows; by default by the frame's index.

    Raises:
        DataError: an unknown column or one that stands twice, no rows, a path that does not exist, an id that stands twice or was
            read as a fraction; names the rows. What is wrong with several columns is said together.
    """
    check_unreadable(unreadable)
    check_names(frame.columns.tolist(), "The table")
    rows = RowNames.of(frame) if row_names is None else row_names
    payloads: dict[str, Sequence[Payload]] = {}
    kinds: dict[str, str] = {}
    absent: dict[str, dict[int, str]] | None = {m: {} for m in modalities} if unreadable == "missing" else None
    together = Together()
    with together.check():
        if id is not None:
            _check_column(id, frame)
            check_ids(id, frame[id].tolist(), rows, whole="Read the table with dtype=str.", drop=f"frame.drop_duplicates({id!r})")
    for modality, column in modalities.items():
        with together.check():
            named = column if isinstance(column, Column) else Column(column, modality_kind(modality, None))
            kinds[modality] = named.kind
            payloads[modality] = _cells(frame, named, modality, root, rows, None if absent is None else absent[modality])
    with together.check():
        labels, names = encode_labels(*labels_of(frame, label, classes, label_separator, rows), rows)
    together.finish()
    damaged = take_out_damaged(payloads, kinds, rows, absent) if absent is not None else {}
    columns = {
        "modalities": {m: {"column": c.name if isinstance(c, Column) else c, "kind": kinds[m]} for m, c in modalities.items()},
        "label": label if label is None or isinstance(label, str) else list(label),
    }
    used = {c.name if isinstance(c, Column) else c for c in modalities.values()}
    used |= set([label] if isinstance(label, str) else label or ())
    extra = {c: frame[c].tolist() for c in frame.columns if c not in used}
    return MultimodalDataset(
        payloads, kinds, labels, names, name=name, columns=columns, extra=extra, unreadable=damaged, row_names=rows
    )


def _cells(
    frame: DataFrame,
    column: Column,
    modality: str,
    root: str | os.PathLike[str] | None,
    rows: RowNames,
    absent: dict[int, str] | None,
) -> Sequence[Payload]:
    _check_column(column.name, frame)
    cells = frame[column.name].tolist()
    if column.kind in FILE_KINDS:
        return checked_files(cells, modality, root, rows, absent=absent, mend=TAKEN_OUT)
    if column.kind == "text":
        texts = texts_of(cells, modality, rows)
        warn_of_holes(texts, column.name, rows)
        return texts
    return cells


def read_table_file(
    path: str | os.PathLike[str],
    modalities: Mapping[str, str | Column],
    label: str | Sequence[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> MultimodalDataset:
    """Read a CSV, TSV, Parquet or JSON lines file; see `gtimm.core.table_files.read_table` for its form.

    Args:
        path: of the table.
        modalities: as in `read_frame`.
        label: as in `read_frame`.
        root: folder that paths are relative to; by default the table's.
        name: for reports; by default the file's name without its ending.
        options: the others of `read_frame`.
    """
    file = Path(path)
    frame = read_table(file)
    return read_frame(
        frame,
        modalities,
        label,
        root=file.parent if root is None else root,
        name=name or file.stem,
        row_names=RowNames.of(frame, file.name),
        **options,
    )


def read_folder(
    root: str | os.PathLike[str],
    modalities: Mapping[str, str | Column] | None = None,
    *,
    classes: Sequence[str] | None = None,
    unreadable: Literal["error", "missing"] = "error",
    name: str | None = None,
) -> MultimodalDataset:
    """Read class folders: `root/<modality folder>/<class>/<stem>.<ext>`, files paired across modality folders by stem.

    Args:
        root: the folder.
        modalities: modality to its folder; by default every sub-folder whose name is a kind (`image`, `audio`, `text`).
        classes: class names in order; by default the sorted class folders.
        unreadable: as in `read_frame`.
        name: for reports; by default the folder's name.

    Raises:
        DataError: no such folder, no file of the kind in it, or two files of one stem, class and modality.
    """
    frame, columns = folder_frame(root, modalities, unreadable=unreadable)
    return read_frame(frame, columns, "label", classes=classes, unreadable=unreadable, name=name or Path(root).name)


def folder_frame(
    root: str | os.PathLike[str], modalities: Mapping[str, str | Column] | None, *, unreadable: str = "error"
) -> tuple[DataFrame, dict[str, Column]]:
    """Return the table that class folders come to: `label` and a column a modality, texts read, files by path. As `read_folder`."""
    import pandas as pd

    base = Path(root)
    if not base.is_dir():
        raise DataError(f"{base} is not a folder.")
    if modalities is None:
        modalities = {p.name: p.name for p in sorted(base.iterdir()) if p.is_dir() and p.name in EXTENSIONS}
    if not modalities:
        raise DataError(
            f"{base} has no folder named after a kind ({', '.join(EXTENSIONS)}); name them: modalities={{'image': 'photos'}}."
        )
    found: dict[tuple[str, str], dict[str, Any]] = {}
    columns: dict[str, Column] = {}
    for modality, column in modalities.items():
        named = column if isinstance(column, Column) else Column(column, modality_kind(modality, None))
        columns[modality] = Column(modality, named.kind)
        for path in _files(base / named.name, named.kind, modality):
            cells = found.setdefault((path.parent.name, path.stem), {})
            if modality in cells:
                raise DataError(f"{path} and {cells[modality]} have one stem in one class; rename one.")
            cells[modality] = _read_text(path, unreadable) if named.kind == "text" else str(path)
    rows = [{"label": label, **cells} for (label, _), cells in sorted(found.items())]
    return pd.DataFrame(rows, columns=["label", *modalities], dtype=object), columns


def _files(folder: Path, kind: str, modality: str) -> list[Path]:
    """Return the files of a kind in a modality's class folders; films have sound too."""
    if not folder.is_dir():
        raise DataError(f"Modality {modality!r}: {folder} is not a folder.")
    suffixes = EXTENSIONS.get(kind, set()) | (EXTENSIONS["video"] if kind == "audio" else set())
    every = sorted(path for path in folder.glob("*/*") if path.is_file())
    files = [path for path in every if path.suffix.lower() in suffixes]
    if not files:
        other = sorted({path.suffix for path in every}) or ["no files"]
        raise DataError(
            f"Modality {modality!r}: {folder} holds no <class>/<name> with an ending of kind {kind!r} ({', '.join(sorted(suffixes))}); "
            f"it has {', '.join(other[:5])}. Put the files in class folders, or name another folder or kind."
        )
    return files


def labels_of(
    frame: DataFrame,
    label: str | Sequence[str] | None,
    classes: Sequence[str] | None,
    separator: str | None,
    rows: RowNames,
) -> tuple[Any, Sequence[str] | None]:
    """Return labels and classes as `encode_labels` takes them."""
    if label is None:
        return None, classes
    if not isinstance(label, str):
        for column in label:
            _check_column(column, frame)
        if separator is not None or classes is not None:
            raise ConfigError("Several label columns name the classes themselves; leave classes= and label_separator= out.")
        known = {"0": 0, "1": 1, "False": 0, "True": 1, "0.0": 0, "1.0": 1}
        found = np.zeros((len(frame), len(label)), np.int64)
        for place, column in enumerate(label):
            for row, cell in enumerate(frame[column].tolist()):
                if str(cell) not in known:
                    raise DataError(f"{rows[row]}, column {column!r}: a column of a class holds 0 and 1; found {cell!r}.")
                found[row, place] = known[str(cell)]
        return found, list(label)
    _check_column(label, frame)
    cells = frame[label].tolist()
    if separator is not None:
        if empty := [row for row, cell in enumerate(cells) if is_missing(cell)]:
            mend = f"Drop the row, or write the separator alone, {separator!r}, for a row of no class."
            raise DataError(
                listed(
                    empty,
                    lambda row: f"{rows[row]} has no label: column {label!r} is empty there, which may mean no class. {mend}",
                )
            )
        cells = [[part.strip() for part in str(cell).split(separator) if part.strip()] for cell in cells]
    return cells, classes


def _check_column(column: str, frame: DataFrame) -> None:
    if column not in frame.columns:
        known = [str(c) for c in frame.columns]
        raise DataError(f"The table has no column {column!r}.{did_you_mean(column, known)} Columns: {', '.join(known)}.")


def _read_text(path: Path, unreadable: str) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if unreadable == "missing":
            return None
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}. Replace it, or pass unreadable='missing'.") from error
