"""The `clip` plug-in: a model of open_clip's, and the options that change an embedding."""

from __future__ import annotations

import hashlib
import json
import pickle
from typing import TYPE_CHECKING, ClassVar

from gtimm.backbones.clip.preprocess import context_length
from gtimm.backbones.clip.source import LOCAL, Source, find, tag_licence
from gtimm.backbones.overlong import CutsTexts, Overlong, overlong
from gtimm.core.errors import ConfigError, GtimmError, WeightsError
from gtimm.core.files import file_digest
from gtimm.core.licences import UNKNOWN
from gtimm.core.media import Payload, load_still, load_text, still_kind
from gtimm.core.plugin import Depth, Info

if TYPE_CHECKING:
    from torch import Tensor, nn

_DTYPES = ("float32", "float16", "bfloat16")


class Clip(CutsTexts):
    """CLIP's image and text encoders by open_clip. With the default options `embed` gives open_clip's `encode_image` and `encode_text`.

    Weights are never random and never downloaded in silence. Where a tag's weights were trained with QuickGELU (OpenAI's were),
    QuickGELU is used, also under a model name such as `ViT-B-32` with which open_clip itself only warns.

    Attributes:
        model: a name of `open_clip.list_models()`, `hf-hub:<repository>`, or `local-dir:<folder>` with `open_clip_config.json` and
            `open_clip_model.safetensors`.
        pretrained: for a name: a tag of `open_clip.list_pretrained()`, or a file of weights. The other forms have their own.
        renormalize: scale embeddings to unit length.
        download: fetch weights that are not on this machine.
        licence: of weights whose licence is not known (a file, a folder, a hub's), such as `"Apache-2.0"`, or `"own"`.

    Example:
        >>> Clip(model="local-dir:clip/").options()
        {'model': 'local-dir:clip/'}
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "text", "video"),
        one_space=("image", "text", "video"),
        depths=("pooled", "last_block"),
        weights_licence="MIT",
    )

    model: str = "ViT-B-32"
    pretrained: str | None = "openai"
    renormalize: bool = False
    download: bool = False
    licence: str | None = None

    @property
    def overlong(self) -> Overlong:
        """Counts the texts that this process has cut to the model's context: `overlong.count`, `overlong.longest`."""
        return overlong(self.model, self.pretrained, context=context_length(self.source()))

    def weights_licence(self) -> str:
        """Return what the option says, else the licence of a tag of open_clip's."""
        return self.licence or (tag_licence(self.pretrained) if ":" not in self.model else UNKNOWN)

    def lacks(self) -> tuple[str, ...]:
        """Return whether the model's files are not here; they are not read."""
        try:
            self.model_copy(update={"download": False}).source()
        except GtimmError as error:
            return (str(error),)
        return ()

    def source(self) -> Source:
        """Return where the model's files are; raises `WeightsError` where they are not."""
        return find(self.model, self.pretrained, self.download)

    def fingerprint(self) -> str:
        """Changes with the content of the weights, the sizes, the preprocessing and the options that matter."""
        from gtimm.backbones.clip import preprocess

        source = self.source()
        parts = {
            "weights": file_digest(source.weights),
            "config": source.config,
            "image": source.image,
            "tokenizer": preprocess.tokenizer_digest(source),
            "options": [source.quick_gelu, self.renormalize],
            "version": preprocess.VERSION,
        }
        return "clip-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Pooled: the width of the common space. Last block: 2 x width + heads of the kind's tower."""
        self.check_kind(kind)
        config = self.source().config
        if depth == "pooled":
            return int(config["embed_dim"])
        from gtimm.backbones.clip.prompts import last_block_size

        return last_block_size(config, still_kind(kind))

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Image (3, height, width), a video as its middle frame, text (context,) token ids."""
        from gtimm.backbones.clip import preprocess

        source = self.source()
        if still_kind(kind) == "image":
            return preprocess.prepare_image(load_still(kind, payload), source)
        return preprocess.prepare_text(load_text(payload), source, self.download, self.overlong)

    def open(self, device: str = "cpu", dtype: str = "float32") -> ClipEncoder:
        """Load the weights; `dtype` is float32, float16 or bfloat16."""
        import torch

        if dtype not in _DTYPES:
            raise ConfigError(f"CLIP computes in {', '.join(_DTYPES)}; found dtype {dtype!r}.")
        source = self.source()
        return ClipEncoder(load(source).to(device, getattr(torch, dtype)), source, self.renormalize, self.overlong)


class ClipEncoder:
    """A loaded model; `encode` and `finish` are deterministic, and `finish` is differentiable in the prompts."""

    def __init__(self, model: nn.Module, source: Source, renormalize: bool, overlong: Overlong) -> None:
        self.model, self._source, self._renormalize, self._overlong = model, source, renormalize, overlong
        parameter = next(model.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """Stacked prepared items (n, ...) -> (n, embed_dim), or (n, size) for `last_block`."""
        import torch

        from gtimm.backbones.clip import prompts

        kind = still_kind(kind)
        if kind == "text":
            self._overlong.warn_once()  # the texts were prepared elsewhere, perhaps in other processes
        with torch.no_grad():
            batch = batch.to(self._device)
            batch = batch.to(self._dtype) if batch.is_floating_point() else batch
            if depth == "last_block":
                prompts.last_block_size(self._source.config, kind)
                return prompts.summarise(self.model, kind, batch)
            encode = self.model.encode_image if kind == "image" else self.model.encode_text
            return self._scaled(encode(batch))  # type: ignore[operator]

    def width(self, kind: str) -> int:
        """Length of a prompt token."""
        from gtimm.backbones.clip.prompts import tower_width

        return tower_width(self._source.config, still_kind(kind))

    def finish(self, kind: str, stored: Tensor, tokens: Tensor | None) -> Tensor:
        """The last block with prompts: (n, size) and (n, p, width) or None -> (n, embed_dim)."""
        from gtimm.backbones.clip import prompts

        kind = still_kind(kind)
        prompts.last_block_size(self._source.config, kind)
        tokens = None if tokens is None else tokens.to(self._dtype)
        return self._scaled(prompts.finish(self.model, kind, stored.to(self._dtype), tokens))

    def _scaled(self, out: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.normalize(out, dim=-1) if self._renormalize else out


def load(source: Source) -> nn.Module:
    """Return the model with its weights, frozen and in eval mode.

    Raises:
        WeightsError: the weights are damaged or do not fit the configuration.
    """
    import open_clip
    from safetensors import SafetensorError

    from gtimm.core.seeding import torch_seeded

    try:
        with torch_seeded(0, "clip"):  # its random weights, all replaced, come from torch's generator
            model: nn.Module = open_clip.create_model(
                source.name,
                pretrained=None if source.name.startswith(LOCAL) else str(source.weights),
                force_quick_gelu=source.quick_gelu,
                require_pretrained=True,
            )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError, pickle.UnpicklingError) as error:
        raise WeightsError(f"CLIP weights {source.weights} cannot be loaded: {error}") from error
    return model.requires_grad_(False).eval()
