"""ActivityNet 1.3: activities in untrimmed films from the web (Caba Heilbron, Escorcia, Ghanem, Niebles, CVPR 2015)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gtimm.core.errors import DataError, did_you_mean
from gtimm.core.films.clips import Clip, Corpus, hold_out
from gtimm.core.films.loader import FilmLoader, heard
from gtimm.core.media import FilmPart
from gtimm.core.plain import from_json, once
from gtimm.core.plugin import Info

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits

LIST = "activity_net.v1-3.min.json"
SUFFIXES = (".mp4", ".mkv", ".webm")
SUBSETS = ("training", "validation", "testing")
_ID = re.compile(r"[\w-]+")


class ActivityNet(FilmLoader):
    """One row for each annotated segment, or each film: the frame in its middle and its sound.

    The published validation part is the test part here, since labels of the published test part were never released; whole films of
    the training part validate. Many films are no longer on the web: those that are not there are left out, counted and warned of.

    Attributes:
        annotations: the JSON file, in `root` where the path is relative.
        videos: folder with `v_<id>.mp4`, `.mkv` or `.webm`, in `root` where the path is relative; its sub-folders are looked through.
        absent: by default clips without a film are left out.
        clips: a row for each annotated segment, or for each film as a whole, with the label of its first segment.
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio"), weights_licence="films of their uploaders, for research (you bring the files)"
    )
    name: ClassVar[str] = "activitynet"
    layout: ClassVar[str] = (
        f"root= must be the folder that holds {LIST} and videos/v_<id>.mp4 (or .mkv, .webm), from http://activity-net.org/download.html; "
        "annotations= and videos= name them where they are called otherwise."
    )
    published: ClassVar[dict[str, int]] = {
        "classes": 200,
        "videos, training": 10_024,
        "videos, validation": 4_926,
        "videos, testing": 5_044,
        "segments, training": 15_410,
        "segments, validation": 7_654,
        "clips with sound": 18_976,
    }
    source: ClassVar[str] = (
        "http://activity-net.org/download.html (release 1.3; it calls segments instances); with sound: Table 1 of the GTI-MM paper"
    )

    annotations: str = LIST
    videos: str = "videos"
    absent: Literal["error", "skip"] = "skip"
    clips: Literal["segments", "films"] = "segments"

    def read(self) -> Corpus:
        """Return the segments of the training and validation parts.

        Raises:
            DataError: a file or folder that is not there, an entry that cannot be read, an id twice, a label that training lacks.
        """
        root = self.folder()
        path, folder = root / Path(self.annotations).expanduser(), root / Path(self.videos).expanduser()
        database, films = self._database(path), self._listed(folder)
        parts: dict[str, list[Clip]] = {subset: [] for subset in SUBSETS}
        empty = 0
        for video, entry in database.items():
            where = f"{path}, {video!r}"
            subset = _field(entry, "subset", str, where)
            if subset not in SUBSETS:
                raise DataError(
                    f"{where}: subset {subset!r} is none of {', '.join(SUBSETS)}.{did_you_mean(subset, SUBSETS)} Mend the entry."
                )
            film = films.get(video, str(folder / f"v_{video}.mp4"))
            found = list(_segments(video, entry, film, where))
            empty += sum(clip is None for clip in found)
            clips = [clip for clip in found if clip is not None]
            parts[subset] += clips if self.clips == "segments" else [_whole(clip) for clip in clips[:1]]
        classes = sorted({clip.label for clip in parts["training"]})
        for clip in parts["validation"]:
            if clip.label not in classes:
                raise DataError(
                    f"{clip.where}: no training film has the label {clip.label!r}.{did_you_mean(clip.label, classes)} Mend the entry."
                )
        train, val = hold_out(parts["training"], self.val_share, self.seed, self.name)
        facts = {
            "source": "ActivityNet 1.3, published training part, and validation part as test",
            "validation": f"{self.val_share:.0%} of each class's training films, seed {self.seed}",
            "clips": "annotated segments" if self.clips == "segments" else "whole films, labelled by their first segment",
            "segments without length": f"{empty}, left out",
        }
        return Corpus({"train": train, "val": val, "test": parts["validation"]}, tuple(classes), facts)

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return the films and segments of the list, whether they are there or not, and the clips whose sound was read."""
        database = self._database(self.folder() / Path(self.annotations).expanduser())
        found: Counter[str] = Counter()
        for entry in database.values():
            found[f"videos, {entry['subset']}"] += 1
            found[f"segments, {entry['subset']}"] += len(entry["annotations"])
        found["classes"] = len({note["label"] for entry in database.values() for note in entry["annotations"]})
        found["clips with sound"] = heard(splits)
        return dict(found)

    def _database(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise DataError(f"{path} does not exist. {self.layout}")
        try:
            content = from_json(path.read_bytes(), once)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as JSON: {error}. Download it again.") from error
        if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
            found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
            raise DataError(f"{path} must hold an object with 'database'; found {found or 'nothing'}. {self.layout}")
        database: dict[str, Any] = content["database"]
        return database

    def _listed(self, folder: Path) -> dict[str, str]:
        """Return id to film, the first suffix of `SUFFIXES` where there are several."""
        if not folder.is_dir() and self.prepared is None:
            raise DataError(f"{folder} is not a folder. {self.layout}")
        found: dict[str, Path] = {}
        for path in sorted(folder.rglob("v_*")):
            if path.suffix in SUFFIXES:
                other = found.setdefault(path.stem[2:], path)
                if SUFFIXES.index(path.suffix) < SUFFIXES.index(other.suffix):
                    found[path.stem[2:]] = path
        return {video: str(path) for video, path in found.items()}


def _segments(video: str, entry: Mapping[str, Any], film: str, where: str) -> Iterator[Clip | None]:
    """Yield a clip for each annotation of a film; None for one whose segment has no length, or begins after the film's end."""
    if not _ID.fullmatch(video):
        raise DataError(f"{where} is not the id of a video. Mend the entry.")
    duration = entry.get("duration", math.inf)
    if isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise DataError(f"{where}: the duration is {duration!r}, not a number of seconds. Mend the entry.")
    for number, note in enumerate(_field(entry, "annotations", list, where)):
        place = f"{where}, annotation {number}"
        label, segment = _field(note, "label", str, place), _field(note, "segment", list, place)
        numbers = [x for x in segment if isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)]
        if len(segment) != 2 or len(numbers) != 2:
            raise DataError(f"{place}: the segment is {segment!r}, not [start, end] in seconds. Mend the entry.")
        start, end = max(0.0, float(numbers[0])), float(numbers[1])
        if not start < min(end, duration):
            yield None
            continue
        part = FilmPart(film, start, end)
        yield Clip(f"{video}/{number:03d}", label, video, part, part, place)


def _whole(clip: Clip) -> Clip:
    """Return a clip of all of a clip's film."""
    part = FilmPart(str(clip.film))
    return replace(clip, name=f"{clip.group}/film", image=part, audio=part)


def _field(entry: Any, name: str, kind: type, where: str) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
        known = list(entry) if isinstance(entry, dict) else []
        found = f"{name!r} is {entry[name]!r}" if name in known else f"there is no {name!r} among {', '.join(known) or 'nothing'}"
        raise DataError(
            f"{where}: {found}.{'' if name in known else did_you_mean(name, known)} Mend the entry, or download the file again."
        )
    return entry[name]
