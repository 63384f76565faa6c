"""Runs an imputer on small data as a Pipeline would, and says what each row was offered."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from gtimm.core.filling import Filler
from gtimm.core.media import payload_key
from gtimm.core.pool import Features, Payloads, Pool, Requests
from gtimm.core.registry import registry
from gtimm.core.view import DatasetView
from gtimm.core.workspace import Workspace
from gtimm.testing.explain import short
from gtimm.testing.samples import Plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.imputer import Imputer, State
    from gtimm.core.plugin import Depth

Role = Literal["train", "eval"]
Offer = list[bytes]
"""What one row may take, in order: the bytes of a vector, a payload's content key, or a request's key."""
Outcome = tuple[dict[str, bytes], list[Offer]]
"""What an imputer did: its state, and the offers of all rows."""


class WatchedView(DatasetView):
    """A view that hands out the same arrays each time, so that a change to one stays to be seen."""

    def __init__(
        self,
        data: MultimodalDataset,
        workspace: Workspace,
        depth: Depth = "pooled",
        labels: bool = False,
        items: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__(data, workspace, dict.fromkeys(data.modalities, Plain()), depth, labels, items)
        self._kept: dict[tuple[str, str], NDArray[Any]] = {}
        if self.labels is not None:
            self.labels = self.labels.copy()

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Return (rows,), True where the payload is there."""
        return cast("NDArray[np.bool_]", self._once("present", modality))

    def features(self, modality: str) -> NDArray[np.float32]:
        """Return (rows, dim) embeddings, NaN where absent or sealed."""
        return cast("NDArray[np.float32]", self._once("features", modality))

    def contents(self) -> dict[str, bytes]:
        """Return all that was handed out, to compare."""
        for m in self.modalities:
            self.present(m)
            self.features(m)
        found = {f"{what} of {m!r}": value.tobytes() for (what, m), value in self._kept.items()}
        return found | ({} if self.labels is None else {"labels": self.labels.tobytes()})

    def _once(self, what: str, modality: str) -> Any:
        key = (what, modality)
        if key not in self._kept:
            self._kept[key] = getattr(super(), what)(modality)
        return self._kept[key]


class Trial:
    """One store folder, and what is done in it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def view(self, imputer: Imputer, data: MultimodalDataset, role: Role, depth: Depth = "pooled") -> WatchedView:
        """Return what an imputer may see of a data set: labels for training alone, where it declares that it reads them."""
        source = imputer.source()
        items = None if source is None or role == "eval" else partial(self._items, source, data, depth)
        return WatchedView(data, self.workspace, depth, role == "train" and imputer.needs_label(), items)

    def fit(self, imputer: Imputer, train: MultimodalDataset, target: str, depth: Depth = "pooled") -> State:
        """Fit on training data; what a source offers is made when it is asked for."""
        state = imputer.fit(self.view(imputer, train, "train", depth), target)
        assert isinstance(state, dict), (
            f"fit() returned {short(state)}; it must be a dictionary of arrays, empty where nothing is learned."
        )
        return state

    def _items(self, source: Imputer, data: MultimodalDataset, depth: Depth, modality: str) -> NDArray[np.float32]:
        engine = registry("engines").create("local")
        filler = Filler(self.workspace, dict.fromkeys(data.modalities, Plain()), depth, engine, allow=True, accepts_absent=True)
        return filler.items(source, data, modality)

    def pool(
        self, imputer: Imputer, data: MultimodalDataset, target: str, state: State, role: Role, depth: Depth = "pooled"
    ) -> Pool:
        """Return the pool of a data set; the imputer gets a copy of the state."""
        found = imputer.pool(self.view(imputer, data, role, depth), target, copy.deepcopy(state))
        assert isinstance(found, Pool), f"pool() returned {short(found)}; it must be a Pool."
        return found

    def outcome(self, imputer: Imputer, sealed: tuple[MultimodalDataset, MultimodalDataset], target: str) -> Outcome:
        """Fit, and return the state and what each row is offered: of the test data only where the imputer may fill it."""
        train, test = sealed
        state = self.fit(imputer, train, target)
        found = offers(self.pool(imputer, train, target, state, "train"), train, target)
        if not imputer.needs_label():
            found += offers(self.pool(imputer, test, target, state, "eval"), test, target)
        return frozen(state), found


@contextmanager
def trial() -> Iterator[Trial]:
    """Yield a trial whose store folder is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="gtimm-check-") as folder:
        yield Trial(Workspace(Path(folder), "cpu"))


def frozen(state: State) -> dict[str, bytes]:
    """Return a state's arrays as bytes, to compare."""
    return {name: np.ascontiguousarray(value).tobytes() for name, value in state.items()}


def offers(pool: Pool, data: MultimodalDataset, target: str) -> list[Offer]:
    """Return what each row that lacks the target may take; other rows have an empty list, for their fills are never used."""
    holes = ~data.present(target)
    return [
        [content(pool, item, data, target) for item in members_of(pool, row)] if holes[row] else [] for row in range(len(data))
    ]


def members_of(pool: Pool, row: int) -> list[int]:
    """Return the items that a row may take, in order, as indices into the pool's items."""
    group = int(pool.group[row])
    found: list[int] = [] if group < 0 else pool.members[pool.start[group] : pool.start[group + 1]].tolist()
    return found


def content(pool: Pool, item: int, data: MultimodalDataset, target: str) -> bytes:
    """Return what tells one item from another."""
    items = pool.items
    if isinstance(items, Features):
        return np.ascontiguousarray(items.values[item]).tobytes()
    if isinstance(items, Payloads):
        return payload_key(data.kind(target), items.values[item])
    if isinstance(items, Requests):
        return items.values[item].key("").encode()
    row = int(items.values[item])
    return payload_key(data.kind(target), data.payload(target, row))
