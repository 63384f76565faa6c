"""The one idea: a pool of candidate items, and for each row the candidates it may take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import PluginError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.media import Payload


@dataclass(frozen=True)
class Request:
    """One item to generate; its key is known before the item exists.

    Attributes:
        kind: `"image"` or `"audio"`.
        prompt: what to make.
        seed: of this item's own generator, in 0..2**63-1.
        guidance: classifier-free guidance scale; 1 or less means none.
        init: key of a source payload where generation starts from a real item, else `None`.
        label: class name for people and folders; not part of the key.
        source: the payload that `init` is the key of; the key stands for it, so it is no part of key or comparison.
    """

    kind: str
    prompt: str
    seed: int
    guidance: float
    init: str | None = None
    label: str = ""
    source: Payload = field(default=None, compare=False, repr=False)

    def key(self, fingerprint: str) -> str:
        """Return 32 hex digits from the generator's fingerprint and the fields that change the item."""
        changing = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("label", "source")}
        content = json.dumps({**changing, "fingerprint": fingerprint}, sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Payloads:
    """Ready payloads, such as a black image."""

    values: Sequence[Payload]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Requests:
    """Items to generate, in the order of the plan: by rank, then group."""

    values: Sequence[Request]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Rows:
    """Rows of the training set, (items,) int64: their own payloads are the items."""

    values: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Features:
    """Embeddings, (items, dim) float32."""

    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)


Items = Payloads | Requests | Rows | Features


