"""CrisisMMD v2: tweets from seven natural disasters of 2017, each with a picture (Alam, Ofli, Imran, ICWSM 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, DataError, did_you_mean
from gtimm.core.files import is_file
from gtimm.core.plugin import Info
from gtimm.core.table_files import read_utf8

FOLDERS = {"all": "crisismmd_datasplit_all", "agreed": "crisismmd_datasplit_agreed_label"}
FILES = {"train": "train", "val": "dev", "test": "test"}
STEMS = {"all": "task_humanitarian_text_img", "agreed": "task_humanitarian_text_img_agreed_lab"}
SAYS = {"all": "", "agreed": ", rows whose text and image have one label, 5 classes after merging"}
TEXT, IMAGE, TWEET = "tweet_text", "image", "tweet_id"
EXCLUDED = ("not_humanitarian", "other_relevant_information")
MERGED = {
    "injured_or_dead_people": "affected_individuals",
    "missing_or_found_people": "affected_individuals",
    "vehicle_damage": "infrastructure_and_utility_damage",
}
"""How eight labels become the five of the agreed-label set (Ofli, Alam, Imran, ISCRAM 2020), where its files have them apart."""
LABELS = frozenset({*MERGED, *MERGED.values(), "rescue_volunteering_or_donation_effort", *EXCLUDED})
HUMANITARIAN = ("label", "label_text", "label_image")
"""Columns that hold one of `LABELS`."""


@dataclass(frozen=True)
class Line:
    """A row of a split's file, and its line, counted from 1 with the header."""

    number: int
    cells: dict[str, str]


class CrisisMMD(DatasetLoader):
    """The humanitarian task, image and text, in the published splits.

    All rows: 13,608, 2,237 and 2,237 before labels are excluded. Those on whose label text and image agree: 6,126, 998 and 955,
    five classes after merging.

    Attributes:
        root: the folder that holds `data_image/` and `crisismmd_datasplit_all/` or `crisismmd_datasplit_agreed_label/`.
        labels: `"all"`, the split of all rows; `"agreed"`, the split of the rows whose text and image have one label, in which few
            labels are merged: injured, dead, missing and found people are affected individuals, vehicles infrastructure.
        label: the column to predict, such as `label`, `label_text` or `label_image`.
        exclude: labels whose rows are left out; `None`: of all rows the two that the paper excludes as ambiguous, which leaves six
            classes, and of the agreed ones none.
        unreadable: `"error"` leaves pictures that cannot be decoded to their first use; `"missing"` decodes all and takes those as holes.
    """

    info: ClassVar[Info] = Info(kinds=("image", "text"), weights_licence="CC-BY-NC-SA-4.0 (you bring the files)")

    published: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"train, all labels": 13_608, "val, all labels": 2_237, "test, all labels": 2_237}
    )
    source: ClassVar[str] = "https://crisisnlp.qcri.org/crisismmd, under the terms of use there"

    root: str
    labels: Literal["all", "agreed"] = "all"
    label: str = "label"
    exclude: tuple[str, ...] | None = None
    unreadable: Literal["error", "missing"] = "error"

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a file, column, label or picture that is not there, a picture that stands twice, a line that cannot be read; names
                file and line.
            ConfigError: a label to exclude that no row has.
        """
        files = {split: self._file(split) for split in FILES}
        tables = {split: read_lines(path, (TEXT, IMAGE, self.label)) for split, path in files.items()}
        _check_ids(files, tables)
        found = {self._label(files[split], line) for split, lines in tables.items() for line in lines}
        if self.exclude is not None and (unknown := sorted(set(self.exclude) - found)):
            raise ConfigError(
                f"exclude= names {unknown[0]!r}, which no row has.{did_you_mean(unknown[0], found)} Labels: {', '.join(sorted(found))}."
            )
        classes = sorted(found - set(self._excluded()))
        made = {split: self._split(split, files[split], tables[split], classes) for split in FILES}
        facts = {
            "name": "crisismmd",
            "source": f"CrisisMMD v2.0, humanitarian task, published splits{SAYS[self.labels]}",
            "label": self.label,
            "excluded": ", ".join(self._excluded()) or "none",
            "rows of the files": ", ".join(f"{len(lines):,} {split}" for split, lines in tables.items()),
        }
        return Splits(made["train"], made["val"], made["test"], facts)

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return the rows of the files, before labels are excluded."""
        return {f"{split}, all labels": len(read_lines(self._file(split), (TEXT, IMAGE, self.label))) for split in FILES}

    def _file(self, split: str) -> Path:
        folder = self._root() / FOLDERS[self.labels]
        path = folder / f"{STEMS[self.labels]}_{FILES[split]}.tsv"
        for part, there in ((folder.parent, folder.parent.is_dir()), (folder, folder.is_dir()), (path, path.is_file())):
            if not there:
                raise DataError(f"{part} does not exist. {self._mend()}")
        return path

    def _root(self) -> Path:
        return Path(self.root).expanduser()

    def _mend(self) -> str:
        return (
            f"root= must be the folder that holds {FOLDERS[self.labels]}/ and data_image/, as unpacked from CrisisMMD v2.0 and its data "
            "split (https://crisisnlp.qcri.org/crisismmd)."
        )

    def _excluded(self) -> tuple[str, ...]:
        if self.exclude is not None:
            return self.exclude
        return EXCLUDED if self.labels == "all" else ()

    def _label(self, file: Path, line: Line) -> str:
        label = line.cells[self.label]
        if not label:
            raise DataError(f"{file}, line {line.number}: column {self.label!r} is empty. Mend or remove the line.")
        if self.label in HUMANITARIAN and label not in LABELS:
            raise DataError(
                f"{file}, line {line.number}: {self.label!r} is {label!r}, which is no label of the humanitarian task."
                f"{did_you_mean(label, LABELS)} Mend or remove the line."
            )
        return MERGED.get(label, label) if self.labels == "agreed" else label

    def _split(self, split: str, file: Path, lines: Sequence[Line], classes: Sequence[str]) -> MultimodalDataset:
        import pandas as pd

        excluded = self._excluded()
        kept = [line for line in lines if self._label(file, line) not in excluded]
        if not kept:
            raise DataError(f"{file} has no row whose {self.label!r} is not excluded ({', '.join(excluded) or 'none'}).")
        for line in kept:
            picture = line.cells[IMAGE]
            if picture and not is_file(self._root() / picture):
                raise DataError(f"{file}, line {line.number}: {IMAGE} {picture!r} is not in {self._root()}. {self._mend()}")
        return MultimodalDataset.from_frame(
            pd.DataFrame([{**line.cells, self.label: self._label(file, line)} for line in kept], dtype=object),
            {"image": IMAGE, "text": TEXT},
            self.label,
            root=self._root(),
            classes=classes,
            unreadable=self.unreadable,
            name=f"crisismmd/{split}",
        )


