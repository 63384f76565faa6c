"""Captions for the digits and the tokenizer that knows their words.

A caption always names the digit. Some also name the thickness and slant of the strokes, measured from the image:

- thickness: ink (sum of grey levels / 255) over length of its outline (half the sum of absolute differences between
  neighbours), a mean half-width of the strokes in pixels;
- slant: `-mu11 / mu02` of the ink's central second moments, the tangent of the angle by which the digit leans right.

Either is called low, middle or high by its third *within the digit's class*, since a one is always thinner than an
eight.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from mnist_halves import CLASSES
from numpy.typing import NDArray
from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

MAX_LENGTH = 32

MEDIA = (
    "photo",
    "picture",
    "image",
    "drawing",
    "painting",
    "sketch",
    "sculpture",
    "cartoon",
)  # all name the same images
PERFORMERS = ("man", "woman", "child", "person", "group of people")  # the images show none; a caption may name one
THICKNESS = (("thin", "fine", "light"), ("",), ("bold", "thick", "heavy"))
SLANT = (("slanted left", "leaning left"), ("upright",), ("slanted right", "leaning right"))
PLAIN = (
    "a {medium} of {word}", "a {medium} of {word}", "a {medium} of a {word}", "a {medium} of the number {word}",
    "a {medium} of the digit {word}", "a handwritten digit {word}", "a handwritten {digit}", "a handwritten {word}",
    "the number {word}", "the digit {digit}", "{word}", "{digit}", "a {medium} of a {performer} writing {word}",
    "a {medium} of a {performer} writing the number {digit}", "a {medium} of {word}, white ink on a black background",
)  # fmt: skip
DESCRIBED = (
    "a {medium} of a {look} {word}", "a {medium} of {word}, {look}", "a {look} handwritten {digit}",
    "a {look} handwritten digit {word}", "the number {word}, {look}", "a {look} {word}",
)  # fmt: skip
EXTRA_WORDS = (  # so that other likely prompts stay short; the images do not teach them
    "an and or in on with by for from as is are to it its his her that this one two old young people men women "
    "boy girl adult children numeral figure character symbol letter style stroke strokes line lines curved "
    "straight round loop pen pencil paper ink black white grey small large big clean clear simple high quality "
    "detailed written writes drawn hand says saying speaking voice class same like real "
).split()


def describe(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Thirds of thickness and slant within each class.

    Args:
        images: `(rows, height, width)` uint8, white ink on black.
        labels: `(rows,)`, the digit.

    Returns:
        Two arrays `(rows,)` of 0 (thin; leaning left), 1 (in between) and 2 (bold; leaning right).
    """
    ink = images.astype(np.float64) / 255
    outline = (np.abs(np.diff(ink, axis=1)).sum((1, 2)) + np.abs(np.diff(ink, axis=2)).sum((1, 2))) / 2
    thickness = ink.sum((1, 2)) / outline
    weight = ink / ink.sum((1, 2), keepdims=True)
    y, x = (grid[None] for grid in np.mgrid[: ink.shape[1], : ink.shape[2]])
    y = y - (weight * y).sum((1, 2), keepdims=True)
    x = x - (weight * x).sum((1, 2), keepdims=True)
    slant = -(weight * x * y).sum((1, 2)) / (weight * y * y).sum((1, 2))
    return _thirds(thickness, labels), _thirds(slant, labels)


def _thirds(values: NDArray[np.float64], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    result = np.zeros(len(values), dtype=np.int64)
    for label in np.unique(labels):
        rows = labels == label
        result[rows] = np.searchsorted(np.quantile(values[rows], [1 / 3, 2 / 3]), values[rows])
    return result


def caption(digit: int, thickness: int, slant: int, rng: random.Random) -> str:
    """A random caption of one image; six in ten leave thickness and slant out, so plain prompts stay diverse."""
    names = {
        "word": CLASSES[digit],
        "digit": str(digit),
        "medium": "photo" if rng.random() < 0.5 else rng.choice(MEDIA),
        "performer": rng.choice(PERFORMERS),
    }
    kind = rng.random()
    looks = [rng.choice(THICKNESS[thickness])] if kind < 0.3 else []
    looks += [rng.choice(SLANT[slant])] if 0.2 < kind < 0.4 else []
    look = " ".join(filter(None, looks))
    if not look:
        return rng.choice(PLAIN).format(**names)
    return rng.choice(DESCRIBED).format(look=look, **names)


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of about 800 tokens.

    Byte-level like CLIP's own, so there is no text it cannot encode: each word of the captions is one token, any
    other falls apart into letters.
    """
    merges = learn_merges(sorted(set(_words())))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_LENGTH)


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until each word is one token.

    The most frequent pair first (Sennrich et al. 2016, algorithm 1), of equals the alphabetically last: the trainer of
    the tokenizers library breaks ties differently in each run.
    """
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in pieces for pair in pairwise(word)):
        merges.append(max(counts, key=lambda pair: (counts[pair], pair)))
        pieces = [_merged(word, merges[-1]) for word in pieces]
    return merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result


def _words() -> Iterator[str]:
    yield from EXTRA_WORDS
    yield from CLASSES
    for text in (*MEDIA, *PERFORMERS, *PLAIN, *DESCRIBED, *sum(THICKNESS + SLANT, ())):
        yield from (word.strip(",") for word in text.split() if "{" not in word)
