"""The same as `diffusers_reencode.py` with every embedding computed once and kept in memory and on disk.

What changes by hand: a file of embeddings of generated images, the tables' embeddings, and drawing by index.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import stopwatch
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from gtimm.backbones.imagebind.config import load_config
from gtimm.backbones.imagebind.preprocess import prepare_audio, prepare_image
from gtimm.backbones.imagebind.weights import load_model

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("data", type=Path, help="folder with tables and files")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--assets", type=Path, required=True, help="folder of the tiny models")
parser.add_argument("--store", type=Path, required=True, help="folder of generated images and embeddings")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--per-class", type=int, default=100)
parser.add_argument("--lr", type=float, default=0.02)
parser.add_argument("--epochs", type=int, default=60)
args = parser.parse_args()
torch.manual_seed(args.seed)
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPLITS = ("train", "val", "test", "test_half")

stopwatch.lap("generate")
if not args.store.exists():
    pipeline = StableDiffusionPipeline.from_pretrained(args.assets / "stable-diffusion-tiny")
    pipeline.set_progress_bar_config(disable=True)
    for name in CLASSES:
        (args.store / name).mkdir(parents=True)
        for start in range(0, args.per_class, 50):
            count = min(50, args.per_class - start)
            generators = [torch.Generator().manual_seed(10_000 * args.seed + start + i) for i in range(count)]
            prompts = [f"A photo of {name}"] * count
            images = pipeline(prompts, num_inference_steps=15, guidance_scale=1.0, generator=generators).images
            for i, image in enumerate(images):
                image.save(args.store / name / f"{start + i:05}.png")

stopwatch.lap("embed")
config = load_config(args.assets / "imagebind-tiny" / "config.json")
tables = {split: pd.read_csv(args.data / f"{split}.csv") for split in SPLITS}


def embed(kind: str, paths: list) -> torch.Tensor:
    """Return (paths, size); a path that is missing gives zeros."""
    out = torch.zeros(len(paths), config.out_embed_dim)
    there = [i for i, path in enumerate(paths) if path is not None]
    for start in range(0, len(there), 128):
        rows = there[start : start + 128]
        if kind == "image":
            batch = [prepare_image(Image.open(paths[i]).convert("RGB"), config.vision) for i in rows]
        else:
            sounds = [soundfile.read(paths[i], dtype="float32") for i in rows]
            batch = [prepare_audio(samples[None], rate, config.audio, "first") for samples, rate in sounds]
        with torch.no_grad():
            out[rows] = encoder(kind, torch.stack(batch))
    return out


cache = args.store / f"embeddings-{args.data.name}.pt"  # of this mask: another one hides other images
if not cache.exists():
    encoder = load_model(args.assets / "imagebind-tiny" / "imagebind_tiny.safetensors", config, ("image", "audio"))
    made = {
        "bank": torch.stack([embed("image", sorted((args.store / name).glob("*.png"))[: args.per_class]) for name in CLASSES])
    }
    for split in SPLITS:
        for kind in ("image", "audio"):
            made[f"{split}_{kind}"] = embed(kind, [args.data / p if isinstance(p, str) else None for p in tables[split][kind]])
    torch.save(made, cache)

stopwatch.lap("fit")
stored = torch.load(cache)
labels = {split: torch.tensor([CLASSES.index(name) for name in tables[split]["label"]]) for split in ("train", "val")}
gaps = torch.tensor(tables["train"]["image"].isna().values)
head = torch.nn.Linear(2 * config.out_embed_dim, len(CLASSES))
optimizer = torch.optim.AdamW(head.parameters(), lr=args.lr)


def predict(split: str) -> torch.Tensor:
    with torch.no_grad():
        return head(torch.cat([stored[f"{split}_image"], stored[f"{split}_audio"]], 1)).argmax(1)


best = -1.0
for _ in range(args.epochs):
    drawn = stored["bank"][labels["train"], torch.randint(args.per_class, (len(gaps),))]
    features = torch.cat([torch.where(gaps[:, None], drawn, stored["train_image"]), stored["train_audio"]], 1)
    for rows in torch.randperm(len(features)).split(128):
        loss = torch.nn.functional.cross_entropy(head(features[rows]), labels["train"][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = float((predict("val") == labels["val"]).float().mean())
    if accuracy > best:
        best, kept = accuracy, {name: value.clone() for name, value in head.state_dict().items()}
head.load_state_dict(kept)

stopwatch.lap("predict")
np.savez(args.out, **{split: predict(split).numpy() for split in SPLITS[1:]})
