"""A tiny AudioLDM2 of all real classes, with random weights: 0.1 s to build, 4 MB."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch

WIDTH, WIDE = 16, 32  # of the language model and CLAP, and of T5


def build_audioldm2(seed: int = 0) -> Any:
    """Return an AudioLDM2Pipeline that hears letters, 16 kHz."""
    from diffusers import (
        AudioLDM2Pipeline,
        AudioLDM2ProjectionModel,
        AudioLDM2UNet2DConditionModel,
        AutoencoderKL,
        DDIMScheduler,
    )
    from transformers import (
        ClapAudioConfig,
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapTextConfig,
        GPT2Config,
        GPT2LMHeadModel,
        RobertaTokenizer,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        T5Config,
        T5EncoderModel,
        T5Tokenizer,
    )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        letters = list(string.ascii_letters + string.digits + " .,")
        roberta = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *letters])}
        pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
        language = GPT2Config(n_embd=WIDTH, n_head=2, n_layer=1, n_positions=128, vocab_size=64, bos_token_id=0, eos_token_id=0)
        language.max_new_tokens = 8
        text = ClapTextConfig(
            hidden_size=WIDTH,
            intermediate_size=WIDE,
            num_attention_heads=2,
            num_hidden_layers=1,
            vocab_size=128,
            projection_dim=WIDTH,
            max_position_embeddings=80,
        )
        audio = ClapAudioConfig(
            spec_size=8,
            window_size=4,
            num_mel_bins=8,
            depths=[1, 1],
            num_attention_heads=[1, 1],
            num_hidden_layers=1,
            hidden_size=192,
            projection_dim=WIDTH,
            patch_size=2,
            patch_stride=2,
            patch_embed_input_channels=4,
        )
        return AudioLDM2Pipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 16),
                in_channels=1,
                out_channels=1,
                norm_num_groups=8,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                latent_channels=4,
            ),
            text_encoder=ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=WIDTH)),
            text_encoder_2=T5EncoderModel(
                T5Config(vocab_size=128, d_model=WIDE, d_ff=WIDE, d_kv=8, num_heads=2, num_layers=1, decoder_start_token_id=0)
            ),
            projection_model=AudioLDM2ProjectionModel(  # (sic)
                text_encoder_dim=WIDTH, text_encoder_1_dim=WIDE, langauge_model_dim=WIDTH
            ),
            language_model=GPT2LMHeadModel(language),
            tokenizer=RobertaTokenizer(vocab=roberta, merges=[], model_max_length=77),
            tokenizer_2=T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=77),
            feature_extractor=ClapFeatureExtractor(feature_size=8, hop_length=40, sampling_rate=16000, fft_window_size=64),
            unet=AudioLDM2UNet2DConditionModel(
                block_out_channels=(8, 16),
                layers_per_block=1,
                norm_num_groups=8,
                sample_size=32,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=([None, WIDTH, WIDE], [None, WIDTH, WIDE]),
            ),
            scheduler=DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
            ),
            vocoder=SpeechT5HifiGan(
                SpeechT5HifiGanConfig(
                    model_in_dim=8,
                    sampling_rate=16000,
                    upsample_initial_channel=16,
                    upsample_rates=[8, 8],
                    upsample_kernel_sizes=[16, 16],
                    resblock_kernel_sizes=[3],
                    resblock_dilation_sizes=[[1, 3]],
                    normalize_before=False,
                    initializer_range=0.2,
                )
            ),
        )


def save_audioldm2(folder: Path, language_class: str = "GPT2LMHeadModel") -> Path:
    """Save the tiny pipeline; `language_class` is what its index calls the language model, as published ones say GPT2Model."""
    pipeline = build_audioldm2()
    pipeline.save_pretrained(folder, safe_serialization=True)
    if language_class == "GPT2Model":
        pipeline.language_model.transformer.save_pretrained(folder / "language_model")
        config = folder / "language_model" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "max_new_tokens": 8}))
    index = json.loads((folder / "model_index.json").read_text())
    index["language_model"] = ["transformers", language_class]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
