"""What a data set holds and what it lacks: counts by class, modality and pattern; what stands in two splits; what does not decode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.duplicates import Duplicates, counted, find_duplicates
from gtimm.core.media import describe
from gtimm.core.readable import faults
from gtimm.core.splitting import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gtimm.core.dataset import MultimodalDataset, Splits

_SHOWN = 20  # classes, patterns and files in the printed form


@dataclass(frozen=True)
class Unreadable:
    """A payload that cannot be decoded: modality, row, how messages name the payload, why, and how the row's table names the row."""

    modality: str
    row: int
    payload: str
    reason: str
    name: str


@dataclass(frozen=True)
class Summary:
    """Counts of one data set. `str` prints them.

    Attributes:
        name: of the data set.
        rows: how many.
        classes: rows of each class; empty without labels. Of multi-label data a row counts in each of its classes.
        missing: by modality, the rows that lack it, sealed ones included.
        sealed: by modality, those among them that simulated missingness hides.
        patterns: what is there (`"image + audio"`, `"image only"`, `"nothing"`) to rows.
        missing_by_class: class to modality to rows.
        unreadable: payloads that cannot be read; `None` where it was not asked.
        without_class: of multi-label data, the rows of no class; `None` where each row has one class, or no labels.
    """

    name: str
    rows: int
    classes: Mapping[str, int]
    missing: Mapping[str, int]
    sealed: Mapping[str, int]
    patterns: Mapping[str, int]
    missing_by_class: Mapping[str, Mapping[str, int]]
    unreadable: tuple[Unreadable, ...] | None = None
    without_class: int | None = None

    @property
    def labels(self) -> str:
        """How many classes there are, and of multi-label data how many a row has."""
        if self.without_class is None:
            return f"{len(self.classes):,}"
        mean = sum(self.classes.values()) / self.rows
        return f"{len(self.classes):,}; {mean:.1f} a row, {self.without_class:,} without any"

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, for JSON."""
        plain: dict[str, Any] = {"name": self.name, "rows": self.rows}
        if self.without_class is not None:
            plain["without_class"] = self.without_class
        for name in ("classes", "missing", "sealed", "patterns"):
            plain[name] = dict(getattr(self, name))
        plain["missing_by_class"] = {label: dict(counts) for label, counts in self.missing_by_class.items()}
        if self.unreadable is not None:
            plain["unreadable"] = [vars(one) for one in self.unreadable]
        return plain

    def to_frame(self) -> DataFrame:
        """Return a DataFrame of one line a class: `class`, `rows`, and `missing <modality>` for each; one line without labels."""
        import pandas as pd

        lines = [
            {"class": label, "rows": rows, **{f"missing {m}": n for m, n in self.missing_by_class[label].items()}}
            for label, rows in self.classes.items()
        ]
        every = [{"class": None, "rows": self.rows, **{f"missing {m}": n for m, n in self.missing.items()}}]
        return pd.DataFrame(lines or every)

    def __str__(self) -> str:
        lines = [f"{self.name}: {counted(self.rows, 'row')}, {len(self.classes)} classes"]
        if self.without_class is not None:
            lines.append(f"  classes: {self.labels}")
        lines += [
            f"  {m}: {_share(n, self.rows)} missing" + (f", {self.sealed[m]:,} of them sealed" if self.sealed[m] else "")
            for m, n in self.missing.items()
        ]
        lines += [f"  {pattern}: {_share(n, self.rows)}" for pattern, n in list(self.patterns.items())[:_SHOWN]]
        lines += _rest(len(self.patterns), "patterns")
        for label, rows in list(self.classes.items())[:_SHOWN]:
            lacking = ", ".join(f"{n:,} without {m}" for m, n in self.missing_by_class[label].items() if n)
            lines.append(f"  class {label}: {rows:,}" + (f" ({lacking})" if lacking else ""))
        lines += _rest(len(self.classes), "classes")
        if self.unreadable is not None:
            lines.append(f"  {counted(len(self.unreadable), 'payload')} cannot be read")
            lines += [f"    {one.name}, {one.modality}: {one.reason}" for one in self.unreadable[:_SHOWN]]
            lines += _rest(len(self.unreadable), "of them")
        return "\n".join(lines)


@dataclass(frozen=True)
class SplitsSummary:
    """Counts of each split. `str` prints them.

    Attributes:
        splits: `train`, `val` and `test`.
        duplicates: payloads with equal content in two splits; `None` where it was not asked.
        facts: those of the splits.
    """

    splits: Mapping[str, Summary]
    duplicates: tuple[Duplicates, ...] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, for JSON."""
        plain: dict[str, Any] = {name: one.to_dict() for name, one in self.splits.items()}
        if self.duplicates is not None:
            plain["duplicates"] = [{**vars(one), "examples": [list(pair) for pair in one.examples]} for one in self.duplicates]
        return {**plain, "facts": dict(self.facts)}

    def to_frame(self) -> DataFrame:
        """Return the `to_frame` of the splits below one another, with the column `split` first."""
        import pandas as pd

        return pd.concat([one.to_frame().assign(split=name) for name, one in self.splits.items()], ignore_index=True).pipe(
            lambda frame: frame[["split", *[c for c in frame.columns if c != "split"]]]
        )

    def __str__(self) -> str:
        lines = [f"[{name}] {one}" for name, one in self.splits.items()]
        if self.duplicates is not None:
            lines.append("duplicates across splits:" if self.duplicates else "no duplicates across splits")
            lines += [f"  {one}" for one in self.duplicates]
        return "\n".join(lines)


