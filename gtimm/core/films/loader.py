"""The base of data sets of films: which clips have a film, a sound and a prepared file, and what becomes of those that have not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import DataError, MediaError
from gtimm.core.files import is_file
from gtimm.core.films.clips import Clip, Corpus
from gtimm.core.films.prepared import Prepared
from gtimm.core.media import FilmPart, has_sound
from gtimm.core.plugin import Info
from gtimm.core.progress import progress_bar
from gtimm.core.splitting import PARTS

SHOWN = 5  # names of absent films in a message


@dataclass(frozen=True)
class _Row:
    """What there is of a clip: payloads, and why one is not there."""

    image: FilmPart | str | None
    audio: FilmPart | str | None
    absent: bool = False
    silent: bool = False
    failed: bool = False


class FilmLoader(DatasetLoader):
    """Clips of films, each a row of modalities `image` and `audio`. Write `read`; `gtimm prepare` takes any such data set.

    Attributes:
        root: the folder of the corpus.
        prepared: a folder that `gtimm prepare` filled: no film is opened then. PNG frames are those of the films pixel by pixel, sound
            is theirs after resampling, but for rounding to 16 bits.
        val_share: share of each class's sources in the training part that validates.
        seed: of the choice of validation sources.
        absent: `"error"` where a film is not there, or `"skip"`: left out, counted in the facts and warned of.
        silent: films without a sound track are left out (`"drop"`), kept with a hole (`"hole"`), or not looked for (`"error"`: the
            first use raises). Looking reads the header of each film, once a load; a prepared folder knows.
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"))
    name: ClassVar[str] = ""
    layout: ClassVar[str] = ""

    root: str
    prepared: str | None = None
    val_share: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0
    absent: Literal["error", "skip"] = "error"
    silent: Literal["drop", "hole", "error"] = "drop"

    def read(self) -> Corpus:
        """Return the clips that the lists name. Films are not looked for."""
        raise NotImplementedError

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a list or film that is not there, a line that cannot be read, a clip that is not prepared; names file and line.
        """
        corpus = self.read()
        clips = corpus.every()
        if self.prepared is None:
            found, form = self._films(clips), "films"
        else:
            folder = Prepared(self.prepared)
            found, form = self._prepared(clips, folder), folder.describe()
        self._check_absent(clips, found)
        self._check_silent(clips, found)
        made = {split: self._split(split, corpus, found) for split in PARTS}
        rows = ", ".join(f"{len(made[split]):,} {split}" for split in PARTS)
        facts = {"name": self.name, **corpus.facts, "rows": rows, "read from": form, **self._counts(clips, found)}
        return Splits(made["train"], made["val"], made["test"], facts)

    def absent_clips(self) -> list[Clip]:
        """Return the clips whose film is not there."""
        return [clip for clip in self.read().every() if not is_file(clip.film)]

    def folder(self) -> Path:
        """Return the root; raises `DataError` where it is no folder."""
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise DataError(f"{root} is not a folder. {self.layout}")
        return root

    def _films(self, clips: Sequence[Clip]) -> dict[str, _Row]:
        there = {film: is_file(film) for film in {clip.film for clip in clips}}
        mute: set[Path] = set()
        if self.silent != "error":
            mute = _without_sound(sorted({clip.film for clip in clips if clip.audio is not None and there[clip.film]}))
        rows = {}
        for clip in clips:
            if not there[clip.film]:
                rows[clip.name] = _Row(None, None, absent=True)
            else:
                silent = clip.film in mute
                rows[clip.name] = _Row(clip.image, None if silent else clip.audio, silent=silent)
        return rows

    def _prepared(self, clips: Sequence[Clip], folder: Prepared) -> dict[str, _Row]:
        rows = {}
        for clip in clips:
            record = folder.find(clip)
            if record is not None:
                frame, sound = (None if name is None else str(folder.folder / name) for name in (record.frame, record.sound))
                silent = record.silent and clip.audio is not None
                rows[clip.name] = _Row(frame, sound, silent=silent, failed=bool(record.failed))
            elif is_file(clip.film):
                raise DataError(
                    f"{clip.where}: {clip.name!r} is not prepared in {folder.folder}. Run the same `gtimm prepare` again; with "
                    "--skip-unreadable, films that cannot be decoded become holes."
                )
            else:
                rows[clip.name] = _Row(None, None, absent=True)
        return rows

    def _check_absent(self, clips: Sequence[Clip], rows: Mapping[str, _Row]) -> None:
        lost = [clip for clip in clips if rows[clip.name].absent]
        if lost and self.absent == "error":
            raise DataError(
                f"{lost[0].where}: {lost[0].film} does not exist ({len(lost):,} of {len(clips):,} clips have no film). {self.layout} "
                "absent='skip' leaves such clips out."
            )
        if lost:
            names = ", ".join(dict.fromkeys(clip.film.name for clip in lost[: 4 * SHOWN]))
            warnings.warn(
                f"{len(lost):,} of {len(clips):,} clips of {self.name} are left out, since their films are not there: {names}"
                f"{', ...' if len(lost) > 4 * SHOWN else ''}. {type(self).__name__}(...).absent_clips() lists all.",
                RuntimeWarning,
                stacklevel=3,
            )

    def _check_silent(self, clips: Sequence[Clip], rows: Mapping[str, _Row]) -> None:
        mute = [clip for clip in clips if rows[clip.name].silent]
        if mute and self.silent == "error":
            raise DataError(
                f"{mute[0].where}: {mute[0].name!r} has no sound track, as {len(mute):,} of {len(clips):,} clips. "
                "Pass silent='drop' to leave them out, or silent='hole' to have their sound missing."
            )

    def _taken(self, row: _Row) -> bool:
        return not row.absent and not (row.silent and self.silent == "drop") and (row.image is not None or row.audio is not None)

    def _split(self, split: str, corpus: Corpus, rows: Mapping[str, _Row]) -> MultimodalDataset:
        clips = [clip for clip in corpus.clips[split] if self._taken(rows[clip.name])]
        if not clips:
            raise DataError(
                f"No clip of the {split} part of {self.name} can be read: {len(corpus.clips[split])} are listed. {self.layout}"
            )
        place = {name: index for index, name in enumerate(corpus.classes)}
        return MultimodalDataset.from_arrays(
            {"image": [rows[clip.name].image for clip in clips], "audio": [rows[clip.name].audio for clip in clips]},
            [place[clip.label] for clip in clips],
            classes=corpus.classes,
            extra={"clip": [clip.name for clip in clips]},
            name=f"{self.name}/{split}",
        )

    def _counts(self, clips: Sequence[Clip], rows: Mapping[str, _Row]) -> dict[str, str]:
        lost = [clip for clip in clips if rows[clip.name].absent]
        names = list(dict.fromkeys(clip.film.name for clip in lost))
        shown = f": {', '.join(names[:SHOWN])}{', ...' if names[SHOWN:] else ''}" if names else ""
        mute = sum(rows[clip.name].silent for clip in clips)
        failed = sum(rows[clip.name].failed for clip in clips)
        facts = {"clips without a film": f"{len(lost):,} of {len(clips):,}{shown}"}
        if self.silent != "error" or self.prepared is not None:
            facts["clips without sound"] = f"{mute:,}, {'left out' if self.silent == 'drop' else 'a hole'}" if mute else "0"
        if failed:
            facts["clips that cannot be decoded"] = f"{failed:,}: what they lack is a hole"
        return facts


def heard(splits: Splits) -> int:
    """Return how many rows of all splits have sound."""
    return sum(int(part.present("audio").sum()) for part in (splits.train, splits.val, splits.test))


def _without_sound(films: Sequence[Path]) -> set[Path]:
    """Return the films whose header names no sound track; one that cannot be opened is left to its first use."""

    def mute(film: Path) -> bool:
        try:
            return not has_sound(film)
        except MediaError:
            return False

    with ThreadPoolExecutor() as threads, progress_bar("Looking for sound", len(films), "films") as advance:
        found = set()
        for film, silent in zip(films, threads.map(mute, films), strict=True):
            advance(1)
            if silent:
                found.add(film)
        return found
