"""UCF101: user-uploaded films of 101 human actions (Soomro, Zamir, Shah, CRCV-TR-12-01, 2012)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from gtimm.core.errors import DataError, did_you_mean
from gtimm.core.films.clips import Clip, Corpus, hold_out, read_lines
from gtimm.core.films.loader import FilmLoader, heard
from gtimm.core.media import FilmPart
from gtimm.core.plugin import Info

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits

FILMS, LISTS = "UCF-101", "ucfTrainTestlist"
WITH_SOUND = (
    "ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching", "BasketballDunk", "BlowDryHair",
    "BlowingCandles", "BodyWeightSquats", "Bowling", "BoxingPunchingBag", "BoxingSpeedBag", "BrushingTeeth", "CliffDiving",
    "CricketBowling", "CricketShot", "CuttingInKitchen", "FieldHockeyPenalty", "FloorGymnastics", "FrisbeeCatch", "FrontCrawl",
    "Haircut", "HammerThrow", "Hammering", "HandstandPushups", "HandstandWalking", "HeadMassage", "IceDancing", "Knitting",
    "LongJump", "MoppingFloor", "ParallelBars", "PlayingCello", "PlayingDaf", "PlayingDhol", "PlayingFlute", "PlayingSitar",
    "Rafting", "ShavingBeard", "Shotput", "SkyDiving", "SoccerPenalty", "StillRings", "SumoWrestling", "Surfing",
    "TableTennisShot", "Typing", "UnevenBars", "WallPushups", "WritingOnBoard",
)  # fmt: skip
"""The classes whose films have sound: the 51 that UCF101 added to the 50 of UCF50, whose films are silent. Found equal to the classes of
UCF51 in GeWu-Lab's `cross-modal-distillation`. Of their 6,845 clips a few have no sound track, so that 6,837 are left."""

_GROUP = re.compile(r"_g(\d+)_c\d+$")


