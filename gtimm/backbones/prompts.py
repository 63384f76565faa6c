"""The last block for one token, with or without prompts, from a stored summary of the attention: what `last_block` features are.

Prompts that enter only the last block meet frozen tokens, and only one token's output is read. Its softmax over
frozen tokens and prompts together is the average of the two separate softmaxes, weighted by their partition functions:

    attention = (exp(L_f) A_f + exp(L_p) A_p) / (exp(L_f) + exp(L_p)),   L = log sum exp(q k)

so `[token, A_f, L_f]`, 2 x width + heads floats, stands for all the tokens of an item. This is exact. Prompts stand
before the tokens, so a causal mask hides none of them; they get no position embedding and their own output is unused.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Attention(Protocol):
    """Multi-head self-attention, part by part."""

    heads: int

    def query(self, x: Tensor) -> Tensor:
        """(n, t, width) -> (n, heads, t, width / heads)."""
        ...

    def key_value(self, x: Tensor, with_bias: bool = True) -> tuple[Tensor, Tensor]:
        """(n, t, width) -> keys and values, each (n, heads, t, width / heads); `with_bias` adds a learnt key where there is one."""
        ...

    def merge(self, attended: Tensor) -> Tensor:
        """(n, heads, t, width / heads) -> (n, t, width), through the output projection."""
        ...


class Block(Protocol):
    """A pre-norm transformer block, part by part."""

    @property
    def attn(self) -> Attention:
        """Its attention."""
        ...

    def norm_1(self, x: Tensor, /) -> Tensor:
        """(..., width) -> (..., width), the norm before the attention."""
        ...

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual, then the MLP: the part that does not look at other tokens."""
        ...


def stored_size(width: int, heads: int) -> int:
    """Floats that stand for one item's (or one clip's) tokens."""
    return 2 * width + heads


def collapse(block: Block, tokens: Tensor, read: Tensor, visible: Tensor | None) -> Tensor:
    """Tokens that enter the block (n, t, width) -> (n, 2 x width + heads).

    Args:
        tokens: (n, t, width), the block's input.
        read: (n,) position of the token whose output is read.
        visible: (n, t) bool, True where the read token may look; None is everywhere. A learnt key of the block
            (`bias_kv`) is always visible.
    """
    token = tokens[torch.arange(len(tokens), device=tokens.device), read]
    normed = block.norm_1(tokens)
    query = block.attn.query(block.norm_1(token)[:, None])
    key, value = block.attn.key_value(normed)
    scores = _scores(query, key)
    if visible is not None:
        learnt = key.shape[2] - tokens.shape[1]
        visible = torch.nn.functional.pad(visible, (0, learnt), value=True)
        scores = scores.masked_fill(~visible[:, None, None], float("-inf"))
    attended = (scores.softmax(dim=-1) @ value).flatten(1)
    return torch.cat([token, attended, scores.logsumexp(dim=-1).flatten(1)], dim=1)


def expand(block: Block, stored: Tensor, prompts: Tensor | None) -> Tensor:
    """The read token after the block: (n, 2 x width + heads), prompts (n, p, width) or None -> (n, width)."""
    heads = block.attn.heads
    width = (stored.shape[1] - heads) // 2
    token, attended, partition = stored[:, :width], stored[:, width:-heads], stored[:, -heads:]
    by_head = attended.reshape(len(stored), heads, 1, width // heads)
    if prompts is not None:
        query = block.attn.query(block.norm_1(token)[:, None])
        key, value = block.attn.key_value(block.norm_1(prompts), with_bias=False)
        scores = _scores(query, key)
        frozen = torch.sigmoid(partition[:, :, None, None] - scores.logsumexp(dim=-1, keepdim=True))
        by_head = frozen * by_head + (1 - frozen) * (scores.softmax(dim=-1) @ value)
    return block.after_attention(token, block.attn.merge(by_head)[:, 0])


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """(n, heads, 1, s) x (n, heads, t, s) -> (n, heads, 1, t)."""
    scores: Tensor = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return scores
