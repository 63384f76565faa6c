"""Media to the tensors that CLIP takes, by open_clip's own inference transform and tokenizer; no weights needed.

Raise `VERSION` with every change that moves an output: it is part of the fingerprint under which embeddings are stored.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.backbones.overlong import token_ids
from gtimm.core.errors import ConfigError, WeightsError
from gtimm.core.files import file_digest

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from gtimm.backbones.clip.source import Source
    from gtimm.backbones.overlong import Overlong

VERSION = 1
CONTEXT = 77
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
    "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
_LOCK = threading.Lock()  # a fast tokenizer must not be used by two threads at once


def prepare_image(image: Image, source: Source) -> Tensor:
    """Resize, crop and normalise an RGB image of any size to (3, height, width) float32."""
    tensor: Tensor = _transform(json.dumps(source.image, sort_keys=True))(image)
    return tensor


def prepare_text(text: str, source: Source, download: bool, overlong: Overlong) -> Tensor:
    """Encode a text to (context,) int64 token ids; what is cut is counted."""
    settings = source.config["text_cfg"]
    tokenizer = _tokenizer(json.dumps(settings, sort_keys=True), source.tokenizer, download)
    if source.tokenizer is None:
        return token_ids(tokenizer, text, overlong)
    with _LOCK:
        ids: Tensor = tokenizer([text])[0]
        full = tokenizer.tokenizer.pad_token_id not in ids.tolist()
        tokens = len(tokenizer.tokenizer(tokenizer.clean_fn(text), verbose=False).input_ids) if full else 0
    if tokens > len(ids):
        overlong.add(tokens)
    return ids


def context_length(source: Source) -> int:
    """Tokens that the model reads of a text, start and end included."""
    return int(source.config["text_cfg"].get("context_length", CONTEXT))


def tokenizer_digest(source: Source) -> str:
    """What changes with the tokenizer: its files' content, or the repository's name where they are not here."""
    if source.tokenizer is None:
        return "open_clip"
    from huggingface_hub import try_to_load_from_cache

    found = []
    for name in TOKENIZER_FILES:
        path = Path(source.tokenizer) / name
        if not path.is_file():
            cached = None if Path(source.tokenizer).is_dir() else try_to_load_from_cache(source.tokenizer, name)
            if not isinstance(cached, str):
                continue
            path = Path(cached)
        found.append(f"{name}={file_digest(path)}")
    return ",".join(found) or source.tokenizer


@lru_cache(maxsize=8)
def _transform(settings: str) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    try:
        return image_transform_v2(PreprocessCfg(**json.loads(settings)), is_train=False)
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"CLIP's image settings {settings} make no sense: {error}.") from error


@lru_cache(maxsize=8)
def _tokenizer(settings: str, name: str | None, download: bool) -> Any:
    text = json.loads(settings)
    options = text.get("tokenizer_kwargs") or {}
    length = text.get("context_length", CONTEXT)
    if options.get("reduction_mask"):
        raise ConfigError(
            f"The tokenizer drops tokens of long texts at random (reduction_mask={options['reduction_mask']!r}), so no embedding would "
            "repeat. Remove it from the model's configuration."
        )
    if name is None:
        from open_clip import SimpleTokenizer

        return SimpleTokenizer(context_length=length, **options)
    from open_clip.tokenizer import HFTokenizer

    try:
        return HFTokenizer(
            name, context_length=length, tokenizer_mode=text.get("tokenizer_mode"), local_files_only=not download, **options
        )
    except (OSError, ValueError, ImportError) as error:
        more = "" if Path(name).is_dir() else " Pass download=True to fetch it."
        raise WeightsError(f"CLIP's tokenizer {name!r} cannot be loaded: {error}{more}") from error