def summarize(data: MultimodalDataset, *, decode: bool = False, title: str = "") -> Summary:
    """Count rows, classes and what is missing. Nothing is read or decoded unless asked.

    Args:
        data: the data set.
        decode: decode every payload that is there, in parallel, with a progress bar on terminals, and list those that fail.
        title: of the progress bar.
    """
    there = {m: data.present(m) for m in data.modalities}
    name_of = data.row_names.within
    lacking = [
        Unreadable(m, row, "not kept", reason, name_of(row))
        for m, rows in data.unreadable.items()
        for row, reason in rows.items()
    ]
    if decode:
        for modality, mask in there.items():
            read = partial(data.payload, modality)
            found = faults(data.kind(modality), np.flatnonzero(mask).tolist(), read, f"Decoding {title or data.name}, {modality}")
            lacking += [
                Unreadable(modality, row, describe(read(row)), reason, name_of(row)) for row, reason in sorted(found.items())
            ]
    members = _members(data)
    return Summary(
        name=data.name,
        rows=len(data),
        classes={label: int(mask.sum()) for label, mask in members.items()},
        missing={m: int((~mask).sum()) for m, mask in there.items()},
        sealed={m: int(data.sealed(m).sum()) for m in data.modalities},
        patterns=_patterns(there),
        missing_by_class={
            label: {m: int((mask & ~present).sum()) for m, present in there.items()} for label, mask in members.items()
        },
        unreadable=tuple(lacking) if decode or lacking else None,
        without_class=int((~np.asarray(data.labels, bool).any(axis=1)).sum()) if data.multilabel else None,
    )


def summarize_splits(splits: Splits, *, decode: bool = False, duplicates: bool = True) -> SplitsSummary:
    """Count each split, and find payloads that stand in two of them.

    Args:
        splits: the data.
        decode: as in `summarize`.
        duplicates: compare by content, exactly: texts and arrays, and of files those alone whose size another split has too. Needs
            to read these files once; their content keys are kept for later use.
    """
    parts = {name: getattr(splits, name) for name in PARTS}
    found = {name: summarize(part, decode=decode, title=f"{part.name} ({name})") for name, part in parts.items()}
    return SplitsSummary(found, tuple(find_duplicates(parts)) if duplicates else None, dict(splits.facts))


def _members(data: MultimodalDataset) -> dict[str, NDArray[np.bool_]]:
    if data.labels is None:
        return {}
    if data.multilabel:
        return {label: data.labels[:, index].astype(bool) for index, label in enumerate(data.classes)}
    return {label: data.labels == index for index, label in enumerate(data.classes)}


def _patterns(there: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    found, counts = np.unique(np.stack(list(there.values()), axis=1), axis=0, return_counts=True)
    named = {
        _pattern([m for m, yes in zip(there, row, strict=True) if yes]): int(n) for row, n in zip(found, counts, strict=True)
    }
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def _pattern(names: Sequence[str]) -> str:
    return " + ".join(names) if len(names) > 1 else f"{names[0]} only" if names else "nothing"


def _share(count: int, rows: int) -> str:
    return f"{count:,} ({count / rows:.1%})"


def _rest(count: int, what: str) -> list[str]:
    return [f"  ... {count - _SHOWN:,} more {what}"] if count > _SHOWN else []


def compare_published(
    published: Mapping[str, int], summary: SplitsSummary, counts: Mapping[str, int] | None = None
) -> dict[str, tuple[int, int | None]]:
    """Return name to published count and the count found here.

    Args:
        published: of a `DatasetLoader`. `train`, `val`, `test` and `rows` are rows, `classes` classes that have rows; what goes by
            another name and is not in `counts` has nothing here to compare with, and `None` is found.
        summary: of what was loaded.
        counts: from `DatasetLoader.counts`; they go before the rows.
    """
    rows = {name: one.rows for name, one in summary.splits.items()}
    classes = {label for one in summary.splits.values() for label, count in one.classes.items() if count}
    found = {**rows, "rows": sum(rows.values()), "classes": len(classes), **(counts or {})}
    return {name: (count, found.get(name)) for name, count in published.items()}
