"""Batches of requests through a loaded diffusers pipeline, so that each image depends on its own request alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import MediaError
from gtimm.core.imputer import Failure
from gtimm.imputers.diffusion_loading import image_to_image, offloads

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.pool import Request

EMBEDDINGS = {
    "StableDiffusion": ("prompt_embeds", "negative_prompt_embeds"),
    "StableDiffusionXL": ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"),
}
"""What `encode_prompt` of an architecture returns, by the names that its call takes. Others are given the prompts as text."""

REMEMBERED = 256  # prompts whose embeddings are kept; 0.3 MB each for Stable Diffusion 2.1

Item = Any
"""A PIL image or a `Failure`."""


class Batches:
    """Makes batches of one fixed size.

    An image is the same, bit for bit, whatever the other requests of its batch are. Every pass through the pipeline therefore
    has the whole batch, and requests that need another kind of pass (with guidance or without, from noise or from a real image)
    get a pass of their own, of which only theirs is kept.

    Args:
        pipeline: a text-to-image pipeline.
        device: where it is.
        call: what every call takes, such as `num_inference_steps`.
        size: height and width in pixels, `None` for the model's.
        negative_prompt: what to avoid.
        strength: how far a real image is noised, in 0..1.
    """

    def __init__(
        self,
        pipeline: Any,
        device: str,
        call: dict[str, Any],
        size: tuple[int, int] | None,
        negative_prompt: str | None,
        strength: float,
    ) -> None:
        self._pipeline, self._device, self._call, self._size = pipeline, device, call, size
        self._negative_prompt, self._strength = negative_prompt, strength
        self._from_image: Any = None
        family = type(pipeline).__name__.removesuffix("Pipeline")
        self._names: tuple[str, ...] = EMBEDDINGS.get(family, ())
        network: Any = getattr(pipeline, "unet", None)
        self._scaled = bool(self._names) and getattr(network.config, "time_cond_proj_dim", None) is None
        self._encoded: dict[str, list[Tensor]] = {}
        self._negative: dict[str, Tensor] = {}

    def __call__(self, batch: Sequence[Request]) -> list[Item]:
        """Return an image or a `Failure` for each request."""
        import torch

        items: list[Item] = [Failure("not made")] * len(batch)
        sources = [None if request.init is None else _source(request) for request in batch]
        from_noise = [i for i, source in enumerate(sources) if source is None]
        from_image = [i for i, source in enumerate(sources) if source is not None and not isinstance(source, Failure)]
        with torch.inference_mode():
            for starts, places in ((None, from_noise), ([sources[i] for i in from_image], from_image)):
                images = None if not starts else self._starts(batch, dict(zip(places, starts, strict=True)))
                for served, guidance in self._passes(batch, places):
                    made = self._run(batch, guidance, images)
                    for place in served:
                        items[place] = made[place]
        return [source if isinstance(source, Failure) else item for source, item in zip(sources, items, strict=True)]

    def _passes(self, batch: Sequence[Request], places: list[int]) -> list[tuple[list[int], Any]]:
        """Return the passes that these places need: which of them each serves, and its guidance scale."""
        guided = [i for i in places if batch[i].guidance > 1]
        plain = [i for i in places if batch[i].guidance <= 1]
        passes: list[tuple[list[int], Any]] = [
            ([i for i in plain if batch[i].guidance == value], value) for value in sorted({batch[i].guidance for i in plain})
        ]
        if self._scaled:  # 1 or less is no guidance at all to these
            passes = [(plain, 1.0)] if plain else []
        scales = sorted({batch[i].guidance for i in guided})
        if self._scaled and len(scales) > 1:
            return [*passes, (guided, Scales([request.guidance for request in batch]))]
        return [*passes, *(([i for i in guided if batch[i].guidance == value], value) for value in scales)]

    def _run(self, batch: Sequence[Request], guidance: Any, starts: list[Any] | None) -> list[Item]:
        import torch

        options = {**self._call, **self._prompts(batch, guidance > 1)}
        pipeline = self._pipeline
        if starts is not None:
            self._from_image = self._from_image or image_to_image(pipeline)
            pipeline = self._from_image
            options |= {"image": starts, "strength": self._strength}
        elif self._size is not None:
            options["height"], options["width"] = self._size
        result = pipeline(
            **options,
            generator=[torch.Generator().manual_seed(int(request.seed)) for request in batch],
            guidance_scale=guidance,
            output_type="pil",
        )
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(batch)
        return [
            Failure("unsafe: the pipeline's own checker blacked it out") if flag else image
            for image, flag in zip(result.images, flags, strict=True)
        ]

    def _prompts(self, batch: Sequence[Request], guided: bool) -> dict[str, Any]:
        """Return the batch's prompts as the pipeline's call takes them: encoded where we know how."""
        import torch

        if not self._names:
            prompts: dict[str, Any] = {"prompt": [request.prompt for request in batch]}
            if self._negative_prompt is not None:
                prompts["negative_prompt"] = [self._negative_prompt] * len(batch)
            return prompts
        self._encode({request.prompt for request in batch})
        positive = [name for name in self._names if not name.startswith("negative")]
        options = {name: torch.cat([self._encoded[request.prompt][i] for request in batch]) for i, name in enumerate(positive)}
        if guided:
            options |= {name: torch.cat([value] * len(batch)) for name, value in self._negative.items()}
        return options

    def _encode(self, prompts: set[str]) -> None:
        new = sorted(prompts - self._encoded.keys())
        if not new:
            return
        named = [getattr(self._pipeline, name, None) for name in ("text_encoder", "text_encoder_2")]
        encoders = [] if offloads(self._pipeline) else [part for part in named if part is not None]
        for encoder in encoders:
            encoder.to(self._device)
        for prompt in [p for p in self._encoded if p not in prompts][: max(0, len(self._encoded) + len(new) - REMEMBERED)]:
            del self._encoded[prompt]
        for prompt in new:
            values = self._pipeline.encode_prompt(
                prompt,
                device=self._device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=True,
                negative_prompt=self._negative_prompt,
            )
            found = dict(zip(self._names, values, strict=True))
            self._encoded[prompt] = [value for name, value in found.items() if not name.startswith("negative")]
            self._negative = self._negative or {name: value for name, value in found.items() if name.startswith("negative")}
        if not self._device.startswith("cpu"):
            for encoder in encoders:
                encoder.to("cpu")  # its memory is worth more to the images

    def _starts(self, batch: Sequence[Request], sources: dict[int, Any]) -> list[Any]:
        """Return an image of the right size for each place; where none is wanted, any fills the batch up."""
        from PIL import Image, ImageOps

        height, width = self._size or self._own_size()
        fitted = {i: ImageOps.fit(source, (width, height), Image.Resampling.BICUBIC) for i, source in sources.items()}
        spare = next(iter(fitted.values()))
        return [fitted.get(i, spare) for i in range(len(batch))]

    def _own_size(self) -> tuple[int, int]:
        network = getattr(self._pipeline, "unet", None) or self._pipeline.transformer
        sample, factor = network.config.sample_size, self._pipeline.vae_scale_factor
        height, width = (sample, sample) if isinstance(sample, int) else sample
        return height * factor, width * factor


def _source(request: Request) -> Any:
    from gtimm.core.media import load_image

    if request.source is None:
        return Failure(f"its source item {request.init} did not come with the request")
    try:
        return load_image(request.source)
    except MediaError as error:
        return Failure(f"its source item cannot be read: {error}")


class Scales:
    """Guidance scales of the items of a batch, where the pipeline expects one number for all.

    The pipeline compares it with 1 and multiplies (batch, channels, height, width) by it. Computed in float32 and rounded once, as
    for a number, so that an item is the same as in a batch of one scale.

    Args:
        values: one an item; what is 1 or less counts as 1.
    """

    def __init__(self, values: Sequence[float]) -> None:
        self._values = [max(value, 1.0) for value in values]

    def __gt__(self, other: float) -> bool:
        return max(self._values) > other

    def __mul__(self, other: Tensor) -> Tensor:
        import torch

        scales = torch.tensor(self._values, dtype=torch.float32, device=other.device)
        return (scales.reshape(-1, *[1] * (other.ndim - 1)) * other.float()).to(other.dtype)
