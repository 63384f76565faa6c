"""The ImageBind network: three branches that read an item and give its embedding.

`state_dict` has the key names of the published checkpoint, which names the parts of all branches side by side:
`modality_preprocessors.vision...`, `modality_trunks.vision...`, `modality_heads.vision...`,
`modality_postprocessors.audio...`. Layer norms use eps 1e-6 (except the audio stem's).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtimm.backbones import prompts
from gtimm.backbones.imagebind.config import BRANCH_OF, AudioConfig, ImageBindConfig, Kind, TextConfig, VisionConfig
from gtimm.backbones.imagebind.layers import LAYER_NORM_EPS, Trunk

AUDIO_SCALE = 20.0
TEXT_SCALE = 1 / 0.07
MAX_TEXT_SCALE = 100.0


class _Positions(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))


class _Stem(nn.Module):
    """The patch projection; its name in the checkpoint, `rgbt_stem`, is the same for audio."""

    def __init__(self, proj: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.proj = proj
        if norm is not None:
            self.norm_layer = norm


class VisionTokens(nn.Module):
    """Image (n, 3, size, size) -> class token and patches (n, t, width)."""

    def __init__(self, sizes: VisionConfig) -> None:
        super().__init__()
        patch = sizes.patch_size
        conv = nn.Conv3d(3, sizes.embed_dim, (2, patch, patch), (2, patch, patch), bias=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.embed_dim))
        self.rgbt_stem = _Stem(nn.Sequential(nn.Identity(), conv), None)
        self.pos_embedding_helper = _Positions(sizes.tokens, sizes.embed_dim)
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, t, width)."""
        weight = self.get_parameter("rgbt_stem.proj.1.weight")
        # The original repeats the image for the kernel's two temporal taps: the same as one image through their sum.
        patches = F.conv2d(x, weight.sum(dim=2), stride=self.patch).flatten(2).transpose(1, 2)
        return _with_class_token(patches, self.cls_token) + self.pos_embedding_helper.pos_embed


class AudioTokens(nn.Module):
    """Spectrogram (n, 1, mel bins, frames) -> class token and patches (n, t, width)."""

    def __init__(self, sizes: AudioConfig) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.embed_dim))
        conv = nn.Conv2d(1, sizes.embed_dim, sizes.kernel_size, sizes.stride, bias=False)
        self.rgbt_stem = _Stem(conv, nn.LayerNorm(sizes.embed_dim))
        self.pos_embedding_helper = _Positions(sizes.tokens, sizes.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, mel bins, frames) -> (n, t, width)."""
        patches = self.rgbt_stem.norm_layer(self.rgbt_stem.proj(x).flatten(2).transpose(1, 2))
        return _with_class_token(patches, self.cls_token) + self.pos_embedding_helper.pos_embed


class TextTokens(nn.Module):
    """Token ids (n, context) -> token embeddings (n, context, width)."""

    mask: Tensor

    def __init__(self, sizes: TextConfig) -> None:
        super().__init__()
        length = sizes.context_length
        self.token_embedding = nn.Embedding(sizes.vocab_size, sizes.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, length, sizes.embed_dim))
        self.register_buffer("mask", torch.full((length, length), float("-inf")).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, t) -> (n, t, width), t at most the context."""
        out: Tensor = self.token_embedding(x) + self.pos_embed[:, : x.shape[1]]
        return out


