"""Tiny diffusers pipelines with random weights, saved as real ones are: Stable Diffusion and Stable Diffusion XL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "photo", "of", "cat", "dog", "red", "no", "blur")


def stable_diffusion(folder: Path, prediction: str = "epsilon") -> Path:
    """Write a StableDiffusionPipeline of 16x16 images."""
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel

    with seeded():
        parts = {
            "vae": autoencoder(),
            "text_encoder": text_encoder(CLIPTextModel),
            "tokenizer": tokenizer(),
            "unet": unet(cross_attention_dim=16),
        }
        pipeline = StableDiffusionPipeline(
            **parts, scheduler=scheduler(prediction), safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.save_pretrained(folder)
    return folder


def stable_diffusion_xl(folder: Path) -> Path:
    """Write a StableDiffusionXLPipeline of 16x16 images."""
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with seeded():
        pipeline = StableDiffusionXLPipeline(
            vae=autoencoder(),
            text_encoder=text_encoder(CLIPTextModel),
            text_encoder_2=text_encoder(CLIPTextModelWithProjection),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            unet=unet(
                cross_attention_dim=32,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + 16,
            ),
            scheduler=scheduler("epsilon"),
        )
    pipeline.save_pretrained(folder)
    return folder


def seeded() -> Any:
    from gtimm.core.seeding import torch_seeded

    return torch_seeded(0, "toy pipeline")


def autoencoder() -> Any:
    from diffusers import AutoencoderKL

    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(
        block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4, sample_size=16, latent_channels=4, **blocks
    ).eval()


def unet(**options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **options,
    ).eval()
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if "attn2" in name:
                weights.mul_(20)  # random attention hardly hears the prompt
    return network


def text_encoder(cls: Any) -> Any:
    from transformers import CLIPTextConfig

    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 16}
    ids = {"vocab_size": len(vocabulary()), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return cls(CLIPTextConfig(**size, **ids, initializer_factor=5.0)).eval()


def tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(vocab=vocabulary(), merges=merges(), model_max_length=77)


def vocabulary() -> dict[str, int]:
    letters = sorted({letter for word in WORDS for letter in word})
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return {piece: number for number, piece in enumerate(pieces)}


def merges() -> list[tuple[str, str]]:
    return []


def scheduler(prediction: str) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(prediction_type=prediction, clip_sample=False, set_alpha_to_one=False)
