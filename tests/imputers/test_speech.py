"""Speech: the same request gives the same samples whatever was said before; voices are balanced, and no evaluation voice speaks."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import vectors

import gtimm
from gtimm import Missing, MultimodalDataset, Pipeline, load_dataset
from gtimm.core.errors import ConfigError, IncompatibleError, PluginError
from gtimm.core.imputer import Failure
from gtimm.core.media import load_audio
from gtimm.core.pool import Request, Requests
from gtimm.imputers import espeak, speech
from gtimm.imputers.speech import HIBARI, VOICES, Speech

pytest.importorskip("espeakng_loader", reason="needs the extra gtimm[speech]")
pytest.importorskip("hibari", reason="needs the extra gtimm[speech]")

CLASSES = [f"{word} things" for word in ("red", "green", "blue", "old", "new")]
Make = Callable[[list[Request]], list[Any]]


@pytest.fixture(scope="module")
def make() -> Make:
    return Speech().open("cpu")


def wanted(*seeds: int, text: str = "seven") -> list[Request]:
    return [Request("audio", text, seed, 1.0) for seed in seeds]


class View:
    rows, classes, labels = 5, tuple(CLASSES), np.arange(5)

    def kind(self, modality: str) -> str:
        return "audio"


def planned(**options: Any) -> list[Request]:
    items = Speech(**options).pool(View(), "audio", {}).items  # type: ignore[arg-type]
    assert isinstance(items, Requests)
    return list(items.values)


def test_every_voice_says_the_words_at_the_wanted_rate_and_level(make: Make) -> None:
    for voice, (samples, rate) in zip(VOICES, make(wanted(*range(len(VOICES)))), strict=True):
        assert samples.dtype == np.float32, voice
        assert rate == 16000
        assert 0.2 < len(samples) / rate < 1.5, voice
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.1, rel=0.01), voice
        assert np.abs(samples).max() <= 0.99


def test_a_sound_does_not_depend_on_what_was_said_before(make: Make) -> None:
    seeds = list(range(2 * len(VOICES)))
    forth = make(wanted(*seeds))
    back = make(wanted(*seeds[::-1]))[::-1]
    again = make(wanted(*seeds))
    alone = [Speech().open("cpu")(wanted(seed))[0] for seed in seeds[:: len(VOICES) // 2]]
    for one, two, three in zip(forth, back, again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[0], three[0])
    for one, two in zip(forth[:: len(VOICES) // 2], alone, strict=True):
        np.testing.assert_array_equal(one[0], two[0])


def test_without_fork_each_sound_has_a_process_of_its_own_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = espeak.Espeak()
    forked = speaker.speak("seven", "en-us+f3", 175, 50)
    speaker.close()
    monkeypatch.delattr(os, "fork")
    for _ in range(2):
        assert speaker.speak("seven", "en-us+f3", 175, 50) == forked
        assert speaker._process is None


def test_seed_and_words_change_the_sound(make: Make) -> None:
    count = len(VOICES)
    for voice in range(count):  # the same voice, another pace
        one, two, other = make([*wanted(voice, voice + count), *wanted(voice, text="nine")])
        assert len(one[0]) != len(two[0])
        assert len(one[0]) != len(other[0])


def test_a_process_that_ends_is_a_failure_and_the_next_sound_is_made() -> None:
    speaker = espeak.Espeak()
    speaker.speak("seven", "en-us", 175, 50)
    assert speaker._process is not None
    speaker._process.kill()
    speaker._process.wait()
    assert speaker.speak("seven", "en-us", 175, 50)[1] == 22050
    speaker.close()


def test_voices_that_espeak_does_not_have_and_silence_are_failures() -> None:
    (item,) = Speech(voices=("en-us+nobody9",)).open("cpu")(wanted(0))
    assert isinstance(item, Failure)
    assert "no voice 'en-us+nobody9'" in item.reason
    (item,) = Speech(voices=("en-us",)).open("cpu")(wanted(0, text="."))
    assert isinstance(item, Failure)


@pytest.mark.parametrize("per_class", [1, 4, 12, 30])
def test_voices_are_balanced_at_every_budget(per_class: int) -> None:
    requests = planned(per_class=per_class)
    voices = [VOICES[r.seed % len(VOICES)] for r in requests]
    for label in CLASSES:
        found = Counter(v for v, r in zip(voices, requests, strict=True) if r.label == label)
        assert max(found.values()) - min(found[v] for v in VOICES) <= 1
    found = Counter(voices)
    assert max(found.values()) - min(found[v] for v in VOICES) <= 2


def test_a_small_budget_is_part_of_a_larger_and_the_words_are_the_class() -> None:
    few, many = planned(per_class=2), planned(per_class=5)
    assert many[: len(few)] == few
    assert {r.prompt for r in many} == set(CLASSES)
    assert len({r.seed for r in many}) == len(many)
    assert planned(per_class=2, seed=1) != few
    assert all(0 <= r.seed < 2**63 for r in many)


def test_the_voice_fits_into_the_largest_seed() -> None:
    one = Speech()
    for voice in range(len(VOICES)):
        seed = one._with_voice(2**63 - 1, voice)
        assert seed < 2**63
        assert seed % len(VOICES) == voice


def test_no_voice_of_the_evaluation_data_or_the_backbone_speaks() -> None:
    assets = Path(gtimm.__path__[0]) / "assets"
    clips = json.loads((assets / "digits" / "digits.json").read_text())["clips"]
    heard = json.loads((assets / "imagebind-tiny" / "provenance.json").read_text())["speech"]["voices"]
    used = {voice.partition("+")[2] for voice in [*(clip["voice"] for clip in clips), *heard]}
    ours = [voice.partition("+")[2] for voice in VOICES]
    assert len(VOICES) >= 10
    assert HIBARI in VOICES
    assert "" not in used
    assert not used & set(ours)
    assert len(set(ours) - {""}) == sum(map(bool, ours))


def test_the_fingerprint_changes_with_what_changes_a_sound_and_with_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Speech()
    for change in ({"voices": ("en-us",)}, {"pace": (100, 200)}, {"pitch": (1, 2)}, {"sample_rate": 8000}):
        assert base.model_copy(update=change).fingerprint() != base.fingerprint()
    for change in ({"per_class": 3}, {"seed": 5}, {"batch_size": 2}):
        assert base.model_copy(update=change).fingerprint() == base.fingerprint()
    before = base.fingerprint()
    monkeypatch.setattr(speech, "version", lambda package: "9")
    assert base.fingerprint() != before


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(speech, "version", gone)
    for call in (Speech().fingerprint, lambda: Speech().open("cpu")):
        with pytest.raises(PluginError, match=r"not installed.*pip install 'gtimm\[speech\]'"):
            call()


def test_only_sound_is_made() -> None:
    class Pictures(View):
        def kind(self, modality: str) -> str:
            return "image"

    with pytest.raises(IncompatibleError, match="makes sound; 'photo' is image"):
        Speech().pool(Pictures(), "photo", {})  # type: ignore[arg-type]
    with pytest.raises(IncompatibleError, match="fills audio"):
        Pipeline("toy", Speech(), device="cpu").fit(vectors(6), missing={"left": 0.5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voices": ()}, "at least one voice"),
        ({"voices": ("en-us", "en-us")}, "none twice"),
        ({"voices": ("../etc",)}, "is no voice"),
        ({"pace": (200, 100)}, "pace must be two numbers"),
        ({"pitch": (0, 101)}, "pitch must be two numbers"),
        ({"prompts": "lable"}, "Did you mean 'label'"),
        ({"sample_rate": 100}, "sample_rate"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Speech(**options)


def test_it_fills_missing_sound_of_digits(home: Path) -> None:
    whole = load_dataset("digits")
    train: MultimodalDataset = whole.train.subset(np.arange(40))
    tiny = {"name": "speech", "per_class": 2, "voices": ["en-us", "hibari"]}
    pipe = Pipeline("imagebind-tiny", {"audio": tiny}, device="cpu", train={"epochs": 1})
    pipe.fit(train, missing=Missing(audio=0.5))
    assert pipe.counters["generated"] == 20
    files = sorted((home / "bank").rglob("*.wav"))
    assert len(files) == 20
    samples, rate = load_audio(files[0])
    assert rate == 16000
    assert samples.std() > 0.01
    assert 0 <= pipe.evaluate(whole.test.subset(np.arange(20)), missing=Missing(audio=0.5))["accuracy"] <= 1