class _TextHead(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(width, eps=LAYER_NORM_EPS), nn.Linear(width, out, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out


class _Scale(nn.Module):
    """The factor after normalisation: fixed for audio (a buffer), learnt and bounded for text."""

    log_logit_scale: Tensor

    def __init__(self, initial: float, learnable: bool) -> None:
        super().__init__()
        value = torch.tensor(math.log(initial))
        if learnable:
            self.log_logit_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_logit_scale", value)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.log_logit_scale.exp().clamp(max=MAX_TEXT_SCALE)


class ImageBindModel(nn.Module):
    """The branches for `kinds`, with random weights; build it on the meta device to load a checkpoint.

    >>> with torch.device("meta"):
    ...     model = ImageBindModel(ImageBindConfig(vision=VisionConfig(embed_dim=8, num_blocks=1, num_heads=2),
    ...                                            out_embed_dim=4), ["image"])
    >>> tuple(model.state_dict()["modality_heads.vision.2.weight"].shape)
    (4, 8)
    """

    def __init__(self, config: ImageBindConfig, kinds: Sequence[Kind]) -> None:
        super().__init__()
        self.config = config
        preprocessors, trunks, heads, scales = (nn.ModuleDict() for _ in range(4))
        for kind in kinds:
            sizes, branch = config.trunk(kind), BRANCH_OF[kind]
            width = sizes.embed_dim
            trunks[branch] = Trunk(width, sizes.num_blocks, sizes.num_heads, bias_kv=kind == "audio", pre_norm=kind == "image")
            scales[branch] = nn.Identity()
            if isinstance(sizes, TextConfig):
                preprocessors[branch] = TextTokens(sizes)
                heads[branch] = _TextHead(width, config.out_embed_dim)
                scales[branch] = nn.Sequential(nn.Identity(), _Scale(TEXT_SCALE, learnable=True))
                continue
            norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
            heads[branch] = nn.Sequential(norm, nn.Identity(), nn.Linear(width, config.out_embed_dim, bias=False))
            if isinstance(sizes, AudioConfig):
                preprocessors[branch] = AudioTokens(sizes)
                scales[branch] = nn.Sequential(nn.Identity(), _Scale(AUDIO_SCALE, learnable=False))
            else:
                preprocessors[branch] = VisionTokens(sizes)
        self.modality_preprocessors, self.modality_trunks = preprocessors, trunks
        self.modality_heads, self.modality_postprocessors = heads, scales

    def summarise(self, kind: Kind, batch: Tensor) -> Tensor:
        """Prepared items (n, ...) -> what the last block needs of them, (n, size); see `prompts`.

        Audio is (n, clips, 1, mel bins, frames) and keeps one summary per clip, one after the other.
        """
        branch = BRANCH_OF[kind]
        trunk = self._trunk(kind)
        if kind == "text":
            mask = self.get_buffer(f"modality_preprocessors.{branch}.mask")
            end = batch.argmax(dim=1)  # the end token has the largest id
            batch = batch[:, : int(end.max()) + 1]  # attention is causal: nothing behind the end is ever read
            mask = mask[: batch.shape[1], : batch.shape[1]]
            tokens = trunk(self.modality_preprocessors[branch](batch), mask)
            return prompts.collapse(trunk.last, tokens, end, mask.eq(0)[end])
        items = len(batch)
        tokens = trunk(self.modality_preprocessors[branch](batch.flatten(0, 1) if kind == "audio" else batch))
        first = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        return prompts.collapse(trunk.last, tokens, first, None).reshape(items, -1)

    def finish(self, kind: Kind, stored: Tensor, tokens: Tensor | None, *, scaled: bool = True) -> Tensor:
        """Summaries (n, size) and prompts (n, p, width) or None -> embeddings (n, out_embed_dim).

        All clips of an item meet the same prompts, and their embeddings are averaged. `scaled=False` stops before
        normalisation and scale, at the head's output.
        """
        branch = BRANCH_OF[kind]
        sizes = self.config.trunk(kind)
        by_clip = stored.reshape(-1, prompts.stored_size(sizes.embed_dim, sizes.num_heads))
        clips = len(by_clip) // max(len(stored), 1)
        if tokens is not None:
            tokens = tokens.repeat_interleave(clips, dim=0)
        out: Tensor = self.modality_heads[branch](prompts.expand(self._trunk(kind).last, by_clip, tokens))
        if scaled:
            out = self.modality_postprocessors[branch](F.normalize(out, dim=-1))
        return out.reshape(len(stored), -1, out.shape[-1]).mean(dim=1)

    def forward(self, kind: Kind, batch: Tensor) -> Tensor:
        """Prepared items (n, ...) -> embeddings (n, out_embed_dim)."""
        return self.finish(kind, self.summarise(kind, batch), None)

    def _trunk(self, kind: Kind) -> Trunk:
        trunk = self.modality_trunks[BRANCH_OF[kind]]
        assert isinstance(trunk, Trunk)
        return trunk


def _with_class_token(patches: Tensor, cls_token: Tensor) -> Tensor:
    return torch.cat([cls_token.expand(len(patches), -1, -1), patches], dim=1)
