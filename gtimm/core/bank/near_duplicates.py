"""Near-duplicates: the perceptual hash of an image, and which items of a class repeat one of lower rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

SIDE = 32  # pixels that are transformed, each way
LOW = 8  # frequencies that are kept, each way: 64 bits


def perceptual_hash(image: Image) -> int:
    """Return the 64-bit DCT hash of an image: near for images that look alike.

    The discrete cosine transform (type II, orthonormal) of its grey values at 32 x 32 pixels; of the frequencies 1 to 8 each way,
    row by row, a bit is set where the coefficient is above their median. From Zauner, Implementation and Benchmarking of
    Perceptual Image Hash Functions (2010), section 3.2.1, as in the pHash library; smoothing is left to the reduction to 32 x 32.
    """
    from PIL.Image import Resampling

    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Resampling.LANCZOS), np.float64)
    transform = _cosines()
    low = (transform @ grey @ transform.T)[1 : LOW + 1, 1 : LOW + 1].ravel()
    return int("".join("1" if bit else "0" for bit in low > np.median(low)), 2)


@cache
def _cosines() -> NDArray[np.float64]:
    """Return the matrix of the orthonormal DCT-II, (frequency, place)."""
    frequency, place = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    matrix = np.sqrt(2 / SIDE) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float64)


class Repeat(NamedTuple):
    """An item that repeats another.

    Attributes:
        item: its place in the group.
        of: the place of the first item of lower rank that it is too near to.
        bits: in which their hashes differ; `None` without hashes.
        cosine: similarity of their embeddings; `None` without embeddings.
    """

    item: int
    of: int
    bits: int | None
    cosine: float | None


def repeats(
    there: Sequence[bool],
    gone: Sequence[bool],
    hashes: NDArray[np.uint64] | None,
    hamming: int | None,
    vectors: NDArray[np.float32] | None,
    cosine: float | None,
) -> Iterator[Repeat]:
    """Yield the items of one group, in order of rank, that surely repeat an item of lower rank.

    Sure is what cannot change any more: an item counts against others once all below it are there and kept, or gone for good.
    Beyond the first that is still to come (or to be made again) items are therefore compared only with those before it.

    Args:
        there: (n,) whether an item is there.
        gone: (n,) whether it will never be: its seeds are used up.
        hashes: (n,) of the items that are there.
        hamming: bits up to which hashes are near; `None` is no check.
        vectors: (n, dim) unit embeddings of the items that are there.
        cosine: similarity from which embeddings are near; `None` is no check.
    """
    kept: list[int] = []
    sure = True
    for item in range(len(there)):
        if gone[item]:
            continue
        if not there[item]:
            sure = False
            continue
        near = np.zeros(len(kept), bool)
        bits = alike = None
        if hashes is not None and hamming is not None:
            bits = np.bitwise_count(hashes[kept] ^ hashes[item])
            near |= bits <= hamming
        if vectors is not None and cosine is not None:
            alike = vectors[kept] @ vectors[item]
            near |= alike >= cosine
        if near.any():
            first = int(np.argmax(near))
            yield Repeat(
                item,
                kept[first],
                None if bits is None else int(bits[first]),
                None if alike is None else round(float(alike[first]), 5),
            )
            sure = False
        elif sure:
            kept.append(item)
