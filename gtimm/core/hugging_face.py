"""Read a Hugging Face `datasets.Dataset`: rows are fetched by index when they are used, and decoded by this library's own readers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gtimm.core.cells import check_ids, check_unreadable, take_out_damaged
from gtimm.core.dataset import Column, MultimodalDataset
from gtimm.core.errors import ConfigError, DataError, did_you_mean
from gtimm.core.media import Payload
from gtimm.core.plugin import KINDS
from gtimm.core.readable import TAKEN_OUT, checked_files
from gtimm.core.row_names import PLACES
from gtimm.core.tables import labels_of
from gtimm.core.targets import encode_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEDIA = {"Image": "image", "Audio": "audio", "Video": "video"}
_LISTS = ("Sequence", "List", "LargeList")


def read_hf(
    dataset: Any,
    modalities: Mapping[str, str | Column],
    label: str | Sequence[str] | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    extra: Sequence[str] = (),
    id: str | None = None,
    unreadable: Literal["error", "missing"] = "error",
    name: str = "data",
) -> MultimodalDataset:
    """Read a Hugging Face data set without decoding or copying it.

    Images, sound and films are taken as the bytes or paths that the data set stores, so this library's own readers decode them, within
    their bounds. A row is fetched when it is used. Shuffled, selected and filtered data sets are read in their order.

    Args:
        dataset: a `datasets.Dataset`: one split, not streamed.
        modalities: modality to column, or to `Column(column, kind=...)`; a kind that neither says is that of the column's feature:
            `Image`, `Audio`, `Video`, text of `Value("string")`, a vector of a list of numbers. Of a string column whose kind is one of
            files, the strings are paths.
        label: column of `ClassLabel` (whose names become the classes), of lists of it (multi-label), or as in `read_frame`; `None` for
            data to predict.
        root: folder that paths in string columns are relative to.
        classes: class names in order; by default those of `ClassLabel`, else the sorted distinct labels.
        extra: other columns to keep in memory, by which `Missing(on=...)` or `split(group=...)` may go.
        id: column of names of the rows, which must all be there and differ; it is kept in memory too.
        unreadable: as in `read_frame`.
        name: for reports.

    Raises:
        ConfigError: not one split of rows by index, or one with a transform of its own.
        DataError: an unknown column, a feature that cannot be of the kind, a row without label, an id that stands twice.
    """
    check_unreadable(unreadable)
    _check(dataset)
    dataset = dataset.with_format(None)
    payloads: dict[str, Sequence[Payload]] = {}
    kinds: dict[str, str] = {}
    columns: dict[str, Any] = {}
    absent: dict[str, dict[int, str]] | None = {m: {} for m in modalities} if unreadable == "missing" else None
    for modality, column in modalities.items():
        gone = None if absent is None else absent[modality]
        named = column.name if isinstance(column, Column) else column
        feature = _feature(dataset, named)
        kind = column.kind if isinstance(column, Column) else modality if modality in KINDS else _kind(feature, modality, named)
        payloads[modality] = _payloads(dataset, named, feature, kind, modality, root, gone)
        kinds[modality] = kind
        columns[modality] = {"column": named, "kind": kind}
    labels, names = encode_labels(*_labels(dataset, label, classes))
    kept = {column: _values(dataset, column) for column in (*extra, *([] if id is None else [id])) if _feature(dataset, column)}
    if id is not None:
        check_ids(id, kept[id], whole="Make the column one of text (string).", drop="dataset.filter(...)")
    damaged = take_out_damaged(payloads, kinds, absent=absent) if absent is not None else {}
    return MultimodalDataset(
        payloads,
        kinds,
        labels,
        names,
        name=name,
        columns={"modalities": columns, "label": label if label is None or isinstance(label, str) else list(label)},
        extra=kept,
        unreadable=damaged,
    )


class Stored(Sequence[Payload]):
    """A column of a data set as payloads, fetched by row.

    Args:
        rows: the data set of that one column, undecoded.
        column: its name.
        kind: of the modality.
        present: (rows,) True where there is a payload.
    """

    def __init__(self, rows: Any, column: str, kind: str, present: NDArray[np.bool_]) -> None:
        self._rows, self._column, self._kind, self._present = rows, column, kind, present

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, index: Any) -> Payload:
        row = int(index)
        if not self._present[row]:
            return None
        value = self._rows[row][self._column]
        if self._kind == "vector":
            return np.asarray(value, np.float32)
        if not isinstance(value, Mapping):
            return value
        if value["bytes"] is not None:
            return value["bytes"]
        path = value["path"]
        if "://" in path:
            raise DataError(
                f"Row {row}, column {self._column!r}: {path!r} is not on this machine. Store the bytes first: "
                "dataset.map(lambda row: row), or download the files."
            )
        return path

    def there(self) -> NDArray[np.bool_]:
        """Return (rows,) True where there is a payload."""
        return self._present.copy()


def _check(dataset: Any) -> None:
    kind = type(dataset).__name__
    if isinstance(dataset, Mapping):
        raise ConfigError(
            f"from_hf reads one split; this {kind} has {', '.join(map(str, dataset))}. Pass dataset[{next(iter(dataset))!r}]."
        )
    if kind.startswith("Iterable"):
        raise ConfigError("from_hf reads rows by index, which a streamed data set has not. Load it with streaming=False.")
    if not all(hasattr(dataset, name) for name in ("features", "with_format", "cast_column", "select_columns")):
        raise ConfigError(
            f"from_hf reads a datasets.Dataset; found {kind}. For a DataFrame there is from_frame, for lists from_arrays."
        )
    if dataset.format["type"] == "custom":
        raise ConfigError(
            "The data set has a transform (set_transform), which from_hf would not apply. Use map, or reset_format()."
        )


def _feature(dataset: Any, column: str) -> Any:
    if column not in dataset.features:
        known = list(dataset.features)
        raise DataError(f"The data set has no column {column!r}.{did_you_mean(column, known)} Columns: {', '.join(known)}.")
    return dataset.features[column]


def _kind(feature: Any, modality: str, column: str) -> str:
    name = type(feature).__name__
    if name in _MEDIA:
        return _MEDIA[name]
    if _is_text(feature):
        return "text"
    if name in _LISTS and _is_number(feature.feature):
        return "vector"
    raise ConfigError(
        f"What kind of modality is {modality!r}? Its column {column!r} is {feature}; say it: Column({column!r}, kind='image')."
    )


def _payloads(
    dataset: Any,
    column: str,
    feature: Any,
    kind: str,
    modality: str,
    root: str | os.PathLike[str] | None,
    absent: dict[int, str] | None,
) -> Sequence[Payload]:
    name = type(feature).__name__
    fits = _MEDIA.get(name) == kind or (name == "Image" and kind == "video")
    if kind == "text":
        fits = _is_text(feature)
    elif kind == "vector":
        fits = name in _LISTS and _is_number(feature.feature)
    elif _is_text(feature):
        return checked_files(_values(dataset, column), modality, root, absent=absent, mend=TAKEN_OUT)
    if not fits:
        raise DataError(
            f"Modality {modality!r} is of kind {kind!r}, but its column {column!r} is {feature}. Name another column or kind."
        )
    rows = dataset.select_columns([column])
    if name in _MEDIA:
        rows = rows.cast_column(column, dataclasses.replace(feature, decode=False))
    present = _present(rows, column, name in _MEDIA)
    if name in _MEDIA:
        _check_files(rows, column, modality, present, absent)
        present[list(absent or ())] = False
    return Stored(rows, column, kind, present)


def _present(rows: Any, column: str, media: bool) -> NDArray[np.bool_]:
    """Return which rows have a payload, from the table below the data set: of media only what is null is looked at."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = rows.data.column(column)
    if media:
        there = [pc.or_(pc.is_valid(part.field("bytes")), _filled(part.field("path"))) for part in cells.chunks]
        there = [pc.and_(pc.is_valid(part), known) for part, known in zip(cells.chunks, there, strict=True)]
    elif pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        there = [_filled(part) for part in cells.chunks]
    else:
        there = [pc.is_valid(part) for part in cells.chunks]
    found = np.concatenate([np.zeros(0, bool), *(part.to_numpy(zero_copy_only=False) for part in there)]).astype(bool)
    order = _order(rows)
    return found if order is None else found[order]


