"""What an imputer offers for one modality of a data set: a pool, and its items as payloads or as features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import PluginError
from gtimm.core.features.room import Room, parts
from gtimm.core.imputer import Generator
from gtimm.core.pool import Features, Payloads, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.filling import Filler
    from gtimm.core.imputer import Imputer
    from gtimm.core.media import Payload
    from gtimm.core.pool import Pool

    F32 = NDArray[np.float32]
    I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Offer:
    """A pool, and what is needed to have its items; those that are to be generated are made when they are asked for.

    Attributes:
        filler: whose features, bank and engine.
        imputer: whose pool.
        data: the data set, sealed.
        modality: that is filled.
        pool: candidates of each row.
    """

    filler: Filler
    imputer: Imputer
    data: MultimodalDataset
    modality: str
    pool: Pool

    @property
    def name(self) -> str:
        """The imputer's class, for messages."""
        return type(self.imputer).__name__

    @property
    def size(self) -> int:
        """Length of a feature vector."""
        return self.filler.backbones[self.modality].size(self.data.kind(self.modality), self.filler.depth)

    def bare(self) -> I64:
        """Return the rows that lack the modality and have no candidate."""
        return np.flatnonzero(~self.data.present(self.modality) & (self.pool.counts() == 0))

    def warn_of(self, bare: I64, instead: str) -> None:
        """Say what fills the rows that have no candidate."""
        warnings.warn(
            f"{len(bare)} rows have no candidate for {self.modality!r} in {self.name} and are filled with {instead}.",
            RuntimeWarning,
            stacklevel=4,
        )

    def payloads(self, used: I64) -> list[Payload]:
        """Return the payloads of items that are no features, of generated ones their files.

        Args:
            used: (n,) indices into the pool's items.

        Raises:
            PluginError: rows that lack the modality, or requests of what is no generator.
            GenerationError: what has to be made may not be, or could not be.
        """
        items = self.pool.items
        assert not isinstance(items, Features)
        if isinstance(items, Payloads):
            return [items.values[i] for i in used]
        if isinstance(items, Rows):
            return [self.data.payload(self.modality, int(row)) for row in self._rows(items, used)]
        if not isinstance(self.imputer, Generator):
            raise PluginError(f"{self.name} returned requests, but it is no Generator: nobody can make them.")
        paths = self.filler.workspace.items(self.imputer, items.values, used.tolist(), self.filler.engine, self.filler.allow)
        self.filler.taken.update(paths)
        return [str(path) for path in paths]

    def features(self, used: I64) -> F32:
        """Return (n, size) features of items; arguments and errors as for `parts`."""
        room = Room(len(used), self.size, self.filler.workspace.home)
        for part, values in self.parts(used):
            room.write(np.arange(part.start, part.stop), values)
        return room.array()

    def parts(self, used: I64) -> Iterator[tuple[slice, F32]]:
        """Yield which of the used items, and their features (part, size).

        Args:
            used: (n,) indices into the pool's items.

        Raises:
            PluginError: as for `payloads`, or features of another size or that are not finite.
            GenerationError: as for `payloads`.
        """
        if not len(used):
            return
        get = self._features_of(used)
        for part in parts(len(used), self.size):
            yield part, get(part)

    def _features_of(self, used: I64) -> Callable[[slice], F32]:
        """Return what gives the features of a part of the used items."""
        items, filler = self.pool.items, self.filler
        backbone, kind = filler.backbones[self.modality], self.data.kind(self.modality)
        if isinstance(items, Features):
            if items.values.ndim != 2 or items.values.shape[1] != self.size:
                raise PluginError(
                    f"{self.name} made features of shape {items.values.shape}; {self.modality!r} needs (items, {self.size})."
                )
            vectors = items.values
            return lambda part: self._finite(vectors[used[part]].astype(np.float32, copy=False))
        if isinstance(items, Rows):
            table, index = filler.workspace.column(self.data, self.modality, backbone, filler.depth)
            places = index[self._rows(items, used)]
            return lambda part: table[places[part]]
        payloads = self.payloads(used)
        return lambda part: filler.workspace.embed(backbone, kind, payloads[part], filler.depth)

    def _finite(self, values: F32) -> F32:
        if not np.isfinite(values).all():
            raise PluginError(f"{self.name} made features for {self.modality!r} that are not finite.")
        return values

    def _rows(self, items: Rows, used: I64) -> I64:
        rows = items.values[used]
        if not self.data.present(self.modality)[rows].all():
            raise PluginError(f"{self.name} named rows without {self.modality!r} as candidates.")
        return rows
