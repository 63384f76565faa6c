"""The kit passes every backbone of ours, and each check fails for a backbone that breaks just its promise."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from broken import blames, failing
from pydantic import ConfigDict
from toys import ToyBackbone

from gtimm.backbones.imagebind.backbone import ImageBind
from gtimm.backbones.imagebind.tiny import ASSET, ImageBindTiny
from gtimm.backbones.precomputed import Precomputed
from gtimm.core.plugin import Info
from gtimm.core.registry import registry
from gtimm.testing import BACKBONE_CHECKS, check_backbone, check_fingerprint_follows_weights

VECTORS = {"vector": [np.array([1, 2, 3, 4], np.float32), np.array([4, 3, 2, 0], np.float32)]}
RANDOM = np.random.default_rng(0)
MEDIA = {
    "image": [RANDOM.integers(0, 255, (28, 28, 3), np.uint8) for _ in range(3)],
    "audio": [(RANDOM.normal(size=6000).astype(np.float32) / 9, 8000) for _ in range(3)],
    "text": ["the letter a", "a photo of the letter q"],
}
counter = itertools.count()


def test_imagebind_keeps_every_promise() -> None:
    check_backbone(ImageBindTiny(), MEDIA)
    check_backbone(ImageBindTiny(kinds=("image",), renormalize=True), {"image": MEDIA["image"]})


def test_precomputed_and_the_toy_keep_every_promise_with_payloads_that_are_made_up() -> None:
    check_backbone(Precomputed(dim=7))
    check_backbone(ToyBackbone())


def test_imagebind_with_files_keeps_every_promise() -> None:
    files = {"weights": str(ASSET / "imagebind_tiny.safetensors"), "config": str(ASSET / "config.json")}
    check_backbone(registry("backbones").create({"name": "imagebind", **files, "kinds": ["text"]}), {"text": MEDIA["text"]})


def test_every_backbone_of_ours_is_tried_here() -> None:
    ours = {name for name, entry in registry("backbones").view.items() if entry.distribution == "gtimm"}
    assert ours == {"clip", "imagebind", "imagebind-tiny", "precomputed"}


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
        return batch + 1e-5 * (next(counter) % 7)


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
        return batch.clamp_(-1, 2).clone()


class Forgetful(ToyBackbone):
    def fingerprint(self) -> str:
        return f"toy-{next(counter)}"


class Unsaved(ToyBackbone):
    def options(self) -> dict[str, Any]:
        return {}


class StaysHome(ToyBackbone):
    def __reduce__(self) -> Any:
        return ToyBackbone, (), None


class TakesAll(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector",), licence="MIT")

    def check_kind(self, kind: str) -> None:
        pass


class SaysOneSpace(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector", "text"), one_space=("vector", "text"), licence="MIT")

    def size(self, kind: str, depth: str = "pooled") -> int:
        return 3 if kind == "text" else 4

    def prepare(self, kind: str, payload: Any) -> Any:
        return super().prepare(kind, payload)[: self.size(kind)]


class SaysOtherKinds(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector", "text"), one_space=("vector", "image"), licence="MIT")


class Rolls(ToyBackbone):
    def prepare(self, kind: str, payload: Any) -> Any:
        torch.rand(())
        return super().prepare(kind, payload)


class NeedsSome(ToyBackbone):
    def embed(self, payloads: Any, **options: Any) -> Any:
        return {kind: torch.stack([self.prepare(kind, item) for item in items]) for kind, items in payloads.items()}


class Elsewhere(ToyBackbone):
    def encode(self, kind: str, batch: Any, depth: str = "pooled") -> Any:
        return batch.double()


class TakesAnything(ToyBackbone):
    model_config = ConfigDict(extra="ignore")


class Unlicensed(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector",), licence="")


class Prompted(ToyBackbone):
    """A last block that adds the mean of the tokens, and a bend."""

    info: ClassVar[Info] = Info(kinds=("vector",), depths=("pooled", "last_block"), licence="MIT")

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


BROKEN = [
    (WrongSize(), "check_shape_and_dtype", "size() says"),
    (Elsewhere(), "check_shape_and_dtype", "float64, not float32"),
    (Noisy(), "check_determinism", "two runs differ"),
    (Mates(), "check_batch_invariance", "batch mates"),
    (Blind(), "check_payloads_matter", "one embedding"),
    (Unfrozen(), "check_frozen", "require a gradient"),
    (Mutating(), "check_input_is_not_mutated", "changed the batch"),
    (Forgetful(), "check_fingerprint_is_stable", "of an equal backbone differs"),
    (NeedsSome(), "check_nothing_to_embed", "RuntimeError"),
    (TakesAll(), "check_other_kinds_are_refused", "was not refused"),
    (SaysOneSpace(), "check_kinds_of_one_space_are_alike", "several lengths"),
    (SaysOtherKinds(), "check_kinds_of_one_space_are_alike", "names image"),
    (StaysHome(scale=2.0), "check_worker_processes_can_have_it", "read again"),
    (Rolls(), "check_global_randomness_is_left_alone", "global random generator"),
    (Scaled(), "check_last_block_finishes", "not the pooled embedding"),
    (Deaf(), "check_last_block_finishes", "change nothing"),
    (Detached(), "check_last_block_finishes", "not differentiable"),
    (Unfinished(), "check_last_block_finishes", "lacks finish"),
    (Branching(), "check_last_block_finishes", "data-dependent"),
    (Unsaved(scale=2.0), "check_options_round_trip", "became Unsaved"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]


@pytest.mark.parametrize(("backbone", "name", "message"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(backbone: ToyBackbone, name: str, message: str) -> None:
    blames(backbone, name, message, payloads={**VECTORS, "text": MEDIA["text"]} if "text" in backbone.info.kinds else VECTORS)


def test_every_check_has_somebody_who_breaks_it_and_honest_ones_keep_all() -> None:
    assert {check.__name__ for check in BACKBONE_CHECKS} == {name for _, name, _ in BROKEN}
    assert failing(ToyBackbone(scale=2.0), payloads=VECTORS) == failing(Prompted(), payloads=VECTORS) == {}
