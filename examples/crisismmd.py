"""CrisisMMD v2 with CLIP: tweets whose picture is missing in 95% of the training rows, filled with zeros or by generation.

The real thing, on a machine with a GPU (weights are fetched once, only with --download):

    python examples/crisismmd.py --root CrisisMMD_v2.0 --download

Everything small, to see it work in about a minute on two cores, without a download:

    python examples/crisismmd.py --miniature

The setting is the paper's: six classes, CLIP with a ViT, 30 epochs of AdamW with batches of 128 and a learning rate of 5e-4, the epoch
with the best validation score, macro-F1 over three seeds, and the prompt "A photo of {class}", since the classes are things, not actions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtimm import GtimmError, Missing, Pipeline, load_dataset
from gtimm.core.training import train

PROMPTS = {"name": "label", "performers": []}  # "A photo of vehicle damage"


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    args = parse(arguments)
    if not args.miniature:
        backbone = {"name": "clip", "model": args.clip, "pretrained": args.pretrained, "download": args.download}
        generator = {"name": args.generator, "prompts": PROMPTS, "per_class": args.per_class or 100, "steps": args.steps or 50}
        generator |= {"download": True} if args.download else {}
        return run(args, args.root, backbone, generator, store=args.store)
    from miniature import write_clip, write_crisismmd

    print("MINIATURE: invented tweets, pictures of noise, a CLIP with random weights and a generator of handwritten digits.")
    print("It shows that everything runs. Its scores mean nothing.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_crisismmd(folder / "crisismmd")
        backbone = {"name": "clip", "model": f"local-dir:{write_clip(folder / 'clip')}"}
        generator = {"name": "stable-diffusion-tiny", "per_class": args.per_class or 4, "steps": args.steps or 2}
        return run(args, root, backbone, generator, store=args.store or folder / "store")


def run(args: argparse.Namespace, root: Path, backbone: Any, generator: Any, store: Path | None) -> dict[str, list[float]]:
    """Train zero-fill and GTI-MM with every seed and return their macro-F1."""
    data = load_dataset("crisismmd", root=str(root))
    print(f"{len(data.train)} rows to train, {len(data.val)} to validate, {len(data.test)} to test; classes:")
    print("  " + ", ".join(data.train.classes))
    missing = Missing(image=args.missing)
    pipes = {
        method: [
            Pipeline(backbone, {"image": imputer}, seed=seed, store=store, train={"epochs": 30, "batch_size": 128, "lr": 5e-4})
            for seed in range(args.seeds)
        ]
        for method, imputer in {"zero-fill": "zero", "GTI-MM": generator}.items()
    }
    everyone = [pipe for some in pipes.values() for pipe in some]
    runs = [pipe.prepare(data.train, val=data.val, missing=missing) for pipe in everyone]
    train(runs)  # all seeds of both methods as one problem
    for pipe, done in zip(everyone, runs, strict=True):
        pipe.adopt(done)
    scores = {method: [pipe.evaluate(data.test)["macro_f1"] for pipe in some] for method, some in pipes.items()}
    made = sum(pipe.counters["generated"] for pipe in everyone)
    print(f"\n{args.missing:.0%} of the training pictures missing, none at test; {made} pictures generated now.")
    print(f"Macro-F1, mean and standard deviation of {args.seeds} seeds:")
    for method, values in scores.items():
        print(f"  {method:10} {np.mean(values):.3f} ± {np.std(values, ddof=min(1, len(values) - 1)):.3f}")
    return scores


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--root", type=Path, help="folder with crisismmd_datasplit_all/ and data_image/")
    place.add_argument("--miniature", action="store_true", help="a small made-up data set, CLIP and generator instead")
    parser.add_argument("--missing", type=float, default=0.95, help="share of training rows without a picture (default 0.95)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    parser.add_argument("--clip", default="ViT-B-32", help="open_clip model, hf-hub:<repository> or local-dir:<folder>")
    parser.add_argument("--pretrained", default="openai", help="open_clip tag or a file of weights (default openai)")
    parser.add_argument("--generator", default="stable-diffusion", help="imputer that generates images")
    parser.add_argument("--per-class", type=int, help="pictures a class (default 100; miniature 4)")
    parser.add_argument("--steps", type=int, help="denoising steps (default 50; miniature 2)")
    parser.add_argument("--store", type=Path, help="folder of pictures and features (default GTIMM_HOME)")
    parser.add_argument(
        "--download", action="store_true", help="fetch the weights of CLIP and of the generator if they are not here"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except GtimmError as error:
        raise SystemExit(f"error: {error}") from error
