"""What the tests of CLIP share: small inputs, a backbone from a folder, a distance, and the last block over all tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtimm.backbones.clip import Clip

TEXTS = ["a flooded street", "", "Rescue teams bring 200 people to safety #storm &amp; “thanks”"]


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest distance of a row, relative to the norm of the expected row."""
    return float(((found - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)).max())


def pictures(count: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (40 + 11 * i, 70 - 9 * i, 3)).astype(np.uint8) for i in range(count)]


def clip(folder: Path, **options: Any) -> Clip:
    return Clip(model=f"local-dir:{folder}", **options)


def whole_last_block(model: Any, kind: str, batch: Tensor, prompts: Tensor) -> Tensor:
    """The reference: open_clip's own blocks over all tokens, with prompts put before the last one."""
    count = prompts.shape[1]
    if kind == "image":
        visual = model.visual
        x = visual.conv1(batch).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(len(batch), 1, -1), x], dim=1) + visual.positional_embedding
        *blocks, last = visual.transformer.resblocks
        x = visual.ln_pre(x)
        for block in blocks:
            x = block(x)
        return visual.ln_post(last(torch.cat([prompts, x], dim=1))[:, count]) @ visual.proj
    tower = getattr(model, "text", model)
    x = tower.token_embedding(batch) + tower.positional_embedding
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = block(x, attn_mask=torch.full((77, 77), float("-inf"), dtype=x.dtype).triu(1))
    mask = torch.full((77 + count, 77 + count), float("-inf"), dtype=x.dtype).triu(1)
    end = batch.eq(0 if getattr(model, "text_pool_type", "") == "eos" else 49407).int().argmax(1)
    x = last(torch.cat([prompts, x], dim=1), attn_mask=mask)[torch.arange(len(batch)), count + end]
    x = tower.ln_final(x)
    return tower.text_projection(x) if isinstance(tower.text_projection, torch.nn.Module) else x @ tower.text_projection
