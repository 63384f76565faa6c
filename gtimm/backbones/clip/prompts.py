"""The last block for one token, with or without prompts, for the towers of open_clip.

The mathematics is in `gtimm.backbones.prompts`: `[token, attention output, log-sum-exp per head]` stands for
all tokens of an item, exactly. Here are open_clip's blocks in the form that it takes. Prompts stand before the tokens of the last
block: before the class token of an image, at the beginning of a text, where the causal mask hides none of them from the end token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gtimm.backbones.prompts import collapse, expand, stored_size
from gtimm.core.errors import IncompatibleError

CUSTOM = ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")


def last_block_size(config: Mapping[str, Any], kind: str) -> int:
    """Floats of one item's last-block features, from a model's configuration.

    Raises:
        IncompatibleError: the tower is of another build than the standard transformer.
    """
    tower = config["vision_cfg" if kind == "image" else "text_cfg"]
    if reason := _obstacle(config, tower, kind):
        raise IncompatibleError(
            f"This CLIP model gives no 'last_block' features of kind {kind!r}: {reason}. Use a fusion of pooled embeddings, such as "
            "'late', or a model with a standard transformer, such as ViT-B-32."
        )
    width = tower_width(config, kind)
    heads = width // int(tower.get("head_width", 64)) if kind == "image" else int(tower.get("heads", 8))
    return stored_size(width, heads)


def tower_width(config: Mapping[str, Any], kind: str) -> int:
    """Width of a kind's tower, from a model's configuration; left out, it is open_clip's default."""
    return int(config["vision_cfg"].get("width", 768) if kind == "image" else config["text_cfg"].get("width", 512))


def _obstacle(config: Mapping[str, Any], tower: Mapping[str, Any], kind: str) -> str | None:
    if name := tower.get("timm_model_name") or tower.get("hf_model_name"):
        return f"its tower is {name}"
    if isinstance(tower.get("layers"), (list, tuple)):
        return "its tower is a ResNet"
    if tower.get("attentional_pool"):
        return "it pools by attention"
    if tower.get("embed_cls") or "multimodal_cfg" in config:
        return "it is a captioning model (CoCa)"
    if tower.get("no_causal_mask"):
        return "its text is not causal"
    pools = ("tok",) if kind == "image" else ("argmax", "eos")
    if (pool := tower.get("pool_type", pools[0])) not in pools:
        return f"it pools by {pool!r}, not by {' or '.join(pools)}"
    if tower.get("block_type", "default") not in (None, "default") or any(tower.get(name) for name in CUSTOM):
        return "its blocks have an attention of their own"
    return None


class LastBlock:
    """An open_clip `ResidualAttentionBlock`, part by part."""

    def __init__(self, block: Any) -> None:
        self.block, self.attn, self.norm_1 = block, self, block.ln_1
        self.heads = int(block.attn.num_heads)

    def query(self, x: Tensor) -> Tensor:
        """(n, t, width) -> (n, heads, t, width / heads)."""
        width, attention = x.shape[-1], self.block.attn
        return self._split(F.linear(x, attention.in_proj_weight[:width], attention.in_proj_bias[:width]))

    def key_value(self, x: Tensor, with_bias: bool = True) -> tuple[Tensor, Tensor]:
        """(n, t, width) -> keys and values, each (n, heads, t, width / heads); CLIP has no learnt key to leave out."""
        width, attention = x.shape[-1], self.block.attn
        key, value = F.linear(x, attention.in_proj_weight[width:], attention.in_proj_bias[width:]).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def merge(self, attended: Tensor) -> Tensor:
        """(n, heads, t, width / heads) -> (n, t, width), through the output projection."""
        out: Tensor = self.block.attn.out_proj(attended.transpose(1, 2).flatten(2))
        return out

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual, then the MLP, each with its layer scale."""
        x = x + self.block.ls_1(attended)
        out: Tensor = x + self.block.ls_2(self.block.mlp(self.block.ln_2(x)))
        return out

    def _split(self, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        return x.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2)


def summarise(model: nn.Module, kind: str, batch: Tensor) -> Tensor:
    """Prepared items (n, ...) -> (n, 2 x width + heads), which stands for the tokens that enter the last block."""
    block = _transformer(model, kind).resblocks[-1]
    entering: list[tuple[Tensor, Tensor | None]] = []

    def see(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        entering.append((arguments[0], named.get("attn_mask")))

    handle = block.register_forward_pre_hook(see, with_kwargs=True)
    try:
        cast("Any", model).encode_image(batch) if kind == "image" else cast("Any", model).encode_text(batch)
    finally:
        handle.remove()
    tokens, mask = entering[0]
    read = torch.zeros(len(batch), dtype=torch.long, device=batch.device) if kind == "image" else _end(model, batch)
    return collapse(LastBlock(block), tokens, read, None if mask is None else mask.eq(0)[read])


def finish(model: nn.Module, kind: str, stored: Tensor, tokens: Tensor | None) -> Tensor:
    """Summaries (n, size) and prompts (n, p, width) or None -> embeddings (n, embed_dim)."""
    x = expand(LastBlock(_transformer(model, kind).resblocks[-1]), stored, tokens)
    tower = _tower(model, kind)
    out: Tensor = tower.ln_post(x) if kind == "image" else tower.ln_final(x)
    projection = tower.proj if kind == "image" else tower.text_projection
    if projection is None:
        return out
    return cast("Tensor", projection(out)) if isinstance(projection, nn.Module) else out @ projection


def _tower(model: nn.Module, kind: str) -> Any:
    return model.visual if kind == "image" else getattr(model, "text", model)


def _transformer(model: nn.Module, kind: str) -> Any:
    return _tower(model, kind).transformer


def _end(model: nn.Module, ids: Tensor) -> Tensor:
    """(n, context) token ids -> (n,) position of the end token, as open_clip's `text_global_pool` finds it."""
    tower = _tower(model, "text")
    bare = tower is model  # the plain CLIP class holds its text tower's parts itself
    if (tower.text_pool_type if bare else tower.pool_type) == "eos":
        ids = ids.eq(tower.text_eos_id if bare else tower.eos_id).int()
    return ids.argmax(dim=-1)