def _filled(strings: Any) -> Any:
    """Return where strings are neither null nor blank."""
    import pyarrow.compute as pc

    return pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(strings)), 0), False)


def _order(rows: Any) -> NDArray[np.int64] | None:
    """Return (rows,) where each row stands in the table below, `None` where that is its own place."""
    indices = rows._indices  # what select, shuffle and filter keep; to read it through the rows would read their payloads too
    return None if indices is None else np.asarray(indices.column(0).to_numpy(), np.int64)


def _check_files(rows: Any, column: str, modality: str, present: NDArray[np.bool_], absent: dict[int, str] | None) -> None:
    """Raise for rows that hold a path alone, of a file that is not there; or list them in `absent`."""
    cells = rows.data.column(column)
    alone = [
        path if path and "://" not in path and not stored else None
        for part in cells.chunks
        for path, stored in zip(
            part.field("path").to_pylist(), part.field("bytes").is_valid().to_numpy(zero_copy_only=False), strict=True
        )
    ]
    order = _order(rows)
    places = range(len(present)) if order is None else order.tolist()
    checked_files(
        [alone[place] if there else None for place, there in zip(places, present.tolist(), strict=True)],
        modality,
        None,
        absent=absent,
        mend=TAKEN_OUT,
    )


def _labels(dataset: Any, label: str | Sequence[str] | None, classes: Sequence[str] | None) -> tuple[Any, Sequence[str] | None]:
    if label is None:
        return None, classes
    if not isinstance(label, str):
        import pandas as pd

        for column in label:
            _feature(dataset, column)
        return labels_of(pd.DataFrame({column: _values(dataset, column) for column in label}), label, classes, None, PLACES)
    feature = _feature(dataset, label)
    cells = _values(dataset, label)
    inner = feature.feature if type(feature).__name__ in _LISTS else feature
    if type(inner).__name__ != "ClassLabel":
        return cells, classes
    names = list(inner.names)
    if inner is feature:
        for row, cell in enumerate(cells):
            if cell is None or cell < 0:
                raise DataError(
                    f"Row {row} has no label (column {label!r} holds {cell}), as test splits without published labels have. "
                    "Pass label=None for data to predict."
                )
        return [names[cell] for cell in cells], classes or names
    return [None if cell is None else [names[one] for one in cell] for cell in cells], classes or names


def _values(dataset: Any, column: str) -> list[Any]:
    found: list[Any] = dataset.select_columns([column])[:][column]
    return found


def _is_text(feature: Any) -> bool:
    return type(feature).__name__ == "Value" and feature.dtype in ("string", "large_string")


def _is_number(feature: Any) -> bool:
    return type(feature).__name__ == "Value" and feature.dtype.startswith(("float", "int", "uint"))
