"""The gate turns items down, keeps them aside, and tries the next seed, the same one every time."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_program import requests
from miniatures import write_clip
from PIL import Image, ImageDraw
from toys import ToyGenerator, calls

from gtimm.backbones.clip import Clip
from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.bank import Bank
from gtimm.core.bank.gate import Gate
from gtimm.core.errors import ConfigError, GenerationError, IncompatibleError
from gtimm.core.imputer import Failure
from gtimm.core.pool import Request
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.prompts.label import LabelPrompts

LETTERS = {
    "letter x": [(5, 5, 23, 23), (23, 5, 5, 23)],
    "letter z": [(6, 5, 22, 5), (22, 5, 6, 23), (6, 23, 22, 23)],
    "letter v": [(5, 5, 14, 23), (14, 23, 23, 5)],
    "capital letter t": [(5, 5, 23, 5), (14, 5, 14, 24)],
}


class Uneven(ToyGenerator):
    """Images of noise; black where the seed is of a kind, unsafe where it is of another."""

    black: int = 3
    unsafe: int = 7

    def open(self, device: str) -> Any:
        def make(batch: Sequence[Any]) -> list[Any]:
            return [self._one(request.seed) for request in batch]

        return make

    def _one(self, seed: int) -> Any:
        if seed % self.unsafe == 0:
            return Failure("unsafe: withheld by the pipeline")
        noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        return noise * (seed % self.black != 0)


def make(folder: Path, per_class: int, generator: Any) -> Any:
    bank = Bank(folder)
    bank.make(generator, bank.plan(generator, requests(per_class)), LocalEngine(), "cpu", True)
    return bank.plan(generator, requests(per_class))


def items(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*.png") if "rejected" not in p.parts}


def test_rejected_items_are_made_with_the_next_seed_and_kept_aside(tmp_path: Path) -> None:
    generator = Uneven(gate=Gate(retries=20))
    plan = make(tmp_path / "a", 6, generator)
    assert plan.missing == 0
    assert len(items(tmp_path / "a")) == 18
    assert max(plan.attempts) > 0
    assert all(request.seed % 3 and request.seed % 7 for request in plan.requests)
    lines = [json.loads(line) for line in next(tmp_path.rglob("rejected.jsonl")).read_text().splitlines()]
    assert {line["reason"] for line in lines} <= {"flat: one colour", "unsafe: withheld by the pipeline"}
    aside = [line for line in lines if line["scores"]]
    assert all((plan.folder / "rejected" / line["file_name"]).is_file() for line in aside)
    make(tmp_path / "b", 2, generator)
    make(tmp_path / "b", 6, generator)
    assert items(tmp_path / "a") == items(tmp_path / "b")


def test_beyond_the_limit_an_item_has_failed(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="rejected by the gate with 2 seeds; the last: flat: one colour"):
        make(tmp_path, 2, Uneven(black=1, gate=Gate(retries=1)))
    assert not items(tmp_path)


class Letters(ToyGenerator):
    """Draws the letter that it is asked for; for every third seed the next class's."""

    def open(self, device: str) -> Any:
        def make(batch: Sequence[Any]) -> list[Any]:
            return [self._draw(request) for request in batch]

        return make

    def _draw(self, request: Request) -> Image.Image:
        image = Image.new("RGB", (28, 28))
        for line in LETTERS[drawn(request)]:
            ImageDraw.Draw(image).line(line, fill="white", width=3)
        return image


def drawn(request: Request) -> str:
    names = list(LETTERS)
    return names[(names.index(request.label) + (request.seed % 3 == 0)) % len(names)]


def letters(per_class: int) -> list[Request]:
    return plan_requests(LabelPrompts(), list(LETTERS), "image", per_class, 1.0, 0)[0]


TINY: dict[str, Any] = {"backbone": "imagebind-tiny", "templates": ["the {}"]}