@dataclass(frozen=True)
class Pool:
    """Candidate c of row r is `items[members[start[group[r]] + c]]`.

    Attributes:
        items: what the candidates are.
        group: (rows,) int32: class, label set, row, or 0; -1 where a row has no candidate and stays absent.
        start: (groups + 1,) int64, ascending from 0.
        members: (start[-1],) int64 into `items`, ordered: a budget of k is the first k of each group.
        weights: (start[-1],) float32 draw weights; `None` is uniform.
    """

    items: Items
    group: NDArray[np.int32]
    start: NDArray[np.int64]
    members: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        groups = len(self.start) - 1
        bad = (
            self._of_wrong_type()
            or (groups < 0 and "start is empty")
            or (self.start[0] != 0 and "start does not begin at 0")
            or (np.any(np.diff(self.start) < 0) and "start descends")
            or (self.start[-1] != len(self.members) and f"start ends at {self.start[-1]}, not at {len(self.members)} members")
            or (
                len(self.group) and (self.group.max() >= groups or self.group.min() < -1) and f"group is outside -1..{groups - 1}"
            )
            or (
                len(self.members)
                and (self.members.min() < 0 or self.members.max() >= len(self.items))
                and f"members are outside 0..{len(self.items) - 1}"
            )
            or (self.weights is not None and len(self.weights) != len(self.members) and "weights and members differ in length")
            or (self.weights is not None and not np.all(self.weights >= 0) and "weights are negative or NaN")
        )
        if bad:
            raise PluginError(f"An imputer made an invalid Pool: {bad}.")

    def _of_wrong_type(self) -> str:
        """Return what holds something else than it must, or an empty string."""
        if not isinstance(self.items, Items):
            return f"items are of type {type(self.items).__name__}, not Payloads, Requests, Rows or Features"
        arrays = {"group": self.group, "start": self.start, "members": self.members}
        arrays |= {"rows": self.items.values} if isinstance(self.items, Rows) else {}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
                return f"{name} must be an array of integers; found {getattr(array, 'dtype', type(array).__name__)}"
        if isinstance(self.items, Features) and getattr(self.items.values, "dtype", np.dtype(object)).kind not in "fiu":
            values = self.items.values
            return f"features must be an array of numbers; found {getattr(values, 'dtype', type(values).__name__)}"
        return ""

    @classmethod
    def constant(cls, items: Items, rows: int) -> Pool:
        """Every row may take every item."""
        count = len(items)
        return cls(items, np.zeros(rows, np.int32), np.array([0, count], np.int64), np.arange(count, dtype=np.int64))

    @classmethod
    def by_class(cls, items: Items, item_class: NDArray[Any], row_class: NDArray[Any], classes: int) -> Pool:
        """A row may take the items of its class; one whose class has no item stays absent.

        Args:
            items: the items, in order of rank within their class.
            item_class: (items,) class of each item.
            row_class: (rows,) class of each row.
            classes: number of classes.
        """
        item_class = np.asarray(item_class, np.int64)
        members = np.argsort(item_class, kind="stable").astype(np.int64)
        sizes = np.bincount(item_class, minlength=classes)
        start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        row_class = np.asarray(row_class)
        group = np.where((row_class >= 0) & (sizes[row_class] > 0), row_class, -1).astype(np.int32)
        return cls(items, group, start, members)

    @classmethod
    def own(cls, items: Items, owner: NDArray[Any], rows: int) -> Pool:
        """A row may take the items that it owns: `owner` (items,) is the row of each."""
        return cls.by_class(items, owner, np.arange(rows), rows)

    @classmethod
    def rows(cls, rows: NDArray[Any], item_class: NDArray[Any], row_class: NDArray[Any], classes: int) -> Pool:
        """A row may take the training rows of its class."""
        return cls.by_class(Rows(np.asarray(rows, np.int64)), item_class, row_class, classes)

    def counts(self) -> NDArray[np.int64]:
        """Return (rows,) the number of candidates of each row."""
        sizes = np.diff(self.start)
        return np.where(self.group >= 0, sizes[self.group] if len(sizes) else 0, 0).astype(np.int64)

    def draw(self, rows: NDArray[Any], u: NDArray[Any]) -> NDArray[np.int64]:
        """Draw one candidate per row; pure.

        Args:
            rows: (n,) rows.
            u: (n,) numbers in [0, 1).

        Returns:
            (n,) indices into `items`, -1 where a row has no candidate.
        """
        group = self.group[rows].astype(np.int64)
        safe = np.maximum(group, 0)
        first, size = self.start[safe], self.start[safe + 1] - self.start[safe]
        if self.weights is None:
            offset = np.minimum((np.asarray(u, np.float64) * size).astype(np.int64), np.maximum(size - 1, 0))
        else:
            total = np.concatenate([[0.0], np.cumsum(self.weights, dtype=np.float64)])
            aim = total[first] + np.asarray(u, np.float64) * (total[first + size] - total[first])
            offset = np.clip(np.searchsorted(total, aim, side="right") - 1 - first, 0, np.maximum(size - 1, 0))
        found = (group >= 0) & (size > 0)
        return np.where(found, self.members[np.where(found, first + offset, 0)] if len(self.members) else -1, -1)

    def nth(self, rows: NDArray[Any], j: int) -> NDArray[np.int64]:
        """Return (n,) candidate j of these rows as indices into `items`, -1 where a row has none.

        Where a row has fewer candidates, they come again from the first on.
        """
        group = self.group[rows].astype(np.int64)
        safe = np.maximum(group, 0)
        size = np.where(group >= 0, np.diff(self.start)[safe] if len(self.start) > 1 else 0, 0)
        place = self.start[np.minimum(safe, len(self.start) - 1)] + j % np.maximum(size, 1)
        return np.where(size > 0, self.members[np.where(size > 0, place, 0)] if len(self.members) else -1, -1)

    def first(self, m: int) -> Pool:
        """Return the pool with the first m candidates of each group: a budget, and what evaluation takes."""
        sizes = np.minimum(np.diff(self.start), m)
        start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        within = np.arange(start[-1]) - np.repeat(start[:-1], sizes)
        keep = np.repeat(self.start[:-1], sizes) + within
        return replace(
            self, start=start, members=self.members[keep], weights=None if self.weights is None else self.weights[keep]
        )

    def with_default(self, rows: NDArray[Any], item: int) -> Pool:
        """Return the pool in which these rows (indices), which had no candidate, may take one item."""
        if not len(rows):
            return self
        group = self.group.copy()
        group[rows] = len(self.start) - 1
        weights = None if self.weights is None else np.append(self.weights, np.float32(1))
        return replace(
            self,
            group=group,
            start=np.append(self.start, self.start[-1] + 1),
            members=np.append(self.members, item),
            weights=weights,
        )

    def used(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return the indices of the items that these rows may take, ascending."""
        group = self.group[rows]
        wanted, used = np.zeros(len(self.start) - 1, np.bool_), np.zeros(len(self.items), np.bool_)
        wanted[group[group >= 0]] = True
        used[self.members[np.repeat(wanted, np.diff(self.start))]] = True
        return np.flatnonzero(used)