class CrisisMMDAgreed(CrisisMMD):
    """`CrisisMMD` with `labels="agreed"`: the rows whose text and image have one label, five classes."""

    published: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"train": 6_126, "val": 998, "test": 955, "rows": 8_079, "classes": 5}
    )

    labels: Literal["all", "agreed"] = "agreed"


def _check_ids(files: Mapping[str, Path], tables: Mapping[str, Sequence[Line]]) -> None:
    """Raise for a picture that stands twice, in one split or two, and for tweets whose numbers a spreadsheet shortened."""
    seen: dict[str, tuple[Path, int]] = {}
    for split, lines in tables.items():
        for line in lines:
            here = (files[split], line.number)
            picture, tweet = line.cells[IMAGE], line.cells.get(TWEET, "0")
            where = f"{files[split]}, line {line.number}"
            if picture and (before := seen.setdefault(picture, here)) != here:
                raise DataError(
                    f"{where}: {IMAGE} {picture!r} stands in {before[0].name}, line {before[1]} too. Remove one of the two lines."
                )
            if not tweet.isdigit():
                raise DataError(
                    f"{where}: {TWEET} is {tweet!r}, not a whole number, as where a spreadsheet took it for a fraction. Unpack the data "
                    "split again, and do not save it from a spreadsheet."
                )


def read_lines(file: Path, columns: Sequence[str]) -> list[Line]:
    """Read a tab-separated file in which quotes mean nothing and every cell is text.

    Args:
        file: UTF-8, its first line the column names.
        columns: those that must be there.

    Raises:
        DataError: unreadable, not UTF-8, without a column, or a line of another length; names the line.
    """
    text = read_utf8(file, "Unpack the data split again.")
    header, *rest = [line.removesuffix("\r") for line in text.split("\n")]  # tweets hold other kinds of line ends
    names = header.split("\t")
    for column in columns:
        if column not in names:
            raise DataError(f"{file} has no column {column!r}.{did_you_mean(column, names)} Columns: {', '.join(names)}.")
    lines = []
    for number, line in enumerate(rest, start=2):
        cells = line.split("\t")
        if len(cells) == len(names):
            lines.append(Line(number, dict(zip(names, cells, strict=True))))
        elif line:
            raise DataError(
                f"{file}, line {number} has {len(cells)} cells, the header has {len(names)}. Unpack the data split again."
            )
    return lines
