"""Items from a folder: what any other generator made, or a bank of gtimm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from gtimm.core.bank.labelled import LabelledFolder, read_labelled
from gtimm.core.errors import DataError, IncompatibleError
from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Payloads, Pool
from gtimm.core.prompts import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gtimm.core.imputer import State, View

NAMED = 12  # classes that a message names


class BankFolder(Imputer):
    """Draws among the images or sounds of the same class in a folder.

    The folder has class folders, or a `metadata.jsonl` with `file_name` and `label` (a Hugging Face imagefolder or audiofolder): so
    do gtimm's banks, and what `gtimm bank import` and `gtimm bank export` write. A class goes by its name; where no file has exactly
    that, by its words in any case ("BabyBackRibs" is "baby_back_ribs"). A class without files stays absent (filled as by `zero`).

    Attributes:
        folder: its path; what leads out of it is refused.
        per_class: items a class, the first in the order of `metadata.jsonl`, else by name; `None` takes all. Smaller budgets are
            prefixes of larger ones.
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"), items="payload", needs_label=True, depths=("pooled", "last_block"))

    folder: str = Field(min_length=1)
    per_class: int | None = Field(default=None, ge=1)

    def lacks(self) -> tuple[str, ...]:
        """Return whether the folder is not there."""
        there = Path(self.folder).expanduser().is_dir()
        return () if there else (f"The folder {self.folder} does not exist. `gtimm bank import` makes one.",)

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the files by class.

        Raises:
            DataError: the folder cannot be used (see `read_labelled`), or it has files of no class of the data.
            IncompatibleError: the modality is of another kind than the files.
        """
        assert view.labels is not None
        found = read_labelled(Path(self.folder).expanduser())
        if found.kind != view.kind(target):
            raise IncompatibleError(
                f"BankFolder: {self.folder} holds files of kind {found.kind!r}; {target!r} is {view.kind(target)!r}. "
                "Name a folder of that kind."
            )
        classes = self._classes(found, view.classes)
        members = [(str(file.path), owner) for file in found.files for owner in classes.get(file.label, ())]
        owners = np.array([owner for _, owner in members], np.int64)
        pool = Pool.by_class(Payloads([path for path, _ in members]), owners, view.labels, len(view.classes))
        return pool if self.per_class is None else pool.first(self.per_class)

    def _classes(self, found: LabelledFolder, classes: Sequence[str]) -> dict[str, list[int]]:
        """Return, of each label in the folder, the classes that it stands for: by name, else by words."""
        labels = found.labels
        matched: dict[str, list[int]] = {}
        taken = set(labels) & set(classes)
        for index, name in enumerate(classes):
            same = [name] if name in taken else [x for x in labels if x not in taken and _plain(x) == _plain(name)]
            for label in same:
                matched.setdefault(label, []).append(index)
        if not matched:
            raise DataError(
                f"BankFolder: no class of the data has files in {self.folder}. The data's classes: {_some(classes)}. "
                f"The folder's: {_some(labels)}. Rename the folder's classes (or the labels in its metadata.jsonl) after the data's."
            )
        return matched


def _plain(name: str) -> str:
    return words(name).casefold()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name if len(name) <= 60 else f"{name[:60]}...") for name in names[:NAMED]) + more
