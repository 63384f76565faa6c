"""Where CLIP's weights come from: never random, never downloaded in silence, and what is missing is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from clips import TEXTS, clip, pictures, relative
from miniatures import write_clip
from safetensors.torch import load_file, save_file

from gtimm.backbones.clip import Clip
from gtimm.backbones.clip.source import find_weights
from gtimm.core.errors import ConfigError, WeightsError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Clip:
    return clip(folder)


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
