"""Everything that imagebind-tiny is trained on: letters, speech, and the texts that name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import letters
import numpy as np
import words

IMAGE_TEXTS = ("the {}", "a photo of the {}", "an image of the {}", "a handwritten {}", "{}")
AUDIO_TEXTS = ("the {}", "the sound of the {}", "a voice saying the {}", "the spoken {}", "{}")
OTHER_TEXTS = "something a an of the and in with picture drawing sketch person man woman people speaking written by hand"


@dataclass(frozen=True)
class Corpus:
    """Everything that the model is trained on."""

    glyphs: letters.Glyphs
    speech: words.Speech

    def image_texts(self, template: str) -> list[str]:
        """A text for each class of glyphs."""
        return [template.format(glyph.name) for glyph in self.glyphs.classes]

    def audio_texts(self, template: str) -> list[str]:
        """A text for each spoken name; the letters come first."""
        kinds = ["letter"] * len(words.SPOKEN_LETTERS) + ["word"] * (len(self.speech.names) - len(words.SPOKEN_LETTERS))
        return [template.format(f"{kind} {name}") for kind, name in zip(kinds, self.speech.names, strict=True)]

    def all_texts(self) -> list[str]:
        """All texts that the model is trained on."""
        texts = [text for template in IMAGE_TEXTS for text in self.image_texts(template)]
        return texts + [text for template in AUDIO_TEXTS for text in self.audio_texts(template)] + OTHER_TEXTS.split()


def load_corpus(fonts: Path, cache: Path, seed: int) -> Corpus:
    """Makes the glyphs and the speech, or reads them from `cache`."""
    path = cache / f"imagebind-tiny-{seed}.npz"
    if not path.is_file():
        glyphs, speech = letters.draw_all([fonts], letters.MOST_FONTS, seed), words.record_all(seed)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, maps=glyphs.maps, glyph_label=glyphs.label, pen=glyphs.pen, fonts=glyphs.fonts,
            sound=speech.sound, start=speech.start, sound_label=speech.label, names=speech.names,
        )  # fmt: skip
    with np.load(path) as kept:
        return Corpus(
            letters.Glyphs(kept["maps"], kept["glyph_label"], kept["pen"], letters.classes(), tuple(kept["fonts"].tolist())),
            words.Speech(kept["sound"], kept["start"], kept["sound_label"], tuple(kept["names"].tolist())),
        )
