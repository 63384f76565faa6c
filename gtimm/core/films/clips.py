"""What a list of films comes to: clips by split, and a validation part that shares no source with training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gtimm.core.errors import DataError
from gtimm.core.media import FilmPart
from gtimm.core.seeding import stream
from gtimm.core.table_files import read_utf8


@dataclass(frozen=True)
class Clip:
    """One row of a data set of films, or a film or sound of a table.

    Attributes:
        name: `/`-separated words that no other clip has; prepared files are named by it.
        label: class name.
        group: clips of one group come from one source, and never stand in training and validation both.
        image: the part of the film in whose middle the frame is; None where no frame is wanted.
        audio: the part whose sound it is; None where the film is known to be silent, or no sound is wanted.
        where: file and line that list it, for messages.
    """

    name: str
    label: str
    group: str
    image: FilmPart | None
    audio: FilmPart | None
    where: str

    def __post_init__(self) -> None:
        if "\0" in self.name or set(self.name.split("/")) & {"", ".", ".."}:
            raise DataError(f"{self.where}: {self.name!r} is no name of a file in a folder. Mend the line.")

    @property
    def film(self) -> Path:
        """The film's file."""
        part = self.image or self.audio
        if part is None:
            raise DataError(f"{self.where}: nothing is wanted of {self.name!r}.")
        return Path(part.path)


@dataclass(frozen=True)
class Corpus:
    """The clips that lists name, whether their films are there or not.

    Attributes:
        clips: of `train`, `val` and `test`.
        classes: class names in order.
        facts: for reports.
    """

    clips: Mapping[str, Sequence[Clip]]
    classes: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, Clip] = {}
        for clip in self.every():
            if (other := seen.setdefault(clip.name, clip)) is not clip:
                raise DataError(f"{clip.where}: {clip.name!r} stands in {other.where} too. Remove one of the two.")

    def every(self) -> list[Clip]:
        """Return the clips of all splits."""
        return [clip for clips in self.clips.values() for clip in clips]


def hold_out(clips: Sequence[Clip], share: float, seed: int, name: str) -> tuple[list[Clip], list[Clip]]:
    """Return training and validation clips, in order: of each class a share of its groups validates, each whole.

    A group counts to the class of its first clip. The choice depends on the names of groups, not on which films are there.

    Args:
        clips: of the published training part.
        share: of a class's groups, rounded, at least one.
        seed: of the choice.
        name: of the data set, which makes the choice its own.

    Raises:
        DataError: a class with a single group.
    """
    home: dict[str, str] = {}
    for clip in clips:
        home.setdefault(clip.group, clip.label)
    groups: dict[str, list[str]] = {}
    for group, label in sorted(home.items()):
        groups.setdefault(label, []).append(group)
    chosen: set[str] = set()
    for label, found in groups.items():
        if len(found) < 2:
            where = next(clip.where for clip in clips if clip.group == found[0])
            raise DataError(
                f"{where}: all training clips of class {label!r} come from one source, {found[0]!r}; training and validation need "
                "one each. Complete the list of training clips."
            )
        count = min(max(1, round(share * len(found))), len(found) - 1)
        chosen.update(np.array(found)[stream(seed, name, label).permutation(len(found))[:count]].tolist())
    return [c for c in clips if c.group not in chosen], [c for c in clips if c.group in chosen]


def read_lines(path: Path, mend: str) -> list[str]:
    """Return the lines of a text file without their ends, empty ones included.

    Raises:
        DataError: not there, or not UTF-8; ends with `mend`.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist. {mend}")
    return read_utf8(path, "Unpack it again.").splitlines()