def log(folder: Path, name: str = "metadata.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in next(folder.rglob(name)).read_text().splitlines()]


def test_an_image_of_another_class_is_rejected_and_says_which(tmp_path: Path) -> None:
    bank, generator = Bank(tmp_path), Letters(gate=Gate(retries=10, agreement=TINY))
    bank.make(generator, bank.plan(generator, letters(4)), LocalEngine(), "cpu", True)
    plan = bank.plan(generator, letters(4))
    assert plan.missing == 0
    assert all(drawn(request) == request.label for request in plan.requests)
    turned = log(tmp_path, "rejected.jsonl")
    assert len(turned) == sum(plan.attempts) > 0
    for line in turned:
        other = drawn(Request("image", "", line["seed"], 1.0, label=line["label"]))
        assert line["reason"] == f"disagreement: nearest to {other!r}"
        assert line["scores"]["nearest"] == other != line["label"]
    assert {line["scores"]["place"] for line in log(tmp_path)} == {1}


def test_among_the_nearest_k_is_enough_where_that_is_asked_for(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    generator = Letters(gate=Gate(retries=10, agreement={**TINY, "top": 3}))
    bank.make(generator, bank.plan(generator, letters(4)), LocalEngine(), "cpu", True)
    places = [line["scores"]["place"] for line in log(tmp_path)]
    assert max(places) > 1
    assert max(places) <= 3


def test_scores_are_those_of_the_encoder_itself_over_averaged_templates(tmp_path: Path) -> None:
    templates = ["a photo of a {}.", "art of the {}"]
    model = f"local-dir:{write_clip(tmp_path / 'clip')}"
    backbone = {"name": "clip", "model": model}
    bank, generator = (
        Bank(tmp_path / "bank"),
        Letters(gate=Gate(retries=0, agreement={"backbone": backbone, "templates": templates, "top": 3})),
    )
    with contextlib.suppress(GenerationError):  # random weights reject some
        bank.make(generator, bank.plan(generator, letters(3)), LocalEngine(), "cpu", True)
    lines = [*log(tmp_path), *(log(tmp_path, "rejected.jsonl") if list(tmp_path.rglob("rejected.jsonl")) else [])]
    assert len(lines) == 12
    texts = [template.format(name) for name in LETTERS for template in templates]
    clip = Clip(model=model)
    names = clip.embed({"text": texts})["text"].numpy().reshape(4, 2, -1)
    names /= np.linalg.norm(names, axis=-1, keepdims=True)
    names = names.mean(1) / np.linalg.norm(names.mean(1), axis=-1, keepdims=True)
    for line in lines:
        image = Letters()._draw(Request("image", "", line["seed"], 1.0, label=line["label"]))
        vector = clip.embed({"image": [image]})["image"].numpy()[0]
        cosines = names @ vector / np.linalg.norm(vector)
        own = list(LETTERS).index(line["label"])
        assert line["scores"]["agreement"] == pytest.approx(cosines[own], abs=2e-5)
        assert line["scores"]["place"] == 1 + (cosines > cosines[own]).sum()


class Sounds(ToyGenerator):
    """Noise of a loudness by seed; every fourth is silent."""

    def open(self, device: str) -> Any:
        def make(batch: Sequence[Any]) -> list[Any]:
            return [(sound(request.seed), 8000) for request in batch]

        return make


def sound(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.1, (1, 4000)).clip(-1, 1)
    return (noise * (seed % 4 != 0)).astype(np.float32)


def test_silence_is_rejected_and_sounds_are_compared_with_the_classes(tmp_path: Path) -> None:
    asked = [Request("audio", name, seed, 1.0, label=name) for seed in range(1, 5) for name in LETTERS]
    bank, generator = Bank(tmp_path), Sounds(gate=Gate(retries=1, agreement={"backbone": "imagebind-tiny", "top": 2}))
    with contextlib.suppress(GenerationError):
        bank.make(generator, bank.plan(generator, asked), LocalEngine(), "cpu", True)
    turned = log(tmp_path, "rejected.jsonl")
    assert {line["seed"] % 4 for line in turned if line["reason"] == "silence"} == {0}
    assert all(line["seed"] % 4 for line in log(tmp_path))
    assert all(line["scores"]["level"] == pytest.approx(0.1, rel=0.1) for line in log(tmp_path))
    judged = [line for line in [*turned, *log(tmp_path)] if "place" in line["scores"]]
    assert len(judged) > 8
    backbone = ImageBindTiny()
    texts = backbone.embed({"text": [f"This is a sound of {name}." for name in LETTERS]})["text"].numpy()
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    for line in judged:
        steps = (sound(line["seed"]) * 32768).round().clip(-32768, 32767) / 32768  # as 16 bits keep it
        vector = backbone.embed({"audio": [(steps.astype(np.float32), 8000)]})["audio"].numpy()[0]
        cosines = texts @ vector / np.linalg.norm(vector)
        own = cosines[list(LETTERS).index(line["label"])]
        assert line["scores"]["agreement"] == pytest.approx(own, abs=1e-3)
        assert (line["scores"]["place"] <= 2) == (line in log(tmp_path))


def test_saturated_images_are_rejected_only_where_that_is_asked_for(tmp_path: Path) -> None:
    class Extreme(ToyGenerator):
        def open(self, device: str) -> Any:
            return lambda batch: [
                np.random.default_rng(r.seed).choice([0, 255] if r.seed % 2 else [5, 250], (8, 8, 3)).astype(np.uint8)
                for r in batch
            ]

    make(tmp_path / "any", 4, Extreme(gate=Gate()))
    assert not list((tmp_path / "any").rglob("rejected.jsonl"))
    make(tmp_path / "some", 4, Extreme(gate=Gate(retries=20, saturated=0.5)))
    assert {line["scores"]["saturated"] for line in log(tmp_path / "some")} == {0.0}
    turned = log(tmp_path / "some", "rejected.jsonl")
    assert {(line["reason"], line["scores"]["saturated"]) for line in turned} == {("saturated", 1.0)}


def test_scores_are_in_the_log(tmp_path: Path) -> None:
    plan = make(tmp_path, 3, Uneven(gate=Gate(retries=20, duplicates={"hamming": 2})))
    for line in log(tmp_path):
        assert line["scores"]["contrast"] > 0.01
        assert len(line["scores"]["phash"]) == 16
        assert line["scores"].keys() == {"contrast", "saturated", "phash"}
    about = json.loads((plan.folder / "about.json").read_text())
    assert about["gate"]["duplicates"]["hamming"] == 2


def test_what_a_pipeline_withholds_is_a_failure_without_a_gate(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"could not be made.*unsafe: withheld by the pipeline"):
        make(tmp_path, 6, Uneven())
    assert {line["reason"] for line in log(tmp_path, "failures.jsonl")} == {"unsafe: withheld by the pipeline"}
    assert not list(tmp_path.rglob("rejected.jsonl"))


def test_encoders_are_loaded_once_a_run_and_only_when_needed(tmp_path: Path) -> None:
    generator = Uneven(
        gate=Gate(retries=20, agreement={"backbone": "toy", "top": 2}, duplicates={"backbone": "toy", "cosine": 0.9999999})
    )
    with contextlib.suppress(GenerationError):
        make(tmp_path, 6, generator)
    assert calls["opened"] == 1
    bank = Bank(tmp_path)
    bank.plan(generator, requests(6))
    assert calls["opened"] == 1


def test_a_gate_comes_back_from_a_configuration_as_it_was() -> None:
    generator = Letters(gate=Gate(retries=2, agreement=TINY, duplicates={"hamming": 3, "cosine": 0.9}))
    assert Letters(**json.loads(json.dumps(generator.options()))) == generator


def test_other_classes_or_another_gate_are_another_bank(tmp_path: Path) -> None:
    bank, plain = Bank(tmp_path), Letters()
    judged = Letters(gate=Gate(agreement=TINY))
    few = [request for request in letters(2) if request.label != "letter x"]
    plans = [bank.plan(plain, letters(2)), bank.plan(plain, few), bank.plan(judged, letters(2)), bank.plan(judged, few)]
    assert plans[0].folder == plans[1].folder
    assert len({plan.folder for plan in plans}) == 3
    assert bank.plan(judged, letters(9)).folder == plans[2].folder
    assert plans[2].keys == plans[0].keys[:8]


def test_what_cannot_be_judged_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    by_row = [Request("image", f"a row's text {i}", i, 1.0) for i in range(4)]
    with pytest.raises(ConfigError, match="these requests belong to none"):
        bank.plan(Letters(gate=Gate(agreement=TINY)), by_row)
    with pytest.raises(ConfigError, match="top=4 rejects nothing where there are 4 classes"):
        bank.plan(Letters(gate=Gate(agreement={**TINY, "top": 4})), letters(1))
    with pytest.raises(IncompatibleError, match="Clip cannot embed 'audio'"):
        bank.plan(Sounds(gate=Gate(agreement={})), [Request("audio", n, 0, 1.0, label=n) for n in "ab"])
    for options, message in (
        ({"agreement": {"templates": ["no place"]}}, "one {} for the class name"),
        ({"agreement": {"backbone": "clop"}}, "Did you mean 'clip'"),
        ({"agreement": {"backbone": {"model": "x"}}}, "needs a 'name'"),
        ({"silent": 0.1}, "Gate has no option 'silent'. Did you mean 'silence'"),
        ({"duplicates": {"haming": 2}}, "Duplicates has no option 'haming'. Did you mean 'hamming'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            Letters(gate=options)
        with pytest.raises(ConfigError, match=re.escape(message)):
            Gate(**options)
    assert not list(tmp_path.iterdir())
