"""Patterns of missingness that a strategy must live with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.seeding import stream
from gtimm.testing.samples import rebuilt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.testing.samples import Sample

    Holes = dict[str, NDArray[np.bool_]]


def patterns(given: Sample) -> Iterator[tuple[str, MultimodalDataset, MultimodalDataset]]:
    """Yield names of patterns, with training and evaluation rows that have them."""
    train, test = given.complete
    target, others = given.target, [m for m in given.data.modalities if m != given.target]
    yield "nothing is missing", rebuilt(train), rebuilt(test)
    yield "the target is in no row", rebuilt(train, {target: _all(train)}), rebuilt(test, {target: _all(test)})
    for m in others:
        bare = [rebuilt(data, {m: _all(data), target: _half(data)}) for data in (train, test)]
        yield f"{m} is in no row", bare[0], bare[1]
    yield "the target is only at evaluation", rebuilt(train, {target: _all(train)}), rebuilt(test)
    yield "rows lack anything, and one everything", _at_random(train), _at_random(test)
    if train.labels is not None and train.labels.ndim == 1:
        first = train.labels == train.labels[0]
        yield "the target is in one class alone", rebuilt(train, {target: ~first}), rebuilt(test, {target: _half(test)})
        alike = train.subset(first)
        yield "one class alone", rebuilt(alike, {target: _half(alike)}), rebuilt(test, {target: _half(test)})
        yield "rows have sets of classes", _with_sets(train, target), _with_sets(test, target)


def _all(data: MultimodalDataset) -> NDArray[np.bool_]:
    return np.ones(len(data), bool)


def _half(data: MultimodalDataset) -> NDArray[np.bool_]:
    half: NDArray[np.bool_] = np.arange(len(data)) % 2 == 0
    return half


def _at_random(data: MultimodalDataset) -> MultimodalDataset:
    random = stream(0, "patterns")
    holes: Holes = {m: random.random(len(data)) < 0.5 for m in data.modalities}
    for hole in holes.values():
        hole[0] = True
    return rebuilt(data, holes)


def _with_sets(data: MultimodalDataset, target: str) -> MultimodalDataset:
    """Return the data with sets of classes as labels: its own class, with the next one in every third row, and none in one row."""
    count = len(data.classes)
    assert data.labels is not None
    sets = np.zeros((len(data), count), bool)
    sets[np.arange(len(data)), data.labels] = True
    sets[::3] |= np.roll(sets[::3], 1, axis=1)
    sets[-1] = False
    return rebuilt(data, {target: _half(data)}, labels=sets)
