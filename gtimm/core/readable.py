"""Which files of a table are there, by listing folders; and which payloads decode, in parallel."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gtimm.core.errors import DataError, MediaError
from gtimm.core.media import describe, load_audio, load_frame, load_image
from gtimm.core.progress import progress_bar
from gtimm.core.row_names import PLACES, RowNames, listed
from gtimm.core.targets import is_missing, looks_empty

if TYPE_CHECKING:
    from gtimm.core.media import Payload

T = TypeVar("T")

_FEW = 4  # cells of one folder that are looked at one by one: listing the folder would not pay
_LONGER = 20  # times more files in a folder than cells name: not listed to its end
_LOOKED_AT = 100_000  # names of a folder, for one nearly like a name that is not there
_AT_A_TIME = 8  # rows of a thread
_MEND = "Mend the path or leave the cell empty."
TAKEN_OUT = "`unreadable='missing'` takes files that are absent or damaged as holes."


def checked_files(
    cells: Sequence[Payload],
    modality: str,
    root: str | os.PathLike[str] | None,
    rows: RowNames = PLACES,
    *,
    absent: dict[int, str] | None = None,
    mend: str = "",
) -> list[Payload]:
    """Return the cells of a column of files, paths joined to `root`; holes as `None`, bytes and arrays as they are.

    Each folder is listed once, so that a hundred thousand paths cost a few listings; nothing is opened.

    Args:
        cells: paths, bytes, arrays, PIL images, `(samples, rate)`.
        modality: for messages.
        root: folder that paths are relative to; none may lead out of it.
        rows: their names, for messages.
        absent: receives row to reason for files that do not exist or are not readable, which are holes then; without it they are
            errors, as they always are where no file of the column is there: then `root` is wrong.
        mend: how the caller's user may have absent files taken as holes, for the message.

    Raises:
        DataError: paths that lead out of `root`, do not exist or are not readable; a number. Names the rows.
    """
    found: list[Payload] = [None] * len(cells)
    folders: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row, cell in enumerate(cells):
        if isinstance(cell, (str, os.PathLike)):
            if (path := os.fspath(cell)).strip():
                head, tail = os.path.split(path)
                folders[head].append((row, tail))
        elif not is_missing(cell):
            found[row] = _no_number(cell, f"{rows[row]}, modality {modality!r}")
    wrong: list[int] = []
    for head, members in folders.items():
        folder = _folder(head, root)
        names = _listed(folder, len(members)) if folder is not None and len(members) > _FEW else frozenset()
        for row, tail in members:
            if folder is None or tail in ("", ".", ".."):
                wrong.append(row)
                continue
            found[row] = path = os.path.join(folder, tail)
            if not (readable(path) if tail in names else _is_readable_file(path)):
                wrong.append(row)
    everything = len(wrong) == sum(map(len, folders.values())) > 1
    if absent is not None and not everything:
        absent |= {row: reason for row in sorted(wrong) if (reason := _absence(os.fspath(cells[row]), root))}
        wrong = [row for row in wrong if row not in absent]
        found = [None if row in absent else cell for row, cell in enumerate(found)]
    if wrong:
        first = min(wrong)

        def fault(row: int) -> str:
            said = f"{rows[row]}, modality {modality!r}: {_fault(os.fspath(cells[row]), root, everything=everything)}"
            helps = mend and row == first and not everything and absent is None and _absence(os.fspath(cells[row]), root)
            return f"{said} {mend}" if helps else said

        raise DataError(listed([first] if everything else wrong, fault))
    return found


def readable(path: str) -> bool:
    """Return whether a file that exists may be read; the superuser may read all."""
    return _SUPERUSER or os.access(path, os.R_OK)


def faults(kind: str, rows: Sequence[int], read: Callable[[int], Payload], title: str = "") -> dict[int, str]:
    """Decode payloads in parallel, and return row to reason for those that cannot be decoded.

    Args:
        kind: `"image"`, `"audio"`, `"video"`: decoded. Of the other kinds nothing is to be decoded.
        rows: which.
        read: returns the payload of a row; it is let go as soon as it is decoded.
        title: of the progress bar, which terminals see.
    """
    loaders: dict[str, Any] = {"image": load_image, "audio": load_audio, "video": load_frame}
    if kind not in loaders:
        return {}
    load = loaders[kind]

    def judge(row: int) -> tuple[int, str] | None:
        try:
            load(read(row))
        except MediaError as error:
            return row, str(error)
        return None

    return dict(result for result in in_threads(judge, rows, title or f"Decoding {kind}") if result is not None)


def in_threads(work: Callable[[int], T], rows: Sequence[int], title: str) -> Iterator[T]:
    """Yield what work on each row gives, in order, with a progress bar; decoders let go of the interpreter's lock."""
    parts = [rows[start : start + _AT_A_TIME] for start in range(0, len(rows), _AT_A_TIME)]
    with ThreadPoolExecutor() as workers, progress_bar(title, len(rows), "files") as advance:
        for found in workers.map(lambda part: [work(row) for row in part], parts):
            yield from found
            advance(len(found))


