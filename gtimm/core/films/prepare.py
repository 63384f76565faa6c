"""Take the frames and sounds of films once, in processes, so that training opens no film."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gtimm.core.claims import Claim, claim
from gtimm.core.errors import DataError, StoreError
from gtimm.core.features.workers import cores
from gtimm.core.files import entries, is_file, whole_file, write_json
from gtimm.core.films.clips import Clip
from gtimm.core.films.loader import FilmLoader
from gtimm.core.films.prepared import ABOUT, ABSENT, FAILURES, INDEX, Form, Record, read_about, read_index, to_lines
from gtimm.core.films.taking import film_state, take_all, take_elsewhere
from gtimm.core.progress import progress_bar

if TYPE_CHECKING:
    from gtimm.core.engine import Engine

ORPHANS_SECONDS = 3.0


@dataclass
class Report:
    """What a run did; `failures` has a line a clip, with its film, the modality and the reason."""

    clips: int
    kept: int = 0
    made: int = 0
    silent: int = 0
    absent: list[Clip] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def prepare(
    loader: FilmLoader,
    out: str | os.PathLike[str],
    form: Form | None = None,
    *,
    workers: int | None = None,
    skip_unreadable: bool = False,
    engine: Engine | None = None,
) -> Report:
    """Prepare the clips of a data set of films; see `prepare_clips`.

    Args:
        loader: the data set; its `absent` says whether films may be lacking.
        out: as in `prepare_clips`, as are the others.
        form: of the files.
        workers: processes of this machine; by default the cores.
        skip_unreadable: note clips that cannot be decoded in the index, so that the loader takes what they lack as holes.
        engine: where films are decoded, if not in those processes.

    Raises:
        DataError: what `loader.read` raises; a film is absent and may not be; a folder of another form.
    """
    clips = loader.read().every()
    lost = [clip for clip in clips if not is_file(clip.film)]
    if lost and loader.absent == "error":
        raise DataError(
            f"{lost[0].where}: {lost[0].film} does not exist ({len(lost):,} of {len(clips):,} clips have no film). {loader.layout}"
        )
    return prepare_clips(clips, lost, out, form, workers=workers, skip_unreadable=skip_unreadable, engine=engine)


def prepare_clips(
    clips: Sequence[Clip],
    lost: Sequence[Clip],
    out: str | os.PathLike[str],
    form: Form | None = None,
    *,
    workers: int | None = None,
    skip_unreadable: bool = False,
    engine: Engine | None = None,
) -> Report:
    """Write the middle frame and the sound of every clip that is not in the folder yet, each file whole or not at all.

    Interrupted or killed, the next run goes on: what the index names is kept unless its film changed. Clips that fail are tried again.

    Args:
        clips: all that are wanted.
        lost: those whose film is not there.
        out: the folder; new, or one of the same form.
        form: of the files.
        workers: processes of this machine; by default the cores.
        skip_unreadable: note clips that cannot be decoded in the index, so that what they lack can be taken as holes.
        engine: where films are decoded, if not in those processes: a cluster whose nodes all have the films and the folder at these
            paths. What is written is the same.

    Raises:
        DataError: a folder of another form.
        StoreError: the folder cannot be written, or another process prepares there.
        KeyboardInterrupt: after what was under way is written and indexed.
    """
    folder, form = Path(out).expanduser(), form or Form()
    report, began = Report(len(clips), absent=list(lost)), time.monotonic()
    held = _claimed(folder)
    with closing(_Folder(folder, form, held)) as place:
        gone = {clip.name for clip in lost}
        todo = [clip for clip in clips if clip.name not in gone and not place.has(clip, skip_unreadable)]
        report.kept = len(clips) - len(lost) - len(todo)
        try:
            with progress_bar("Preparing", len(todo), "clips") as advance:
                for record in _taken(todo, folder, form, workers, engine):
                    place.add(record, skip_unreadable)
                    report.made += not record.failed
                    advance(1)
            report.failures = place.listed(clips, lost)
        finally:
            place.finish(clips)
        report.silent = sum(place.silent(clip) for clip in clips)
        report.seconds = time.monotonic() - began
    return report


def _taken(todo: Sequence[Clip], folder: Path, form: Form, workers: int | None, engine: Engine | None) -> Iterator[Record]:
    if engine is None or engine.here:
        return take_all(todo, folder, form, workers or cores())
    return take_elsewhere(todo, folder.absolute(), form, engine)


def _claimed(folder: Path) -> Claim:
    """Claim the folder; the workers of a killed process hold it for a moment longer, until they see that it is gone."""
    limit = time.monotonic() + ORPHANS_SECONDS
    while (held := claim(folder / ".lock")) is None:
        if time.monotonic() > limit:
            raise StoreError(f"Another process prepares films in {folder}. Wait for it, or choose another folder.")
        time.sleep(0.1)
    return held


class _Folder:
    """The folder while it is being filled: its index, written line by line, and what failed."""

    def __init__(self, folder: Path, form: Form, held: Claim) -> None:
        self._folder, self._form, self._held = folder, form, held
        self._lines: TextIO | None = None
        try:
            _agree(folder, form)
            self._sweep()
            self._records = read_index(folder)
            self._failed: dict[str, Record] = {}
            self._write(
                INDEX, [asdict(record) for record in self._records.values()]
            )  # without what a killed process left half-written
            self._lines = (folder / INDEX).open("a", encoding="utf-8")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self._refused(error) from error
            raise

    def has(self, clip: Clip, skip_unreadable: bool) -> bool:
        """Return whether a clip's files are there, or may be lacking, and its film is the one that they were taken from."""
        record = self._records.get(clip.name)
        if record is None or not record.fits(clip) or (record.failed and not skip_unreadable):
            return False
        if (record.bytes, record.modified) != film_state(clip.film) or not record.complete(self._folder):
            return False
        if record.failed:
            self._failed[clip.name] = record
        return True

    def add(self, record: Record, skip_unreadable: bool) -> None:
        """Take a record into the index; one of a failure only where it is to be a hole."""
        if record.failed:
            self._failed[record.clip] = record
        if record.failed and not skip_unreadable:
            self._records.pop(record.clip, None)
            return
        self._records[record.clip] = record
        if self._lines is not None:
            try:
                self._lines.write(to_lines([asdict(record)]))
                self._lines.flush()
            except OSError as error:
                raise self._refused(error) from error

    def _refused(self, error: OSError) -> StoreError:
        return StoreError(f"Cannot write {self._folder / INDEX}: {error.strerror}. Free some space, or choose another folder.")

    def silent(self, clip: Clip) -> bool:
        """Return whether a clip's film turned out to have no sound track."""
        record = self._records.get(clip.name)
        return record is not None and record.silent

    def finish(self, clips: Sequence[Clip]) -> None:
        """Write the index in the order of the clips."""
        self._sweep()
        order = dict.fromkeys([clip.name for clip in clips if clip.name in self._records] + list(self._records))
        self._write(INDEX, [asdict(self._records[name]) for name in order])

    def listed(self, clips: Sequence[Clip], lost: Sequence[Clip]) -> list[dict[str, str]]:
        """Write what failed and what is absent, and return the failures; when all was tried, so that none of another run is forgotten."""
        failures = [
            {"clip": clip.name, "film": str(clip.film), "what": what, "reason": reason}
            for clip in clips
            if clip.name in self._failed
            for what, reason in self._failed[clip.name].failed.items()
        ]
        self._write(FAILURES, failures)
        self._write(ABSENT, [{"clip": clip.name, "film": str(clip.film)} for clip in lost])
        return failures

    def close(self) -> None:
        """Let others prepare here."""
        if self._lines is not None:
            with suppress(OSError):  # of a full disk, which `add` has said
                self._lines.close()
        self._held.release()

    def _sweep(self) -> None:
        """Remove what workers that were killed left half-written."""
        for left in self._folder.rglob(".*.tmp*"):
            left.unlink(missing_ok=True)

    def _write(self, name: str, values: Sequence[dict[str, Any]]) -> None:
        path = self._folder / name
        if not values and name != INDEX:
            path.unlink(missing_ok=True)
            return
        with whole_file(path) as temporary:
            temporary.write_text(to_lines(values), encoding="utf-8")


def _agree(folder: Path, form: Form) -> None:
    """Write the folder's form, or see that it has this one."""
    path = folder / ABOUT
    if not path.is_file():
        if any(entry.name != ".lock" for entry in entries(folder)):
            raise DataError(f"{folder} holds files and no {ABOUT}. Give a new or an empty folder.")
        write_json(path, form.plain())
        return
    found = read_about(path)
    if found.get("version") != form.plain()["version"]:
        raise DataError(
            f"{folder} was prepared by another version of gtimm (form {found.get('version')}). Prepare into a new folder."
        )
    if found != form.plain():
        raise DataError(
            f"{folder} was prepared with {found.get('frames')} frames and {found.get('sound')} sound, now asked for is {form.frames} and "
            f"{form.sound}. Use the same, or another folder."
        )
