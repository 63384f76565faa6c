"""Read and write table files: CSV, TSV, Parquet, JSON lines. Cells keep what the file says; faults name the line."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from gtimm.core.errors import ConfigError, DataError
from gtimm.core.files import whole_file
from gtimm.core.plain import from_json, once
from gtimm.core.row_names import LINE
from gtimm.core.targets import is_missing

if TYPE_CHECKING:
    from pandas import DataFrame

TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
"""Endings of table files."""
_BLOCK = 1 << 20
_SAVE = "Save the file as UTF-8 (spreadsheets call it 'CSV UTF-8')."
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(path: str | PathLike[str]) -> DataFrame:
    """Read CSV, TSV, Parquet or JSON lines by the file's ending.

    Every cell of CSV and TSV is text, so that an id such as `0012` or `900000000000000001` stays as it is; quotes mean nothing in
    TSV. Whole numbers of JSON lines and Parquet stay whole, also beside empty cells. But for Parquet the index, named `line`, holds
    the line at which each row begins, and messages name rows by it.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` (a JSON object a line) or `.parquet` (which needs pyarrow); text in UTF-8, with or without BOM.

    Raises:
        ConfigError: another ending, or a file that is not there.
        DataError: another encoding, a column name that stands twice, lines of unequal length, no header; names the line.
    """
    file = Path(path)
    readers: dict[str, Callable[[Path], DataFrame]] = {
        ".csv": lambda p: _separated(p, ","),
        ".tsv": lambda p: _separated(p, "\t"),
        ".parquet": _parquet,
        ".jsonl": _json_lines,
    }
    if file.suffix.lower() not in readers:
        raise ConfigError(f"{file}: tables end in {', '.join(readers)}.")
    if not file.is_file():
        state = "is not a file" if file.exists() else "does not exist"
        raise ConfigError(f"{file} cannot be read: it {state}.")
    try:
        frame = readers[file.suffix.lower()](file)
    except UnicodeDecodeError:
        raise DataError(encoding_fault(file)) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from error
    check_names(frame.columns.tolist(), fspath(file))
    return frame


def write_table(frame: DataFrame, path: Path) -> None:
    """Write a table in one of the forms that `read_table` reads, whole or not at all; holes as empty cells.

    Raises:
        ConfigError: another ending.
        DataError: a cell of a TSV holds a tab or a line end.
    """
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
            return
        cells = [[None if is_missing(cell) else cell for cell in row] for row in frame.itertuples(index=False, name=None)]
        temporary.write_text(_written(frame.columns.tolist(), cells, path), encoding="utf-8", newline="")


def _written(names: list[str], rows: Sequence[Sequence[Any]], path: Path) -> str:
    form = path.suffix.lower()
    if form == ".jsonl":
        return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
    texts = [names, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    if form == ".tsv":
        for number, row in enumerate(texts, 1):
            if wrong := next((cell for cell in row if "\t" in cell or "\n" in cell), None):
                raise DataError(
                    f"{path}, line {number}: a cell of a TSV holds no tab or line end; found {wrong[:80]!r}. Write .csv."
                )
        return "".join("\t".join(row) + "\n" for row in texts)
    if form != ".csv":
        raise ConfigError(f"{path}: tables end in {', '.join(TABLES)}.")
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(texts)
    return out.getvalue()


def check_names(names: Sequence[Any], table: str) -> None:
    """Raise `DataError` for column names that stand twice."""
    twice = sorted({str(name) for name in names if list(names).count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{table} has two columns named {', '.join(map(repr, twice))}. Rename one, or take it out.")


def _separated(path: Path, separator: str) -> DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _by_tab(file) if separator == "\t" else _by_comma(file, path)
        _, header = next(lines, (1, [""]))
        if any("\0" in name for name in header):
            raise DataError(encoding_fault(path))
        if not any(name.strip() for name in header):
            raise DataError(f"{path} is empty: its first line must name the columns.")
        check_names(header, fspath(path))
        _check_separator(header, separator, path)
        rows, numbers = [], []
        for number, cells in lines:
            if len(cells) != len(header):
                mend = (
                    "a tab cannot stand inside a cell"
                    if separator == "\t"
                    else "put cells that hold commas or line ends in quotes"
                )
                raise DataError(
                    f"{path}, line {number} has {len(cells)} cells, the header has {len(header)}. Mend the line: an empty cell still "
                    f"needs its separator, and {mend}."
                )
            rows.append(cells)
            numbers.append(number)
    return pd.DataFrame(rows, _line_index(numbers), columns=header, dtype=object)


def _line_index(numbers: Sequence[int]) -> Any:
    import pandas as pd

    return pd.Index(np.asarray(numbers, np.int64), name=LINE)


def _check_separator(header: Sequence[str], separator: str, path: Path) -> None:
    """Raise for a header of one cell in which another separator stands, as spreadsheets write where numbers have commas."""
    if len(header) > 1:
        return
    for other, name in (("\t", "tabs"), (";", "semicolons"), (",", "commas"), ("|", "bars")):
        if other != separator and other in header[0]:
            mend = {"\t": "Name the file .tsv", ",": "Name the file .csv"}.get(other, "Save it with commas")
            own = "tabs" if separator == "\t" else "commas"
            raise DataError(
                f"{path} has one column, {header[0][:80]!r}: its cells stand between {name}, those of a {path.suffix.lower()} file between "
                f"{own}. {mend}, or give from_frame what pandas.read_csv(..., sep={other!r}, dtype=str) reads."
            )


def _by_tab(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_lines(file), 1):
        if line:
            yield number, line.split("\t")


def _lines(file: TextIO) -> Iterator[str]:
    """Return lines that end with a line feed alone, or after a carriage return: texts hold other kinds of line ends."""
    for line in file.read().split("\n"):
        yield line.removesuffix("\r")


def _by_comma(file: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, strict=True)
    begin = 1
    try:
        for cells in reader:
            if cells:
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        mend = "Save the table as JSON lines" if "limit" in str(error) else "Mend the line's quotes"
        raise DataError(f"{path}, line {reader.line_num} cannot be read: {error}. {mend}.") from error


def _json_lines(path: Path) -> DataFrame:
    import pandas as pd

    rows, numbers = [], []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = from_json(line, once)
                json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
            except ValueError as error:
                if isinstance(error, UnicodeDecodeError):
                    raise
                raise DataError(f"{path}, line {number} is not JSON: {error}. Every line holds one whole object.") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number} is no JSON object {{column: cell}}; found {line.strip()[:80]!r}.")
            rows.append(row)
            numbers.append(number)
    if not rows:
        raise DataError(f"{path} is empty: every line holds one JSON object.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}).set_index(
        _line_index(numbers)
    )


def _parquet(path: Path) -> DataFrame:
    import pandas as pd

    try:
        frame: DataFrame = pd.read_parquet(path, dtype_backend="numpy_nullable").astype(object)
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow. Run: pip install pyarrow, or save the table as CSV.") from error
    except OSError as error:
        if error.errno is not None:  # of the file system; else of its content
            raise
        raise DataError(f"{path} cannot be read: {error}. Write it again.") from error
    except Exception as error:  # Arrow has errors of its own, and passes on what its parts raise
        raise DataError(f"{path} cannot be read: {error}. Write it again.") from error
    return frame


def read_utf8(path: Path, mend: str) -> str:
    """Return the text of a file, its line ends as they are.

    Raises:
        DataError: it cannot be read, or is not UTF-8; names the lines, and ends with `mend`.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(encoding_fault(path, mend)) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. {mend}") from error


def encoding_fault(path: Path, mend: str = "") -> str:
    """Say on which lines a file that is not UTF-8 is not, and what it may be instead; `mend` goes before what is advised for tables."""
    with path.open("rb") as file:
        start = file.read(_BLOCK)
        if start.startswith(_UTF16) or b"\0" in start:
            return f"{path} is UTF-16, not UTF-8. {mend or _SAVE}"
        file.seek(0)
        wrong, right, total = [], 0, 0
        for total, line in enumerate(file, 1):
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                right += 1
            except UnicodeDecodeError as error:
                wrong.append((total, line[error.start]))
    number, byte = wrong[0]
    found = f"{path}, line {number} is not UTF-8: byte 0x{byte:02x}"
    if right:
        return (
            f"{found}; {len(wrong):,} lines are in another encoding and {right:,} in UTF-8, so the file mixes two. "
            f"{mend or 'Save both parts as UTF-8 before joining them.'}"
        )
    return f"{found} ({len(wrong):,} of {total:,} lines). {mend or _SAVE}"