class UCF101(FilmLoader):
    """Clips of a few seconds; the published lists train and test, and whole groups of the training list validate.

    A group is one source film, cut into several clips, so clips of one group never stand on both sides.

    Attributes:
        split: which of the three published pairs of lists.
        audio_only: only the 51 classes with sound, as the paper has it. Otherwise all 101, and the sound of the other 50 is a hole.
        seconds: of sound from the beginning; the paper's 5.
        silent: by default the few silent films of the 51 classes are left out (`"drop"`), which gives the paper's 6,837 clips; with
            `audio_only=False` they are holes like those of the other classes (`"hole"`).
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio"), weights_licence="films of their uploaders, for research (you bring the files)"
    )
    name: ClassVar[str] = "ucf101"
    layout: ClassVar[str] = (
        f"root= must be the folder that holds {FILMS}/<class>/*.avi and {LISTS}/ with classInd.txt, trainlist01.txt and testlist01.txt "
        "(also 02, 03), as unpacked from UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip "
        "(https://www.crcv.ucf.edu/data/UCF101.php)."
    )
    published: ClassVar[dict[str, int]] = {
        "clips": 13_320,
        "classes": 101,
        "train, split 1": 9_537,
        "test, split 1": 3_783,
        "train, split 2": 9_586,
        "test, split 2": 3_734,
        "train, split 3": 9_624,
        "test, split 3": 3_696,
        "clips of the 51 classes": 6_845,
        "clips with sound": 6_837,
        "classes with sound": 51,
    }
    source: ClassVar[str] = (
        "Soomro, Zamir, Shah: UCF101, CRCV-TR-12-01 (clips, classes) and its published lists (splits, clips of the 51 classes), "
        "https://www.crcv.ucf.edu/data/UCF101.php; with sound: Table 1 of the GTI-MM paper"
    )

    split: Literal[1, 2, 3] = 1
    audio_only: bool = True
    seconds: float = Field(default=5.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _holes_among_holes(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("audio_only") is False:
            return {"silent": "hole", **values}
        return values

    def read(self) -> Corpus:
        """Return the clips of the lists.

        Raises:
            DataError: a list that is not there, a line that cannot be read, an unknown class, a film that stands twice.
        """
        folder = self.folder() / LISTS
        classes = self._classes(folder / "classInd.txt")
        parts = {part: self._clips(folder / f"{part}list{self.split:02d}.txt", classes) for part in ("train", "test")}
        train, val = hold_out(parts["train"], self.val_share, self.seed, self.name)
        labels = [label for label in classes if not self.audio_only or label in WITH_SOUND]
        facts = {
            "source": f"UCF101, published lists {self.split:02d}",
            "classes": f"the {len(labels)} with sound" if self.audio_only else f"{len(labels)}",
            "sound": f"the first {self.seconds:g} s",
            "validation": f"{self.val_share:.0%} of each class's training groups, seed {self.seed}",
        }
        return Corpus({"train": train, "val": val, "test": parts["test"]}, tuple(labels), facts)

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return the lines of the lists that are there, and what has sound."""
        folder = self.folder() / LISTS
        classes = self._classes(folder / "classInd.txt")
        found = {"classes": len(classes)}
        for part in ("train", "test"):
            for split in (1, 2, 3):
                if (path := folder / f"{part}list{split:02d}.txt").is_file():
                    found[f"{part}, split {split}"] = sum(bool(line.split()) for line in read_lines(path, self.layout))
        found["clips"] = found.get(f"train, split {self.split}", 0) + found.get(f"test, split {self.split}", 0)
        found["clips of the 51 classes"] = sum(
            line.partition("/")[0] in WITH_SOUND
            for part in ("train", "test")
            for line in read_lines(folder / f"{part}list{self.split:02d}.txt", self.layout)
        )
        found["clips with sound"] = heard(splits)
        parts = (splits.train, splits.val, splits.test)
        found["classes with sound"] = len({c for part in parts for c in np.asarray(part.labels)[part.present("audio")].tolist()})
        return found

    def _classes(self, path: Path) -> dict[str, str]:
        """Return class to its number, in the list's order."""
        classes: dict[str, str] = {}
        for number, line in enumerate(read_lines(path, self.layout), 1):
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 2 or not cells[0].isdigit() or cells[1] in classes or cells[0] in classes.values():
                raise DataError(f"{path}, line {number}: {line!r} is not '<number> <class>', each once. Unpack the lists again.")
            classes[cells[1]] = cells[0]
        if not classes:
            raise DataError(f"{path} has no classes. Unpack the lists again.")
        if self.audio_only and not set(classes) & set(WITH_SOUND):
            raise DataError(
                f"{path} has none of the 51 classes with sound ({WITH_SOUND[0]}, ...). Unpack it again, or pass audio_only=False."
            )
        return classes

    def _clips(self, path: Path, classes: Mapping[str, str]) -> list[Clip]:
        clips = []
        for number, line in enumerate(read_lines(path, self.layout), 1):
            name, *rest = line.split()[:3] or [""]
            if not name:
                continue
            where = f"{path}, line {number}"
            label, _, film = name.partition("/")
            group = _GROUP.search(film.removesuffix(".avi"))
            if group is None or not film.endswith(".avi") or "/" in film or len(rest) > 1:
                raise DataError(
                    f"{where}: {line!r} is not '<class>/v_<class>_gXX_cYY.avi', with a number or not. Unpack the lists again."
                )
            if label not in classes or (rest and rest[0] != classes[label]):
                found = f"class {label!r}{f' with the number {rest[0]}' if rest and label in classes else ''}"
                raise DataError(
                    f"{where}: {found} is not in classInd.txt.{did_you_mean(label, classes) if label not in classes else ''} Unpack the "
                    "lists again, all of one version."
                )
            if self.audio_only and label not in WITH_SOUND:
                continue
            place = str(path.parents[1] / FILMS / label / film)
            sound = FilmPart(place, 0.0, self.seconds) if label in WITH_SOUND else None
            stem = f"{label}/{film.removesuffix('.avi')}"
            clips.append(Clip(stem, label, f"{label}/{group[1]}", FilmPart(place), sound, where))
        return clips
