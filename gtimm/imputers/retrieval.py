"""Retrieval: the embeddings of the training rows, or of the items of a bank, that are most alike to what a row has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from pydantic import Field, field_validator

from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.imputer import Imputer
from gtimm.core.options import FeatureDtype
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.imputer import State, View

    Bool = NDArray[np.bool_]
    F32 = NDArray[np.float32]
    I64 = NDArray[np.int64]

CHUNK_BYTES = 1 << 26  # of similarities at a time
PAIR_BYTES = 21  # what one row and one neighbour take while they are compared
STEPS = 1_000_000  # similarities are compared to six digits; rounding differs by batch below that


class Retrieval(Imputer):
    """The k training rows nearest by what is present; needs no label, so it fills validation, test and new rows too.

    Neighbours are training rows that have the target. Alike is the cosine similarity, the mean over the modalities that the row
    and the neighbour both have; of equals (to six digits) the earlier training row comes first. A row that shares nothing with any
    neighbour gets the training mean: with nothing known, every neighbour is as good as any other. Without any training row that
    has the target there is no candidate (filled as by `zero`). A model saved with it holds training embeddings, from which training
    data may be guessed.

    With `bank` the neighbours are generated items instead, also where no training row has the target. An item has nothing but
    the target: alike is the cosine similarity of its embedding to those of the row's other modalities, which takes a backbone that
    binds kinds in one space (`info.one_space`), such as ImageBind (a sound to images) or CLIP (a text to images); others are refused. No
    label is compared, only the items are planned by the classes of training. A saved model then holds the items' embeddings, not
    those of training rows, and needs no bank. (Items that started from real ones, as with `init="real"`, may still resemble them.)

    Attributes:
        k: neighbours, the nearest first: training draws one of them, evaluation takes the nearest (or the first `draws`).
        average: one candidate instead, the mean of the k weighted by their similarity (those below zero count nothing).
        dtype: of the kept embeddings; `"float16"` halves the space and rounds to 3 digits.
        bank: an imputer that makes or reads items, as a name or `{"name": ..., **options}`: a generator, such as
            `{"name": "stable-diffusion", "per_class": 20}`, or a folder, `{"name": "bank", "folder": "pictures/"}`. `None` takes
            training rows.
    """

    info: ClassVar[Info] = Info(items="feature", stores_training_data=True)

    k: int = Field(default=5, ge=1)
    average: bool = False
    dtype: FeatureDtype = "float32"
    bank: str | dict[str, Any] | None = None

    @field_validator("bank")
    @classmethod
    def _known_bank(cls, bank: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        made_by = None if bank is None else registry("imputers").create(bank)
        if made_by is not None and made_by.info.items not in ("payload", "request"):
            raise ValueError(
                "a bank is a generator or a folder of items, {'name': 'bank', 'folder': ...}; leave it out for training rows"
            )
        return bank

    def source(self) -> Imputer | None:
        """Return what makes or reads the bank's items."""
        return None if self.bank is None else cast("Imputer", registry("imputers").create(self.bank))

    def holds_training_data(self) -> bool:
        """Return whether the neighbours are training rows."""
        return self.bank is None

    def check(self, train: View, target: str) -> None:
        """Raise what speaks against a bank for this modality.

        Raises:
            IncompatibleError: its items are of another kind, or no other modality is embedded in one space with the target.
        """
        source = self.source()
        if source is None:
            return
        name, kind = type(source).__name__, train.kind(target)
        if source.info.kinds and kind not in source.info.kinds:
            raise IncompatibleError(
                f"Retrieval from a bank of {name} fills {', '.join(source.info.kinds)}, but {target!r} ({kind}) may have holes too. Give "
                f"imputers by modality, such as {{..., {target!r}: 'zero'}}."
            )
        if not train.comparable(target):
            others = ", ".join(f"{m!r} ({train.kind(m)})" for m in _others(train, target)) or "nothing else"
            raise IncompatibleError(
                f"Retrieval from a bank compares items of {target!r} ({kind}) with what else a row has: {others}. No backbone here "
                "puts them in one space. Use one that does for all of them, such as 'imagebind' (image, audio, text) or 'clip' "
                "(image, text), or leave bank out: training rows are compared by what both have."
            )

    def fit(self, train: View, target: str) -> State:
        """Keep the rows that have the target, or the items of the bank.

        Returns:
            `target` (neighbours, dim); of training rows for each other modality m `features/m` (neighbours, dim of m), zeros where
            absent, and `present/m` (neighbours,).

        Raises:
            ConfigError: values too large for `dtype`.
        """
        if self.bank is not None:
            return {"target": self._kept(train.items(target), target)}
        rows = np.flatnonzero(train.present(target))
        state: State = {"target": self._kept(train.features(target)[rows], target)}
        for m in _others(train, target):
            values, there = _column(train, m, rows)
            state[f"features/{m}"], state[f"present/{m}"] = self._kept(values, m), there
        return state

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the neighbours of each row that lacks the target, or their mean; other rows have no candidate."""
        holes = np.flatnonzero(~view.present(target))
        known = np.asarray(state["target"])
        none = np.full(view.rows, -1, np.int32)
        if not len(holes) or not len(known):
            return Pool(Features(np.zeros((0, view.dim(target)), np.float32)), none, np.zeros(1, np.int64), np.zeros(0, np.int64))
        if self.bank is None:
            others = _others(view, target)
            columns = [(np.asarray(state[f"features/{m}"]), np.asarray(state[f"present/{m}"])) for m in others]
        else:
            others = list(view.comparable(target))
            columns = [(known, np.ones(len(known), bool))] * len(others)
        rows = _Side.of([_column(view, m, holes) for m in others], len(holes))
        found, similarity = nearest(rows, _Side.of(columns, len(known)), min(self.k, len(known)))
        group = none
        group[holes] = np.arange(len(holes))
        if self.average:
            members = np.arange(len(holes))
            return Pool(Features(_averages(known, found, similarity)), group, np.arange(len(holes) + 1), members)
        alone = found[:, 0] < 0
        found[alone, 0] = len(known)  # stands for the mean
        counts = (found >= 0).sum(1)
        used, members = np.unique(found[found >= 0], return_inverse=True)
        items = known[used[used < len(known)]].astype(np.float32)
        if alone.any():
            items = np.concatenate([items, _mean(known)[None]])
        return Pool(Features(items), group, np.concatenate([[0], np.cumsum(counts)]), members.astype(np.int64))

    def _kept(self, values: F32, modality: str) -> NDArray[np.floating]:
        top = float(np.abs(values).max(initial=0))
        if top > float(np.finfo(self.dtype).max):
            raise ConfigError(f"Embeddings of {modality!r} up to {top:g} do not fit float16; use dtype='float32'.")
        return values.astype(self.dtype)


@dataclass(frozen=True)
class _Side:
    """Rows to compare: unit embeddings by modality, (rows, dim) each and zeros where absent, and `there` (rows, modalities)."""

    values: list[F32]
    there: F32

    @classmethod
    def of(cls, columns: list[tuple[NDArray[np.floating], Bool]], rows: int) -> _Side:
        units = []
        for values, _ in columns:
            wide = values.astype(np.float32)
            units.append(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(np.float32).tiny))
        there = np.stack([there for _, there in columns], 1) if columns else np.zeros((rows, 0))
        return cls(units, there.astype(np.float32))


def nearest(rows: _Side, bank: _Side, k: int, limit: int = CHUNK_BYTES) -> tuple[I64, F32]:
    """Find the k most similar of the bank for each row, nearest first.

    Args:
        rows: what to find neighbours for.
        bank: the neighbours.
        k: how many, at most those in the bank.
        limit: bytes in use at a time.

    Returns:
        (rows, k) positions in the bank, -1 where fewer share a modality with the row; and (rows, k) similarities in -1..1.
    """
    size = len(bank.there)
    step = max(1, min(len(rows.there), limit // (PAIR_BYTES * size)))
    last, never = size - 1 - np.arange(size), np.iinfo(np.int64).min
    found, similarity = np.full((len(rows.there), k), -1, np.int64), np.zeros((len(rows.there), k), np.float32)
    floats, whole = np.empty((3, step, size), np.float32), np.empty((step, size), np.int64)  # the same memory for every part
    for begin in range(0, len(rows.there), step):
        part = slice(begin, min(begin + step, len(rows.there)))
        (shared, total, one), order = floats[:, : part.stop - begin], whole[: part.stop - begin]
        np.matmul(rows.there[part], bank.there.T, out=shared)
        total[:] = 0
        for values, kept in zip(rows.values, bank.values, strict=True):
            total += np.matmul(values[part], kept.T, out=one)
        nothing = shared <= 0
        total /= np.maximum(shared, 1, out=shared)
        total *= STEPS
        order[:] = np.rint(total, out=total)
        order *= size
        order += last  # one integer orders by both
        order[nothing] = never
        order.partition(size - k, axis=1)
        best = np.sort(order[:, size - k :], axis=1)[:, ::-1]
        good = best != never
        found[part] = np.where(good, size - 1 - best % size, -1)
        similarity[part] = np.where(good, best // size / STEPS, 0)
    return found, similarity


def _averages(bank: NDArray[np.floating], found: I64, similarity: F32) -> F32:
    """Return (rows, dim) means over the neighbours, weighted by similarity; the plain mean where no weight is above zero."""
    good = found >= 0
    weights = np.where(good, np.maximum(similarity, 0), 0)
    weights = np.where(weights.sum(1, keepdims=True) > 0, weights, good)
    result = np.zeros((len(found), bank.shape[1]), np.float32)
    for place in range(found.shape[1]):
        result += weights[:, place, None] * bank[found[:, place]]
    alone = ~good[:, 0]
    result /= np.where(alone, 1, weights.sum(1))[:, None]
    result[alone] = _mean(bank)
    return result


def _mean(bank: NDArray[np.floating]) -> F32:
    mean: F32 = bank.mean(0, dtype=np.float64).astype(np.float32)
    return mean


def _others(view: View, target: str) -> list[str]:
    return [m for m in view.modalities if m != target]


def _column(view: View, modality: str, rows: I64) -> tuple[F32, Bool]:
    """Return a modality's features of these rows, zeros where absent, and where it is present."""
    there = view.present(modality)[rows]
    return np.where(there[:, None], view.features(modality)[rows], np.float32(0)), there
