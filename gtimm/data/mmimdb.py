"""MM-IMDb: films with their poster, plot and genres (Arevalo et al., Gated Multimodal Units, ICLR Workshops 2017)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import DataError
from gtimm.core.plain import from_json
from gtimm.core.plugin import Info
from gtimm.core.table_files import read_utf8

FILES = {"train": "train", "val": "dev", "test": "test"}
GENRES = (
    "Drama", "Comedy", "Romance", "Thriller", "Crime", "Action", "Adventure", "Horror", "Documentary", "Mystery", "Sci-Fi", "Fantasy",
    "Family", "Biography", "War", "History", "Music", "Animation", "Musical", "Western", "Sport", "Short", "Film-Noir",
)  # fmt: skip
"""The 23 that the authors' `make_dataset.py` keeps, the most frequent, in its order (by frequency); the rest have few films."""

MEND = "root= must be the folder that holds split.json and dataset/, as unpacked from mmimdb.tar.gz (there it is named mmimdb/)."


@dataclass(frozen=True)
class Film:
    """A film of a split.

    Attributes:
        key: its number at IMDb, as in the file names.
        plot: `None` where there is none.
        genres: those of `GENRES`.
        others: genres that are not among them.
    """

    key: str
    plot: str | None
    genres: tuple[str, ...]
    others: tuple[str, ...]


class MMIMDb(DatasetLoader):
    """Posters and plots of 25,959 films with any of 23 genres each, in the published splits of 15,552, 2,608 and 7,799 rows.

    Multi-label: a film may have several genres. Genres outside the 23 are left out, and `facts` counts them.

    Attributes:
        root: the folder that holds `split.json` and `dataset/`.
        plot: which of a film's plots is its text: the `"first"`, or the `"longest"`, as the authors' own code takes.
        unreadable: `"error"` leaves pictures that cannot be decoded to their first use; `"missing"` decodes all and takes those as holes.
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "text"), weights_licence="for research, by the makers' terms (you bring the files)"
    )
    published: ClassVar[Mapping[str, int]] = MappingProxyType(
        {"train": 15_552, "val": 2_608, "test": 7_799, "rows": 25_959, "classes": 23}
    )
    source: ClassVar[str] = "mmimdb.tar.gz, http://lisi1.unal.edu.co/mmimdb or https://archive.org/details/mmimdb, for research"

    root: str
    plot: Literal["first", "longest"] = "first"
    unreadable: Literal["error", "missing"] = "error"

    def load(self) -> Splits:
        """Read the data set.

        Raises:
            DataError: a file or poster that is not there, a film in two splits, or a file of another form; names file and entry.
        """
        root = Path(self.root).expanduser()
        keys = read_split(_file(root))
        posters = {path.name for path in (root / "dataset").iterdir()}
        films = {split: [self._film(root, FILES[split], key, posters) for key in keys[FILES[split]]] for split in FILES}
        for split, rows in films.items():
            if not any(film.genres for film in rows):
                raise DataError(f"{root / 'split.json'}, {FILES[split]!r}: no film has one of the {len(GENRES)} genres. {MEND}")
        made = {split: self._split(root, split, rows) for split, rows in films.items()}
        every = [film for rows in films.values() for film in rows]
        left = Counter(genre for film in every for genre in film.others)
        facts = {
            "name": "mmimdb",
            "source": "MM-IMDb, published splits, 23 genres",
            "text": f"the {self.plot} plot",
            "genres left out": ", ".join(f"{genre} ({count})" for genre, count in left.most_common()) or "none",
            "films without a genre": str(sum(not film.genres for film in every)),
        }
        return Splits(made["train"], made["val"], made["test"], facts)

    def _film(self, root: Path, part: str, key: str, posters: set[str]) -> Film:
        file = root / "dataset" / f"{key}.json"
        for name in (f"{key}.jpeg", file.name):
            if name not in posters:
                raise DataError(f"{root / 'split.json'}, {part!r}: {name!r} is not in {file.parent}. {MEND}")
        content = _read_json(file)
        if not isinstance(content, dict):
            raise DataError(
                f"{file} holds {_named(content)}; expected an object with 'genres' and 'plot'. Unpack the data set again."
            )
        genres = _texts(file, content, "genres")
        if genres is None:
            raise DataError(f"{file} has no 'genres'. Unpack the data set again, or take {key!r} out of split.json.")
        plots = [plot for plot in _texts(file, content, "plot") or () if plot.strip()]
        chosen = None if not plots else plots[0] if self.plot == "first" else max(plots, key=len)
        return Film(
            key, chosen, tuple(g for g in GENRES if g in genres), tuple(g for g in dict.fromkeys(genres) if g not in GENRES)
        )

    def _split(self, root: Path, name: str, films: Sequence[Film]) -> MultimodalDataset:
        import pandas as pd

        frame = pd.DataFrame(
            {
                "image": [f"dataset/{film.key}.jpeg" for film in films],
                "text": [film.plot for film in films],
                "genres": [list(film.genres) for film in films],
                "id": [film.key for film in films],
            },
            dtype=object,
        )
        return MultimodalDataset.from_frame(
            frame,
            {"image": "image", "text": "text"},
            "genres",
            root=root,
            classes=GENRES,
            unreadable=self.unreadable,
            name=f"mmimdb/{name}",
        )


def read_split(file: Path) -> dict[str, list[str]]:
    """Read `split.json`: an object of `train`, `dev` and `test`, lists of film numbers as text.

    Raises:
        DataError: unreadable, a part that is not there or has no films, an entry that is no number, a film that stands twice.
    """
    content = _read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"{file} holds {_named(content)}; expected an object of {', '.join(FILES.values())}. {MEND}")
    seen: dict[str, str] = {}
    for part in FILES.values():
        found = content.get(part)
        if not isinstance(found, list) or not found:
            raise DataError(
                f"{file} has no list of films under {part!r}; it has {', '.join(map(repr, content)) or 'nothing'}. {MEND}"
            )
        for place, key in enumerate(found):
            where = f"{file}, {part!r}, entry {place}"
            if not isinstance(key, str) or not (key.isascii() and key.isdigit()):
                raise DataError(f"{where}: {key!r} is no film number such as '0111161'. Unpack the data set again.")
            if key in seen:
                raise DataError(f"{where}: {key!r} stands in {seen[key]!r} already. Remove one.")
            seen[key] = part
    return {part: content[part] for part in FILES.values()}


def _read_json(file: Path) -> Any:
    try:
        return from_json(read_utf8(file, "Unpack the data set again."))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno} is no JSON: {error.msg}. Unpack the data set again.") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} is no JSON: {error}. Unpack the data set again.") from error


def _texts(file: Path, content: dict[str, Any], field: str) -> list[str] | None:
    """Return a field that is a list of texts, or `None` where it is not there."""
    found = content.get(field)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise DataError(f"{file}: {field!r} must be a list of texts; found {_named(found)}. Unpack the data set again.")
    return found


def _named(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:60] + '...'}"


def _file(root: Path) -> Path:
    if not (root / "split.json").is_file() and (root / "mmimdb" / "split.json").is_file():
        raise DataError(f"{root} holds mmimdb/, and that holds split.json. Give root='{root / 'mmimdb'}'.")
    file, folder = root / "split.json", root / "dataset"
    for path, there in ((root, root.is_dir()), (file, file.is_file()), (folder, folder.is_dir())):
        if not there:
            raise DataError(f"{path} does not exist. {MEND}")
    return file
