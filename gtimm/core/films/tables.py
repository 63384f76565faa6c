"""Films and sounds of a user's own table, taken once: their frames and sounds, and a table that names these."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.dataset import Column, modality_kind
from gtimm.core.errors import ConfigError, DataError, did_you_mean
from gtimm.core.films.clips import Clip
from gtimm.core.films.prepare import Report, prepare_clips
from gtimm.core.films.prepared import Form, Prepared
from gtimm.core.media import FilmPart, describe
from gtimm.core.readable import checked_files
from gtimm.core.row_names import RowNames
from gtimm.core.table_files import write_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from gtimm.core.engine import Engine

    Cells = list[Any]

TAKEN = {"video": "frame", "audio": "sound"}
"""Kinds that are prepared, and what is taken of them; a column's new name ends in it."""


@dataclass(frozen=True)
class PreparedTables:
    """What became of tables.

    Attributes:
        report: of their films; `silent` are those without a sound track whose sound was asked for.
        paths: of the new tables by part; empty where films failed that may not.
        modalities: modality to column of the new tables. A video is an image now: its middle frame.
        root: the folder that paths of the new tables are relative to.
    """

    report: Report
    paths: Mapping[str, Path] = field(default_factory=dict)
    modalities: Mapping[str, Column] = field(default_factory=dict)
    root: Path = Path()


def prepare_tables(
    tables: Mapping[str, DataFrame],
    modalities: Mapping[str, str | Column],
    out: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    ending: str = ".csv",
    form: Form | None = None,
    workers: int | None = None,
    skip_unreadable: bool = False,
    engine: Engine | None = None,
) -> PreparedTables:
    """Take the middle frame of every film and every sound as 16 kHz once, and write tables that name them.

    Each file is opened once, whatever rows and modalities name it, and named by its path from `root`. Interrupted, the next run goes on.
    The tables, `<part><ending>` in the folder, have the columns that they had and `<column>_frame`, `<column>_sound`; a film without
    a sound track leaves its sound's cell empty.

    Args:
        tables: part to table; parts name the new tables.
        modalities: as in `read_frame`; those of kind video and audio are prepared, and at least one is of them.
        out: a folder, new or one that was prepared in this form.
        root: folder that paths are relative to, by default the working folder; none may lead out of it.
        ending: of the new tables: `.csv`, `.tsv`, `.jsonl` or `.parquet`.
        form: of the frames and sounds.
        workers: processes of this machine; by default the cores.
        skip_unreadable: leave the cells of what cannot be decoded empty; otherwise no table is written where anything failed.
        engine: as in `prepare_clips`.

    Raises:
        ConfigError: nothing to prepare, or a column that has a new column's name.
        DataError: an unknown column, a path that does not exist, a cell that is no path; names the row.
        StoreError: as `prepare_clips`.
    """
    columns = {m: c if isinstance(c, Column) else Column(c, modality_kind(m, None)) for m, c in modalities.items()}
    taken = {m: replace(c, name=f"{c.name}_{TAKEN[c.kind]}") for m, c in columns.items() if c.kind in TAKEN}
    _check(tables, columns, taken)
    names = {part: RowNames.of(table, part) for part, table in tables.items()}
    cells = {part: _cells(names[part], table, columns, root) for part, table in tables.items()}
    folder, base = Path(out).expanduser(), Path(os.path.abspath(root or "."))
    clips = _clips(cells, names, {m: columns[m].kind for m in taken}, base)
    report = prepare_clips(
        list(clips.values()), [], folder, form, workers=workers, skip_unreadable=skip_unreadable, engine=engine
    )
    if report.failures and not skip_unreadable:
        return PreparedTables(report)
    prepared = Prepared(folder)
    records = {path: prepared.find(clip) for path, clip in clips.items()}
    report.silent = sum(r is not None and r.silent for path, r in records.items() if clips[path].audio is not None)
    moved = [m for m, c in columns.items() if c.kind == "image"]
    top = Path(os.path.abspath(folder))
    top = Path(os.path.commonpath([top, base])) if moved else top
    paths = {}
    for part, table in tables.items():
        new = table.copy()
        for modality, column in taken.items():
            made = [None if p is None else getattr(records[p], TAKEN[columns[modality].kind]) for p in cells[part][modality]]
            new[column.name] = [None if name is None else _from(top, folder / name) for name in made]
        for modality in moved:
            new[columns[modality].name] = [_from(top, c) if isinstance(c, str) else c for c in cells[part][modality]]
        paths[part] = folder / f"{part}{ending}"
        write_table(new, paths[part])
    frames = {m: replace(c, kind="image") if c.kind == "video" else c for m, c in taken.items()}
    return PreparedTables(report, paths, {**columns, **frames}, top)


def _check(tables: Mapping[str, DataFrame], columns: Mapping[str, Column], taken: Mapping[str, Column]) -> None:
    if not taken:
        raise ConfigError(
            "No modality is of kind video or audio, so there is nothing to prepare. Name one, such as -m video=COLUMN, or "
            "Column(..., kind='video')."
        )
    for part, table in tables.items():
        known = [str(column) for column in table.columns]
        for column in columns.values():
            if column.name not in known:
                raise DataError(
                    f"Table {part!r} has no column {column.name!r}.{did_you_mean(column.name, known)} Columns: {', '.join(known)}."
                )
        for column in taken.values():
            if column.name in known:
                raise ConfigError(f"Table {part!r} has a column {column.name!r} already, as prepared ones have. Rename it.")


def _cells(
    rows: RowNames, table: DataFrame, columns: Mapping[str, Column], root: str | os.PathLike[str] | None
) -> dict[str, Cells]:
    """Return the cells of columns of files, paths whole, so that a file has one."""
    found: dict[str, Cells] = {}
    for modality, column in columns.items():
        if column.kind not in (*TAKEN, "image"):
            continue
        cells = checked_files(table[column.name].tolist(), modality, root, rows)
        for row, cell in enumerate(cells):
            if column.kind in TAKEN and not (cell is None or isinstance(cell, str)):
                raise DataError(f"{rows[row]}, modality {modality!r}: {describe(cell)} is no path; films are prepared by path.")
        found[modality] = [os.path.abspath(cell) if isinstance(cell, str) else cell for cell in cells]
    return found


def _clips(
    cells: Mapping[str, Mapping[str, Cells]], names: Mapping[str, RowNames], kinds: Mapping[str, str], base: Path
) -> dict[str, Clip]:
    """Return path to clip, each file once, in the order of the rows."""
    wanted: dict[str, set[str]] = {}
    where: dict[str, str] = {}
    for part, found in cells.items():
        for modality, kind in kinds.items():
            for row, path in enumerate(found[modality]):
                if path is not None:
                    wanted.setdefault(path, set()).add(kind)
                    where.setdefault(path, names[part].within(row))
    clips = {}
    for path, of_kinds in wanted.items():
        image, audio = (FilmPart(path) if kind in of_kinds else None for kind in ("video", "audio"))
        clips[path] = Clip(_name(path, base), "", path, image, audio, where[path])
    return clips


def _name(path: str, base: Path) -> str:
    inside = os.path.relpath(path, base)
    return Path(os.path.abspath(path).lstrip(os.sep) if inside.startswith("..") else inside).as_posix()


def _from(top: Path, path: str | os.PathLike[str]) -> str:
    return Path(os.path.relpath(os.path.abspath(path), top)).as_posix()
