"""The filling without the classifier: for people who have a training loop of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from gtimm.core.errors import ConfigError, DataError, IncompatibleError, PluginError
from gtimm.core.imputer import Generator
from gtimm.core.pool import Features, Payloads, Pool, Rows
from gtimm.core.registry import registry
from gtimm.core.seeding import stream
from gtimm.core.targets import class_names
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame
    from torch.utils.data import Dataset

    from gtimm.core.backbone import Backbone
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.imputer import Imputer
    from gtimm.core.media import Payload
    from gtimm.core.missing import Missing
    from gtimm.core.workspace import Workspace


def impute(
    data: MultimodalDataset,
    imputer: Any = "stable-diffusion",
    missing: Missing | Mapping[str, float] | None = None,
    target: str | None = None,
    backbone: Any = None,
    *,
    store: str | PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    engine: Any = "local",
    generate: bool | Literal["ask"] = "ask",
) -> Filled:
    """Fill the holes of training data.

    An imputer that goes by labels reads those of `data`: never fill evaluation data with one.

    Args:
        data: rows with holes.
        imputer: what fills: a name, `{"name": ..., **options}` or an instance.
        missing: simulated missingness on top of the data's own holes; what it seals is never read.
        target: the modality to fill; by default each that has holes.
        backbone: what embeds, for imputers that work with features; vectors come out where an imputer makes vectors.
        store: folder of bank and features; by default `GTIMM_HOME`, else the user's cache folder.
        seed: of the mask and the draws.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run, such as `"ray"`.
        generate: `True`, `False`, or `"ask"`: generation above an hour is never started in silence.

    Raises:
        ConfigError: an unknown strategy, or a backbone is needed and none was given.
        DataError: the imputer goes by labels and the data has none.
        IncompatibleError: the imputer cannot fill a modality of this kind.

    Example:
        >>> import numpy as np
        >>> from gtimm import MultimodalDataset
        >>> data = MultimodalDataset.from_arrays({"text": ["a cat", None, "a dog"]}, ["cat", "cat", "dog"])
        >>> impute(data, "hot-deck").to_frame()["text"].tolist()
        ['a cat', 'a cat', 'a dog']
    """
    if generate not in (True, False, "ask"):
        raise ConfigError(f"generate= must be True, False or 'ask'; found {generate!r}.")
    strategy: Imputer = registry("imputers").create(imputer)
    for one in (strategy, strategy.source()):
        if one is not None and one.needs_label() and data.labels is None:
            raise DataError(f"{type(one).__name__} fills by label, and {data.name!r} has no labels. Use another imputer.")
    sealed = data.with_missing(missing, seed) if missing is not None else data
    targets = [m for m in data.modalities if not sealed.present(m).all()] if target is None else [target]
    kinds = strategy.info.kinds
    for modality in targets:
        kind = sealed.kind(modality)
        if kinds and kind not in kinds:
            raise IncompatibleError(
                f"{type(strategy).__name__} fills {', '.join(kinds)}; {modality!r} ({kind}) has holes too. "
                "Pass target= with the modality to fill."
            )
    encoder: Backbone | None = None if backbone is None else registry("backbones").create(backbone)
    place: Engine = registry("engines").create(engine)
    workspace = open_workspace(store, device, engine=place)
    work = _Work(sealed, workspace, encoder, place, generate)
    view = _View(sealed, workspace, encoder, strategy, work.items_of(strategy.source()))
    for modality in targets:
        strategy.check(view, modality)
    return Filled(sealed, {m: work.fill(strategy, view, m) for m in targets}, seed)


@dataclass(frozen=True)
class Fill:
    """How one modality is filled.

    Attributes:
        pool: candidates of each row; its items are their own indices.
        items: by index into the pool's items, those that some hole may take: payloads, files, or vectors (size,).
        own: (rows, size) features of the present payloads where the items are vectors; `None` where they are payloads.
    """

    pool: Pool
    items: Mapping[int, Any]
    own: NDArray[np.float32] | None = None


class Filled:
    """A data set whose holes are filled; made by `impute`. Nothing that is sealed can be read from it.

    Attributes:
        data: the data set, its seals included.
        fills: by modality that was filled, how.
        seed: of the draws.
    """

    def __init__(self, data: MultimodalDataset, fills: Mapping[str, Fill], seed: int) -> None:
        self.data, self.fills, self.seed = data, dict(fills), seed
        reserved = {"label", "filled", *(f"filled_{m}" for m in data.modalities)}
        if clash := sorted(reserved & set(data.modalities)):
            raise DataError(f"A modality is called {clash[0]!r}, which names a column of the result. Rename it.")

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        parts = ", ".join(f"{m} ({int((~self.data.present(m)).sum())} filled)" for m in self.fills)
        return f"Filled({self.data.name!r}: {len(self)} rows, {parts or 'no holes'})"

    def to_frame(self) -> DataFrame:
        """Return a DataFrame of a row each: by modality the row's own payload, or its first fill (generated ones: the path).

        Its other columns are `filled_<modality>`, True where the cell is a fill, and `label`, the class name (or names). Where the imputer
        makes vectors, the own payloads of that modality are embedded too, and the cells hold arrays (size,).
        """
        import pandas as pd

        rows = self.first()
        columns: dict[str, Any] = {m: [row[m] for row in rows] for m in self.data.modalities}
        columns |= {f"filled_{m}": [row[f"filled_{m}"] for row in rows] for m in self.data.modalities}
        if self.data.labels is not None:
            columns["label"] = [class_names(self.data.labels, self.data.classes, row) for row in range(len(self))]
        return pd.DataFrame({name: _column(values) for name, values in columns.items()})

    def to_torch(self, epoch: int = 0) -> Draws:
        """Return the rows with fresh draws for an epoch, as a map-style data set for `torch.utils.data.DataLoader`.

        The same seed and epoch always give the same draws.

        Args:
            epoch: number of the pass over the data; each has its own draws.
        """
        if epoch < 0:
            raise ConfigError(f"epoch must not be negative; found {epoch}.")
        rows = np.arange(len(self))
        u = {m: stream(self.seed, "impute", m, epoch).random(len(self)) for m in self.fills}
        return Draws(self.data, self.fills, {m: fill.pool.draw(rows, u[m]) for m, fill in self.fills.items()})

    def first(self) -> Draws:
        """Return the rows with each hole filled by its first candidate, nothing drawn."""
        rows, zeros = np.arange(len(self)), np.zeros(len(self))
        return Draws(self.data, self.fills, {m: fill.pool.first(1).draw(rows, zeros) for m, fill in self.fills.items()})

    def export(self, folder: str | PathLike[str]) -> None:
        """Write every row with its first fills to a folder, as a Hugging Face imagefolder has it; see `gtimm.core.export`."""
        from gtimm.core.export import export

        export(self, folder)


if TYPE_CHECKING:

    class _MapStyle(Dataset[dict[str, Any]], Sequence[dict[str, Any]]):  # type: ignore[misc]  # torch's knows no slices
        """What `DataLoader` takes by type; at run time any sequence will do, and torch need not be imported."""
else:
    _MapStyle = Sequence


class Draws(_MapStyle):
    """Rows with one candidate in each hole: an item is `{modality: payload, filled_<modality>: bool, label: class index}`.

    The label of multi-label data is (classes,) bool. A hole that nothing fills is `None`. The payloads are as the data set has them
    (paths, arrays, text): decode them in your transform, for example with `gtimm.core.media.load_image`.
    """

    def __init__(self, data: MultimodalDataset, fills: Mapping[str, Fill], drawn: Mapping[str, NDArray[np.int64]]) -> None:
        self._data, self._fills, self._drawn = data, fills, drawn
        self._present = {m: data.present(m) for m in data.modalities}

    def __len__(self) -> int:
        return len(self._data)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"Row {index} is outside the {len(self)} rows of {self._data.name!r}.")
        row = int(index) % len(self)
        item: dict[str, Any] = {m: self._cell(m, row) for m in self._data.modalities}
        for m in self._data.modalities:
            item[f"filled_{m}"] = bool(m in self._drawn and not self._present[m][row] and self._drawn[m][row] >= 0)
        if self._data.labels is not None:
            label = self._data.labels[row]
            item["label"] = label.copy() if self._data.multilabel else int(label)
        return item

    def _cell(self, modality: str, row: int) -> Payload:
        fill = self._fills.get(modality)
        if self._present[modality][row]:
            return self._data.payload(modality, row) if fill is None or fill.own is None else fill.own[row]
        place = -1 if fill is None else int(self._drawn[modality][row])
        return None if fill is None or place < 0 else fill.items[place]


@dataclass(frozen=True)
class _Work:
    """Turns a pool into a `Fill`."""

    data: MultimodalDataset
    workspace: Workspace
    backbone: Backbone | None
    engine: Engine
    allow: bool | Literal["ask"]

    def fill(self, imputer: Imputer, view: _View, modality: str) -> Fill:
        pool = imputer.pool(view, modality, imputer.fit(view, modality))
        if len(pool.group) != len(self.data):
            raise PluginError(f"{type(imputer).__name__} made a pool for {len(pool.group)} rows; the data has {len(self.data)}.")
        holes = np.flatnonzero(~self.data.present(modality))
        used = pool.used(holes)
        items = dict(zip(used.tolist(), self._items(pool, used, imputer, modality), strict=True))
        own = self._own(modality) if isinstance(pool.items, Features) else None
        bare = holes[pool.counts()[holes] == 0]
        if len(bare):
            warnings.warn(
                f"{len(bare)} rows have no candidate for {modality!r} in {type(imputer).__name__} and are filled as by 'zero'.",
                RuntimeWarning,
                stacklevel=3,
            )
            items[len(pool.items)] = self._zero(modality, own)
        indices = replace(pool, items=Payloads(range(len(pool.items) + 1)))
        return Fill(indices.with_default(bare, len(pool.items)), items, own)

    def items_of(self, source: Imputer | None) -> Callable[[str], NDArray[np.float32]] | None:
        """Return what gives a modality's embeddings of all that an imputer offers; `None` without an imputer or a backbone."""
        if source is None or self.backbone is None:
            return None
        from gtimm.core.filling import Filler

        backbones = dict.fromkeys(self.data.modalities, self.backbone)
        return partial(Filler(self.workspace, backbones, "pooled", self.engine, self.allow, True).items, source, self.data)

    def _items(self, pool: Pool, used: NDArray[np.int64], imputer: Imputer, modality: str) -> list[Any]:
        items, name = pool.items, type(imputer).__name__
        if isinstance(items, Payloads):
            return [items.values[i] for i in used]
        if isinstance(items, Rows):
            rows = items.values[used]
            if not self.data.present(modality)[rows].all():
                raise PluginError(f"{name} named rows without {modality!r} as candidates.")
            return [self.data.payload(modality, int(row)) for row in rows]
        if isinstance(items, Features):
            values = items.values[used].astype(np.float32)
            if not np.isfinite(values).all():
                raise PluginError(f"{name} made features for {modality!r} that are not finite.")
            return list(values)
        if not isinstance(imputer, Generator):
            raise PluginError(f"{name} returned requests, but it is no Generator: nobody can make them.")
        paths = self.workspace.items(imputer, items.values, used.tolist(), self.engine, self.allow)
        return [str(path) for path in paths]

    def _own(self, modality: str) -> NDArray[np.float32]:
        """Return (rows, size) features of the present payloads, NaN elsewhere."""
        if self.backbone is None:
            raise ConfigError(f"The imputer makes vectors for {modality!r}: pass backbone=, which embeds the present ones alike.")
        table, index = self.workspace.column(self.data, modality, self.backbone)
        values = np.full((len(self.data), table.shape[1]), np.nan, np.float32)
        values[index >= 0] = table
        return values

    def _zero(self, modality: str, own: NDArray[np.float32] | None) -> Any:
        if own is not None:
            return np.zeros(own.shape[1], np.float32)
        black = registry("imputers").create({"name": "zero", "level": "payload"})
        pool = black.pool(_View(self.data, self.workspace, None, black), modality, {})
        return pool.items.values[0]


