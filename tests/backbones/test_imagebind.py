"""ImageBind agrees with the original implementation (golden sets), and takes what users bring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gtimm.backbones.imagebind.backbone import ImageBind, ImageBindEncoder
from gtimm.backbones.imagebind.config import HUGE, load_config
from gtimm.backbones.imagebind.model import ImageBindModel
from gtimm.backbones.imagebind.preprocess import log_mel
from gtimm.core.errors import ConfigError, IncompatibleError, MediaError, WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"
MEDIA, TEXT = GOLDEN / "imagebind", GOLDEN / "imagebind-text"
WEIGHTS, CONFIG = MEDIA / "state_dict.safetensors", MEDIA / "config.json"
BRANCHES = [("image", "vision", "images"), ("audio", "audio", "audio_files")]


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest distance of a row, relative to the norm of the expected row."""
    return float(((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max())


@pytest.fixture(scope="module")
def backbone() -> ImageBind:
    return ImageBind.from_files(weights=WEIGHTS, config=CONFIG)


@pytest.fixture(scope="module")
def texts() -> ImageBind:
    return ImageBind.from_files(weights=TEXT / "state_dict.safetensors", config=TEXT / "config.json")


@pytest.fixture(scope="module")
def encoder(backbone: ImageBind) -> ImageBindEncoder:
    return backbone.open()


def golden_files(key: str) -> list[Path]:
    return [MEDIA / name for name in json.loads(CONFIG.read_text())[key]]


@pytest.mark.parametrize(("kind", "branch", "key"), BRANCHES)
def test_inputs_and_embeddings_agree_with_the_original(backbone: ImageBind, kind: str, branch: str, key: str) -> None:
    expected = load_file(MEDIA / "expected.safetensors")
    prepared = torch.stack([backbone.preprocess(kind, path) for path in golden_files(key)])
    assert torch.allclose(prepared, expected[f"{branch}_input"], rtol=0, atol=1e-4)
    assert relative(backbone.embed({kind: golden_files(key)})[kind], expected[f"{branch}_output"]) < 1e-5


@pytest.mark.parametrize(("kind", "branch", "key"), BRANCHES)
def test_prompts_agree_with_the_original(backbone: ImageBind, kind: str, branch: str, key: str) -> None:
    expected = load_file(MEDIA / "expected_prompts.safetensors")
    encoder = backbone.open()
    prepared = torch.stack([backbone.preprocess(kind, path) for path in golden_files(key)])
    stored = encoder.encode(kind, prepared, "last_block")
    assert stored.shape == (2, backbone.size(kind, "last_block"))
    prompts = expected[f"{branch}_prompts"].clone().requires_grad_()
    output = encoder.finish(kind, stored, prompts)
    assert relative(output.detach(), expected[f"{branch}_prompt_output"]) < 1e-5
    (output * expected[f"{branch}_prompt_cotangent"]).sum().backward()
    assert prompts.grad is not None
    assert relative(prompts.grad, expected[f"{branch}_prompt_grad"]) < 1e-5


def test_text_agrees_with_the_original(texts: ImageBind) -> None:
    expected = load_file(TEXT / "expected.safetensors")
    lines = json.loads((TEXT / "config.json").read_text())["texts"]
    assert torch.equal(torch.stack([texts.preprocess("text", line) for line in lines]), expected["text_input"])
    assert relative(texts.embed({"text": lines})["text"], expected["text_output"]) < 1e-5


def test_text_prompts_are_the_whole_last_block_with_prompts_in_front(texts: ImageBind) -> None:
    encoder = texts.open()
    model = encoder.model.double()
    ids = torch.stack([texts.preprocess("text", line) for line in ("a dog", "the sound of rain on a tin roof")])
    prompts = torch.randn(2, 3, 16, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    tokenizer, trunk = model.modality_preprocessors["text"], model.modality_trunks["text"]
    tokens = torch.cat([prompts, trunk(tokenizer(ids), tokenizer.mask)], dim=1)
    causal = torch.full((80, 80), float("-inf"), dtype=torch.double).triu(1)
    read = trunk.last(tokens, causal)[torch.arange(2), 3 + ids.argmax(dim=1)]
    head = model.modality_heads["text"](read)
    found = model.finish("text", model.summarise("text", ids), prompts, scaled=False)
    assert relative(found, head) < 1e-12


def test_names_and_shapes_are_those_of_the_published_model() -> None:
    published = json.loads((GOLDEN / "imagebind_huge.json").read_text())
    with torch.device("meta"):
        model = ImageBindModel(HUGE, HUGE.kinds)
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == published["state_dict_shapes"]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 3.0])
def test_sound_of_any_rate_and_length(backbone: ImageBind, encoder: ImageBindEncoder, rate: int, seconds: float) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, max(1, int(rate * seconds)))).astype(np.float32)
    for payload in ((noise, rate), (np.zeros_like(noise), rate), (noise[0], rate)):
        prepared = backbone.preprocess("audio", payload)
        assert prepared.shape == (3, 1, 128, 204)
        assert torch.isfinite(encoder.encode("audio", prepared[None])).all()


