"""Filling a bank against the bare diffusers loop: the same pipeline object, the same batches of requests, one thread, one process.

The embedded pipeline is made costly by real means, larger images and more steps, until an image takes at least 0.2 s. The bare
loop only makes the images, prompts encoded beforehand, and keeps nothing: the hardest comparison. gtimm plans, claims each batch,
encodes PNGs, writes and renames them, and logs a line for each. Rounds of the two take turns, and the images must be equal bit for
bit.

Two figures. What gtimm adds to the main thread for a file: the time of planning and `Bank.make`, its waiting for the last file
included, less that inside the pipeline. And the whole time over the bare loop's, by the medians over batches, since other work on
the machine comes and goes: a batch inside the pipeline, slowed by the thread that writes, and what is added for it, over a batch
of the bare loop. The physical limit of the second is 1, as encoding and writing (5 ms of an image's time) have a thread of their
own; on a single core it is 1.02.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gtimm.core.bank import Bank
from gtimm.core.media import load_image
from gtimm.core.pool import Request
from gtimm.core.prompts import plan_requests
from gtimm.core.registry import registry
from gtimm.core.seeding import torch_threads
from gtimm.engines.local import LocalEngine
from gtimm.imputers.diffusion_batches import Batches
from gtimm.imputers.diffusion_loading import load_text_to_image
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

SIZE, STEPS, BATCH, BATCHES, ROUNDS = 128, 5, 8, 6, 5
ADDED_MS, OVER, COSTLY = 2.0, 1.03, 0.2
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

PIPELINE: list[Any] = []
INSIDE: list[float] = []
"""Seconds of each batch inside the pipeline, when gtimm calls it."""


class Shared(StableDiffusionTiny):
    """Makes its images with the pipeline of the bare loop."""

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Any]]:
        """Return the function that makes a batch, as `StableDiffusion` makes it."""
        batches = Batches(PIPELINE[0], device, {"num_inference_steps": self.steps}, self.size, None, 1.0)

        def make(batch: Sequence[Request]) -> list[Any]:
            began = time.perf_counter()
            with torch_threads(self.threads):
                items = batches(batch)
            INSIDE.append(time.perf_counter() - began)
            return items

        return make


def bare(batches: Sequence[Sequence[Request]], embeddings: dict[str, Any]) -> tuple[list[Any], list[float]]:
    """Return the images of the loop that one would write without gtimm, and the seconds of each batch."""
    images, seconds = [], []
    with torch.inference_mode():
        for batch in batches:
            began = time.perf_counter()
            images += PIPELINE[0](
                prompt_embeds=torch.cat([embeddings[request.prompt] for request in batch]),
                generator=[torch.Generator().manual_seed(request.seed) for request in batch],
                num_inference_steps=STEPS,
                guidance_scale=1.0,
                height=SIZE,
                width=SIZE,
                output_type="pil",
            ).images
            seconds.append(time.perf_counter() - began)
    return images, seconds


def main() -> int:
    torch.set_num_threads(1)
    generator = Shared(steps=STEPS, size=(SIZE, SIZE), batch_size=BATCH)
    PIPELINE.append(load_text_to_image(generator.model, None, None, "float32", "cpu", False))
    strategy: Any = registry("prompts").create(generator.prompts)
    files = BATCH * BATCHES
    requests, _ = plan_requests(strategy, CLASSES, "image", -(-files * (ROUNDS + 1) // len(CLASSES)), 1.0, 0)
    embeddings = {text: PIPELINE[0].encode_prompt(text, "cpu", 1, False)[0] for text in {r.prompt for r in requests}}
    inside, alone, added = [], [], []
    with tempfile.TemporaryDirectory() as name:
        bank = Bank(Path(name))

        def fill(batches: int) -> float:
            """Return the seconds that gtimm adds."""
            INSIDE.clear()
            began = time.perf_counter()
            bank.make(generator, bank.plan(generator, requests), LocalEngine(), "cpu", True, limit=batches)
            return time.perf_counter() - began - sum(INSIDE)

        fill(1)  # warms up everything
        for turn in range(ROUNDS):
            part = requests[BATCH + turn * files :][:files]
            batches = [part[i : i + BATCH] for i in range(0, files, BATCH)]
            extra = fill(BATCHES) if turn % 2 else 0.0
            images, seconds = bare(batches, embeddings)
            extra = extra or fill(BATCHES)
            plan = bank.plan(generator, requests)
            for index, image in enumerate(images, BATCH + turn * files):
                assert np.array_equal(np.asarray(image), np.asarray(load_image(plan.path(index))))
            inside += INSIDE
            alone += seconds
            added.append(extra / files)
            print(
                f"{files} images: bare {sum(seconds):.2f} s, gtimm {sum(INSIDE) + extra:.2f} s, of which it adds "
                f"{1000 * added[-1]:.2f} ms a file",
                flush=True,
            )
    cost, extra = float(np.median(alone)) / BATCH, float(np.median(added))
    ratio = (float(np.median(inside)) / BATCH + extra) / cost
    print(
        f"an image takes {cost:.3f} s (at least {COSTLY}); gtimm adds {1000 * extra:.2f} ms a file to the main thread (less than "
        f"{ADDED_MS} expected) and takes {ratio:.3f} of the bare loop's time (at most {OVER} expected)"
    )
    return 0 if cost >= COSTLY and 1000 * extra < ADDED_MS and ratio <= OVER else 1


if __name__ == "__main__":
    sys.exit(main())
