"""The transformer block that all branches share, with the checkpoint's parameter names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention; parameters are named as in `nn.MultiheadAttention`.

    `bias_kv` appends one learnt key and value that every query sees (the audio branch).
    """

    bias_k: nn.Parameter | None
    bias_v: nn.Parameter | None

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.bias_k = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        if self.in_proj_weight.device.type != "meta":
            nn.init.xavier_uniform_(self.in_proj_weight)
            for bias in (self.bias_k, self.bias_v):
                if bias is not None:
                    nn.init.xavier_normal_(bias)

    def split(self, x: Tensor) -> Tensor:
        """(n, t, width) -> (n, heads, t, width / heads)."""
        rows, tokens, width = x.shape
        return x.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2)

    def query(self, x: Tensor) -> Tensor:
        """(n, t, width) -> (n, heads, t, width / heads)."""
        width = x.shape[-1]
        return self.split(F.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width]))

    def key_value(self, x: Tensor, with_bias: bool = True) -> tuple[Tensor, Tensor]:
        """(n, t, width) -> keys and values, each (n, heads, t [+ 1], width / heads)."""
        width = x.shape[-1]
        key, value = F.linear(x, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=-1)
        if with_bias and self.bias_k is not None and self.bias_v is not None:
            key = torch.cat([key, self.bias_k.expand(len(x), 1, width)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(x), 1, width)], dim=1)
        return self.split(key), self.split(value)

    def merge(self, attended: Tensor) -> Tensor:
        """(n, heads, t, width / heads) -> (n, t, width), through the output projection."""
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(n, t, width) -> (n, t, width); `mask` (t, t) is added to the scores."""
        key, value = self.key_value(x)
        return self.merge(F.scaled_dot_product_attention(self.query(x), key, value, attn_mask=mask))


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads, bias_kv)
        self.norm_1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width)
        self.norm_2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(n, t, width) -> (n, t, width)."""
        return self.after_attention(x, self.attn(self.norm_1(x), mask))

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """Residual, then the MLP: the part of the block that does not look at other tokens."""
        x = x + attended
        out: Tensor = x + self.mlp(self.norm_2(x))
        return out


class Trunk(nn.Module):
    """A stack of blocks; the last one is left to `model.Branch`, which needs it for one token only."""

    def __init__(self, width: int, blocks: int, heads: int, *, bias_kv: bool, pre_norm: bool) -> None:
        super().__init__()
        self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(width, eps=LAYER_NORM_EPS) if pre_norm else nn.Identity())
        self.blocks = nn.ModuleList(Block(width, heads, bias_kv) for _ in range(blocks))

    @property
    def last(self) -> Block:
        """The last block."""
        block = self.blocks[-1]
        assert isinstance(block, Block)
        return block

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens (n, t, width) -> the tokens that enter the last block (n, t, width)."""
        x = self.pre_transformer_layer(x)
        for block in self.blocks[:-1]:
            x = block(x, mask)
        return x
