"""Imputers: strategies that say what should fill the gaps of one modality."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gtimm.core.bank.gate import Gate
from gtimm.core.errors import GtimmError
from gtimm.core.plugin import Depth, Plugin
from gtimm.core.pool import Pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gtimm.core.media import Payload
    from gtimm.core.pool import Request


State = dict[str, Any]
"""Arrays by name that an imputer learned: saved with the model as safetensors."""


class View(Protocol):
    """All that an imputer can see of a data set."""

    rows: int
    """How many."""
    modalities: tuple[str, ...]
    """Their names."""
    classes: tuple[str, ...]
    """Their names, in the order of the labels; of multi-label data the sets of classes that occur, as text."""
    labels: NDArray[np.int64] | None
    """(rows,) indices into `classes`, which for multi-label data are the sets of classes that occur; `None` unless the data is for
    training and `needs_label()` is true."""

    def kind(self, modality: str) -> str:
        """Return the modality's kind."""
        ...

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Return (rows,), True where the payload is there."""
        ...

    def payload(self, modality: str, row: int) -> Payload:
        """Return one payload; raises where it is absent or sealed."""
        ...

    def features(self, modality: str) -> NDArray[np.float32]:
        """Return (rows, dim) embeddings, NaN where absent or sealed."""
        ...

    def dim(self, modality: str) -> int:
        """Return the length of an embedding, without computing one."""
        ...

    def comparable(self, modality: str) -> tuple[str, ...]:
        """Return the other modalities whose embeddings lie in one space with this one's (`backbone.comparable`)."""
        ...

    def items(self, modality: str) -> NDArray[np.float32]:
        """Return (items, dim) embeddings of all that the imputer's `source` offers for a modality; in `fit` only."""
        ...


class Imputer(Plugin, ABC):
    """A way to fill a missing modality. Write `pool`, and `fit` where something is learned from training data.

    Example:
        >>> import numpy as np
        >>> from gtimm.core.pool import Features
        >>> class Ones(Imputer):
        ...     def pool(self, view, target, state):
        ...         return Pool.constant(Features(np.ones((1, view.dim(target)), np.float32)), view.rows)
    """

    def fit(self, train: View, target: str) -> State:
        """Learn from the training view; what is returned is saved with the model and handed to `pool`."""
        return {}

    def check(self, train: View, target: str) -> None:
        """Raise what speaks against filling this modality of such data, before anything is embedded or made; by default nothing."""

    def source(self) -> Imputer | None:
        """Return another imputer whose items this one picks from: `fit` finds their embeddings in `View.items`; by default none.

        Its items are made, embedded and planned as its own; it may go by the labels of training.
        """
        return None

    def inside(self) -> tuple[Plugin, ...]:
        """Return the source, where there is one."""
        source = self.source()
        return () if source is None else (source,)

    def needs_label(self) -> bool:
        """Return whether labels are read, with these options: such an imputer is refused on evaluation data."""
        return self.info.needs_label

    def holds_training_data(self) -> bool:
        """Return whether what `fit` returns holds rows of the training data, with these options."""
        return self.info.stores_training_data

    def serves(self) -> tuple[Depth, ...]:
        """Return the feature depths that this imputer's items can have, with these options."""
        return self.info.depths

    def for_depth(self, depth: Depth) -> Imputer:
        """Return this imputer with options that were left open set for a feature depth; by default none are."""
        return self

    @abstractmethod
    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the candidates of every row of the view for the target modality. Deterministic, and cheap: plan, don't make."""


@dataclass(frozen=True)
class Failure:
    """An item that a generator could not make, and why."""

    reason: str


class Generator(Imputer, ABC):
    """An imputer whose pool holds `Requests`; bank and engines make the items. Write `pool`, `fingerprint` and `open`.

    Attributes:
        batch_size: items made together.
        gate: what an item must pass; one that does not is made again with the next seed. Off by default.
    """

    batch_size: int = 16
    gate: Gate | None = None

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a string that changes with the weights and with every setting that changes an item; from files alone."""

    def inside(self) -> tuple[Plugin, ...]:
        """Return the encoders that the gate judges by."""
        return (*super().inside(), *(() if self.gate is None else self.gate.inside()))

    def lacks(self) -> tuple[str, ...]:
        """Return what the fingerprint does not find."""
        try:
            self.fingerprint()
        except GtimmError as error:
            return (str(error),)
        return ()

    @abstractmethod
    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Load the model, once a worker, and return the function that makes one batch of exactly `batch_size` requests."""
