"""Sound from the class name by AudioLDM2: the paper's filling of missing audio (Table 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from gtimm.core.errors import ConfigError, WeightsError
from gtimm.core.imputer import Failure
from gtimm.core.plugin import Info
from gtimm.core.prompts import Guidance
from gtimm.core.seeding import torch_threads
from gtimm.imputers.diffusion_loading import loading, placed
from gtimm.imputers.prompted import Diffusion

if TYPE_CHECKING:
    from torch import Tensor

    from gtimm.core.media import Payload
    from gtimm.core.pool import Request

DEFAULT_MODEL = "cvssp/audioldm2"
EMBEDDINGS = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
"""What `encode_prompt` returns, by the names that the pipeline's call takes, also with `negative_` in front."""

REMEMBERED = 256  # prompts whose embeddings are kept


class AudioLDM2(Diffusion):
    """Generates sound from prompts with AudioLDM2.

    Its other options are those of `Diffusion` and `Prompted`; 200 steps and a guidance of 3.5 are the pipeline's defaults. The
    pipeline cuts a negative prompt to the length of the prompt, in tokens.

    Attributes:
        seconds: length of a sound, cut to whole frames (0.01 s); `None` takes the model's (10.24 for the default model).
    """

    info: ClassVar[Info] = Info(
        kinds=("audio",), items="request", needs_label=True, depths=("pooled", "last_block"), weights_licence="CC-BY-NC-SA-4.0"
    )
    makes = "audio"
    changing = Diffusion.changing | {"seconds"}
    pinned: ClassVar[dict[str, str]] = {DEFAULT_MODEL: "c8e7e189d324425c05c4c2f81214041ef4107983"}

    model: str = DEFAULT_MODEL
    steps: int = Field(default=200, ge=1)
    guidance: Guidance = 3.5
    seconds: float | None = Field(default=None, gt=0, le=3600)
    batch_size: int = Field(default=4, ge=1)

    def open(self, device: str) -> Callable[[Sequence[Request]], list[Payload | Failure]]:
        """Load the pipeline and return the function that makes a batch."""
        pipeline = load_audioldm2(self.model, self.commit(), self.dtype, device, self.download, self.offload)
        self._check_length(pipeline)
        encoded: dict[tuple[str, bool], list[Tensor]] = {}

        def make(batch: Sequence[Request]) -> list[Payload | Failure]:
            items: list[Payload | Failure] = [Failure("not made")] * len(batch)
            with torch_threads(self.threads):
                for guidance in sorted({max(request.guidance, 1.0) for request in batch}):
                    sounds = self._batch(pipeline, batch, guidance, encoded, device)
                    for place, request in enumerate(batch):
                        if max(request.guidance, 1.0) == guidance:
                            items[place] = sounds[place]
            return items

        return make

    def _check_length(self, pipeline: Any) -> None:
        vocoder = pipeline.vocoder.config
        least = float(np.prod(vocoder.upsample_rates)) / vocoder.sampling_rate * pipeline.vae_scale_factor
        if self.seconds is not None and self.seconds < least:
            raise ConfigError(
                f"AudioLDM2 option 'seconds': {self.model!r} makes no less than {least:g} s (found {self.seconds:g})."
            )

    def _batch(
        self, pipeline: Any, batch: Sequence[Request], guidance: float, encoded: dict[tuple[str, bool], list[Tensor]], device: str
    ) -> list[Payload | Failure]:
        import torch

        guided = guidance > 1
        with torch.inference_mode():
            new = {request.prompt for request in batch} - {prompt for prompt, kind in encoded if kind == guided}
            if len(encoded) + len(new) > REMEMBERED:
                encoded.clear()
                new = {request.prompt for request in batch}
            for prompt in sorted(new):
                encoded[prompt, guided] = self._encode(pipeline, prompt, guided, device)
            options = joined([encoded[request.prompt, guided] for request in batch], guided)
            found = pipeline(
                **options,
                generator=[torch.Generator().manual_seed(int(request.seed)) for request in batch],
                num_inference_steps=self.steps,
                guidance_scale=guidance,
                audio_length_in_s=self.seconds,
                output_type="pt",
            ).audios
        rate = int(pipeline.vocoder.config.sampling_rate)
        return [_item(sound.float().cpu().numpy(), rate) for sound in found]

    def _encode(self, pipeline: Any, prompt: str, guided: bool, device: str) -> list[Tensor]:
        """Encode one prompt by itself: in a batch, the padding of its neighbours would change its sound."""
        negative = None if self.negative_prompt is None or not guided else [self.negative_prompt]
        found = pipeline.encode_prompt([prompt], device, 1, guided, negative_prompt=negative)
        return list(found)


def load_audioldm2(
    model: str, revision: str | None, dtype: str, device: str, download: bool = False, offload: bool = False
) -> Any:
    """Load an AudioLDM2 pipeline.

    The language model is loaded apart, as GPT2LMHeadModel: published checkpoints name GPT2Model, which generates no longer. Its
    weights are the same.

    Args:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id.
        dtype: of the weights.
        device: such as `"cpu"` or `"cuda"`.
        download: fetch a hub id's files that are not on this machine.
        offload: keep on the device only the part at work.

    Raises:
        WeightsError: no pipeline, a part is missing or damaged, not on this machine, or the hub cannot be reached.
    """
    from diffusers import AudioLDM2Pipeline
    from transformers import GPT2LMHeadModel

    with loading(model, revision, dtype, download) as options:
        language, report = GPT2LMHeadModel.from_pretrained(model, subfolder="language_model", output_loading_info=True, **options)
        if report["missing_keys"]:
            raise WeightsError(
                f"The language model of {model!r} lacks the weights {sorted(report['missing_keys'])[:3]}. Download it again."
            )
        pipeline = AudioLDM2Pipeline.from_pretrained(model, language_model=language, **options)
    return placed(pipeline, device, offload)


def joined(prompts: Sequence[Sequence[Tensor]], guided: bool) -> dict[str, Tensor]:
    """Return the options of one call from prompts that were encoded one by one.

    Args:
        prompts: of each, what `encode_prompt` returned: tensors (1 or 2, tokens, ...), the negative half first.
        guided: whether there is a negative half.

    Returns:
        Tensors (prompts, longest, ...); what is padded is zero, in the masks too.
    """
    import torch

    options: dict[str, Tensor] = {}
    for place, name in enumerate(EMBEDDINGS):
        values = [prompt[place] for prompt in prompts]
        longest = max(value.shape[1] for value in values)
        wide = torch.stack(
            [torch.cat([v, v.new_zeros((len(v), longest - v.shape[1], *v.shape[2:]))], dim=1) for v in values], dim=1
        )
        if guided:
            options[f"negative_{name}"] = wide[0]
        options[name] = wide[-1]
    return options


def _item(samples: Any, rate: int) -> Payload | Failure:
    if not np.isfinite(samples).all():
        return Failure("it is not finite; try dtype='float32'")
    return np.clip(samples, -1, 1).astype(np.float32), rate