def test_the_first_channel_or_the_mean(backbone: ImageBind) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16_000)).astype(np.float32)
    mean = ImageBind.from_files(WEIGHTS, CONFIG, downmix="mean")
    first = backbone.preprocess("audio", (noise, 16_000))
    assert torch.allclose(first, backbone.preprocess("audio", (noise[0], 16_000)), atol=1e-3)
    assert torch.allclose(
        mean.preprocess("audio", (noise, 16_000)), backbone.preprocess("audio", (noise.mean(0), 16_000)), atol=1e-5
    )
    assert not torch.allclose(first, mean.preprocess("audio", (noise, 16_000)), atol=0.1)


def test_preparing_leaves_the_payload_alone(backbone: ImageBind) -> None:
    noise = np.random.default_rng(0).uniform(0, 0.5, (1, 16_000)).astype(np.float32)
    before = noise.copy()
    backbone.preprocess("audio", (noise, 16_000))
    assert np.array_equal(noise, before)


@pytest.mark.parametrize(("rate", "bins"), [(16_000, 128), (16_000, 64), (8_000, 40)])
def test_filter_banks_agree_with_torchaudio(rate: int, bins: int) -> None:
    from torchaudio.compliance import kaldi

    wave = torch.rand(1, rate, generator=torch.Generator().manual_seed(0)) - 0.5
    reference = kaldi.fbank(
        wave, htk_compat=True, sample_frequency=rate, use_energy=False, window_type="hanning", num_mel_bins=bins,
        dither=0.0, frame_length=25, frame_shift=10,
    )  # fmt: skip
    assert torch.allclose(log_mel(wave[0], rate, bins), reference, atol=1e-5)


@pytest.mark.parametrize(("kind", "branch", "key"), BRANCHES)
def test_neighbours_in_a_batch_do_not_matter(backbone: ImageBind, kind: str, branch: str, key: str) -> None:
    items = golden_files(key)
    together = backbone.embed({kind: [*items, *items[::-1], items[0]]})[kind]
    alone = torch.cat([backbone.embed({kind: [item]})[kind] for item in items])
    assert relative(together[:2], alone) < 1e-5


def test_an_empty_list_gives_an_empty_tensor(backbone: ImageBind) -> None:
    assert backbone.embed({"image": []})["image"].shape == (0, 32)


def test_only_the_kinds_asked_for_are_loaded_and_other_branches_are_ignored(tmp_path: Path) -> None:
    state = {**load_file(WEIGHTS), "modality_trunks.depth.blocks.0.norm_1.weight": torch.zeros(3)}
    save_file(state, tmp_path / "more.safetensors")
    torch.save(state, tmp_path / "more.pth")
    reference = ImageBind.from_files(WEIGHTS, CONFIG).embed({"image": golden_files("images")})["image"]
    for name in ("more.safetensors", "more.pth"):
        backbone = ImageBind.from_files(tmp_path / name, CONFIG, kinds=["image"])
        encoder = backbone.open()
        assert not [key for key in encoder.model.state_dict() if ".audio." in key]
        assert torch.equal(backbone.embed({"image": golden_files("images")})["image"], reference)
        with pytest.raises(IncompatibleError, match="audio"):
            backbone.preprocess("audio", golden_files("audio_files")[0])


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    key = "modality_heads.vision.2.weight"
    save_file({name: value for name, value in state.items() if name != key}, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match=f"missing {key}"):
        ImageBind.from_files(tmp_path / "less.safetensors", CONFIG).open()
    save_file({**state, key: torch.zeros(32, 65)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=rf"{key} is \(32, 65\)"):
        ImageBind.from_files(tmp_path / "other.safetensors", CONFIG).open()
    with pytest.raises(WeightsError, match="missing"):
        ImageBind.from_files(WEIGHTS).open()  # the sizes of the published model
    with pytest.raises(WeightsError, match="do not exist"):
        ImageBind.from_files(tmp_path / "none.pth", CONFIG).open()
    (tmp_path / "cut.safetensors").write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot read"):
        ImageBind.from_files(tmp_path / "cut.safetensors", CONFIG).open()
    with pytest.raises(WeightsError, match=r"imagebind_huge\.pth"):
        ImageBind().open()


def test_sizes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"vision": {"embed_dim": 10, "num_blocks": 1, "num_heads": 3}, "out_embed_dim": 4}
    for content in (json.dumps(sizes), "[]", "no json"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError, match=r"config\.json"):
            load_config(tmp_path / "config.json")


