"""The `imagebind` plug-in: a checkpoint, its sizes, and the options that change an embedding."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from gtimm.backbones.imagebind.config import ImageBindConfig, Kind, load_config
from gtimm.backbones.overlong import CutsTexts, Overlong, overlong
from gtimm.core.download import REMOTES
from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.files import file_digest
from gtimm.core.media import Payload, load_audio, load_still, load_text, still_kind
from gtimm.core.plugin import Depth, Info

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.backbones.imagebind.model import ImageBindModel

_DTYPES = ("float32", "float16", "bfloat16")


class ImageBind(CutsTexts):
    """ImageBind's image, audio and text encoders (Girdhar et al., CVPR 2023), from a checkpoint that you bring.

    The published weights are CC BY-NC-SA 4.0. With the default options, `embed` gives the original's output: images at unit
    length, audio at length 20 or less (the mean of three clips), text at its learnt scale.

    Attributes:
        weights: a `.pth` or `.safetensors` file with the published key names.
        config: a JSON file of sizes; None is the published `imagebind_huge`.
        kinds: what to load, of `image`, `audio`, `text`; None is all that the config has.
        downmix: the channel of a sound that is used, the `first` as in the original, or the `mean` of all.
        renormalize: scale embeddings to unit length.
        feature_point: `output`, or `head` for the head's output before normalisation and scale.
        licence: of the weights where they are others than the published ones, such as `"Apache-2.0"`, or `"own"`.

    Example:
        >>> ImageBind.from_files(weights="imagebind_huge.pth", kinds=["image", "audio"]).size("image")
        1024
    """

    info: ClassVar[Info] = Info(
        kinds=("image", "audio", "text", "video"),
        one_space=("image", "audio", "text", "video"),
        depths=("pooled", "last_block"),
        weights_licence="CC-BY-NC-SA-4.0",
    )

    weights: Path | None = None
    config: Path | None = None
    kinds: tuple[Kind, ...] | None = None
    downmix: Literal["first", "mean"] = "first"
    renormalize: bool = False
    feature_point: Literal["output", "head"] = "output"
    licence: str | None = None

    @classmethod
    def from_files(cls, weights: str | Path, config: str | Path | None = None, **options: Any) -> ImageBind:
        """Takes the weights and sizes from files; `options` are the class's other options."""
        return cls(weights=Path(weights), config=None if config is None else Path(config), **options)

    @property
    def overlong(self) -> Overlong:
        """Counts the texts that this process has cut to the model's context: `overlong.count`, `overlong.longest`."""
        text = self.sizes().text
        return overlong(self.weights, self.config, context=0 if text is None else text.context_length)

    def weights_licence(self) -> str:
        """Return the published weights' licence unless the option says another."""
        return self.licence or self.info.weights_licence

    def lacks(self) -> tuple[str, ...]:
        """Return whether the checkpoint is not here; it is not read."""
        try:
            self._weights()
        except WeightsError as error:
            return (str(error),)
        return ()

    def sizes(self) -> ImageBindConfig:
        """Sizes of the model, from the config file."""
        return load_config(self.config)

    def loaded_kinds(self) -> tuple[Kind, ...]:
        """The kinds that `open` loads."""
        return self.sizes().kinds if self.kinds is None else self.kinds

    def check_kind(self, kind: str) -> None:
        """Raises IncompatibleError for a kind that is not loaded."""
        if still_kind(kind) not in self.loaded_kinds():
            raise IncompatibleError(
                f"{type(self).__name__} cannot embed {kind!r}; it embeds {', '.join(self.loaded_kinds())} with these options. "
                "Choose another backbone, or one by modality: backbone={'image': 'imagebind', ...}."
            )

    def fingerprint(self) -> str:
        """Changes with the content of the weights, the sizes, the options that matter and the preprocessing."""
        from gtimm.backbones.imagebind import preprocess

        parts = {
            "weights": file_digest(self._weights()),
            "config": self.sizes().model_dump(mode="json"),
            "options": [self.downmix, self.renormalize, self.feature_point],
            "preprocess": preprocess.VERSION,
        }
        return "imagebind-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        """Pooled: `out_embed_dim`. Last block: (2 x width + heads) floats, for audio as many times as there are clips."""
        self.check_kind(kind)
        config = self.sizes()
        if depth == "pooled":
            return config.out_embed_dim
        sizes = config.trunk(cast("Kind", still_kind(kind)))
        return getattr(sizes, "clips", 1) * (2 * sizes.embed_dim + sizes.num_heads)

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        """Image (3, side, side), a video as its middle frame, audio (clips, 1, mel bins, frames), text (context,) token ids."""
        from gtimm.backbones.imagebind import preprocess

        config = self.sizes()
        if still_kind(kind) == "image" and config.vision is not None:
            return preprocess.prepare_image(load_still(kind, payload), config.vision)
        if kind == "audio" and config.audio is not None:
            samples, rate = load_audio(payload)
            return preprocess.prepare_audio(samples, rate, config.audio, self.downmix)
        if kind == "text" and config.text is not None:
            return preprocess.prepare_text(load_text(payload), config.text, self.overlong)
        raise IncompatibleError(f"this ImageBind model embeds {', '.join(config.kinds)}; found {kind!r}")

    def open(self, device: str = "cpu", dtype: str = "float32") -> ImageBindEncoder:
        """Loads the weights of `kinds`; `dtype` is float32, float16 or bfloat16."""
        import torch

        from gtimm.backbones.imagebind.weights import load_model

        if dtype not in _DTYPES:
            raise ConfigError(f"ImageBind computes in {', '.join(_DTYPES)}; found dtype {dtype!r}")
        model = load_model(self._weights(), self.sizes(), self.loaded_kinds())
        model = model.to(device, getattr(torch, dtype))
        return ImageBindEncoder(model, self.feature_point == "output", self.renormalize, self.overlong)

    def _weights(self) -> Path:
        if self.weights is None:
            published = REMOTES["imagebind"].path
            if published.is_file():
                return published
            raise WeightsError(
                "ImageBind needs its checkpoint: weights='.../imagebind_huge.pth' (published by its authors under CC BY-NC-SA "
                "4.0, not part of this library). `gtimm check --download imagebind` fetches it. backbone='imagebind-tiny' needs none."
            )
        if not self.weights.is_file():
            raise WeightsError(f"ImageBind weights {str(self.weights)!r} do not exist.")
        return self.weights


class ImageBindEncoder:
    """A loaded model; `encode` and `finish` are deterministic, and `finish` is differentiable in the prompts."""

    def __init__(self, model: ImageBindModel, scaled: bool, renormalize: bool, overlong: Overlong) -> None:
        self.model, self._scaled, self._renormalize, self._overlong = model, scaled, renormalize, overlong
        parameter = next(model.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        """Stacked prepared items (n, ...) -> (n, out_embed_dim), or (n, size) for `last_block`."""
        import torch

        if kind == "text":
            self._overlong.warn_once()  # the texts were prepared elsewhere, perhaps in other processes
        with torch.no_grad():
            batch = batch.to(self._device)
            batch = batch.to(self._dtype) if batch.is_floating_point() else batch
            stored = self.model.summarise(cast("Kind", still_kind(kind)), batch)
            return stored if depth == "last_block" else self.finish(kind, stored, None)

    def width(self, kind: str) -> int:
        """Length of a prompt token."""
        return self.model.config.trunk(cast("Kind", still_kind(kind))).embed_dim

    def finish(self, kind: str, stored: Tensor, tokens: Tensor | None) -> Tensor:
        """The last block with prompts: (n, size) and (n, p, width) or None -> (n, out_embed_dim)."""
        import torch.nn.functional as F

        out = self.model.finish(cast("Kind", still_kind(kind)), stored, tokens, scaled=self._scaled)
        return F.normalize(out, dim=-1) if self._renormalize else out
