"""Who speaks in which data, and a small espeak-ng speaker.

A voice is an espeak-ng accent with a speaker variant, "en-us+f3". The lists below are disjoint in their *variants*, not
only in the pairs: the same variant with another accent is nearly the same speaker, so no variant serves two lists. Thus
a model trained on `IMAGEBIND_VOICES` has heard none of the speakers of the evaluation data set `digits`, and within
that data set no speaker of the training split is heard in validation or test.

Needs `espeakng-loader` (it carries the espeak-ng library and its data). espeak-ng is GPL-3.0; it is a tool of these
scripts only, nothing of it is stored or imported by the library.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS_VOICES: dict[str, tuple[str, ...]] = {
    "train": (
        "en-us+f1", "en+f4", "en-029+Annie", "en-gb-scotland+belinda", "en-gb-x-rp+Alicia", "en-us+linda",
        "en-gb-x-gbclan+shelby", "en-gb-x-gbcwmd+aunty", "en-us+m1", "en+m4", "en-029+m7", "en-gb-scotland+Andy",
        "en-gb-x-rp+Lee", "en-us-nyc+Denis", "en-us+paul", "en-gb-x-gbclan+quincy", "en-gb-x-gbcwmd+zac", "en+john",
        "en-us-nyc+Hugo", "en-029+Tweaky",
    ),
    "val": (
        "en-us+f2", "en+steph", "en-gb-scotland+Andrea", "en-gb-x-rp+m3", "en-029+Michael", "en-us-nyc+victor",
        "en-gb-x-gbclan+max", "en-gb-x-gbcwmd+norbert",
    ),
    "test": (
        "en-us+f5", "en+grandma", "en-029+anika", "en-gb-scotland+Mario", "en-gb-x-rp+steph2", "en-us-nyc+m2",
        "en-gb-x-gbclan+m5", "en-gb-x-gbcwmd+m8", "en-us+Reed", "en+travis", "en-gb-x-rp+boris", "en-us+grandpa",
        "en-gb-scotland+edward", "en-029+rob",
    ),
}  # fmt: skip

IMAGEBIND_VOICES: tuple[str, ...] = (
    "en-us+f3", "en+Alex", "en-029+Diogo", "en-gb-scotland+Gene", "en-gb-x-rp+Gene2", "en-us-nyc+Henrique",
    "en-gb-x-gbclan+Jacky", "en-gb-x-gbcwmd+Mike", "en-us+Mr serious", "en+Nguyen", "en-029+RicishayMax",
    "en-gb-scotland+Storm", "en-gb-x-rp+UniRobot", "en-us-nyc+adam", "en-gb-x-gbclan+announcer",
    "en-gb-x-gbcwmd+antonio", "en-us+benjamin", "en+caleb", "en-029+david", "en-gb-scotland+ed",
    "en-gb-x-rp+gustave", "en-us-nyc+ian", "en-gb-x-gbclan+iven", "en-gb-x-gbcwmd+iven4", "en-us+kaukovalta",
    "en+klatt", "en-029+klatt3", "en-gb-scotland+klatt6", "en-gb-x-rp+m6", "en-us-nyc+marcelo",
    "en-gb-x-gbclan+michel", "en-gb-x-gbcwmd+miguel", "en-us+mike2", "en+pablo", "en-029+pedro",
    "en-gb-scotland+robert", "en-gb-x-rp+robosoft4", "en-us-nyc+robosoft6", "en-gb-x-gbclan+robosoft8",
    "en-gb-x-gbcwmd+sandro", "en-us+steph3", "en+klatt5", "en-029+iven3", "en-us+klatt4",
)  # fmt: skip

_RETRIEVE_AUDIO = 1  # AUDIO_OUTPUT_RETRIEVAL of espeak_ng's speak_lib.h
_RATE, _PITCH = 1, 3  # espeakRATE and espeakPITCH, same place
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Espeak:
    """The espeak-ng library, loaded once in a process (it keeps global state; not for several threads)."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate: int = self._library.espeak_Initialize(_RETRIEVE_AUDIO, 0, espeakng_loader.get_data_path().encode(), 0)
        if self.sample_rate <= 0:
            raise RuntimeError(f"espeak-ng did not start (code {self.sample_rate}); re-install espeakng-loader")
        self._chunks: list[NDArray[np.int16]] = []
        self._callback = _CALLBACK(self._collect)  # kept, or it is freed under the library's feet
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    def speak(self, text: str, voice: str, rate: int, pitch: int) -> NDArray[np.float32]:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}; 'en-us+f3' is one (accent, '+', speaker variant)")
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # it would start from the clock
        self._chunks.clear()
        data = text.encode()
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._chunks:
            raise RuntimeError(f"espeak-ng gave no sound for {text!r} with voice {voice!r}")
        return (np.concatenate(self._chunks) / 32768).astype(np.float32)


@cache
def _espeak() -> _Espeak:
    return _Espeak()


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50) -> tuple[NDArray[np.float32], int]:
    """Say a text.

    The breath and flutter of a voice go on from one call to the next, so the same calls *in the same order* give the
    same samples in a new process; a single call out of order differs a little.

    Args:
        text: what to say, in English.
        voice: an accent with a variant, such as "en-us+f3".
        rate: words a minute, 80 to 450.
        pitch: 0 (low) to 100 (high), relative to the voice.

    Returns:
        The sound, float32 mono `(samples,)` in -1..1 with the silence espeak-ng adds, and its sample rate in Hz
        (22050).

    Raises:
        ValueError: if espeak-ng does not know the voice.
        RuntimeError: if espeak-ng does not start or stays silent.
    """
    engine = _espeak()
    return engine.speak(text, voice, rate, pitch), engine.sample_rate
