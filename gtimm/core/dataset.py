"""Multi-modal data sets with holes, natural or simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

import numpy as np

from gtimm.core.asking import asking
from gtimm.core.errors import ConfigError, DataError, MaskedPayloadError, MediaError, MissingPayloadError, did_you_mean, reworded
from gtimm.core.media import Payload, payload_key
from gtimm.core.payloads import Picked, Shared, by_position, check_lengths, present_of
from gtimm.core.plugin import KINDS, Kind, Plugin
from gtimm.core.row_names import PLACES, RowNames
from gtimm.core.targets import Labels, encode_labels, label_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gtimm.core.missing import Missing
    from gtimm.core.summary import SplitsSummary, Summary

    Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """A column of a table and its kind, where the modality's name is not its kind: `Column("path", kind="image")`."""

    name: str
    kind: Kind

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(
                f"Unknown kind {self.kind!r} of column {self.name!r}.{did_you_mean(self.kind, KINDS)} Kinds: {KINDS}."
            )


class MultimodalDataset:
    """Rows with a payload or a hole for each modality, and a label.

    Make one with `from_frame`, `from_table`, `from_folder`, `from_hf` or `from_arrays`. None, NaN and empty text are missing. Nothing
    is decoded before it is used. `with_missing` returns a copy with more holes, whose sealed payloads cannot be read.

    Attributes:
        modalities: names, in order.
        classes: class names; a label is an index into them. Empty without labels.
        labels: (rows,) int64; for multi-label data (rows, classes) bool; `None` for data to predict.
        name: for reports.
        extra: other columns by name, (rows,) each: nothing reads them but `Missing(on=...)`.
        missing: the `Missing` that sealed this copy, or `None`.
        unreadable: by modality, the rows whose payload was taken as missing because it cannot be read, and why.
        row_names: how messages name the rows: as the table does that they come from, also in parts of it.
    """

    def __init__(
        self,
        payloads: Mapping[str, Sequence[Payload]],
        kinds: Mapping[str, str],
        labels: Labels | None,
        classes: Sequence[str],
        *,
        name: str = "data",
        columns: Mapping[str, Any] | None = None,
        extra: Mapping[str, Sequence[Any]] | None = None,
        unreadable: Mapping[str, Mapping[int, str]] | None = None,
        row_names: RowNames = PLACES,
    ) -> None:
        self.name, self.row_names = name, row_names
        self.unreadable: dict[str, dict[int, str]] = {m: dict(rows) for m, rows in (unreadable or {}).items()}
        self.extra = {str(column): np.fromiter(values, object, len(values)) for column, values in (extra or {}).items()}
        self.modalities: tuple[str, ...] = tuple(payloads)
        self.classes: tuple[str, ...] = tuple(classes)
        self.labels = labels
        self.columns: dict[str, Any] = dict(columns or {})
        self.missing: Missing | None = None
        self._kinds = {m: cast("Kind", kinds[m]) for m in self.modalities}
        self._payloads = {m: Shared(values) for m, values in payloads.items()}
        self._natural = {m: present_of(p.values) for m, p in self._payloads.items()}
        self._sealed = {m: np.zeros(len(mask), bool) for m, mask in self._natural.items()}
        self._rows = len(next(iter(self._natural.values()))) if self.modalities else 0
        lengths = {m: len(mask) for m, mask in self._natural.items()} | {c: len(values) for c, values in self.extra.items()}
        check_lengths(name, lengths if labels is None else {**lengths, "labels": len(labels)}, len(self.modalities))

    @classmethod
    def from_frame(
        cls,
        frame: DataFrame,
        modalities: Mapping[str, str | Column],
        label: str | Sequence[str] | None = None,
        *,
        root: str | PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        label_separator: str | None = None,
        id: str | None = None,
        unreadable: Literal["error", "missing"] = "error",
        name: str = "data",
    ) -> MultimodalDataset:
        """Read a pandas DataFrame; see `gtimm.core.tables.read_frame`."""
        from gtimm.core.tables import read_frame

        return read_frame(
            frame,
            modalities,
            label,
            root=root,
            classes=classes,
            label_separator=label_separator,
            id=id,
            unreadable=unreadable,
            name=name,
        )

    @classmethod
    def from_table(
        cls,
        path: str | PathLike[str],
        modalities: Mapping[str, str | Column],
        label: str | Sequence[str] | None = None,
        **options: Any,
    ) -> MultimodalDataset:
        """Read a CSV, TSV, Parquet or JSON lines file; `root` is its folder by default. See `gtimm.core.tables.read_table_file`."""
        from gtimm.core.tables import read_table_file

        return read_table_file(path, modalities, label, **options)

    @classmethod
    def from_hf(
        cls,
        dataset: Any,
        modalities: Mapping[str, str | Column],
        label: str | Sequence[str] | None = None,
        *,
        root: str | PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        extra: Sequence[str] = (),
        id: str | None = None,
        unreadable: Literal["error", "missing"] = "error",
        name: str = "data",
    ) -> MultimodalDataset:
        """Read a Hugging Face `datasets.Dataset`, row by row when asked; see `gtimm.core.hugging_face.read_hf`."""
        from gtimm.core.hugging_face import read_hf

        return read_hf(
            dataset, modalities, label, root=root, classes=classes, extra=extra, id=id, unreadable=unreadable, name=name
        )

    @classmethod
    def from_folder(
        cls,
        root: str | PathLike[str],
        modalities: Mapping[str, str | Column] | None = None,
        *,
        classes: Sequence[str] | None = None,
        unreadable: Literal["error", "missing"] = "error",
        name: str | None = None,
    ) -> MultimodalDataset:
        """Read class folders, paired across modality folders by stem; see `gtimm.core.tables.read_folder`."""
        from gtimm.core.tables import read_folder

        return read_folder(root, modalities, classes=classes, unreadable=unreadable, name=name)

    @classmethod
    def from_arrays(
        cls,
        modalities: Mapping[str, Sequence[Payload]],
        labels: Sequence[Any] | NDArray[Any] | None = None,
        *,
        classes: Sequence[str] | None = None,
        kinds: Mapping[str, str] | None = None,
        extra: Mapping[str, Sequence[Any]] | None = None,
        name: str = "data",
    ) -> MultimodalDataset:
        """Make a data set from sequences of payloads in memory.

        Args:
            modalities: name to one payload a row, `None` for a hole: uint8 images (height, width, 3), PIL images, paths,
                bytes, strings, `(samples, rate)`, vectors.
            labels: names, or indices into `classes`; for multi-label data a list of them for each row, or a (rows, classes) array of 0
                and 1; `None` for data to predict.
            classes: class names; by default the sorted distinct labels.
            kinds: kind of each modality whose name is not its kind.
            extra: other columns, which `Missing(on=...)` may go by.
            name: for reports.

        Raises:
            DataError: no rows, unequal lengths, a label outside the classes.
            ConfigError: an unknown kind.
        """
        found = {m: modality_kind(m, (kinds or {}).get(m)) for m in modalities}
        indices, names = encode_labels(labels, classes)
        return cls({m: by_position(values) for m, values in modalities.items()}, found, indices, names, name=name, extra=extra)

    def __len__(self) -> int:
        return self._rows

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._rows

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several classes, or none."""
        return self.labels is not None and self.labels.ndim == 2

    def groups(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return (rows,) the label group of each row and the groups' names: classes, or for multi-label data sets of classes.

        Raises:
            DataError: the data has no labels.
        """
        if self.labels is None:
            raise DataError(f"{self.name!r} has no labels.")
        return label_groups(self.labels, self.classes)

    def __getitem__(self, row: int) -> dict[str, Payload]:
        """Return what is present in a row: modality to payload."""
        row = self._row(row)
        return {m: self.payload(m, row) for m in self.modalities if self.present(m)[row]}

    def __iter__(self) -> Iterator[dict[str, Payload]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        parts = [f"{m} ({k}, {int(self.present(m).sum())} present)" for m, k in self._kinds.items()]
        labels = f"{len(self.classes)} classes" if self.labels is not None else "no labels"
        return f"MultimodalDataset({self.name!r}: {len(self)} rows, {', '.join(parts)}, {labels})"

    def kind(self, modality: str) -> Kind:
        """Return the kind of a modality."""
        return self._kinds[self._modality(modality)]

    def present(self, modality: str) -> Bool:
        """Return (rows,) bool, True where the payload is there and not sealed."""
        modality = self._modality(modality)
        return self._natural[modality] & ~self._sealed[modality]

    def sealed(self, modality: str) -> Bool:
        """Return (rows,) bool, True where simulated missingness hides a payload that the data has."""
        return self._sealed[self._modality(modality)].copy()

    def payload(self, modality: str, row: int) -> Payload:
        """Return the payload of one row.

        Raises:
            MaskedPayloadError: the payload is sealed.
            MissingPayloadError: the data never had it.
        """
        self._readable(modality, row)
        return self._payloads[modality].values[self._row(row)]

    def keys(self, modality: str, rows: NDArray[np.int64]) -> list[bytes]:
        """Return the content keys of payloads, each computed once for all copies; raises like `payload`."""
        shared, kind = self._payloads[self._modality(modality)], self._kinds[modality]
        result = []
        readable = self.present(modality)
        for row in rows.tolist():
            if not readable[row]:
                self._readable(modality, row)
            if row not in shared.keys:
                try:
                    shared.keys[row] = payload_key(kind, shared.values[row])
                except MediaError as error:
                    raise reworded(error, f"{self.row_names[row]}, modality {modality!r}: {error}") from error
            result.append(shared.keys[row])
        return result

    def with_missing(self, missing: Missing | Mapping[str, float] | None, seed: int = 0) -> MultimodalDataset:
        """Return a copy with more holes; what is sealed raises `MaskedPayloadError` when read.

        Args:
            missing: a `Missing`, or its ratios.
            seed: used when `missing` has no seed of its own.
        """
        from gtimm.core.missing import Missing

        missing = Missing.of(missing)
        copy = self._copy()
        for modality, mask in missing.masks(self, seed).items():
            copy._sealed[modality] = self._sealed[modality] | mask
        copy.missing = missing
        return copy

    def subset(self, rows: Sequence[int] | NDArray[Any]) -> MultimodalDataset:
        """Return the data set of these rows (indices or a bool mask), holes and seals included."""
        chosen = np.asarray(rows)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise DataError(f"A mask of shape {chosen.shape} cannot choose among the {len(self)} rows of {self.name!r}.")
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        if not len(chosen):
            raise DataError(f"A subset of {self.name!r} without rows is no data set.")
        copy = self._copy()
        copy._rows, copy.row_names = len(chosen), self.row_names.pick(chosen)
        copy.extra = {column: values[chosen] for column, values in self.extra.items()}
        copy.unreadable = {
            m: {new: rows[old] for new, old in enumerate(chosen.tolist()) if old in rows} for m, rows in self.unreadable.items()
        }
        copy.labels = None if self.labels is None else self.labels[chosen]
        for m, shared in self._payloads.items():
            keys = {new: shared.keys[old] for new, old in enumerate(chosen.tolist()) if old in shared.keys}
            copy._payloads[m] = Shared(Picked(shared.values, chosen), keys)
            copy._natural[m] = self._natural[m][chosen]
            copy._sealed[m] = self._sealed[m][chosen]
        return copy

    def split(
        self, val: float = 0.1, test: float = 0.2, *, stratify: bool = True, group: str | None = None, seed: int = 0
    ) -> Splits:
        """Split the rows at random in three; see `gtimm.core.splitting.make_splits`."""
        from gtimm.core.splitting import make_splits

        return make_splits(self, val, test, seed, stratify=stratify, group=group)

    def summary(self, *, decode: bool = False) -> Summary:
        """Count rows, classes and what is missing; see `gtimm.core.summary.summarize`."""
        from gtimm.core.summary import summarize

        return summarize(self, decode=decode)

    def _copy(self) -> MultimodalDataset:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._payloads, copy._natural, copy._sealed = dict(self._payloads), dict(self._natural), dict(self._sealed)
        return copy

    def _modality(self, name: str) -> str:
        if name not in self._kinds:
            raise DataError(
                f"{self.name!r} has no modality {name!r}.{did_you_mean(name, self._kinds)} It has {', '.join(self.modalities)}."
            )
        return name

    def _row(self, row: int) -> int:
        if not -len(self) <= row < len(self):
            raise IndexError(f"Row {row} is outside the {len(self)} rows of {self.name!r}.")
        return row % len(self)

    def _readable(self, modality: str, row: int) -> None:
        row = self._row(row)
        if self._sealed[self._modality(modality)][row]:
            raise MaskedPayloadError(
                f"{self.row_names[row]}: {modality!r} is sealed by simulated missingness; nothing may read it."
            )
        if not self._natural[modality][row]:
            raise MissingPayloadError(f"{self.row_names[row]} has no {modality!r}.")


@dataclass(frozen=True)
class Splits:
    """A corpus: its splits, and facts that reports show (source, licence, what is synthetic)."""

    train: MultimodalDataset
    val: MultimodalDataset
    test: MultimodalDataset
    facts: Mapping[str, str] = field(default_factory=dict)

    def summary(self, *, decode: bool = False, duplicates: bool = True) -> SplitsSummary:
        """Count each split, and what stands in two of them; see `gtimm.core.summary.summarize_splits`."""
        from gtimm.core.summary import summarize_splits

        return summarize_splits(self, decode=decode, duplicates=duplicates)


class DatasetLoader(Plugin):
    """A data set by name: its fields are the options of `load_dataset(name, **options)`. Write `load`.

    Attributes:
        published: counts that the data set's authors state, which `gtimm check data` compares: rows of `train`, `val`, `test`, of all
            (`rows`), and `classes`, where the default options give them; by other names what `counts` finds.
        source: where the files come from, and under which terms.
    """

    published: ClassVar[Mapping[str, int]] = MappingProxyType({})
    source: ClassVar[str] = ""

    def load(self) -> Splits:
        """Read the data set."""
        raise NotImplementedError

    def counts(self, splits: Splits) -> dict[str, int]:
        """Return counts by names of `published` that the loaded rows do not tell by themselves."""
        return {}


def load_dataset(name: str, **options: Any) -> Splits:
    """Load a data set by its registered name, such as `load_dataset("digits")`.

    Returns:
        An object with `train`, `val` and `test`, each a `MultimodalDataset`.
    """
    from gtimm.core.registry import registry

    loader = registry("datasets").create({"name": name, **options})
    with asking(loader, "in load"):
        return cast("Splits", loader.load())


def modality_kind(modality: str, kind: str | None) -> Kind:
    """Return the kind of a modality: the given one, or its name where that is a kind."""
    found = kind or modality
    if found not in KINDS:
        raise ConfigError(
            f"What kind of modality is {modality!r}? Its name is no kind ({', '.join(KINDS)}), so say it: "
            f"{{name: COLUMN, kind: image}} in YAML, Column(..., kind='image') or kinds={{{modality!r}: 'image'}} in Python."
        )
    return found