_SUPERUSER = hasattr(os, "geteuid") and os.geteuid() == 0


def _folder(head: str, root: str | os.PathLike[str] | None) -> str | None:
    """Return the folder of cells that begin with `head`; `None` where it is outside of `root`."""
    if root is None:
        return str(Path(head)) if head else ""
    base = os.path.abspath(root)
    folder = os.path.join(os.fspath(root), head) if head else os.fspath(root)
    inside = os.path.abspath(folder)
    return str(Path(folder)) if inside == base or inside.startswith(base.rstrip(os.sep) + os.sep) else None


def _listed(folder: str, wanted: int) -> frozenset[str]:
    """Return the names of a folder's regular files and of links to them; some only, where it has far more files than are wanted."""
    try:
        with os.scandir(folder or ".") as entries:
            return frozenset(entry.name for entry in islice(entries, _LONGER * wanted) if entry.is_file())
    except (OSError, ValueError):
        return frozenset()


def _is_readable_file(path: str) -> bool:
    try:
        return os.path.isfile(path) and readable(path)
    except (OSError, ValueError):
        return False


def _no_number(cell: Payload, where: str) -> Payload:
    if isinstance(cell, (int, float)) or (getattr(cell, "shape", None) == () and hasattr(cell, "dtype")):
        raise DataError(
            f"{where}: {cell!r} is a number, not a path. Name the column of paths; if file names are numbers, read the column as text "
            "(dtype=str)."
        )
    return cell


def _absence(cell: str, root: str | os.PathLike[str] | None) -> str | None:
    """Say how the file of a cell is absent; `None` where the cell is wrong in another way."""
    head, tail = os.path.split(cell)
    if "://" in cell or cell.startswith("data:") or tail in ("", ".", "..") or _folder(head, root) is None:
        return None
    if root is not None and not os.path.isdir(root):
        return None
    path = os.path.join(os.fspath(root), cell) if root is not None else cell
    return f"{path!r} is not a readable file." if os.path.lexists(path) else f"{path!r} does not exist."


def _fault(cell: str, root: str | os.PathLike[str] | None, *, everything: bool) -> str:
    """Say why a cell names no file that can be read, and the mend."""
    what = describe(cell)
    if "://" in cell or cell.startswith("data:"):
        return f"{what} is an address. Files are read from this machine: download them, and put their paths in the column, or their bytes."
    if root is not None and _folder(os.path.split(cell)[0], root) is None:
        return f"{what} leads out of {os.fspath(root)!r}. Pass root=, a folder that all of the files are in; root='/' takes absolute paths."
    path = os.path.join(os.fspath(root), cell) if root is not None else cell
    if root is not None and not os.path.isdir(root):
        return f"{what}: root {os.fspath(root)!r} is not a folder. Mend root=, the folder that paths are relative to."
    if os.path.lexists(path):
        state = "names no file" if _is_readable_file(path) else "is not a readable file"
        return f"{path!r} {state}. {_MEND}"
    near = _near(path, cell)
    if root is None and not os.path.isabs(cell):
        here = os.getcwd()
        return f"{what} does not exist in {here!r}. Pass root=, the folder that paths are relative to, or leave the cell empty.{near}"
    if root is not None and everything:
        return f"{what} does not exist, and no other path of its column does in {os.fspath(root)!r}. Is root= right?{near}"
    return f"{path!r} does not exist. {_MEND}{near}"


def _near(path: str, cell: str) -> str:
    """Say what a path that does not exist may mean: a hole that was written out, or a file of nearly that name."""
    folder, name = os.path.split(path)
    if looks_empty(cell):
        return f" {cell!r} looks like a hole that was written out as text."
    if cell != cell.strip():
        return " It begins or ends with a space."
    if "\\" in path and os.sep == "/":
        return " Folders are parted by '/' here: replace the backslashes."
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in islice(entries, _LOOKED_AT)]
    except (OSError, ValueError):
        return ""
    alike = [n for n in names if n.casefold() == name.strip().casefold()] or [n for n in names if n.partition(".")[0] == name]
    return f" The folder has {alike[0]!r}." if alike else ""
