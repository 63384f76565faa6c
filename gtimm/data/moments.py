"""Moments in Time: a million films of three seconds, each of one action or event (Monfort et al., TPAMI 2019)."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from gtimm.core.errors import DataError, did_you_mean
from gtimm.core.films.clips import Clip, Corpus, hold_out, read_lines
from gtimm.core.films.loader import FilmLoader, heard
from gtimm.core.media import FilmPart
from gtimm.core.plugin import Info

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits

LISTS = {"training": "trainingSet.csv", "validation": "validationSet.csv"}
PAPER = (10, 51)
"""How many of the most frequent classes the paper takes."""
_CUT = re.compile(r"_\d+$")  # films cut from one source are named <source>_<second>


class MomentsInTime(FilmLoader):
    """The most frequent classes, films with sound: MiT10 and MiT51 of the paper, by default the first.

    How frequent a class is, the training list says, whatever films are there. The published validation part is the test part here, since
    labels of the published test part were never released; films of the training part validate, all cuts of one source together.

    Attributes:
        classes: how many of the most frequent classes (ties in order of their names), or their names.
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio"), weights_licence="for research, by the makers' terms (you bring the files)"
    )
    name: ClassVar[str] = "moments"
    layout: ClassVar[str] = (
        "root= must be the folder that holds annotations/trainingSet.csv, annotations/validationSet.csv (or both beside the films), "
        "training/<class>/*.mp4 and validation/<class>/*.mp4, as unpacked from Moments in Time (http://moments.csail.mit.edu)."
    )
    published: ClassVar[dict[str, int]] = {
        "classes": 339,
        "clips, training": 802_264,
        "clips, validation": 33_900,
        "clips with sound, 10 classes": 43_460,
        "clips with sound, 51 classes": 163_038,
    }
    source: ClassVar[str] = (
        "Monfort et al., Moments in Time Dataset, TPAMI 2019 (first release); with sound: Table 1 of the GTI-MM paper"
    )

    classes: int | tuple[str, ...] = Field(default=10)

    @field_validator("classes")
    @classmethod
    def _two(cls, classes: int | tuple[str, ...]) -> int | tuple[str, ...]:
        count = classes if isinstance(classes, int) else len(set(classes))
        if count < 2 or (not isinstance(classes, int) and count < len(classes)):
            raise ValueError("at least two classes are needed, each once")
        return classes

    def read(self) -> Corpus:
        """Return the clips of the chosen classes.

        Raises:
            DataError: a list that is not there, a line that cannot be read, a class that the lists lack, a film that stands twice.
        """
        root = self.folder()
        files = {part: self._list(root, name) for part, name in LISTS.items()}
        lines = {part: _read(path, self.layout) for part, path in files.items()}
        chosen = self._chosen(lines["training"], files["training"])
        known = {label for _, label, _ in lines["training"]}
        for number, label, _ in lines["validation"]:
            if label not in known:
                raise DataError(
                    f"{files['validation']}, line {number}: class {label!r} is not in {files['training'].name}."
                    f"{did_you_mean(label, known)} Unpack the lists again, both of one version."
                )
        clips = {part: _clips(root, part, files[part], lines[part], set(chosen)) for part in LISTS}
        train, val = hold_out(clips["training"], self.val_share, self.seed, self.name)
        facts = {
            "source": "Moments in Time, published training part, and validation part as test",
            "classes": f"the {len(chosen)} most frequent of {len(known)}"
            if isinstance(self.classes, int)
            else f"{len(chosen)} by name",
            "validation": f"{self.val_share:.0%} of each class's training sources, seed {self.seed}",
        }
        return Corpus({"train": train, "val": val, "test": clips["validation"]}, tuple(sorted(chosen)), facts)

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return the lines of the lists, whether their films are there or not, and the clips whose sound was read."""
        root = self.folder()
        lines = {part: _read(self._list(root, name), self.layout) for part, name in LISTS.items()}
        found = {f"clips, {part}": len(of_part) for part, of_part in lines.items()}
        found["classes"] = len({label for _, label, _ in lines["training"]})
        if self.classes in PAPER:
            found[f"clips with sound, {self.classes} classes"] = heard(splits)
        return found

    def _list(self, root: Path, name: str) -> Path:
        place = root / "annotations" / name
        return root / name if not place.is_file() and (root / name).is_file() else place

    def _chosen(self, lines: Sequence[tuple[int, str, str]], path: Path) -> list[str]:
        counts = Counter(label for _, label, _ in lines)
        if isinstance(self.classes, int):
            if self.classes > len(counts):
                raise DataError(f"{path} has {len(counts)} classes, and classes={self.classes} asks for more. Ask for fewer.")
            return sorted(counts, key=lambda label: (-counts[label], label))[: self.classes]
        for label in self.classes:
            if label not in counts:
                raise DataError(f"{path} has no class {label!r}.{did_you_mean(label, counts)} Mend classes=.")
        return list(self.classes)


def _read(path: Path, layout: str) -> list[tuple[int, str, str]]:
    """Return line number, class and file of each line; columns behind them, label and votes, are checked only where they are words."""
    found = []
    for number, cells in enumerate(_cells(path, layout), 1):
        if not cells:
            continue
        label, _, film = cells[0].strip().partition("/")
        if not film.endswith(".mp4") or "/" in film or label in ("", ".", ".."):
            raise DataError(
                f"{path}, line {number}: the first column is {cells[0]!r}, not <class>/<file>.mp4. The lists have no header."
            )
        if len(cells) > 1 and cells[1].strip() not in ("", label) and not cells[1].strip().lstrip("-").isdigit():
            raise DataError(
                f"{path}, line {number}: the film is in the folder {label!r} and labelled {cells[1]!r}. Mend the line."
            )
        found.append((number, label, film))
    if not found:
        raise DataError(f"{path} has no lines. Unpack it again.")
    return found


def _cells(path: Path, layout: str) -> Iterator[list[str]]:
    lines = csv.reader(read_lines(path, layout))
    try:
        yield from lines
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num} cannot be read: {error}. Unpack it again.") from error


def _clips(root: Path, part: str, path: Path, lines: Sequence[tuple[int, str, str]], chosen: set[str]) -> list[Clip]:
    clips = []
    for number, label, film in lines:
        if label in chosen:
            whole = FilmPart(str(root / part / label / film))
            stem = film.removesuffix(".mp4")
            clips.append(Clip(f"{part}/{label}/{stem}", label, _CUT.sub("", stem), whole, whole, f"{path}, line {number}"))
    return clips
