"""CLIP agrees with open_clip, says what it cuts, and never takes random or downloaded weights in silence."""

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
from miniatures import write_clip
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from gtimm.backbones.clip import Clip
from gtimm.backbones.clip.source import find_weights
from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.registry import registry

TEXTS = ["a flooded street", "", "Rescue teams bring 200 people to safety #storm &amp; “thanks”"]
LONG = "the water is rising " * 40


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest distance of a row, relative to the norm of the expected row."""
    return float(((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max())


def pictures(count: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + 11 * i, 70 - 9 * i, 3)).astype(np.uint8) for i in range(count)]


def clip(folder: Path, **options: Any) -> Clip:
    return Clip(model=f"local-dir:{folder}", **options)


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


def whole_last_block(model: Any, kind: str, batch: Tensor, prompts: Tensor) -> Tensor:
    """The reference: open_clip's own blocks over all tokens, with prompts put before the last one."""
    count = prompts.shape[1]
    if kind == "image":
        visual = model.visual
        x = visual.conv1(batch).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(len(batch), 1, -1), x], dim=1) + visual.positional_embedding
        *blocks, last = visual.transformer.resblocks
        x = visual.ln_pre(x)
        for block in blocks:
            x = block(x)
        return visual.ln_post(last(torch.cat([prompts, x], dim=1))[:, count]) @ visual.proj
    tower = getattr(model, "text", model)
    x = tower.token_embedding(batch) + tower.positional_embedding
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = block(x, attn_mask=torch.full((77, 77), float("-inf"), dtype=x.dtype).triu(1))
    mask = torch.full((77 + count, 77 + count), float("-inf"), dtype=x.dtype).triu(1)
    end = batch.eq(0 if getattr(model, "text_pool_type", "") == "eos" else 49407).int().argmax(1)
    x = last(torch.cat([prompts, x], dim=1), attn_mask=mask)[torch.arange(len(batch)), count + end]
    x = tower.ln_final(x)
    return tower.text_projection(x) if isinstance(tower.text_projection, torch.nn.Module) else x @ tower.text_projection


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
    from gtimm.backbones.clip import prompts as module

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


def test_random_weights_are_never_used(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(folder / "open_clip_config.json", empty)
    with pytest.raises(WeightsError, match="has no weights"):
        clip(empty).fingerprint()
    with pytest.raises(WeightsError, match="has no weights"):
        clip(empty).open()
    with pytest.raises(WeightsError, match="would be random"):
        Clip(pretrained=None).open()
    with pytest.raises(WeightsError, match=r"'laion9b' is neither a file nor .* Known: openai, "):
        Clip(pretrained="laion9b").open()
    with pytest.raises(ConfigError, match="Did you mean 'ViT-B-32'"):
        Clip(model="ViT-B32").open()


def test_files_that_do_not_fit_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere does not exist\. It should hold open_clip_config\.json"):
        clip(tmp_path / "nowhere").size("image")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    whole = (copy / "open_clip_model.safetensors").read_bytes()
    (copy / "open_clip_model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors cannot be loaded"):
        clip(copy).open()
    state = load_file(folder / "open_clip_model.safetensors")
    save_file({k: v for k, v in state.items() if k != "visual.proj"}, copy / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match=r"visual\.proj"):
        clip(copy).open()
    for content in ("{", "[]", '{"model_cfg": {"embed_dim": 3}}'):
        (copy / "open_clip_config.json").write_text(content)
        with pytest.raises(ConfigError, match=r"open_clip_config\.json"):
            clip(copy).size("image")


def test_the_file_that_is_hashed_is_the_one_that_open_clip_loads(tmp_path: Path) -> None:
    from open_clip.factory import _find_checkpoint_in_dir

    for name in ("z.bin", "a.pth", "b.safetensors", "model.pth", "pytorch_model.bin", "open_clip_pytorch_model.bin",
                 "open_clip_model.safetensors"):  # fmt: skip
        (tmp_path / name).touch()
        assert str(find_weights(tmp_path)) == _find_checkpoint_in_dir(tmp_path)


def hub(cache: Path, repository: str, files: Path) -> None:
    """Put files into a Hugging Face cache, as a download would."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(files, folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no network."""
    import huggingface_hub

    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    return tmp_path / "hub"


def test_weights_that_are_not_here_are_named_with_source_size_and_licence(cache: Path) -> None:
    wanted = (
        r"'openai' is not on this machine: open_clip_model\.safetensors of the Hugging Face repository "
        rf"timm/vit_base_patch32_clip_224\.openai \(about 605 MB in float32, MIT\) is not in {cache}\. Pass download=True"
    )
    for use in (Clip().fingerprint, Clip().open, lambda: Clip().size("image")):
        with pytest.raises(WeightsError, match=wanted):
            use()
    with pytest.raises(WeightsError, match=r"cannot be downloaded: .*timm/vit_base_patch32_clip_224\.openai: no network"):
        Clip(download=True).open()
    with pytest.raises(WeightsError, match=r"hf-hub:some/one is not on this machine.*page"):
        Clip(model="hf-hub:some/one").fingerprint()


def test_a_cached_repository_is_used_without_a_network(cache: Path, folder: Path, backbone: Clip) -> None:
    hub(cache, "some/one", folder)
    found = Clip(model="hf-hub:some/one")
    assert found.fingerprint() == backbone.fingerprint()
    assert torch.equal(found.embed({"text": TEXTS})["text"], backbone.embed({"text": TEXTS})["text"])


def test_a_cached_tag_is_used_with_the_activation_it_was_trained_with(
    cache: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_clip.pretrained import _PRETRAINED, _pcfg

    (tmp_path / "tiny-test.json").write_text(json.dumps(json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]))
    open_clip.add_model_config(tmp_path / "tiny-test.json")
    tags = {"plain": _pcfg(hf_hub="some/one/"), "quick": _pcfg(hf_hub="some/one/open_clip_model.bin", quick_gelu=True)}
    monkeypatch.setitem(_PRETRAINED, "tiny-test", tags)
    hub(cache, "some/one", folder)
    plain, quick = Clip(model="tiny-test", pretrained="plain"), Clip(model="tiny-test", pretrained="quick")
    by_file = Clip(model="tiny-test", pretrained=str(folder / "open_clip_model.safetensors"))
    out = plain.embed({"image": pictures()})["image"]
    assert torch.equal(by_file.embed({"image": pictures()})["image"], out)
    assert torch.equal(clip(folder).embed({"image": pictures()})["image"], out)
    gelu = write_clip(tmp_path / "gelu", quick_gelu=True)
    assert relative(quick.embed({"image": pictures()})["image"], clip(gelu).embed({"image": pictures()})["image"]) < 1e-6
    assert plain.fingerprint() != quick.fingerprint()


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
