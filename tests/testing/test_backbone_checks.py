"""The kit passes every backbone of ours, and each check fails for a backbone that breaks just its promise."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from toys import ToyBackbone

from gtimm.backbones.imagebind.backbone import ImageBind
from gtimm.backbones.imagebind.tiny import ASSET, ImageBindTiny
from gtimm.backbones.precomputed import Precomputed
from gtimm.core.plugin import Info
from gtimm.testing import BACKBONE_CHECKS, check_backbone, check_fingerprint_follows_weights
from gtimm.testing.backbone import check_prompts

VECTORS = {"vector": [np.array([1, 2, 3, 4], np.float32), np.array([4, 3, 2, 0], np.float32)]}
RANDOM = np.random.default_rng(0)
MEDIA = {
    "image": [RANDOM.integers(0, 255, (28, 28, 3), np.uint8) for _ in range(3)],
    "audio": [(RANDOM.normal(size=6000).astype(np.float32) / 9, 8000) for _ in range(3)],
    "text": ["the letter a", "a photo of the letter q"],
}
counter = itertools.count()


@pytest.mark.parametrize("check", BACKBONE_CHECKS)
def test_imagebind_keeps_every_promise(check: Callable[..., None]) -> None:
    check(ImageBindTiny(), MEDIA)


def test_precomputed_and_the_toy_keep_every_promise() -> None:
    check_backbone(Precomputed(dim=4), VECTORS)
    check_backbone(ToyBackbone(), VECTORS)


def test_clip_keeps_every_promise(tmp_path: Path) -> None:
    from miniatures import write_clip

    from gtimm.backbones.clip import Clip

    check_backbone(Clip(model=f"local-dir:{write_clip(tmp_path / 'clip')}"), {k: MEDIA[k] for k in ("image", "text")})


def test_another_weight_is_another_fingerprint(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(str(ASSET / "imagebind_tiny.safetensors"))
    weights["modality_trunks.vision.blocks.0.mlp.fc1.bias"][0] += 1
    save_file(weights, str(tmp_path / "changed.safetensors"))
    shutil.copy(ASSET / "config.json", tmp_path)
    config = tmp_path / "config.json"
    one = ImageBind.from_files(weights=ASSET / "imagebind_tiny.safetensors", config=config)
    two = ImageBind.from_files(weights=tmp_path / "changed.safetensors", config=config)
    check_fingerprint_follows_weights(one, two)
    with pytest.raises(AssertionError, match="other weights"):
        check_fingerprint_follows_weights(one, one)


class WrongSize(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch[:, :3]


class Noisy(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch + next(counter)


class Mates(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch - batch.mean(0) + 1


class Blind(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return torch.ones_like(batch)


class Unfrozen(ToyBackbone):
    def open(self, device: str = "cpu", dtype: str = "float32") -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = torch.nn.Linear(4, 4)

        class Encoder:
            def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
                return layer(batch)

        return Encoder()


class Mutating(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch.mul_(2).clone()


class Forgetful(ToyBackbone):
    def fingerprint(self) -> str:
        return f"toy-{next(counter)}"


class Unsaved(ToyBackbone):
    def options(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (WrongSize(), "check_shape_and_dtype"),
        (Noisy(), "check_determinism"),
        (Mates(), "check_batch_invariance"),
        (Blind(), "check_payloads_matter"),
        (Unfrozen(), "check_frozen"),
        (Mutating(), "check_input_is_not_mutated"),
        (Forgetful(), "check_fingerprint_is_stable"),
        (Unsaved(scale=2.0), "check_options_round_trip"),
    ],
)
def test_a_broken_promise_is_found(broken: ToyBackbone, name: str) -> None:
    check = next(c for c in BACKBONE_CHECKS if c.__name__ == name)
    with pytest.raises(AssertionError):
        check(broken, VECTORS)


class Prompted(ToyBackbone):
    """A last block that adds the mean of the tokens, and a bend."""

    info: ClassVar[Info] = Info(kinds=("vector",), depths=("pooled", "last_block"))

    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch if depth == "last_block" else torch.tanh(batch)

    def width(self, kind: str) -> int:
        return 4

    def finish(self, kind: str, stored: Any, tokens: Any) -> Any:
        return torch.tanh(stored if tokens is None else stored + tokens.mean(1))


class Scaled(Prompted):
    def finish(self, kind: str, stored: Any, tokens: Any) -> Any:
        return 2 * super().finish(kind, stored, tokens)


class Deaf(Prompted):
    def finish(self, kind: str, stored: Any, tokens: Any) -> Any:
        return super().finish(kind, stored, None if tokens is None else 0 * tokens)


class Detached(Prompted):
    def finish(self, kind: str, stored: Any, tokens: Any) -> Any:
        return super().finish(kind, stored, tokens).detach()


class Branching(Prompted):
    def finish(self, kind: str, stored: Any, tokens: Any) -> Any:
        return super().finish(kind, stored, -tokens if tokens is not None and tokens.sum() > 99 else tokens)


class Unfinished(ToyBackbone):
    info: ClassVar[Info] = Prompted.info


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (Scaled(), "not the pooled embedding"),
        (Deaf(), "change nothing"),
        (Detached(), "not differentiable"),
        (Unfinished(), "lacks finish"),
    ],
)
def test_prompts_that_do_not_work_are_found(broken: ToyBackbone, why: str) -> None:
    check_prompts(Prompted(), VECTORS)
    with pytest.raises(AssertionError, match=why):
        check_prompts(broken, VECTORS)


def test_prompts_that_many_heads_cannot_share_are_found() -> None:
    with pytest.raises(RuntimeError, match="data-dependent"):
        check_prompts(Branching(), VECTORS)
