"""What the wheel carries: small, and with generator, backbone and evaluation data disjoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

import gtimm
from gtimm import load_dataset

ASSETS = Path(gtimm.__path__[0]) / "assets"
DIGIT_WORDS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "oh", "nought"}


def provenance(name: str) -> dict[str, Any]:
    return json.loads((ASSETS / name / "provenance.json").read_text())


def test_models_and_data_fit_in_8_mb() -> None:
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) <= 8_000_000


def test_nothing_embedded_is_a_pickle() -> None:
    allowed = {".safetensors", ".json", ".md", ".txt", ".npz", ".flac"}
    assert {path.suffix for path in ASSETS.rglob("*") if path.is_file()} <= allowed
    np.load(ASSETS / "digits" / "images.npz", allow_pickle=False)["images"]


def test_no_evaluation_image_has_trained_the_generator() -> None:
    trained = set(provenance("stable-diffusion-tiny")["images"])
    images = np.load(ASSETS / "digits" / "images.npz", allow_pickle=False)["images"]
    evaluated = {hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images}
    assert len(trained) > 4000
    assert len(evaluated) == len(images)
    assert not trained & evaluated


def test_no_image_voice_or_take_is_in_two_splits() -> None:
    about = json.loads((ASSETS / "digits" / "digits.json").read_text())
    voices = {split: {clip["voice"] for clip in about["clips"] if clip["split"] == split} for split in about["splits"]}
    assert not (voices["train"] & voices["val"])
    assert not (voices["train"] & voices["test"])
    assert not (voices["val"] & voices["test"])


def test_the_backbone_has_heard_no_evaluation_voice_and_no_digit() -> None:
    made_from = provenance("imagebind-tiny")
    about = json.loads((ASSETS / "digits" / "digits.json").read_text())
    assert len(made_from["speech"]["voices"]) > 10
    assert not set(made_from["speech"]["voices"]) & {clip["voice"] for clip in about["clips"]}
    words = {str(word).lower() for word in made_from["speech"]["words"]}
    assert len(words) > 50
    assert not words & DIGIT_WORDS


def test_the_backbone_has_seen_no_digit() -> None:
    glyphs = "".join(provenance("imagebind-tiny")["images"]["glyphs"])
    assert len(glyphs) > 26
    assert not any(character.isdigit() or character.isnumeric() for character in glyphs)


def test_speech_is_called_synthetic() -> None:
    assert "synthetic" in load_dataset("digits").facts["speech"]
