"""Spoken letters and words: what the audio branch of imagebind-tiny hears. None is a digit or sounds like one.

The words are short and vary in sound. Each of `voices.IMAGEBIND_VOICES` says each once, at a random rate and pitch. Those
speakers are heard nowhere in the evaluation data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from voices import IMAGEBIND_VOICES, speak

SAMPLE_RATE = 8000  # Hz, the rate of the evaluation data: nothing above 4 kHz
RATES, PITCHES = (135, 225), (25, 75)  # words a minute; espeak-ng's 0 to 100
LEVEL = 0.1  # root mean square of a clip
SPOKEN_LETTERS = tuple("abcdefghijklmnpqrstuvwxyz")  # "o" is how many say zero

_DIGIT_SOUNDS = (
    "zero oh nought naught nil one won two to too three tree free four for fore five six sicks seven eight ate nine nein ten"
)
DIGIT_SOUNDS = frozenset(_DIGIT_SOUNDS.split())
"""Digits, and words that sound like one: none may be among `WORDS`; a test holds it."""

_WORDS = """
    apple arrow baby bacon badge banjo basket beach bear bell bench berry bicycle bird blanket boat bone book bottle bowl
    box branch bread bridge brother brush bubble bucket butter button cabin cake camel candle carpet castle cat chair cheese
    cherry chicken church circle clock cloud coffee coin copper corner cotton cousin cow cradle cricket crown cup curtain
    dance desert doctor dog dolphin door dragon dream dress drum duck eagle earth easy elbow engine evening eye falcon farmer
    father feather fence finger fire fish flag flower fog forest fox friend frog fruit garden ghost giant glass gold goose
    grape grass green guitar hammer hand harbour hat hazel heart honey horse house human ice island jacket jelly jewel juice
    jungle kettle key king kitchen kite ladder lamp leaf lemon letter lion lizard lobster lucky machine magic maple marble
    market measure meadow melon metal milk mirror money monkey moon morning mother mountain mouse mouth music nation needle
    nest noise north nothing ocean olive onion orange owl oyster paint palace panda paper parrot pencil pepper piano picture
    pilot planet pleasure pocket pony potato purple rabbit radio rain ribbon river robin rocket roof rose ruby saddle salt
    sand school shadow sheep ship shoe shoulder silk silver sister snake snow soap spoon spring star steam stone street sugar
    summer sun swan table teacher thunder tiger tomato tooth tower train treasure trumpet tulip turtle uncle valley vanilla
    velvet village violin visit voice wagon water weather whistle window winter wolf wood yard yellow yogurt young zebra
    zigzag zipper"""
WORDS = tuple(_WORDS.split())


@dataclass(frozen=True)
class Speech:
    """All clips end to end, int16 at 8 kHz; clip i is `sound[start[i]:start[i + 1]]`, says `names[label[i]]`."""

    sound: NDArray[np.int16]
    start: NDArray[np.int64]
    label: NDArray[np.int64]
    names: tuple[str, ...]

    def clip(self, index: int) -> NDArray[np.int16]:
        """(samples,) int16."""
        return self.sound[self.start[index] : self.start[index + 1]]


def record_all(seed: int, words: tuple[str, ...] = WORDS) -> Speech:
    """Every voice says every letter and word once: the letters come first in `names`."""
    names = SPOKEN_LETTERS + words
    clips = list(_record(names, np.random.default_rng(seed)))
    start = np.cumsum([0, *(len(clip) for clip in clips)])
    label = np.tile(np.arange(len(names)), len(IMAGEBIND_VOICES))
    return Speech(np.concatenate(clips), start, label, names)


def _record(names: tuple[str, ...], rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
    for voice in IMAGEBIND_VOICES:
        for name in names:
            said = name.upper() + "." if name in SPOKEN_LETTERS else name  # so that "a" is the letter, not the article
            sound, rate = speak(said, voice, int(rng.integers(*RATES)), int(rng.integers(*PITCHES)))
            yield _levelled(_trimmed(sound, rate), rate)


def _trimmed(sound: NDArray[np.float32], rate: int, floor: float = 0.02) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(sound) > floor * np.abs(sound).max())
    return sound[max(0, loud[0] - rate // 50) : loud[-1] + rate // 50]


def _levelled(sound: NDArray[np.float32], rate: int) -> NDArray[np.int16]:
    divisor = np.gcd(SAMPLE_RATE, rate)
    sound = resample_poly(sound, SAMPLE_RATE // divisor, rate // divisor)
    gain = min(LEVEL / np.sqrt(np.mean(sound**2)), 0.99 / np.abs(sound).max())
    return np.rint(sound * gain * 32767).astype(np.int16)
