"""Train imagebind-tiny: ImageBind's architecture, small, on letters and words. It never sees or hears a digit.

Images are letters of nine scripts in hundreds of fonts, drawn anew for every batch as if by hand (`letters`, `strokes`); sounds
are spoken letters and words under noise (`words`, `noise`). They are bound as ImageBind binds its modalities, through one
they share, here text: an embedding is pulled to the text of its class ("the letter a", "the word apple"). Latin letters
that are both seen and heard are also pulled together directly. A contrastive loss between image and audio alone
stays at chance for models of this size.

    python training/imagebind_tiny.py --out gtimm/assets/imagebind-tiny

About 8 minutes on one core: 3 to make the data (kept in `--cache`), 4 to train. Seeded; the same versions on the
same machine give the same weights. Needs fonttools, `espeakng-loader` (GPL-3.0, a tool only: nothing of it is in the weights)
and the Debian packages `letters.FONT_PACKAGES` (free licences, in Debian main). The weights are Apache-2.0.

Writes imagebind_tiny.safetensors (float16), config.json and provenance.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import letters
import numpy as np
import torch
import words
from binding import Objective
from corpus import AUDIO_TEXTS, IMAGE_TEXTS, Corpus, load_corpus
from noise import SNR, listen
from strokes import draw
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from voices import IMAGEBIND_VOICES

from gtimm.backbones.imagebind.config import BRANCH_OF, AudioConfig, ImageBindConfig, TextConfig, VisionConfig
from gtimm.backbones.imagebind.model import ImageBindModel
from gtimm.backbones.imagebind.preprocess import prepare_text

WIDTH, BLOCKS, HEADS, OUT = 64, 3, 4, 64
TEXT = {"embed_dim": 64, "num_blocks": 2, "num_heads": 4, "context_length": 32}
AUDIO_COLUMNS = 12  # patches along time
IMAGES, SOUNDS = 160, 96  # a step
LATIN_SHARE, LETTER_SHARE = 0.35, 0.25  # of the images, of the sounds
MATRIX_RATE, OTHER_RATE = 8e-3, 3e-3  # Muon for the blocks' matrices learns several times faster here than AdamW for all
WEIGHT_DECAY, WARM_UP = 0.02, 60
PIXELS = (0.11, 0.26)  # mean and standard deviation of the drawn letters
ENERGIES = (-3.3, 3.5)  # the same of the log mel energies


class Sampler:
    """Batches of freshly drawn letters and freshly disturbed sounds."""

    def __init__(self, corpus: Corpus, sizes: AudioConfig, seed: int) -> None:
        glyphs, speech = corpus.glyphs, corpus.speech
        self.rng, self.generator, self.sizes = np.random.default_rng(seed), torch.Generator().manual_seed(seed), sizes
        self.maps, self.pen = torch.from_numpy(glyphs.maps), torch.from_numpy(glyphs.pen)
        self.sounds = [torch.from_numpy(speech.clip(i) / np.float32(32768)) for i in range(len(speech.label))]
        self.glyph_label, self.sound_label = glyphs.label, speech.label
        latin = np.array([bool(glyph.letter) for glyph in glyphs.classes])[glyphs.label]
        self.glyph_weight = _weights(glyphs.label, latin, LATIN_SHARE)
        self.sound_weight = _weights(speech.label, speech.label < len(words.SPOKEN_LETTERS), LETTER_SHARE)

    def images(self) -> tuple[Tensor, Tensor]:
        """Images (n, 3, 28, 28), normalised, and their classes (n,)."""
        rows = self.rng.choice(len(self.glyph_label), IMAGES, p=self.glyph_weight)
        ink = draw(self.maps[rows].float(), self.pen[rows], self.generator)
        image = ((ink - PIXELS[0]) / PIXELS[1])[:, None].expand(-1, 3, -1, -1)
        return image, torch.from_numpy(self.glyph_label[rows])

    def audio(self) -> tuple[Tensor, Tensor]:
        """Spectrograms (n, 1, 1, mel bins, frames) and their classes (n,)."""
        rows = self.rng.choice(len(self.sound_label), SOUNDS, p=self.sound_weight)
        return listen([self.sounds[row] for row in rows], self.sizes, self.generator), torch.from_numpy(self.sound_label[rows])


def _weights(label: np.ndarray[Any, Any], special: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """Classes are drawn equally often, but the special ones together `share` of the time."""
    weight = 1.0 / np.bincount(label)[label]
    weight[special] *= share / weight[special].sum()
    weight[~special] *= (1 - share) / weight[~special].sum()
    return np.asarray(weight / weight.sum())


def sizes(texts: list[str]) -> ImageBindConfig:
    """Sizes of the model; the text branch keeps the tokens of `texts` only."""
    whole = TextConfig(**TEXT)
    tokens = torch.cat([prepare_text(text, whole) for text in texts]).unique()
    kept = tuple(int(token) for token in tokens if token != 0)
    unknown = int(prepare_text("something", whole)[1])
    trunk = {"embed_dim": WIDTH, "num_blocks": BLOCKS, "num_heads": HEADS}
    grey = {"mean": (PIXELS[0],) * 3, "std": (PIXELS[1],) * 3}
    return ImageBindConfig(
        vision=VisionConfig(**trunk, image_size=28, patch_size=4, **grey),
        audio=AudioConfig(
            **trunk, num_mel_bins=40, target_length=96, kernel_size=8, stride=8, sample_rate=words.SAMPLE_RATE,
            clip_duration=1.0, clips=1, mean=ENERGIES[0], std=ENERGIES[1],
        ),
        text=TextConfig(**TEXT, vocab_size=len(kept), token_ids=kept, unknown=unknown),
        out_embed_dim=OUT,
    )  # fmt: skip


def initialise(model: ImageBindModel) -> None:
    """Small normal values where the modules start from zero or from one; waves over the patch grid for positions."""
    for name, parameter in model.named_parameters():
        if name.endswith(("cls_token", "pos_embed", "token_embedding.weight")):
            nn.init.normal_(parameter, std=0.02 if "text" not in name else 0.1)
    for kind in ("image", "audio"):
        sizes = model.config.trunk(kind)
        positions = model.get_parameter(f"modality_preprocessors.{BRANCH_OF[kind]}.pos_embedding_helper.pos_embed")
        columns = sizes.image_size // sizes.patch_size if isinstance(sizes, VisionConfig) else AUDIO_COLUMNS
        with torch.no_grad():
            positions[0, 1:] += 0.5 * waves((sizes.tokens - 1) // columns, columns, sizes.embed_dim)


def waves(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines of the row and of the column (Vaswani et al., 2017), (rows * columns, width)."""
    frequency = 20.0 ** -(torch.arange(width // 4) / (width // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.flatten()[:, None] * frequency for axis in (y, x)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)


def train(corpus: Corpus, config: ImageBindConfig, steps: int, seed: int) -> ImageBindModel:
    """Trains for a fixed number of steps; the rate warms up and falls along a cosine."""
    assert config.audio is not None
    torch.manual_seed(seed)
    model = ImageBindModel(config, config.kinds)
    initialise(model)
    sampler, objective = Sampler(corpus, config.audio, seed), Objective(corpus, config)
    matrices = [p for name, p in model.named_parameters() if ".blocks." in name and p.ndim == 2]
    others = [p for name, p in model.named_parameters() if not (".blocks." in name and p.ndim == 2)]
    others += objective.parameters()
    optimizers = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY),
    ]
    rates = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: min(1, (s + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1, s / steps)))
        )
        for optimizer in optimizers
    ]
    mean, start = torch.zeros(3), time.monotonic()
    for step in range(steps):
        image, audio = sampler.images(), sampler.audio()
        with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):  # flash's backward is slow here
            result = objective(model, step, image, audio)
            model.zero_grad()
            objective.zero_grad()
            result[0].backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        for stepped in (*optimizers, *rates):
            stepped.step()
        mean = mean + (torch.stack([value.detach() for value in result]) - mean) / min(step + 1, 50)
        if step % 50 == 0 or step == steps - 1:
            shown = ", ".join(
                f"{name} {value:.3f}" for name, value in zip(("loss", "image", "audio"), mean.tolist(), strict=True)
            )
            print(f"step {step}/{steps}: {shown}, {time.monotonic() - start:.0f} s", flush=True)
    with torch.no_grad():  # sounds at unit length, like images: neither drowns the other in a fusion
        model.modality_postprocessors["audio"][1].log_logit_scale.zero_()
    return model.eval()


