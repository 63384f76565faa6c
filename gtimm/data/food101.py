"""UPMC Food-101: recipe pages found by the names of 101 dishes, each with a picture (Wang et al., ICME Workshops 2015)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import DataError
from gtimm.core.files import is_dir
from gtimm.core.plugin import Info
from gtimm.core.prompts import words
from gtimm.core.seeding import stream
from gtimm.core.table_files import read_utf8
from gtimm.core.tables import EXTENSIONS

COLUMNS = ("image name", "title", "class label")
MEND = (
    "root= must be the folder that holds images/train/<class>/, images/test/<class>/, texts/train_titles.csv and "
    "texts/test_titles.csv, as unpacked from UPMC Food-101."
)


_ROW = re.compile(r'"?[^,"]*\.(?:jpe?g|png|txt)"?,', re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A row of a titles file, and the line on which it begins, counted from 1; `hidden` where a CSV reader takes it for part of a title."""

    number: int
    image: str
    title: str
    label: str
    hidden: bool = False


class Food101(DatasetLoader):
    """Pictures and page titles of 101 dishes; the published test part, and a validation part made from the training part.

    The pages were found by searching for the dish, so most titles name their class. They are left as they are unless
    `remove_class_words`; `facts["titles that name their class"]` says how many do.

    Attributes:
        root: the folder that holds `images/` and `texts/`.
        val_share: share of each class's training rows that validates.
        seed: of the choice of validation rows.
        remove_class_words: take the words of the row's own class, also in the plural, out of its title; one that becomes empty is a hole.
            This reads labels, at test too: a stress test, not a method.
        unreadable: `"error"` leaves pictures that cannot be decoded to their first use; `"missing"` decodes all and takes those as holes.
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "text"), weights_licence="for research, by the makers' terms (you bring the files)"
    )
    published: ClassVar[Mapping[str, int]] = MappingProxyType(
        {
            "images, train": 67_988,
            "images, test": 22_716,
            "titles, train": 67_972,
            "titles, test": 22_716,
            "classes": 101,
        }
    )
    source: ClassVar[str] = (
        "the VISIIR project of UPMC (paper: https://hal.science/hal-01196959), for research; in this layout, with these counts, from "
        "https://www.kaggle.com/gianmarco96/upmcfood101 (Gallo, Ria, Landro, La Grassa, IVCNZ 2020)"
    )

    root: str
    val_share: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0
    remove_class_words: bool = False
    unreadable: Literal["error", "missing"] = "error"

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a file, folder or picture that is not there, or a line that cannot be read; names file and line.
        """
        root = Path(self.root).expanduser()
        files = {part: _file(root, part) for part in ("train", "test")}
        tables = {part: read_titles(file) for part, file in files.items()}
        classes = sorted({line.label for line in tables["train"]})
        for line in tables["test"]:
            if line.label not in classes:
                raise DataError(
                    f"{files['test']}, line {line.number}: class {line.label!r} is not in {files['train']}. Mend or remove the line."
                )
        for part, lines in tables.items():
            _check_pictures(root, part, files[part], lines)
        every = [*tables["train"], *tables["test"]]
        leaks = sum(names_class(line.title, line.label) for line in every)
        train, val = self._divide(tables["train"], files["train"])
        made = {
            name: self._split(root, part, name, lines, classes)
            for name, part, lines in (("train", "train", train), ("val", "train", val), ("test", "test", tables["test"]))
        }
        facts = {
            "name": "food101",
            "source": "UPMC Food-101, published train and test parts",
            "validation": f"{self.val_share:.0%} of each class's training rows, seed {self.seed}",
            "titles that name their class": f"{leaks} of {len(every)} ({leaks / len(every):.1%})",
            "class words": "removed from titles" if self.remove_class_words else "left in titles",
        }
        if hidden := sum(line.hidden for line in every):
            facts["titles behind an unclosed quote"] = f"{hidden}, read as rows of their own"
        if repeated := len(every) - sum(len({(line.label, line.image) for line in lines}) for lines in tables.values()):
            facts["pictures listed twice"] = f"{repeated}"
        return Splits(made["train"], made["val"], made["test"], facts)

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return the pictures of the folders and the rows of the lists, as a CSV reader counts them: without the hidden ones."""
        root = Path(self.root).expanduser()
        found = {}
        for part in ("train", "test"):
            files = (path for folder in (root / "images" / part).iterdir() if folder.is_dir() for path in folder.iterdir())
            found[f"images, {part}"] = sum(path.suffix.lower() in EXTENSIONS["image"] for path in files)
            found[f"titles, {part}"] = sum(not line.hidden for line in read_titles(_file(root, part)))
        return found

    def _divide(self, lines: Sequence[Line], file: Path) -> tuple[list[Line], list[Line]]:
        """Return training and validation rows, each in the order of the file."""
        labels = np.array([line.label for line in lines])
        chosen = np.zeros(len(lines), bool)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            if len(rows) < 2:
                raise DataError(f"{file} has a single row of class {label!r}; training and validation need one each.")
            count = min(max(1, round(self.val_share * len(rows))), len(rows) - 1)
            chosen[stream(self.seed, "food101", label).permutation(rows)[:count]] = True
        return (
            [line for line, val in zip(lines, chosen, strict=True) if not val],
            [line for line, val in zip(lines, chosen, strict=True) if val],
        )

    def _split(self, root: Path, part: str, name: str, lines: Sequence[Line], classes: Sequence[str]) -> MultimodalDataset:
        import pandas as pd

        titles = [without_class(line.title, line.label) if self.remove_class_words else line.title for line in lines]
        frame = pd.DataFrame(
            {
                "image": [f"images/{part}/{line.label}/{line.image}" for line in lines],
                "text": titles,
                "label": [line.label for line in lines],
            },
            dtype=object,
        )
        return MultimodalDataset.from_frame(
            frame,
            {"image": "image", "text": "text"},
            "label",
            root=root,
            classes=classes,
            unreadable=self.unreadable,
            name=f"food101/{name}",
        )


def read_titles(file: Path) -> list[Line]:
    """Read a titles file: image, title, class, with or without a first line of column names.

    A line that begins with the name of a file begins a row, whatever quotes are open: a title of the distributed `train_titles.csv`
    (at breakfast_burrito_730.jpg) has a quote that is closed 16 rows later, and those rows name `.txt` where the picture is `.jpg`. The
    image is what stands before the first comma, the class what stands after the last.

    Args:
        file: UTF-8. A first line whose first cell is no image file is column names.

    Raises:
        DataError: unreadable, not UTF-8, without rows, or a line of another form; names the line.
    """
    text = read_utf8(file, "Unpack the data set again.")
    rows: list[tuple[int, str, bool]] = []
    quoted = False  # the last title began with a quote that is not closed yet
    for number, end in enumerate(text.split("\n"), 1):  # titles hold other kinds of line ends
        line = end.removesuffix("\r")
        if _ROW.match(line):
            rows.append((number, line, quoted))
            title = line.partition(",")[2]
            begins, odd = title.startswith('"'), title.count('"') % 2 == 1
            quoted = odd if begins else quoted and not odd
        elif quoted:
            before, content, was = rows.pop()
            rows.append((before, f"{content}\n{line}", was))
            quoted = line.count('"') % 2 == 0
        elif line and number > 1:
            rows.append((number, line, False))
    if not rows:
        raise DataError(f"{file} has no rows. Unpack the data set again.")
    return [_line(file, *row) for row in rows]


def _line(file: Path, number: int, content: str, hidden: bool) -> Line:
    cells = content.split(",")
    if len(cells) < len(COLUMNS):
        raise DataError(
            f"{file}, line {number} has {len(cells)} cells instead of {len(COLUMNS)} ({', '.join(COLUMNS)}). Unpack the data set again."
        )
    image, title, label = (_unquoted(cell.strip()) for cell in (cells[0], ",".join(cells[1:-1]), cells[-1]))
    for name, cell in ((COLUMNS[0], image), (COLUMNS[2], label)):
        if not cell or cell in (".", "..") or "/" in cell or "\\" in cell:
            raise DataError(f"{file}, line {number}: the {name} is {cell!r}. Mend or remove the line.")
    return Line(number, f"{image[:-4]}.jpg" if image.lower().endswith(".txt") else image, title, label, hidden)


def _unquoted(cell: str) -> str:
    """Return a CSV cell without its quotes; a quote at one end alone is a fault of the file, and no part of the text."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"').strip()
    return (
        (cell[1:] if cell.startswith('"') else cell[:-1]).strip() if cell.count('"') == 1 and '"' in (cell[0], cell[-1]) else cell
    )


