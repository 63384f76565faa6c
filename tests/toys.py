"""Tiny deterministic strategies and data: no weights, and features that a test can compute by hand."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gtimm.core.backbone import Backbone
from gtimm.core.dataset import MultimodalDataset
from gtimm.core.errors import MediaError
from gtimm.core.imputer import Failure, Generator
from gtimm.core.media import load_audio, load_image, load_text
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool, Request, Requests
from gtimm.core.prompts import plan_requests
from gtimm.core.registry import registry
from gtimm.core.seeding import stream

calls: Counter[str] = Counter()
"""What the toys did: `encoded`, `prepared`, `batches`, `made`, `opened`."""

KINDS = {"left": "vector", "right": "vector"}


class ToyBackbone(Backbone):
    """A vector is its own embedding, times `scale`; an image its mean colour, a sound and a text its digest, 4 numbers each.

    Vectors and images are said to lie in one space.
    """

    info: ClassVar[Info] = Info(kinds=("vector", "image", "audio", "text"), one_space=("vector", "image"), licence="Apache-2.0")

    dim: int = 4
    scale: float = 1.0

    def fingerprint(self) -> str:
        return f"toy-{self.dim}-{self.scale}"

    def size(self, kind: str, depth: str = "pooled") -> int:
        return self.dim

    def prepare(self, kind: str, payload: Any) -> Tensor:
        calls["prepared"] += 1
        if kind == "vector":
            value = np.asarray(payload, np.float32)
        elif kind == "image":
            value = np.append(np.asarray(load_image(payload), np.float32).mean((0, 1)) / 255, 1)
        elif kind == "audio":
            value = _digest(load_audio(payload)[0].tobytes())
        else:
            value = _digest(load_text(payload).encode())
        if value.shape != (self.dim,):
            raise MediaError(f"A vector of shape {value.shape} is not one of {self.dim} numbers.")
        return torch.tensor(value, dtype=torch.float32)

    def open(self, device: str = "cpu", dtype: str = "float32") -> ToyBackbone:
        calls["opened"] += 1
        return self

    def encode(self, kind: str, batch: Tensor, depth: str = "pooled") -> Tensor:
        calls["encoded"] += len(batch)
        return batch * self.scale


class ToyGenerator(Generator):
    """Makes 4x4 images of one colour from the request alone; prompts that hold a word of `fails` fail."""

    info: ClassVar[Info] = Info(kinds=("image",), items="request", needs_label=True, licence="Apache-2.0")

    per_class: int = 3
    batch_size: int = 4
    fails: tuple[str, ...] = ()
    seed: int = 0
    prompts: Any = "label"

    def fingerprint(self) -> str:
        return "toy-generator"

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        strategy = registry("prompts").create(self.prompts)
        requests, owner = plan_requests(strategy, view.classes, "image", self.per_class, 1.0, self.seed)
        return Pool.by_class(Requests(requests), np.array(owner), view.labels, len(view.classes))

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        calls["opened"] += 1

        def make(batch: Sequence[Request]) -> list[Any]:
            calls["batches"] += 1
            calls["made"] += len(batch)
            return [Failure("too hard") if any(word in r.prompt for word in self.fails) else picture(r) for r in batch]

        return make


def picture(request: Request) -> np.ndarray:
    """The image that the toy generator makes for a request."""
    colour = np.frombuffer(hashlib.blake2b(f"{request.prompt}{request.seed}".encode(), digest_size=3).digest(), np.uint8)
    return np.broadcast_to(colour, (4, 4, 3)).copy()


def vectors(rows: int = 60, classes: int = 3, seed: int = 0, noise: float = 1.0, name: str = "toy") -> MultimodalDataset:
    """Two vector modalities, `left` and `right`, each a noisy code of the class; classes in turn."""
    random = stream(seed, "toy")
    labels = np.arange(rows) % classes
    codes = stream(0, "codes").normal(size=(2, classes, 4))
    parts = {
        m: [np.asarray(codes[i, c] + noise * random.normal(size=4), np.float32) for c in labels] for i, m in enumerate(KINDS)
    }
    return MultimodalDataset.from_arrays(parts, labels, classes=[f"class {c}" for c in range(classes)], kinds=KINDS, name=name)


def pictures(rows: int = 24, classes: int = 3, seed: int = 0) -> MultimodalDataset:
    """An image of a colour by class, and a vector of noise."""
    random = stream(seed, "pictures")
    labels = np.arange(rows) % classes
    images = [np.full((4, 4, 3), 60 * c + row // classes, np.uint8) for row, c in enumerate(labels)]
    noise = [random.normal(size=4).astype(np.float32) for _ in labels]
    return MultimodalDataset.from_arrays(
        {"image": images, "vector": noise}, labels, classes=[f"class {c}" for c in range(classes)], name="pictures"
    )


def matrix(data: MultimodalDataset, modality: str) -> np.ndarray:
    """The vectors of a modality (rows, 4), NaN where absent."""
    there = data.present(modality)
    return np.stack([data.payload(modality, r) if there[r] else np.full(4, np.nan, np.float32) for r in range(len(data))])


def _digest(content: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.blake2b(content, digest_size=4).digest(), np.uint8).astype(np.float32) / 255
