"""Prompt learning on ImageBind's stored `last_block` features against running the last block over all tokens.

Space: floats of a stored image over floats of the tokens that enter the last block, by the sizes of imagebind_huge and as
measured on a model of random weights. Time: one epoch of AdamW on prompt tokens and a linear head, gradients to these alone, from
`finish(stored, prompts)` and from the last block over prompts and all 257 tokens; both give the same embeddings. The limit of the
first is the last block's arithmetic for one token, a 257th of the other way's, plus the prompts' keys and values.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gtimm.backbones.imagebind.backbone import ImageBindEncoder
from gtimm.backbones.imagebind.config import ImageBindConfig, VisionConfig, load_config
from gtimm.backbones.imagebind.model import ImageBindModel
from gtimm.backbones.overlong import Overlong

WIDTH, HEADS, BLOCKS, ROWS, BATCH, PROMPTS, CLASSES = 768, 12, 3, 256, 64, 4, 10
SMALLER, FASTER = 100.0, 20.0


def tokens_of(model: ImageBindModel, images: Tensor) -> Tensor:
    """What enters the last block: (n, 257, width)."""
    return model.modality_trunks["vision"](model.modality_preprocessors["vision"](images))


def full_block(model: ImageBindModel, tokens: Tensor, prompts: Tensor) -> Tensor:
    """The last block over prompts and all tokens, then the head: (n, dim)."""
    out = model.modality_trunks["vision"].last(torch.cat([prompts, tokens], 1), None)[:, prompts.shape[1]]
    return torch.nn.functional.normalize(model.modality_heads["vision"](out), dim=-1)


def epoch(embed: Callable[[Tensor, Tensor], Tensor], rows: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    """Seconds of an epoch, and the learnt prompts."""
    torch.manual_seed(0)
    prompts = torch.nn.Parameter(0.02 * torch.randn(1, PROMPTS, WIDTH))
    head = torch.nn.Linear(1024, CLASSES)
    optimiser = torch.optim.AdamW([prompts, *head.parameters()], lr=1e-3)
    began = time.perf_counter()
    for chosen in torch.arange(len(rows)).split(BATCH):
        out = head(embed(rows[chosen], prompts.expand(len(chosen), -1, -1)))
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(out, labels[chosen]).backward()
        optimiser.step()
    return time.perf_counter() - began, prompts.detach()


def main() -> int:
    huge = load_config(None).vision
    assert huge is not None
    stored_huge, tokens_huge = 2 * huge.embed_dim + huge.num_heads, huge.tokens * huge.embed_dim
    print(
        f"imagebind_huge: {4 * stored_huge:,} bytes an image against {4 * tokens_huge:,}: {tokens_huge / stored_huge:.0f} times"
    )
    torch.manual_seed(0)
    sizes = VisionConfig(embed_dim=WIDTH, num_blocks=BLOCKS, num_heads=HEADS)
    model = ImageBindModel(ImageBindConfig(vision=sizes, out_embed_dim=1024), ["image"]).eval().requires_grad_(False)
    encoder = ImageBindEncoder(model, True, False, Overlong(77))
    images, labels = torch.randn(ROWS, 3, 224, 224), torch.arange(ROWS) % CLASSES
    with torch.no_grad():
        tokens = torch.cat([tokens_of(model, part) for part in images.split(BATCH)])
        stored = torch.cat([encoder.encode("image", part, "last_block") for part in images.split(BATCH)])
    space = min(tokens_huge / stored_huge, tokens.nbytes / stored.nbytes)
    print(
        f"width {WIDTH}: {stored.nbytes // ROWS:,} bytes an image against {tokens.nbytes // ROWS:,}: "
        f"{tokens.nbytes / stored.nbytes:.0f} times"
    )

    ways = {
        "stored": (lambda rows, prompts: encoder.finish("image", rows, prompts), stored),
        "tokens": (lambda rows, prompts: full_block(model, rows, prompts), tokens),
    }
    prompts = 0.02 * torch.randn(BATCH, PROMPTS, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(*(way(rows[:BATCH], prompts) for way, rows in ways.values()), atol=2e-5, rtol=1e-4)
    epoch(*ways["stored"], labels)
    ratios = []
    for _ in range(3):
        (fast, learnt), (slow, expected) = (epoch(way, rows, labels) for way, rows in ways.values())
        torch.testing.assert_close(learnt, expected, atol=2e-3, rtol=0)
        ratios.append(slow / fast)
        print(f"epoch from stored features {1000 * fast:.0f} ms, over all tokens {1000 * slow:.0f} ms", flush=True)
    speed = float(np.median(ratios))
    print(
        f"stored features are {space:.0f} times smaller (at least {SMALLER:.0f} expected); "
        f"prompt learning is {speed:.0f} times faster (median of 3; at least {FASTER:.0f} expected)"
    )
    return 0 if space >= SMALLER and speed >= FASTER else 1


if __name__ == "__main__":
    sys.exit(main())
