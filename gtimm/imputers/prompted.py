"""What generators that are asked in words have in common: how many items, which prompts, and the plan of the requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from pydantic import Field, field_validator

from gtimm.core.asking import asking
from gtimm.core.errors import IncompatibleError
from gtimm.core.files import folder_digest
from gtimm.core.imputer import Generator, State, View
from gtimm.core.licences import UNKNOWN
from gtimm.core.plugin import Kind, Plugin
from gtimm.core.pool import Pool, Requests
from gtimm.core.prompts import Guidance, GuidanceRange, Prompts, RowPrompts, plan_requests, plan_rows
from gtimm.core.registry import registry
from gtimm.imputers.diffusion_loading import absent, hub_commit


class Prompted(Generator):
    """A generator of one kind of item from prompts.

    Attributes:
        per_class: items a class; smaller budgets are prefixes of larger ones.
        per_row: items a row, in place of `per_class` where the prompts go by row.
        prompts: prompt strategy: a name or `{"name": ..., **options}`. One that goes by row, such as `"text"`, reads no label, so that
            the generator may fill evaluation data too.
        seed: of the plan; it does not follow the Pipeline's, so that all runs share one bank.
    """

    makes: ClassVar[Kind]

    per_class: int = Field(default=100, ge=1)
    per_row: int = Field(default=1, ge=1)
    prompts: str | dict[str, Any] = "label"
    seed: int = 0

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, prompts: str | dict[str, Any]) -> str | dict[str, Any]:
        registry("prompts").create(prompts)
        return prompts

    @property
    def strategy(self) -> Prompts:
        """The prompt strategy."""
        return cast("Prompts", registry("prompts").create(self.prompts))

    def inside(self) -> tuple[Plugin, ...]:
        """Return the prompts, and the encoders that the gate judges by."""
        return (self.strategy, *super().inside())

    def needs_label(self) -> bool:
        """Return whether the prompts go by class."""
        return not isinstance(self.strategy, RowPrompts)

    def planned(self, view: View, target: str, guidance: float | GuidanceRange) -> Pool:
        """Return the pool of requests, ordered by rank, then class (row): `per_class` for each class, or `per_row` for each row.

        Args:
            view: the data.
            target: modality to fill.
            guidance: of the items.

        Raises:
            IncompatibleError: the modality is of another kind than what is made.
        """
        if view.kind(target) != self.makes:
            what = {"image": "images", "audio": "sound"}.get(self.makes, self.makes)
            raise IncompatibleError(
                f"{type(self).__name__} makes {what}; {target!r} is {view.kind(target)}. Use another imputer for it."
            )
        strategy = self.strategy
        with asking(strategy, "for prompts"):
            if isinstance(strategy, RowPrompts):
                return plan_rows(strategy, view, target, self.per_row, guidance, self.seed)
            assert view.labels is not None
            requests, owner = plan_requests(strategy, view.classes, self.makes, self.per_class, guidance, self.seed)
        return Pool.by_class(Requests(requests), np.array(owner, np.int64), view.labels, len(view.classes))


class Diffusion(Prompted):
    """A diffusers pipeline that makes items from prompts.

    Attributes:
        model: a local folder in diffusers format, or a hub id; weights must be safetensors.
        revision: commit of the hub id; the default model's is pinned. Without one it is the commit that is on this machine.
        download: fetch the hub id's files if they are not on this machine; nothing is downloaded in silence.
        steps: denoising steps.
        guidance: classifier-free guidance scale, 1 or less means none; or `{"low": 1, "high": 5}` for one drawn for each item, as the
            paper's "UGC" (section 4.3).
        negative_prompt: what to avoid.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`.
        offload: keep on the device only the part at work (text encoder, denoiser, decoder in turn): less memory, some time for each
            batch. Without it only the text encoder leaves when the prompts are encoded.
        batch_size: items made together; part of the plan, since other sizes round differently.
        threads: CPU threads; part of the plan for the same reason.
        licence: of the weights of another model than the default, such as `"Apache-2.0"`, or `"own"`; changes no item.
    """

    changing: ClassVar[frozenset[str]] = frozenset({"steps", "negative_prompt", "dtype", "batch_size", "threads"})
    """Options that change an item and are no part of its request."""
    pinned: ClassVar[dict[str, str]] = {}
    """Commits of hub ids."""

    model: str
    revision: str | None = None
    download: bool = False
    steps: int = Field(default=50, ge=1)
    guidance: Guidance = 7.5
    negative_prompt: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    offload: bool = False
    batch_size: int = Field(default=16, ge=1)
    threads: int = Field(default=1, ge=1)
    licence: str | None = None

    def pool(self, view: View, target: str, state: State) -> Pool:
        """Return the requests."""
        return self.planned(view, target, self.guidance)

    def weights_licence(self) -> str:
        """Return the licence of the default model's weights, of others what the option says."""
        default = type(self).model_fields["model"].default
        return self.licence or (self.info.weights_licence if self.model == default else UNKNOWN)

    def lacks(self) -> tuple[str, ...]:
        """Return whether the pipeline's files are not here, and which command or option gets them."""
        why = absent(self.model, self.revision or self.pinned.get(self.model))
        return () if why is None else (why,)

    def fingerprint(self) -> str:
        """Return the weights' digest (a hub id's commit) and every setting that changes an item."""
        folder = Path(self.model)
        if folder.is_dir():
            weights = folder_digest(folder, (".safetensors", ".json", ".txt", ".model"))
        else:
            weights = f"hub:{self.model}@{self.commit() or 'main'}"
        settings = self.model_dump(mode="json", include=set(self.changing))
        return json.dumps({"weights": weights, **settings, **self.more_settings()}, sort_keys=True)

    def more_settings(self) -> dict[str, Any]:
        """Return settings that change an item and stand in the fingerprint only where they are used."""
        return {}

    def commit(self) -> str | None:
        """Return the commit of a hub id: as asked for, pinned, on this machine, or with `download` the hub's latest."""
        known = self.revision or self.pinned.get(self.model)
        return known if known or Path(self.model).is_dir() else hub_commit(self.model, self.download)
