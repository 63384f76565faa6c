"""Speech from the class name: many voices of espeak-ng, and the voice of hibari. For modalities that carry spoken words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator, model_validator

from gtimm.core.errors import PluginError
from gtimm.core.imputer import Failure
from gtimm.core.plugin import Info
from gtimm.core.pool import Requests
from gtimm.core.seeding import stable_seed, stream, torch_threads
from gtimm.imputers.espeak import Espeak, EspeakError
from gtimm.imputers.prompted import Prompted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gtimm.core.imputer import State, View
    from gtimm.core.media import Payload
    from gtimm.core.pool import Pool, Request

    Sound = tuple[NDArray[np.float32], int]
    Say = Callable[[Request, str], Sound]

HIBARI = "hibari"
VOICES = (
    "en-us+AnxiousAndy", HIBARI, "en-gb-x-rp+Marco", "en-gb-scotland+robosoft2", "en-us", "en-029+RicishayMax2", "en+croak",
    "en-us-nyc+iven2", "en-gb-x-gbclan+klatt2", "en+robosoft3", "en-gb-x-gbcwmd+robosoft7", "en-us+robosoft5",
)  # fmt: skip
"""Heard neither in the embedded evaluation data nor by `imagebind-tiny`."""

PACKAGES = {"espeak-ng": "espeakng-loader", HIBARI: "hibari-tts"}
LEVEL, PEAK = 0.1, 0.99  # root mean square of a sound, unless its peak would be higher than this
FLOOR, MARGIN = 0.02, 0.02  # of the peak: quieter ends are cut; seconds that are left


class Speech(Prompted):
    """Says the class name, or with the prompts "text" a row's own words: text to speech by espeak-ng (many voices) and hibari (one).

    The first k items of a class have every voice equally often, give or take one; which voice begins differs by class.
    Pace and pitch are drawn for each item from its seed. An item depends on its request alone, whatever was said before.

    Needs the extra: `pip install 'gtimm[speech]'`. espeak-ng is GPL-3.0 (its sounds are not); it is loaded in a process of its
    own, and only to generate. hibari is Apache-2.0.

    Attributes:
        voices: espeak-ng's, an accent with or without a variant, such as `"en-us"` and `"en-us+f3"`, and `"hibari"`.
        prompts: prompt strategy for the words. By default the class name alone.
        pace: slowest and fastest, in words a minute, 80 to 450; 175 is usual.
        pitch: lowest and highest, 0 to 100 relative to the voice, 50 is its own; hibari has no pitch to choose.
        sample_rate: of the sounds, in Hz.
        batch_size: sounds a batch.
    """

    info: ClassVar[Info] = Info(
        kinds=("audio",),
        items="request",
        needs_label=True,
        depths=("pooled", "last_block"),
        weights_licence="GPL-3.0-or-later (espeak-ng) AND Apache-2.0 (hibari)",
    )

    makes = "audio"

    voices: tuple[str, ...] = VOICES
    prompts: str | dict[str, Any] = Field(
        default_factory=lambda: {"name": "label", "performers": [], "templates": ["{action}"]}, validate_default=True
    )
    pace: tuple[int, int] = (140, 215)
    pitch: tuple[int, int] = (30, 70)
    sample_rate: int = Field(default=16000, ge=4000, le=48000)
    batch_size: int = Field(default=20, ge=1)

    @field_validator("voices")
    @classmethod
    def _known_voices(cls, voices: tuple[str, ...]) -> tuple[str, ...]:
        if not voices or len(set(voices)) < len(voices):
            raise ValueError("name at least one voice, and none twice")
        for voice in voices:
            if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*(\+[A-Za-z0-9 ]+)?", voice):
                raise ValueError(f"{voice!r} is no voice; 'en-us+f3' is one of espeak-ng (accent, '+', variant), and 'hibari'")
        return voices

    @model_validator(mode="after")
    def _ranges(self) -> Speech:
        for name, (low, high), least, most in (("pace", self.pace, 80, 450), ("pitch", self.pitch, 0, 100)):
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must be two numbers, {least} <= low <= high <= {most}; found {low} and {high}")
        return self

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the requests, each with its voice."""
        pool = self.planned(view, target, 1.0)
        assert isinstance(pool.items, Requests)
        order, groups = stream(self.seed, "voices").permutation(len(self.voices)), len(pool.start) - 1
        spoken = []
        for place, request in enumerate(pool.items.values):
            rank, group = divmod(place, groups)
            begin = group * len(order) // groups if request.label else stable_seed(self.seed, "voice", request.prompt)
            spoken.append(replace(request, seed=self._with_voice(request.seed, int(order[(rank + begin) % len(order)]))))
        return replace(pool, items=Requests(spoken))

    def weights_licence(self) -> str:
        """Return the licences of what says the words with these voices."""
        known = {"espeak-ng": "GPL-3.0-or-later (espeak-ng)", HIBARI: "Apache-2.0 (hibari)"}
        return " AND ".join(known[name] for name in known if name in {_speaker(voice) for voice in self.voices})

    def fingerprint(self) -> str:
        """Return the versions of what speaks and every setting that changes a sound.

        Raises:
            PluginError: the extra is not installed.
        """
        speakers = {_speaker(voice): _version(_speaker(voice)) for voice in self.voices}
        settings = self.model_dump(mode="json", include={"voices", "pace", "pitch", "sample_rate"})
        return json.dumps({"speakers": speakers, **settings}, sort_keys=True)

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Start what speaks and return the function that makes a batch; on the CPU, whatever the device."""
        say = {name: self._say_with(name) for name in {_speaker(voice) for voice in self.voices}}

        def one(request: Request) -> Payload | Failure:
            voice = self.voices[request.seed % len(self.voices)]
            try:
                samples, rate = say[_speaker(voice)](request, voice)
            except EspeakError as error:
                return Failure(str(error))
            if not np.any(samples):
                return Failure(f"voice {voice!r} stays silent")
            return finished(samples, rate, self.sample_rate), self.sample_rate

        def make(batch: Sequence[Request]) -> list[Payload | Failure]:
            made: dict[Request, Payload | Failure] = {}
            for request in batch:
                if request not in made:
                    made[request] = one(request)
            return [made[request] for request in batch]

        return make

    def _with_voice(self, seed: int, voice: int) -> int:
        """Return a seed near this one whose remainder is the voice: the request alone says who speaks."""
        found = seed - seed % len(self.voices) + voice
        return found if found < 2**63 else found - len(self.voices)

    def _say_with(self, speaker: str) -> Say:
        _version(speaker)
        if speaker == HIBARI:
            hibari = _hibari()

            def by_hibari(request: Request, voice: str) -> Sound:
                pace, _ = self._manner(request)
                with torch_threads(1):
                    samples = hibari(request.prompt, speed=pace / 175, seed=request.seed)
                return np.asarray(samples, np.float32), int(hibari.sample_rate)

            return by_hibari
        espeak = Espeak()

        def by_espeak(request: Request, voice: str) -> Sound:
            content, rate = espeak.speak(request.prompt, voice, *self._manner(request))
            return np.asarray(np.frombuffer(content, np.int16) / 32768, np.float32), rate

        return by_espeak

    def _manner(self, request: Request) -> tuple[int, int]:
        random = stream(request.seed, "manner")
        pace = int(random.integers(self.pace[0], self.pace[1], endpoint=True))
        return pace, int(random.integers(self.pitch[0], self.pitch[1], endpoint=True))


def finished(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Cut the silent ends off, change the sampling rate and bring to one level.

    Args:
        samples: (n,), not all zero.
        rate: their rate in Hz.
        wanted: rate of the result in Hz.

    Returns:
        (m,) float32 in -1..1.
    """
    import torch
    from torchaudio.functional import resample

    size = np.abs(samples)
    loud = np.flatnonzero(size > FLOOR * size.max())
    margin = int(MARGIN * rate)
    samples = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    with torch_threads(1):
        found = resample(torch.from_numpy(np.ascontiguousarray(samples)), rate, wanted).numpy()
    gain = min(LEVEL / float(np.sqrt(np.mean(np.square(found)))), PEAK / float(np.abs(found).max()))
    return np.asarray(found * gain, np.float32)


def _speaker(voice: str) -> str:
    return HIBARI if voice == HIBARI else "espeak-ng"


def _version(speaker: str) -> str:
    try:
        return version(PACKAGES[speaker])
    except PackageNotFoundError as error:
        raise PluginError(
            f"Speech needs {PACKAGES[speaker]}, which is not installed. Install it with: pip install 'gtimm[speech]'"
        ) from error


@cache
def _hibari() -> Any:
    try:
        from hibari import Hibari
    except ImportError as error:
        raise PluginError(f"hibari cannot be loaded ({error}). Install it with: pip install 'gtimm[speech]'") from error
    return Hibari()