class _View(DatasetView):
    """The view of a data set that may have no backbone: its features then say what to pass."""

    def __init__(
        self,
        data: MultimodalDataset,
        workspace: Workspace,
        backbone: Backbone | None,
        imputer: Imputer,
        items: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> None:
        backbones = {} if backbone is None else dict.fromkeys(data.modalities, backbone)
        super().__init__(data, workspace, backbones, "pooled", imputer.needs_label(), items)
        self.modalities = data.modalities
        self._imputer = type(imputer).__name__

    def features(self, modality: str) -> NDArray[np.float32]:
        """Return (rows, dim) embeddings, NaN where absent or sealed."""
        self._needs_backbone()
        return super().features(modality)

    def dim(self, modality: str) -> int:
        """Return the length of an embedding, without computing one."""
        self._needs_backbone()
        return super().dim(modality)

    def comparable(self, modality: str) -> tuple[str, ...]:
        """Return the other modalities whose embeddings lie in one space with this one's."""
        self._needs_backbone()
        return super().comparable(modality)

    def _needs_backbone(self) -> None:
        if not self._backbones:
            raise ConfigError(
                f"{self._imputer} works with features. Pass backbone=, such as backbone='imagebind-tiny', or use an imputer that "
                "fills with payloads, such as 'hot-deck' or a generator."
            )


def _column(values: list[Any]) -> Any:
    """Return values as a column of objects where pandas would take arrays apart."""
    if all(isinstance(value, bool) for value in values):
        return values
    cells = np.empty(len(values), object)
    for row, value in enumerate(values):
        cells[row] = value
    return cells
