"""CLIP agrees with open_clip and says what it cuts."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from clips import TEXTS, clip, pictures, relative
from miniatures import write_clip
from PIL import Image
from safetensors.torch import load_file, save_file

from gtimm.backbones.clip import Clip
from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.registry import registry

LONG = "the water is rising " * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Clip:
    return clip(folder)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[Any, Any, Any]:
    """open_clip's own model, inference transform and tokenizer."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", require_pretrained=True)
    return model.eval(), transform, open_clip.get_tokenizer(f"local-dir:{folder}")


def test_inputs_and_embeddings_are_open_clips(backbone: Clip, theirs: tuple[Any, Any, Any]) -> None:
    model, transform, tokenizer = theirs
    images = torch.stack([transform(Image.fromarray(picture)) for picture in pictures()])
    assert torch.equal(torch.stack([backbone.preprocess("image", picture) for picture in pictures()]), images)
    assert torch.equal(torch.stack([backbone.preprocess("text", text) for text in TEXTS]), tokenizer(TEXTS))
    found = backbone.embed({"image": pictures(), "text": TEXTS})
    with torch.no_grad():
        assert relative(found["image"], model.encode_image(images)) < 1e-6
        assert relative(found["text"], model.encode_text(tokenizer(TEXTS))) < 1e-6
    assert found["image"].shape == (3, backbone.size("image")) == (3, 24)


def test_the_folders_own_image_settings_are_used(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5] * 3,
        "interpolation": "bilinear",
        "resize_mode": "squash",
        "size": 99,
    }
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{copy}", require_pretrained=True)
    found = clip(copy).preprocess("image", pictures()[1])
    assert torch.equal(found, transform(Image.fromarray(pictures()[1])))
    assert not torch.allclose(found, clip(folder).preprocess("image", pictures()[1]), atol=0.1)


def test_unit_length_where_asked(folder: Path, backbone: Clip) -> None:
    plain, unit = backbone.embed({"text": TEXTS})["text"], clip(folder, renormalize=True).embed({"text": TEXTS})["text"]
    assert torch.allclose(unit, plain / plain.norm(dim=1, keepdim=True), atol=1e-6)
    assert (plain.norm(dim=1) - 1).abs().min() > 0.05


def test_neighbours_in_a_batch_do_not_matter(backbone: Clip) -> None:
    together = backbone.embed({"image": [*pictures(), *pictures()[::-1]], "text": [*TEXTS, LONG[:60]]})
    for kind, items in (("image", pictures()), ("text", TEXTS)):
        alone = torch.cat([backbone.embed({kind: [item]})[kind] for item in items])
        assert relative(together[kind][:3], alone) < 1e-5


def test_the_model_is_frozen_in_eval_mode_and_leaves_the_random_state_alone(folder: Path) -> None:
    write_clip(drop := folder.parent / "dropout", vision_cfg={"patch_dropout": 0.5})
    before = torch.get_rng_state()
    encoder = clip(drop).open()
    assert torch.equal(torch.get_rng_state(), before)
    assert not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    batch = torch.stack([clip(drop).preprocess("image", picture) for picture in pictures()])
    assert torch.equal(encoder.encode("image", batch), encoder.encode("image", batch))


def test_half_precision_stays_near(backbone: Clip) -> None:
    batch = torch.stack([backbone.preprocess("image", picture) for picture in pictures()])
    full, half = backbone.open(), backbone.open(dtype="bfloat16")
    assert relative(half.encode("image", batch).float(), full.encode("image", batch)) < 0.05
    stored = half.encode("image", batch, "last_block").float()
    tokens = torch.ones(3, 2, 32)
    wanted = full.finish("image", full.encode("image", batch, "last_block"), tokens)
    assert relative(half.finish("image", stored, tokens).float(), wanted) < 0.05
    with pytest.raises(ConfigError, match="int8"):
        backbone.open(dtype="int8")


