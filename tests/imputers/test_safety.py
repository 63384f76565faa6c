"""What a real pipeline's own safety checker withholds: an error without a gate, another seed with one; never an item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusion_toys
import numpy as np
import pytest
import torch
from PIL import Image

from gtimm.core.bank import Bank, Plan
from gtimm.core.bank.gate import Gate
from gtimm.core.errors import GenerationError
from gtimm.core.pool import Request
from gtimm.engines.local import LocalEngine
from gtimm.imputers.stable_diffusion import StableDiffusion

REASON = "unsafe: the pipeline's own checker blacked it out"
REQUESTS = [Request("image", "a photo of cat", seed, 1.0, label="cat") for seed in range(8)]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[bool], Any]:
    """A pipeline with a StableDiffusionSafetyChecker that withholds the half of the images nearest to one concept."""
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    folder = tmp_path_factory.mktemp("checked")
    plain = diffusion_toys.stable_diffusion(folder / "plain")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with diffusion_toys.seeded():
        checker = StableDiffusionSafetyChecker(
            CLIPConfig(vision_config={**size, "image_size": 16, "patch_size": 8, "projection_dim": 8}, projection_dim=8)
        ).eval()
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    images = StableDiffusion(model=str(plain), steps=2, batch_size=4)
    made = [image for start in (0, 4) for image in images.open("cpu")(REQUESTS[start : start + 4])]
    with torch.no_grad():
        seen = pictures(made, return_tensors="pt").pixel_values
        vectors = torch.nn.functional.normalize(checker.visual_projection(checker.vision_model(seen)[1]), dim=-1)
        cosines = vectors @ vectors[0]
        checker.concept_embeds.copy_(vectors[0].expand(17, -1))
        checker.concept_embeds_weights.fill_(float(cosines.sort().values[3:5].mean()))
        checker.special_care_embeds_weights.fill_(2.0)
    pipeline = StableDiffusionPipeline.from_pretrained(plain, safety_checker=checker, feature_extractor=pictures)
    pipeline.save_pretrained(folder / "checked")
    limit = float(checker.concept_embeds_weights[0])
    return str(folder / "checked"), [round(float(value) - limit, 3) > 0 for value in cosines], made


def generator(folder: str, **options: Any) -> StableDiffusion:
    return StableDiffusion(model=folder, steps=2, batch_size=4, **options)


def fill(bank: Bank, made_by: StableDiffusion) -> Plan:
    bank.make(made_by, bank.plan(made_by, REQUESTS), LocalEngine(), "cpu", True)
    return bank.plan(made_by, REQUESTS)


def test_without_a_gate_what_is_withheld_is_a_failure_and_the_rest_is_kept(checked: Any, tmp_path: Path) -> None:
    folder, flags, images = checked
    assert 0 < sum(flags) < 8
    bank = Bank(tmp_path)
    with pytest.raises(GenerationError, match=rf"{sum(flags)} of 8 items could not be made.*{REASON}"):
        fill(bank, generator(folder))
    plan = bank.plan(generator(folder), REQUESTS)
    assert [plan.there(i) for i in range(8)] == [not flag for flag in flags]
    for index in np.flatnonzero(~np.array(flags)):
        np.testing.assert_array_equal(np.asarray(Image.open(plan.path(index))), np.asarray(images[index]))
    lines = [json.loads(line) for line in (plan.folder / "failures.jsonl").read_text().splitlines()]
    assert [(line["seed"], line["reason"]) for line in lines] == [(i, REASON) for i in range(8) if flags[i]]


def test_with_a_gate_it_gets_another_seed_and_nothing_of_it_is_kept(checked: Any, tmp_path: Path) -> None:
    folder, flags, _ = checked
    plan = fill(Bank(tmp_path), generator(folder, gate=Gate(retries=40, flat=0)))
    assert plan.missing == 0
    assert [attempt > 0 for attempt in plan.attempts] == flags
    lines = [json.loads(line) for line in (plan.folder / "rejected" / "rejected.jsonl").read_text().splitlines()]
    assert {line["reason"] for line in lines} == {REASON}
    assert len(lines) == sum(plan.attempts)
    assert not list((plan.folder / "rejected").rglob("*.png"))
    assert all(np.asarray(Image.open(plan.path(i))).any() for i in range(8))
    assert not (plan.folder / "failures.jsonl").exists()


def test_beyond_the_limit_it_is_an_error_with_a_gate_too(checked: Any, tmp_path: Path) -> None:
    folder, flags, _ = checked
    with pytest.raises(
        GenerationError,
        match=rf"{sum(flags)} of 8 items could not be made.*rejected by the gate with 1 seed; the last: {REASON}",
    ):
        fill(Bank(tmp_path), generator(folder, gate=Gate(retries=0, flat=0)))