def names_class(title: str, label: str) -> bool:
    """Return whether a title has every word of its class.

    Example:
        >>> names_class("Best Apple Pies ever", "apple_pie"), names_class("Apple crumble", "apple_pie")
        (True, False)
    """
    return all(_word(word).search(title) for word in words(label).split())


def without_class(title: str, label: str) -> str:
    """Return a title without the words of its class.

    Example:
        >>> without_class("Best Apple Pies ever", "apple_pie")
        'Best ever'
    """
    for word in words(label).split():
        title = _word(word).sub(" ", title)
    return " ".join(title.split()) if re.search(r"\w", title) else ""


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", re.IGNORECASE)


def _file(root: Path, part: str) -> Path:
    file = root / "texts" / f"{part}_titles.csv"
    folder = root / "images" / part
    for path, there in ((root, root.is_dir()), (file, file.is_file()), (folder, folder.is_dir())):
        if not there:
            raise DataError(f"{path} does not exist. {MEND}")
    return file


def _check_pictures(root: Path, part: str, file: Path, lines: Sequence[Line]) -> None:
    """Raise for the first picture that is not there; folders are listed once, since there are 90,000 files."""
    listed: dict[str, set[str]] = {}
    for line in lines:
        folder = root / "images" / part / line.label
        if line.label not in listed:
            listed[line.label] = {path.name for path in folder.iterdir()} if is_dir(folder) else set()
        if line.image not in listed[line.label]:
            raise DataError(f"{file}, line {line.number}: {line.image!r} is not in {folder}. {MEND}")