def test_long_texts_are_cut_like_open_clips_and_counted(folder: Path, tmp_path: Path) -> None:
    backbone = clip(Path(shutil.copytree(folder, tmp_path / "copy")))
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    exact = "a " * 75
    assert int((tokenizer([exact])[0] != 0).sum()) == 77
    with pytest.warns(
        RuntimeWarning, match=r"^2 texts are too long and were cut: the model reads 77 .* first 75 .* longest has 162"
    ):
        found = backbone.embed({"text": [LONG, "short", exact, "a " * 76]})["text"]
    assert (backbone.overlong.count, backbone.overlong.longest) == (2, 162)
    assert torch.equal(backbone.preprocess("text", LONG), tokenizer([LONG])[0])
    assert backbone.overlong.count == 3
    assert torch.isfinite(found).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing was cut: nothing is said
        backbone.embed({"text": ["short", exact]})


def test_texts_cut_in_forked_workers_are_counted_and_the_encoder_warns_once(folder: Path, tmp_path: Path) -> None:
    backbone = clip(Path(shutil.copytree(folder, tmp_path / "copy")))
    encoder = backbone.open()
    assert backbone.overlong.count == 0
    for _ in range(2):
        if (child := os.fork()) == 0:
            backbone.prepare("text", LONG)
            os._exit(0)
        os.waitpid(child, 0)
    assert backbone.overlong.count == 2
    batch = torch.stack([backbone.prepare("text", LONG)])
    with pytest.warns(RuntimeWarning, match="^3 texts so far are too long"):
        encoder.encode("text", batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode("text", batch)


def test_the_fingerprint_follows_weights_settings_and_options(folder: Path, tmp_path: Path) -> None:
    of = clip(folder).fingerprint()
    assert clip(Path(shutil.copytree(folder, tmp_path / "copy"))).fingerprint() == of
    assert clip(folder, download=True).fingerprint() == of
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    state = load_file(changed / "open_clip_model.safetensors")
    state["visual.class_embedding"][0] += 1e-3
    save_file(state, changed / "open_clip_model.safetensors")
    settings = Path(shutil.copytree(folder, tmp_path / "settings"))
    config = json.loads((settings / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["interpolation"] = "bilinear"
    (settings / "open_clip_config.json").write_text(json.dumps(config))
    gelu = Path(shutil.copytree(folder, tmp_path / "gelu"))
    config = json.loads((gelu / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (gelu / "open_clip_config.json").write_text(json.dumps(config))
    others = [clip(changed), clip(settings), clip(gelu), clip(folder, renormalize=True)]
    assert len({of, *(other.fingerprint() for other in others)}) == 5


def test_neither_sizes_nor_the_fingerprint_load_the_model(backbone: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(open_clip, "create_model", never)
    assert (backbone.size("text"), backbone.size("image", "last_block")) == (24, 66)
    assert backbone.fingerprint().startswith("clip-")
    with pytest.raises(AssertionError):
        backbone.open()


def test_a_tokenizer_of_another_kind_is_the_folders_own(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    copy = write_clip(tmp_path / "words", text_cfg={"hf_tokenizer_name": "some/where", "vocab_size": 16, "context_length": 8})
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "water": 1, "rises": 2, "[UNK]": 3, "[END]": 15}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A [END]", special_tokens=[("[END]", 15)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="[END]").save_pretrained(copy)
    backbone, theirs = clip(copy), open_clip.get_tokenizer(f"local-dir:{copy}")
    for text in ("water rises", "", "water " * 7):
        assert torch.equal(backbone.preprocess("text", text), theirs([text])[0])
    assert backbone.overlong.count == 0
    with pytest.warns(RuntimeWarning, match="reads 8 tokens"):
        assert torch.equal(backbone.preprocess("text", "water " * 8), theirs(["water " * 8])[0])
    before = backbone.fingerprint()
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text().replace("rises", "falls"))
    assert backbone.fingerprint() != before
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").unlink()
    bare = clip(Path(shutil.copytree(copy, tmp_path / "bare")))
    with pytest.raises(WeightsError, match="tokenizer"):
        bare.preprocess("text", "water")


def test_a_tokenizer_that_drops_words_at_random_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at random"):
        clip(write_clip(tmp_path, text_cfg={"tokenizer_kwargs": {"reduction_mask": "random"}})).preprocess("text", "water")


def test_it_is_registered_and_travels(folder: Path) -> None:
    made = registry("backbones").create({"name": "clip", "model": f"local-dir:{folder}"})
    assert made == clip(folder)
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(IncompatibleError, match="cannot embed 'audio'"):
        made.preprocess("audio", (np.zeros(100), 8000))
