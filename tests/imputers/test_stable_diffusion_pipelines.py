"""Pipelines of several architectures: each request gets what the pipeline itself would make for it alone, bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusion_toys
import numpy as np
import pytest
import torch

from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Failure
from gtimm.core.pool import Request
from gtimm.imputers import diffusion_batches
from gtimm.imputers.diffusion_batches import Batches, Scales
from gtimm.imputers.diffusion_loading import load_text_to_image
from gtimm.imputers.stable_diffusion import StableDiffusion

KINDS = ("epsilon", "v_prediction", "xl")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("pipelines")
    made = {kind: diffusion_toys.stable_diffusion(base / kind, kind) for kind in KINDS[:2]}
    made["xl"] = diffusion_toys.stable_diffusion_xl(base / "xl")
    return {kind: str(folder) for kind, folder in made.items()}


def wanted(*guidances: float, seed: int = 0) -> list[Request]:
    prompts = ("a photo of cat", "a red dog", "a photo of cat", "dog")
    return [Request("image", prompts[i % 4], seed + i, g) for i, g in enumerate(guidances)]


def pixels(images: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def direct(folder: str, requests: list[Request], guidance: float, negative: str | None = None, **options: Any) -> np.ndarray:
    """What diffusers makes of the prompts: as text, or for XL each encoded alone, since there a batch of prompts rounds otherwise."""
    pipeline = load_text_to_image(folder, None, None, "float32", "cpu")
    generators = [torch.Generator().manual_seed(r.seed) for r in requests]
    prompts = [r.prompt for r in requests]
    with torch.inference_mode():
        if folder.endswith("xl"):
            encoded = [pipeline.encode_prompt(prompt, negative_prompt=negative) for prompt in prompts]
            names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
            options |= {name: torch.cat(values) for name, values in zip(names, zip(*encoded, strict=True), strict=True)}
        else:
            options |= {"prompt": prompts, "negative_prompt": negative and [negative] * len(prompts)}
        made = pipeline(**options, generator=generators, guidance_scale=guidance, num_inference_steps=3)
    return pixels(made.images)


@pytest.mark.parametrize("guidance", [0.0, 7.5])
@pytest.mark.parametrize("kind", KINDS)
def test_images_are_those_of_the_pipeline_itself(folders: dict[str, str], kind: str, guidance: float) -> None:
    requests = wanted(*[guidance] * 4)
    made = pixels(StableDiffusion(model=folders[kind], steps=3, batch_size=4).open("cpu")(requests))
    assert made.shape == (4, 16, 16, 3)
    assert (made[0] != made[1]).any()
    np.testing.assert_array_equal(made, direct(folders[kind], requests, guidance))


@pytest.mark.parametrize("kind", ["epsilon", "xl"])
def test_a_negative_prompt_and_other_options_of_the_call_arrive(folders: dict[str, str], kind: str) -> None:
    requests = wanted(*[5.0] * 4)
    options = {"negative_prompt": "no blur", "pipeline_options": {"guidance_rescale": 0.7}, "size": (8, 16)}
    made = pixels(StableDiffusion(model=folders[kind], steps=3, **options).open("cpu")(requests))
    again = direct(folders[kind], requests, 5.0, negative="no blur", guidance_rescale=0.7, height=8, width=16)
    np.testing.assert_array_equal(made, again)
    plain = pixels(StableDiffusion(model=folders[kind], steps=3, size=(8, 16)).open("cpu")(requests))
    assert (made != plain).any()


def test_the_kind_of_prediction_is_read_and_kept_by_another_scheduler(folders: dict[str, str]) -> None:
    one, two = (
        pixels(StableDiffusion(model=folders[kind], steps=3).open("cpu")(wanted(1.0, 1.0)))
        for kind in ("epsilon", "v_prediction")
    )
    assert (one != two).any()
    pipeline = load_text_to_image(folders["v_prediction"], None, "EulerDiscreteScheduler", "float32", "cpu")
    assert type(pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["epsilon", "xl"])
def test_each_request_of_a_batch_has_its_own_guidance(folders: dict[str, str], kind: str, dtype: str) -> None:
    make = StableDiffusion(model=folders[kind], steps=3, batch_size=4, dtype=dtype).open("cpu")
    mixed = pixels(make(wanted(1.0, 7.3, 2.5, 0.0)))
    for place, guidance in enumerate((1.0, 7.3, 2.5, 0.0)):
        alike = pixels(make(wanted(*[guidance] * 4)))
        np.testing.assert_array_equal(mixed[place], alike[place])
    assert (mixed[2] != pixels(make(wanted(*[7.3] * 4)))[2]).any()


def test_mixed_guidance_costs_two_passes_at_most(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    run = Batches._run
    monkeypatch.setattr(Batches, "_run", lambda self, *rest: passes.append(rest[1]) or run(self, *rest))
    make = StableDiffusion(model=folders["epsilon"], steps=1, batch_size=4).open("cpu")
    make(wanted(1.5, 2.5, 3.5, 4.5))
    assert len(passes) == 1
    make(wanted(1.5, 2.5, 1.0, 0.5))
    assert len(passes) == 3


def test_scales_multiply_as_a_number_does() -> None:
    values = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        x = values.to(dtype)
        found = Scales([7.3, 0.2, 1.1]) * x
        assert found.dtype == dtype
        for i, scale in enumerate((7.3, 1.0, 1.1)):
            assert torch.equal(found[i], scale * x[i])


@pytest.mark.parametrize("kind", ["epsilon", "xl"])
def test_every_prompt_is_encoded_once(folders: dict[str, str], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = load_text_to_image(folders[kind], None, None, "float32", "cpu")
    seen: list[str] = []
    encode = pipeline.encode_prompt

    def counting(prompt: str | None = None, *args: Any, **options: Any) -> Any:
        if prompt is not None:
            seen.append(prompt)
        return encode(prompt, *args, **options)

    monkeypatch.setattr(pipeline, "encode_prompt", counting)
    batches = Batches(pipeline, "cpu", {"num_inference_steps": 1}, None, None, 0.5)
    first = pixels(batches(wanted(2.0, 2.0, 2.0, 2.0)))
    batches(wanted(1.0, 2.0, 3.0, 4.0))
    assert sorted(seen) == ["a photo of cat", "a red dog", "dog"]
    monkeypatch.setattr(diffusion_batches, "REMEMBERED", 1)
    batches([Request("image", prompt, 0, 2.0) for prompt in ("red", "no cat")])
    assert set(batches._encoded) == {"red", "no cat"}
    np.testing.assert_array_equal(pixels(batches(wanted(2.0, 2.0, 2.0, 2.0))), first)


def test_another_architecture_is_given_its_prompts_as_text() -> None:
    calls = []

    class OtherPipeline:
        def __call__(self, prompt: list[str], guidance_scale: float, **options: Any) -> Any:
            calls.append((tuple(prompt), guidance_scale, sorted(options)))
            return SimpleNamespace(images=[f"{text} {guidance_scale}" for text in prompt])

    batches = Batches(OtherPipeline(), "cpu", {"num_inference_steps": 4}, (8, 8), None, 0.5)
    assert batches(wanted(3.5, 0.0, 3.5)) == ["a photo of cat 3.5", "a red dog 0.0", "a photo of cat 3.5"]
    assert [scale for _, scale, _ in calls] == [0.0, 3.5]
    assert calls[0][2] == ["generator", "height", "num_inference_steps", "output_type", "width"]


def test_what_the_pipeline_calls_unsafe_is_a_failure(folders: dict[str, str]) -> None:
    pipeline = load_text_to_image(folders["epsilon"], None, None, "float32", "cpu")

    def checker(image: Any, device: Any, dtype: Any) -> Any:
        return image, [False, True]

    pipeline.run_safety_checker = checker
    found = Batches(pipeline, "cpu", {"num_inference_steps": 1}, None, None, 0.5)(wanted(1.0, 1.0))
    assert not isinstance(found[0], Failure)
    assert isinstance(found[1], Failure)
    assert found[1].reason.startswith("unsafe")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance_scale": 3}, r"'guidance_scale' is set by the option guidance"),
        ({"generator": 3}, r"'generator' is set by the option seed"),
        ({"cross_attention_kwargs": {"a": object()}}, "plain JSON"),
    ],
)
def test_options_of_the_call_that_are_ours_or_no_json_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StableDiffusion(pipeline_options=options)


def test_an_option_that_the_call_does_not_take_is_refused_before_anything_is_made(folders: dict[str, str]) -> None:
    wrong = StableDiffusion(model=folders["epsilon"], pipeline_options={"guidance_rescales": 0.7})
    with pytest.raises(ConfigError, match=r"takes no 'guidance_rescales'\. Did you mean 'guidance_rescale'"):
        wrong.open("cpu")


def test_options_of_the_call_are_part_of_the_fingerprint_and_absent_ones_change_nothing() -> None:
    base = StableDiffusion(model="a/b")
    assert "pipeline_options" not in base.fingerprint()
    assert base.model_copy(update={"pipeline_options": {"clip_skip": 1}}).fingerprint() != base.fingerprint()
    assert base.model_copy(update={"strength": 0.2}).fingerprint() == base.fingerprint()
    real = base.model_copy(update={"init": "real"})
    assert real.model_copy(update={"strength": 0.2}).fingerprint() != real.fingerprint()


def test_a_text_encoder_leaves_the_device_when_its_prompts_are_encoded(folders: dict[str, str]) -> None:
    pipeline = load_text_to_image(folders["epsilon"], None, None, "float32", "cpu")
    moves: list[str] = []
    encoder = pipeline.text_encoder
    encoder.to = lambda device: moves.append(device) or encoder
    batches = Batches(pipeline, "meta", {}, None, None, 0.5)
    batches._device = "gpu"
    pipeline.encode_prompt = lambda prompt, **_: (torch.zeros(1, 77, 16), torch.zeros(1, 77, 16))
    batches._encode({"a cat"})
    batches._encode({"a cat"})
    assert moves == ["gpu", "cpu"]


@pytest.mark.parametrize("init", [None, "real"])
def test_parts_that_come_only_when_they_are_at_work_make_the_same_images(folders: dict[str, str], init: Any) -> None:
    source = np.full((16, 16, 3), 90, np.uint8)
    requests = [replace(r, init="k", source=source) if init else r for r in wanted(1.0, 3.0)]
    imputer = StableDiffusion(model=folders["epsilon"], steps=2, batch_size=2, init=init)
    offloaded = imputer.model_copy(update={"offload": True})
    assert offloaded.fingerprint() == imputer.fingerprint()
    for _ in range(2):
        np.testing.assert_array_equal(pixels(offloaded.open("cpu")(requests)), pixels(imputer.open("cpu")(requests)))


def test_tokenizers_without_files_are_refused_in_every_architecture(folders: dict[str, str], tmp_path: Path) -> None:
    from gtimm.core.errors import WeightsError

    copy = Path(shutil.copytree(folders["xl"], tmp_path / "xl"))
    for file in (copy / "tokenizer_2").glob("*"):
        if file.name in ("tokenizer.json", "vocab.json"):
            file.unlink()
    with pytest.raises(WeightsError, match=r"tokenizer_2 has no tokenizer\.json"):
        StableDiffusion(model=str(copy)).open("cpu")
