"""Small data and a small encoder that strategies are tried with: nothing is downloaded, and all follows from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gtimm.core.backbone import Backbone
from gtimm.core.dataset import MultimodalDataset
from gtimm.core.errors import ConfigError
from gtimm.core.media import load_audio, load_image, load_text
from gtimm.core.missing import Missing
from gtimm.core.plugin import Info
from gtimm.core.seeding import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gtimm.core.media import Payload
    from gtimm.core.plugin import Depth

CLASSES = ("cat", "dog", "bird")
"""Class names of `sample_data`."""
LEAST = 12  # rows to try a strategy on
WIDTH = 4  # numbers in a vector and in an embedding of `Plain`
RATE = 16_000


class Plain(Backbone):
    """An encoder without weights: a vector is its own feature, and so are the mean colours of an image and digests of sound and text.

    All kinds are said to lie in one space. It has both depths: pooled features are the tangent hyperbolic of the stored ones, to which
    the mean of the tokens was added.
    """

    info: ClassVar[Info] = Info(
        kinds=("vector", "image", "audio", "text"),
        one_space=("vector", "image", "audio", "text"),
        depths=("pooled", "last_block"),
    )

    def fingerprint(self) -> str:
        """Return a constant; there is nothing to change."""
        return "plain-1"

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Return 4."""
        return WIDTH

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Return (4,) float32."""
        if kind == "vector":
            found = np.asarray(payload, np.float32)
        elif kind == "image":
            found = np.append(np.asarray(load_image(payload), np.float32).mean((0, 1)) / 255, np.float32(1))
        elif kind == "audio":
            found = _digest(load_audio(payload)[0].tobytes())
        else:
            found = _digest(load_text(payload).encode())
        return torch.from_numpy(found.astype(np.float32))

    def open(self, device: str = "cpu", dtype: str = "float32") -> Plain:
        """Return itself; there is nothing to load."""
        return self

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """(n, 4) -> (n, 4)."""
        return batch.clone() if depth == "last_block" else self.finish(kind, batch, None)

    def width(self, kind: str) -> int:
        """Return 4."""
        return WIDTH

    def finish(self, kind: str, stored: Tensor, tokens: Tensor | None) -> Tensor:
        """(n, 4), (n, p, 4) or None -> (n, 4)."""
        return torch.tanh(stored if tokens is None else stored + tokens.mean(-2))


def _digest(content: bytes) -> NDArray[np.float32]:
    return np.frombuffer(hashlib.blake2b(content, digest_size=WIDTH).digest(), np.uint8).astype(np.float32) / np.float32(255)


def sample_payloads(kind: str, labels: Sequence[int], seed: int = 0, width: int = WIDTH) -> list[Any]:
    """Return one payload a label, like others of its label and equal to none: pictures of a colour, tones, sentences, vectors.

    Args:
        kind: `"image"` (uint8, 32 x 32 x 3), `"audio"` (0.1 s at 16 kHz), `"text"` or `"vector"` (float32).
        labels: indices into `CLASSES`.
        seed: of the noise.
        width: numbers in a vector.

    Raises:
        ConfigError: a kind of which nothing can be made up; give payloads of your own.
    """
    random = stream(seed, "sample", kind)
    codes = stream(0, "sample codes").normal(size=(len(CLASSES), width))
    made: list[Any] = []
    for row, label in enumerate(labels):
        if kind == "image":
            noise = random.integers(0, 60, (32, 32, 3))
            made.append((noise + np.roll([150, 60, 10], label)).astype(np.uint8))
        elif kind == "audio":
            tone = np.sin(2 * np.pi * 300 * (label + 1) * np.arange(RATE // 10) / RATE)
            made.append(((0.3 * tone + 0.05 * random.normal(size=len(tone))).astype(np.float32), RATE))
        elif kind == "text":
            made.append(f"A {CLASSES[label]} was seen by {random.integers(10**6)} people, says note {row}.")
        elif kind == "vector":
            made.append((codes[label] + 0.3 * random.normal(size=width)).astype(np.float32))
        else:
            raise ConfigError(f"No payloads of kind {kind!r} can be made up here. Give some, or data of your own.")
    return made


@dataclass(frozen=True)
class Sample:
    """Complete, labelled rows that strategies are tried on, and the modality to fill.

    Attributes:
        data: rows in which everything is there.
        target: the modality that goes missing.
    """

    data: MultimodalDataset
    target: str

    def check(self, least: int = LEAST) -> None:
        """Raise `ConfigError` where nothing can be tried on these rows."""
        if self.data.labels is None:
            raise ConfigError(
                f"{self.data.name!r} has no labels, which strategies are tried with. Give labels= of any two classes."
            )
        if len(self.data) < least:
            raise ConfigError(f"{self.data.name!r} has {len(self.data)} rows; strategies are tried on {least} or more.")
        for m in self.data.modalities:
            if not self.data.present(m).all():
                row = int((~self.data.present(m)).argmax())
                raise ConfigError(f"{self.data.name!r} has no {m!r} in row {row}; rows to try strategies on are complete.")

    @property
    def complete(self) -> tuple[MultimodalDataset, MultimodalDataset]:
        """Rows to train on, every other, and the rest as rows to evaluate."""
        rows = np.arange(len(self.data))
        return self.data.subset(rows[::2]), self.data.subset(rows[1::2])

    @property
    def sealed(self) -> tuple[MultimodalDataset, MultimodalDataset]:
        """The same rows, half of the target sealed; the same half whatever the payloads are."""
        train, test = self.complete
        return self.seal(train), self.seal(test)

    def seal(self, data: MultimodalDataset) -> MultimodalDataset:
        """Return data with half of the target sealed."""
        return data.with_missing(Missing({self.target: 0.5}, seed=1))


def sample_data(kind: str = "vector", rows: int = 24) -> Sample:
    """Return rows of three modalities and three classes in turn: the target, named after its kind, a vector and a sentence or picture."""
    labels = [row % len(CLASSES) for row in range(rows)]
    other = "image" if kind == "text" else "text"
    kinds = {kind: kind, "signal": "vector", "picture" if kind == "text" else "caption": other}
    parts = {m: sample_payloads(k, labels, seed) for seed, (m, k) in enumerate(kinds.items())}
    return Sample(MultimodalDataset.from_arrays(parts, labels, classes=CLASSES, kinds=kinds, name="sample"), kind)


def rebuilt(
    data: MultimodalDataset,
    holes: Mapping[str, NDArray[np.bool_]] | None = None,
    payloads: Mapping[str, Sequence[Any]] | None = None,
    labels: Any = None,
) -> MultimodalDataset:
    """Return complete data with holes (True), other payloads, or other labels."""
    found = {}
    for m in data.modalities:
        values = (payloads or {}).get(m) or [data.payload(m, row) for row in range(len(data))]
        hole = (holes or {}).get(m, np.zeros(len(data), bool))
        found[m] = [None if hole[row] else values[row] for row in range(len(data))]
    kinds = {m: data.kind(m) for m in data.modalities}
    given = data.labels if labels is None else labels
    return MultimodalDataset.from_arrays(found, given, classes=data.classes, kinds=kinds, name=data.name)