def test_damaged_media_are_named(backbone: ImageBind, tmp_path: Path) -> None:
    (tmp_path / "junk.png").write_bytes(b"no image")
    with pytest.raises(MediaError, match=r"junk\.png"):
        backbone.preprocess("image", tmp_path / "junk.png")


def test_the_fingerprint_follows_weights_sizes_and_options(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    copy, changed = tmp_path / "copy.safetensors", tmp_path / "changed.safetensors"
    save_file(state, copy)
    state["modality_preprocessors.vision.cls_token"][0, 0, 0] += 1e-3
    save_file(state, changed)
    of = ImageBind.from_files(copy, CONFIG).fingerprint()
    again = tmp_path / "again.safetensors"
    again.write_bytes(copy.read_bytes())
    assert ImageBind.from_files(again, CONFIG).fingerprint() == of
    others = [
        ImageBind.from_files(changed, CONFIG),
        ImageBind.from_files(copy, CONFIG, renormalize=True),
        ImageBind.from_files(copy, CONFIG, downmix="mean"),
        ImageBind.from_files(copy, CONFIG, feature_point="head"),
        ImageBind.from_files(copy),
    ]
    assert len({of, *(other.fingerprint() for other in others)}) == len(others) + 1


def test_a_file_that_changes_in_place_changes_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"one")
    before = ImageBind.from_files(path, CONFIG).fingerprint()
    path.write_bytes(b"three")
    assert ImageBind.from_files(path, CONFIG).fingerprint() != before


def test_where_the_feature_is_taken(backbone: ImageBind) -> None:
    audio = golden_files("audio_files")
    output = backbone.embed({"audio": audio})["audio"]
    unit = ImageBind.from_files(WEIGHTS, CONFIG, renormalize=True).embed({"audio": audio})["audio"]
    head = ImageBind.from_files(WEIGHTS, CONFIG, feature_point="head").embed({"audio": audio})["audio"]
    assert torch.allclose(unit, output / output.norm(dim=1, keepdim=True), atol=1e-6)
    assert relative(head, output) > 0.1


def test_half_precision_stays_near(backbone: ImageBind) -> None:
    prepared = torch.stack([backbone.preprocess("image", path) for path in golden_files("images")])
    full = backbone.open().encode("image", prepared)
    assert relative(backbone.open(dtype="bfloat16").encode("image", prepared).float(), full) < 0.05
    with pytest.raises(ConfigError, match="int8"):
        backbone.open(dtype="int8")


def test_a_rate_that_no_device_has_needs_no_huge_kernel() -> None:
    from gtimm.backbones.imagebind.preprocess import _resampler

    odd, usual = _resampler(44_101, 16_000), _resampler(44_100, 16_000)
    assert odd.kernel.numel() < 5_000_000
    assert abs(odd.orig_freq / odd.new_freq - 44_101 / 16_000) < 1e-3
    assert (usual.orig_freq, usual.new_freq) == (441, 160)


def test_long_texts_are_counted_and_said_as_for_clip(tmp_path: Path) -> None:
    for name in ("state_dict.safetensors", "config.json"):
        shutil.copy(TEXT / name, tmp_path / name)
    backbone = ImageBind.from_files(weights=tmp_path / "state_dict.safetensors", config=tmp_path / "config.json")
    with pytest.warns(RuntimeWarning, match=r"^1 texts are too long and were cut: the model reads 77 .* longest has 78"):
        backbone.embed({"text": ["dog " * 76, "dog " * 75, "dog"]})
    assert (backbone.overlong.count, backbone.overlong.longest) == (1, 78)
    again = ImageBind.from_files(weights=tmp_path / "state_dict.safetensors", config=tmp_path / "config.json", renormalize=True)
    again.prepare("text", "dog " * 90)
    assert backbone.overlong.count == 2, "all backbones of a model count together"
