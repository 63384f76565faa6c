"""GTI-MM in plain PyTorch and diffusers: generated images on disk, frozen encoders in the training loop, a linear head.

Every epoch draws one generated image of its class for each row without an image, and encodes what it trains on again, as in the
usual loop of dataset, loader, encoder and head. Images are made once; a second run finds them. The encoders are gtimm's port of
ImageBind, with its weights and preprocessing, in the place of the original's module.
"""

import argparse
import random
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import stopwatch
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from gtimm.backbones.imagebind.config import load_config
from gtimm.backbones.imagebind.preprocess import prepare_audio, prepare_image
from gtimm.backbones.imagebind.weights import load_model

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("data", type=Path, help="folder with tables and files")
parser.add_argument("out", help="file of predictions")
parser.add_argument("--assets", type=Path, required=True, help="folder of the tiny models")
parser.add_argument("--store", type=Path, required=True, help="folder of generated images")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--per-class", type=int, default=100)
parser.add_argument("--lr", type=float, default=0.02)
parser.add_argument("--epochs", type=int, default=60)
args = parser.parse_args()
torch.manual_seed(args.seed)
random.seed(args.seed)
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

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
generated = [sorted((args.store / name).glob("*.png"))[: args.per_class] for name in CLASSES]

stopwatch.lap("read")
config = load_config(args.assets / "imagebind-tiny" / "config.json")
encoder = load_model(args.assets / "imagebind-tiny" / "imagebind_tiny.safetensors", config, ("image", "audio"))
tables = {split: pd.read_csv(args.data / f"{split}.csv") for split in ("train", "val", "test", "test_half")}


class Rows(Dataset):
    """Rows of a table; `fill` draws generated images where there is none, else they are absent (zeros after the encoder)."""

    def __init__(self, table: pd.DataFrame, fill: bool) -> None:
        self.images, self.sounds, self.fill = table["image"], table["audio"], fill
        self.labels = [CLASSES.index(name) for name in table["label"]] if "label" in table else [0] * len(table)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple:
        there = isinstance(self.images[row], str)
        path = args.data / self.images[row] if there else random.choice(generated[self.labels[row]]) if self.fill else None
        image = Image.open(path).convert("RGB") if path else Image.new("RGB", (28, 28))
        samples, rate = soundfile.read(args.data / self.sounds[row], dtype="float32")
        return (
            prepare_image(image, config.vision),
            prepare_audio(samples[None], rate, config.audio, "first"),
            path is not None,
            self.labels[row],
        )


def encode(images: torch.Tensor, sounds: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([encoder("image", images) * there[:, None], encoder("audio", sounds)], 1)


def predict(split: str) -> np.ndarray:
    loader = DataLoader(Rows(tables[split], fill=False), batch_size=128)
    with torch.no_grad():
        return torch.cat([head(encode(*x)).argmax(1) for *x, _ in loader]).numpy()


stopwatch.lap("fit")
head = torch.nn.Linear(2 * config.out_embed_dim, len(CLASSES))
optimizer = torch.optim.AdamW(head.parameters(), lr=args.lr)
loader = DataLoader(Rows(tables["train"], fill=True), batch_size=128, shuffle=True)
truth, best = np.array(Rows(tables["val"], fill=False).labels), -1.0
for _ in range(args.epochs):
    for *x, labels in loader:
        loss = torch.nn.functional.cross_entropy(head(encode(*x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (predict("val") == truth).mean()
    if accuracy > best:
        best, kept = accuracy, {name: value.clone() for name, value in head.state_dict().items()}
head.load_state_dict(kept)

stopwatch.lap("predict")
np.savez(args.out, **{split: predict(split) for split in ("val", "test", "test_half")})
