"""CrisisMMD v2: tweets from seven natural disasters of 2017, each with a picture (Alam, Ofli, Imran, ICWSM 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, DataError, did_you_mean
from gtimm.core.plugin import Info

FOLDER = "crisismmd_datasplit_all"
FILES = {"train": "train", "val": "dev", "test": "test"}
TEXT, IMAGE = "tweet_text", "image"
EXCLUDED = ("not_humanitarian", "other_relevant_information")
MEND = (
    f"root= must be the folder that holds {FOLDER}/ and data_image/, as unpacked from CrisisMMD v2.0 and its data split "
    "(https://crisisnlp.qcri.org/crisismmd)."
)


@dataclass(frozen=True)
class Line:
    """A row of a split's file, and its line, counted from 1 with the header."""

    number: int
    cells: dict[str, str]


class CrisisMMD(DatasetLoader):
    """The humanitarian task, image and text, in the published splits of 13,608, 2,237 and 2,237 rows before labels are excluded.

    Attributes:
        root: the folder that holds `crisismmd_datasplit_all/` and `data_image/`.
        label: the column to predict, such as `label`, `label_text` or `label_image`.
        exclude: labels whose rows are left out; by default the two that the paper excludes as ambiguous, which leaves six classes.
        unreadable: `"error"` leaves pictures that cannot be decoded to their first use; `"missing"` decodes all and takes those as holes.
    """

    info: ClassVar[Info] = Info(kinds=("image", "text"), weights_licence="CC-BY-NC-SA-4.0 (you bring the files)")

    root: str
    label: str = "label"
    exclude: tuple[str, ...] = EXCLUDED
    unreadable: Literal["error", "missing"] = "error"

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a file, column, label or picture that is not there, or a line that cannot be read; names file and line.
            ConfigError: a label to exclude that no row has.
        """
        files = {split: self._file(split) for split in FILES}
        tables = {split: read_lines(path, (TEXT, IMAGE, self.label)) for split, path in files.items()}
        found = {self._label(files[split], line) for split, lines in tables.items() for line in lines}
        if "exclude" in self.model_fields_set and (unknown := sorted(set(self.exclude) - found)):
            raise ConfigError(
                f"exclude= names {unknown[0]!r}, which no row has.{did_you_mean(unknown[0], found)} Labels: {', '.join(sorted(found))}."
            )
        classes = sorted(found - set(self.exclude))
        made = {split: self._split(split, files[split], tables[split], classes) for split in FILES}
        facts = {
            "name": "crisismmd",
            "source": "CrisisMMD v2.0, humanitarian task, published splits",
            "label": self.label,
            "excluded": ", ".join(self.exclude) or "none",
        }
        return Splits(made["train"], made["val"], made["test"], facts)

    def _file(self, split: str) -> Path:
        folder = self._root() / FOLDER
        path = folder / f"task_humanitarian_text_img_{FILES[split]}.tsv"
        for part, there in ((folder.parent, folder.parent.is_dir()), (folder, folder.is_dir()), (path, path.is_file())):
            if not there:
                raise DataError(f"{part} does not exist. {MEND}")
        return path

    def _root(self) -> Path:
        return Path(self.root).expanduser()

    def _label(self, file: Path, line: Line) -> str:
        label = line.cells[self.label]
        if not label:
            raise DataError(f"{file}, line {line.number}: column {self.label!r} is empty. Mend or remove the line.")
        return label

    def _split(self, split: str, file: Path, lines: Sequence[Line], classes: Sequence[str]) -> MultimodalDataset:
        import pandas as pd

        kept = [line for line in lines if line.cells[self.label] not in self.exclude]
        if not kept:
            raise DataError(f"{file} has no row whose {self.label!r} is not excluded ({', '.join(self.exclude)}).")
        for line in kept:
            picture = line.cells[IMAGE]
            if picture and not (self._root() / picture).is_file():
                raise DataError(f"{file}, line {line.number}: {IMAGE} {picture!r} is not in {self._root()}. {MEND}")
        return MultimodalDataset.from_frame(
            pd.DataFrame([line.cells for line in kept], dtype=object),
            {"image": IMAGE, "text": TEXT},
            self.label,
            root=self._root(),
            classes=classes,
            unreadable=self.unreadable,
            name=f"crisismmd/{split}",
        )


def read_lines(file: Path, columns: Sequence[str]) -> list[Line]:
    """Read a tab-separated file in which quotes mean nothing and every cell is text.

    Args:
        file: UTF-8, its first line the column names.
        columns: those that must be there.

    Raises:
        DataError: unreadable, not UTF-8, without a column, or a line of another length; names the line.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as UTF-8 text: {error}. Unpack the data split again.") from error
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
