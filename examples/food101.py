"""UPMC Food-101 with CLIP: recipe pages whose picture is missing in 95% of the training rows, filled with zeros or by generation.

The real thing, on a machine with a GPU (weights are fetched once, only with --download):

    python examples/food101.py --root UPMC_Food101 --download

Everything small, to see it work in about a minute on two cores, without a download:

    python examples/food101.py --miniature

CLIP with a ViT, 30 epochs of AdamW with batches of 128 and a learning rate of 5e-4, the epoch with the best validation score, top-1 and
top-3 accuracy over three seeds, and the prompt "A photo of {class}". Most titles name their dish: --remove-class-words takes that away.
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

PROMPTS = {"name": "label", "performers": []}  # "A photo of apple pie"


def main(arguments: Sequence[str] | None = None) -> dict[str, list[tuple[float, float]]]:
    args = parse(arguments)
    if not args.miniature:
        backbone = {"name": "clip", "model": args.clip, "pretrained": args.pretrained, "download": args.download}
        generator = {"name": args.generator, "prompts": PROMPTS, "per_class": args.per_class or 100, "steps": args.steps or 50}
        generator |= {"download": True} if args.download else {}
        return run(args, args.root, backbone, generator, store=args.store)
    from miniature import write_clip, write_food101

    print(
        "MINIATURE: eight dishes, invented titles, pictures of noise, a CLIP with random weights and a generator of handwritten digits."
    )
    print("It shows that everything runs. Its accuracy means nothing.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_food101(folder / "food101")
        backbone = {"name": "clip", "model": f"local-dir:{write_clip(folder / 'clip')}"}
        generator = {"name": "stable-diffusion-tiny", "per_class": args.per_class or 4, "steps": args.steps or 2}
        return run(args, root, backbone, generator, store=args.store or folder / "store")


def run(args: argparse.Namespace, root: Path, backbone: Any, generator: Any, store: Path | None) -> dict[str, Any]:
    """Train zero-fill and GTI-MM with every seed and return their (top-1, top-3) accuracies."""
    data = load_dataset("food101", root=str(root), remove_class_words=args.remove_class_words)
    print(
        f"{len(data.train)} rows to train, {len(data.val)} to validate, {len(data.test)} to test; {len(data.train.classes)} classes."
    )
    print(f"Titles that name their class: {data.facts['titles that name their class']}, {data.facts['class words']}.")
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
    found = {method: [pipe.evaluate(data.test) for pipe in some] for method, some in pipes.items()}
    scores = {method: [(s["accuracy"], s["top3_accuracy"]) for s in some] for method, some in found.items()}
    made = sum(pipe.counters["generated"] for pipe in everyone)
    print(f"\n{args.missing:.0%} of the training pictures missing, none at test; {made} pictures generated now.")
    print(f"Accuracy, mean and standard deviation of {args.seeds} seeds:\n  {'':10} {'top-1':15} top-3")
    for method, values in scores.items():
        mean, spread = np.mean(values, 0), np.std(values, 0, ddof=min(1, len(values) - 1))
        print(f"  {method:10} {mean[0]:.3f} ± {spread[0]:.3f}   {mean[1]:.3f} ± {spread[1]:.3f}")
    return scores


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--root", type=Path, help="folder with images/ and texts/")
    place.add_argument("--miniature", action="store_true", help="a small made-up data set, CLIP and generator instead")
    parser.add_argument("--missing", type=float, default=0.95, help="share of training rows without a picture (default 0.95)")
    parser.add_argument("--remove-class-words", action="store_true", help="take the words of the class out of its titles")
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