def write(out: Path, model: ImageBindModel, corpus: Corpus, about: dict[str, Any]) -> None:
    """Writes the three files."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    weights = out / "imagebind_tiny.safetensors"
    save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, weights)
    weights.chmod(0o644)
    config = model.config.model_dump(mode="json", exclude_defaults=True)
    (out / "config.json").write_text(json.dumps(config) + "\n")
    provenance = {
        "name": "imagebind-tiny", "licence": "Apache-2.0", "made_by": "training/imagebind_tiny.py", **about,
        "images": {
            "source": "letters drawn from fonts of Debian main", "glyphs": [glyph.character for glyph in corpus.glyphs.classes],
            "font_packages": list(letters.FONT_PACKAGES), "fonts": list(corpus.glyphs.fonts),
        },
        "speech": {
            "source": f"espeak-ng in espeakng-loader {version('espeakng-loader')}, synthetic", "words": list(corpus.speech.names),
            "voices": list(IMAGEBIND_VOICES), "snr_db": list(SNR),
        },
        "texts": {"image": list(IMAGE_TEXTS), "audio": list(AUDIO_TEXTS)},
        "sha256": {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()},
    }  # fmt: skip
    (out / "provenance.json").write_text(json.dumps(provenance, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"), help="folder of font files")
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="where glyphs and speech are kept")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # faster here than two, and the sums have one order
    start = time.monotonic()
    corpus = load_corpus(options.fonts, options.cache, options.seed)
    config = sizes(corpus.all_texts())
    model = train(corpus, config, options.steps, options.seed)
    about = {
        "seed": options.seed, "steps": options.steps, "seconds": round(time.monotonic() - start),
        "versions": {name: version(name) for name in ("torch", "numpy", "pillow", "fonttools", "scipy")},
    }  # fmt: skip
    write(options.out, model, corpus, about)


if __name__ == "__main__":
    main()
