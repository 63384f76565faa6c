"""Prompts before the last block of CLIP's towers: the stored summary gives what open_clip's own blocks give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from clips import TEXTS, clip, pictures, relative, whole_last_block
from miniatures import write_clip

from gtimm.backbones.clip import prompts as module
from gtimm.core.errors import IncompatibleError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


BUILDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quick": {"quick_gelu": True},
    "custom": {"custom_text": True, "text_cfg": {"proj_bias": True}},
    "eos": {"text_cfg": {"pool_type": "eos", "eos_id": 0}},  # the first token of the padding
    "scaled": {
        "vision_cfg": {"ls_init_value": 0.5, "no_ln_pre": True, "final_ln_after_pool": True},
        "text_cfg": {"ls_init_value": 0.3},
    },
}


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("build", BUILDS)
def test_prompts_are_the_whole_last_block_with_prompts_in_front(build: str, kind: str, tmp_path: Path) -> None:
    backbone = clip(write_clip(tmp_path / build, **BUILDS[build]))
    encoder = backbone.open()
    items: list[Any] = pictures() if kind == "image" else TEXTS
    batch = torch.stack([backbone.preprocess(kind, item) for item in items])
    stored = encoder.encode(kind, batch, "last_block")
    assert stored.shape == (3, backbone.size(kind, "last_block")) == (3, 2 * 32 + 2)
    assert relative(encoder.finish(kind, stored, None), encoder.encode(kind, batch)) < 1e-5

    generator = torch.Generator().manual_seed(0)
    prompts = torch.randn(3, 4, 32, generator=generator).requires_grad_()
    cotangent = torch.randn(3, 24, generator=generator)
    expected = whole_last_block(encoder.model, kind, batch, prompts)
    (wanted,) = torch.autograd.grad((expected * cotangent).sum(), prompts)
    found = encoder.finish(kind, stored, prompts)
    (gradient,) = torch.autograd.grad((found * cotangent).sum(), prompts)
    assert relative(found.detach(), expected.detach()) < 1e-5
    assert relative(gradient, wanted) < 1e-5
    assert relative(found.detach(), encoder.finish(kind, stored, None)) > 1e-2  # prompts do something


@pytest.mark.parametrize("kind", ["image", "text"])
def test_the_stored_summary_is_exact(folder: Path, kind: str) -> None:
    backbone = clip(folder)
    model = backbone.open().model.double()
    items: list[Any] = pictures() if kind == "image" else TEXTS
    batch = torch.stack([backbone.preprocess(kind, item) for item in items])
    batch = batch.double() if kind == "image" else batch
    prompts = 5 * torch.randn(3, 2, 32, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    found = module.finish(model, kind, module.summarise(model, kind, batch), prompts)
    assert relative(found, whole_last_block(model, kind, batch, prompts)) < 1e-12


def test_renormalize_holds_after_prompts_too(folder: Path) -> None:
    encoder = clip(folder, renormalize=True).open()
    stored = encoder.encode("image", torch.stack([clip(folder).preprocess("image", p) for p in pictures()]), "last_block")
    for tokens in (None, torch.ones(3, 2, 32)):
        assert torch.allclose(encoder.finish("image", stored, tokens).norm(dim=1), torch.ones(3), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "kind", "reason"),
    [
        ({"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "head_width": 64}}, "image", "ResNet"),
        ({"vision_cfg": {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}}, "image", "pools by attention"),
        ({"vision_cfg": {"pool_type": "avg"}}, "image", "'avg'"),
        ({"vision_cfg": {"scale_heads": True}}, "image", "attention of their own"),
        ({"custom_text": True, "text_cfg": {"no_causal_mask": True, "pool_type": "last"}}, "text", "not causal"),
    ],
)  # fmt: skip
def test_other_towers_are_pooled_only_and_say_why(build: dict[str, Any], kind: str, reason: str, tmp_path: Path) -> None:
    backbone = clip(write_clip(tmp_path / "clip", **build))
    items: list[Any] = pictures() if kind == "image" else TEXTS
    if reason != "pools by attention":  # whose output open_clip leaves as tokens
        assert backbone.embed({kind: items})[kind].shape == (3, 24)
    with pytest.raises(IncompatibleError, match=reason):
        backbone.size(kind, "last_block")
    batch = torch.stack([backbone.preprocess(kind, item) for item in items])
    with pytest.raises(IncompatibleError, match=reason):
        backbone.open().encode(kind, batch, "last_block")
