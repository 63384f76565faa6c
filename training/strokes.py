"""Handwriting from distance maps: deform the map, then draw with a pen of some width. All on torch, a batch at a time.

The result is framed as MNIST frames its digits: the ink scaled to a box of 20 x 20 and its centre of mass put in the middle
of 28 x 28 pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 28


def draw(maps: Tensor, pen: Tensor, generator: torch.Generator) -> Tensor:
    """Draws a batch of glyphs, each deformed in its own way.

    Args:
        maps: (n, side, side) float32 distances in pixels of the map.
        pen: (n,) bool, True where the map is of the centre line.
        generator: source of all randomness.

    Returns:
        (n, 28, 28) float32 in 0..1, white ink on black.
    """
    count, side = maps.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*(shape or (count,)), generator=generator) * (high - low) + low

    angle, shear = uniform(-0.26, 0.26), uniform(-0.45, 0.35)
    stretch = uniform(-0.3, 0.3).exp()
    cos, sin = angle.cos(), angle.sin()
    rotate = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    skew = torch.stack([stretch, shear, torch.zeros(count), 1 / stretch], dim=1).view(-1, 2, 2)
    linear = rotate @ skew
    bend = _smooth(uniform(-1, 1, count, 2, 4, 4), side) * uniform(0.0, 0.22)[:, None, None, None]
    bend = bend + _smooth(uniform(-1, 1, count, 2, 7, 7), side) * uniform(0.0, 0.07)[:, None, None, None]
    axis = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).expand(count, -1, -1, -1)
    warped = F.grid_sample(
        maps[:, None],
        grid @ linear.transpose(1, 2)[:, None] + bend.permute(0, 2, 3, 1),
        padding_mode="border",
        align_corners=True,
    )[:, 0]
    # Half the width of a pen's line; a print form has a width already, which is moved.
    width = torch.where(pen, uniform(0.9, 2.3), uniform(-0.35, 1.1))[:, None, None]
    width = width * (1 + 0.35 * _smooth(uniform(-1, 1, count, 1, 4, 4), side)[:, 0])  # pressure changes along the line
    ink = torch.sigmoid((width - warped) * uniform(2.0, 5.0)[:, None, None])
    return _frame(ink, uniform(18.0, 21.0), uniform(-1.0, 1.0, count, 2)).mul_(uniform(0.85, 1.0)[:, None, None])


def _smooth(coarse: Tensor, side: int) -> Tensor:
    return F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)


def _frame(ink: Tensor, box: Tensor, jitter: Tensor) -> Tensor:
    """Ink (n, side, side) -> (n, 28, 28), its longer extent `box` pixels, centred on its mass but for the jitter."""
    side = ink.shape[1]
    seen = (ink > 0.3).float()
    position = torch.arange(side, dtype=torch.float32)
    mass = ink.sum((1, 2)).clamp_min(1e-3)
    centres, extents = [], []
    for axis in (1, 2):  # the other axis is summed: first x, then y
        shade = seen.amax(dim=axis)
        first = torch.where(shade > 0, position, torch.tensor(float(side))).amin(dim=1)
        last = torch.where(shade > 0, position, torch.tensor(-1.0)).amax(dim=1)
        extents.append((last - first + 1).clamp_min(4.0))
        centres.append((ink.sum(axis) * position).sum(1) / mass)
    scale = torch.maximum(*extents) / box  # map pixels in one image pixel
    offset = (torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2)[None, :]
    xs, ys = (
        (centre[:, None] + (offset + shift[:, None]) * scale[:, None]) / (side - 1) * 2 - 1
        for centre, shift in zip(centres, jitter.unbind(1), strict=True)
    )
    grid = torch.stack([xs[:, None, :].expand(-1, SIDE, -1), ys[:, :, None].expand(-1, -1, SIDE)], dim=-1)
    return F.grid_sample(ink[:, None], grid, padding_mode="zeros", align_corners=True)[:, 0].clamp(0, 1)
