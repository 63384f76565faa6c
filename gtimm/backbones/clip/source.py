"""Where a CLIP model's files are on this machine; nothing is downloaded unless the user asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from gtimm.core.errors import ConfigError, WeightsError, did_you_mean
from gtimm.core.licences import UNKNOWN
from gtimm.core.plain import from_json

LOCAL, HUB = "local-dir:", "hf-hub:"
CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip  # in the order in which open_clip looks for them
ON_HUB = (WEIGHTS[0], WEIGHTS[2])
PREPROCESS = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")
LICENCES = {
    "openai": "MIT",
    "laion2b_": "MIT",
    "laion400m_": "MIT",
    "laion5b_": "MIT",
    "laion_aesthetic_": "MIT",
    "datacomp_": "MIT",
    "datacompdr": "apple-amlr",
    "dfn": "apple-amlr",
    "commonpool_": "MIT",
    "webli": "Apache-2.0",
    "metaclip": "CC-BY-NC-4.0",
}
"""Beginning of a tag to the licence that its publisher states: OpenAI's repository, and the pages on the hub."""


@dataclass(frozen=True)
class Source:
    """A model whose files are here.

    Attributes:
        name: what `open_clip.create_model` takes: a built-in name, or `local-dir:` and a folder.
        config: sizes, `{"embed_dim": ..., "vision_cfg": {...}, "text_cfg": {...}}`.
        image: settings of the image transform that differ from open_clip's defaults, with the model's own input size.
        weights: the file.
        tokenizer: folder or hub repository of a Hugging Face tokenizer; `None` is the byte-pair vocabulary that open_clip brings.
        quick_gelu: whether the weights were trained with QuickGELU where the config does not say so.
    """

    name: str
    config: dict[str, Any]
    image: dict[str, Any]
    weights: Path
    tokenizer: str | None
    quick_gelu: bool = False


def find(model: str, pretrained: str | None, download: bool) -> Source:
    """Return where a model's files are.

    Args:
        model: a name that open_clip knows, `hf-hub:<repository>` or `local-dir:<folder>`.
        pretrained: for a name: a tag of open_clip's, or a file of weights.
        download: fetch what is not here.

    Raises:
        ConfigError: a model, tag or configuration that makes no sense.
        WeightsError: files that are not here.
    """
    if model.startswith(LOCAL):
        folder = Path(model.removeprefix(LOCAL)).expanduser()
        return _from_folder(folder, folder)
    if model.startswith(HUB):
        return _from_hub(model.removeprefix(HUB), download)
    return _by_name(model.replace("/", "-"), pretrained, download)


def find_weights(folder: Path) -> Path:
    """Return the weights in a folder, the file that open_clip would choose."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    others = sorted((p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pth")), key=str)
    others.sort(key=lambda p: p.suffix != ".safetensors")
    if not others:
        raise WeightsError(
            f"CLIP folder {folder} has no weights; a model with random ones is of no use. Put {WEIGHTS[0]} beside {CONFIG}."
        )
    return others[0]


def load_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; read again only when it has changed."""
    try:
        state = path.stat()
    except OSError as error:
        raise WeightsError(
            f"CLIP configuration {path} cannot be read: {error.strerror}. Give the folder that holds it."
        ) from error
    return _parse(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _parse(path: Path, _size: int, _time: int) -> dict[str, Any]:
    try:
        found = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"CLIP configuration {path} is not JSON: {error}.") from error
    model = found.get("model_cfg") if isinstance(found, dict) else None
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise ConfigError(f"CLIP configuration {path} needs model_cfg with embed_dim, vision_cfg and text_cfg.")
    return cast("dict[str, Any]", found)


def _from_folder(folder: Path, tokenizers: Path | None) -> Source:
    if not folder.is_dir():
        raise WeightsError(f"CLIP folder {folder} does not exist. It should hold {CONFIG} and {WEIGHTS[0]}.")
    found = load_json(folder / CONFIG)
    config = found["model_cfg"]
    tokenizer = config["text_cfg"].get("hf_tokenizer_name") or None
    if tokenizer is not None and tokenizers is not None:
        tokenizer = str(tokenizers)
    return Source(f"{LOCAL}{folder}", config, _image(config, found.get("preprocess_cfg") or {}), find_weights(folder), tokenizer)


def _from_hub(repository: str, download: bool) -> Source:
    weights = _file(repository, ON_HUB, download, f"CLIP model {HUB}{repository}")
    _file(repository, (CONFIG,), download, f"CLIP model {HUB}{repository}")
    source = _from_folder(weights.parent, None)
    _text_tower(source.config, download)
    return source


