"""The small model that comes with the library: what it was made from, what it can tell apart, how fast it is."""

from __future__ import annotations

import importlib.util
import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from gtimm.backbones.imagebind.backbone import ImageBind
from gtimm.backbones.imagebind.tiny import ASSET, ImageBindTiny

TRAINING = Path(__file__).parents[2] / "training"
MOST_BYTES = 22 * 2**20 // 10


@pytest.fixture(scope="module")
def provenance() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ASSET / "provenance.json").read_text(encoding="utf-8"))
    return loaded


def training_module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a module of the training folder, which is not a package."""
    monkeypatch.syspath_prepend(str(TRAINING))
    spec = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_asset_is_small() -> None:
    assert sum(path.stat().st_size for path in ASSET.iterdir()) <= MOST_BYTES


def test_no_glyph_is_a_digit(provenance: dict[str, Any]) -> None:
    glyphs = provenance["images"]["glyphs"]
    assert len(glyphs) > 100
    assert {unicodedata.category(glyph)[0] for glyph in glyphs} == {"L"}
    assert not set(glyphs) & set("oOlI0123456789")


def test_no_spoken_word_is_a_digit_or_sounds_like_one(provenance: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    words = training_module("words", monkeypatch)
    digits = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "won", "to", "too", "for", "ate"}
    assert digits <= words.DIGIT_SOUNDS
    assert provenance["speech"]["words"] == list(words.SPOKEN_LETTERS + words.WORDS)
    assert not set(provenance["speech"]["words"]) & words.DIGIT_SOUNDS
    assert "o" not in provenance["speech"]["words"]


def test_no_voice_of_the_evaluation_data_was_heard(provenance: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    voices = training_module("voices", monkeypatch)
    heard = {voice.partition("+")[2] for voice in provenance["speech"]["voices"]}
    evaluation = {voice.partition("+")[2] for names in voices.DIGITS_VOICES.values() for voice in names}
    assert heard
    assert not heard & evaluation


def test_the_text_branch_knows_no_digit_words() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer, text = SimpleTokenizer(), ImageBindTiny().sizes().text
    assert text is not None
    assert text.token_ids is not None
    for word in ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", *"0123456789"]:
        assert not set(tokenizer.encode(word)) & set(text.token_ids)


def test_weights_are_half_precision_with_the_published_names() -> None:
    with safe_open(ASSET / "imagebind_tiny.safetensors", framework="pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118
    published = json.loads((Path(__file__).parents[1] / "golden" / "imagebind_huge.json").read_text())["state_dict_shapes"]
    assert set(ImageBindTiny().open().model.state_dict()) <= set(published)


def test_options_that_are_the_default_are_not_stored() -> None:
    assert ImageBindTiny().options() == {}
    assert ImageBindTiny(kinds=["image"]).options() == {"kinds": ["image"]}


def test_all_kinds_embed_to_one_space() -> None:
    backbone = ImageBindTiny()
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 12:15] = 255
    sound = (np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32), 8000)
    out = backbone.embed({"image": [image], "audio": [sound], "text": ["the letter a", "", "words it never read"]})
    assert {kind: tuple(value.shape) for kind, value in out.items()} == {
        "image": (1, backbone.size("image")), "audio": (1, backbone.size("audio")), "text": (3, backbone.size("text")),
    }  # fmt: skip
    assert all(torch.isfinite(value).all() for value in out.values())


def test_a_letter_is_nearest_to_its_own_name() -> None:
    from PIL import Image, ImageDraw

    backbone = ImageBindTiny()
    drawings = {
        "letter x": [(5, 5, 23, 23), (23, 5, 5, 23)],
        "letter z": [(6, 5, 22, 5), (22, 5, 6, 23), (6, 23, 22, 23)],
        "letter v": [(5, 5, 14, 23), (14, 23, 23, 5)],
        "capital letter h": [(7, 4, 7, 24), (21, 4, 21, 24), (7, 14, 21, 14)],
        "capital letter t": [(5, 5, 23, 5), (14, 5, 14, 24)],
        "capital letter l": [(9, 4, 9, 23), (9, 23, 20, 23)],
    }
    images = []
    for lines in drawings.values():
        image = Image.new("L", (28, 28))
        for line in lines:
            ImageDraw.Draw(image).line(line, fill=255, width=3)
        images.append(image)
    out = backbone.embed({"image": images, "text": [f"the {name}" for name in drawings]})
    scores = out["image"] @ torch.nn.functional.normalize(out["text"], dim=-1).T
    assert (scores.argmax(1) == torch.arange(len(images))).float().mean() >= 0.8


def test_it_is_an_imagebind_like_any_other() -> None:
    by_files = ImageBind.from_files(ASSET / "imagebind_tiny.safetensors", ASSET / "config.json")
    assert by_files.fingerprint() == ImageBindTiny().fingerprint()