def _by_name(model: str, pretrained: str | None, download: bool) -> Source:
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        raise ConfigError(
            f"open_clip has no model {model!r}.{did_you_mean(model, open_clip.list_models())} Give a name of open_clip.list_models(), "
            f"'{HUB}<repository>' or '{LOCAL}<folder>'."
        )
    if not pretrained:
        raise WeightsError(f"CLIP model {model!r} without weights would be random. Give pretrained=: {_tags(model)}.")
    tag = open_clip.get_pretrained_cfg(model, pretrained)
    if tag:
        weights, overlay, gelu = _of_tag(model, pretrained, tag, config, download), tag, bool(tag.get("quick_gelu"))
    elif Path(pretrained).is_file():
        weights, overlay, gelu = Path(pretrained), {}, False
    else:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise WeightsError(
            f"{pretrained!r} is neither a file nor one of {model!r}'s weights.{did_you_mean(pretrained, tags)} Known: {_tags(model)}."
        )
    _text_tower(config, download)
    tokenizer = config["text_cfg"].get("hf_tokenizer_name") or None
    return Source(model, config, _image(config, overlay), weights, tokenizer, gelu and not config.get("quick_gelu", False))


def _image(config: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: overlay[key] for key in PREPROCESS if overlay.get(key) is not None}
    return {**kept, "size": config["vision_cfg"].get("image_size", 224)}


def _of_tag(model: str, name: str, tag: Mapping[str, Any], config: Mapping[str, Any], download: bool) -> Path:
    what = f"CLIP model {model!r} with weights {name!r}"
    terms = tag_licence(name)
    about = f"{_size(config)}, {'licence: see its page' if terms == UNKNOWN else terms}"
    if tag.get("file"):
        return Path(tag["file"])
    if hub := tag.get("hf_hub"):
        repository, _, file = hub.rpartition("/")
        names = (file.rpartition(".")[0] + ".safetensors", file) if file else ON_HUB
        return _file(repository, tuple(dict.fromkeys(names)), download, what, about)
    here = Path("~/.cache/clip").expanduser() / Path(tag["url"]).name
    if here.is_file():
        return here
    if not download:
        raise _absent(what, f"{tag['url']} ({about}) is not in {here.parent}")
    import open_clip

    try:
        return Path(open_clip.download_pretrained(dict(tag)))
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{what} cannot be downloaded from {tag['url']}: {error}") from error


def _file(repository: str, names: Sequence[str], download: bool, what: str, about: str = "licence: see its page") -> Path:
    """Return the first of a repository's files that is in the cache; else download it or raise."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    for name in names:
        if isinstance(found := try_to_load_from_cache(repository, name), str):
            return Path(found)
    if not download:
        raise _absent(
            what, f"{names[0]} of the Hugging Face repository {repository} ({about}) is not in {constants.HF_HUB_CACHE}"
        )
    trouble: Exception | None = None
    for name in names:
        try:
            return Path(hf_hub_download(repository, name))
        except (OSError, ValueError, RuntimeError) as error:
            trouble = trouble or error
    raise WeightsError(f"{what} cannot be downloaded: {names[0]} of {repository}: {trouble}") from trouble


def _absent(what: str, where: str) -> WeightsError:
    return WeightsError(
        f"{what} is not on this machine: {where}. Pass download=True to fetch it, or bring a folder with {CONFIG} and "
        f"{WEIGHTS[0]}: model='{LOCAL}<folder>'."
    )


def _text_tower(config: Mapping[str, Any], download: bool) -> None:
    """A Hugging Face text tower needs its own configuration, which transformers would fetch in silence."""
    name = config["text_cfg"].get("hf_model_name")
    if name and not Path(name).is_dir():
        _file(name, ("config.json",), download, f"The text tower {name!r}")


def _tags(model: str) -> str:
    import open_clip

    return ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "a file of weights; open_clip publishes none"


def tag_licence(tag: str | None) -> str:
    """Return the licence of a tag's weights, `"unknown"` for a file and for tags whose publisher is not known here."""
    if tag is None or not re.fullmatch(r"\w+", tag):
        return UNKNOWN
    return next((name for start, name in LICENCES.items() if tag.startswith(start)), UNKNOWN)


def _size(config: Mapping[str, Any]) -> str:
    """About how large the weights are, counted on a model without memory."""
    import open_clip
    import torch

    sizes = {key: value for key, value in config.items() if key != "custom_text"}
    if "timm_model_name" in config["vision_cfg"] or "hf_model_name" in config["text_cfg"] or "multimodal_cfg" in config:
        return "size: see its page"
    with torch.device("meta"):
        model = open_clip.CLIP(**sizes)
    return f"about {sum(p.numel() for p in model.parameters()) * 4 / 1e6:,.0f} MB in float32"
