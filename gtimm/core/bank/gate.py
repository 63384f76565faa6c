"""The quality gate: what a generated item must pass before it is kept. Off by default; a rejected item gets the next seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from gtimm.core.errors import ConfigError
from gtimm.core.plugin import Plugin

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone
    from gtimm.core.bank import Plan
    from gtimm.core.bank.judge import Judge
    from gtimm.core.pool import Request

Spec = str | dict[str, Any]


class _Options(Plugin):
    @field_validator("backbone", check_fields=False)
    @classmethod
    def _known_backbone(cls, backbone: Spec) -> Spec:
        from gtimm.core.registry import registry

        name = backbone if isinstance(backbone, str) else backbone.get("name")
        if not isinstance(name, str):
            raise ConfigError(f"A backbone needs a 'name'; found {backbone!r}.")
        registry("backbones")[name]  # unknown ones raise
        return backbone


class Agreement(_Options):
    """An item must look (sound) like its class to an encoder of images (sounds) and texts: zero-shot classification.

    The item's embedding is compared with those of the names of all classes of the plan. A name is put into words and into each
    template; the unit embeddings of the templates are averaged, as in CLIP (Radford et al., ICML 2021, section 3.1.4).

    Attributes:
        backbone: an encoder that embeds texts too: `"clip"`, `"imagebind"`, or `{"name": ..., **options}`.
        top: the item's own class must be among so many nearest.
        templates: texts with `{}` for the class name; `None` is "a photo of a {}." for images, CLIP's, and "This is a sound of {}."
            for sounds, CLAP's (Elizalde et al., ICASSP 2023).
    """

    backbone: Spec = "clip"
    top: int = Field(default=1, ge=1)
    templates: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("templates")
    @classmethod
    def _with_a_place(cls, templates: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for template in templates or ():
            if template.count("{}") != 1:
                raise ValueError(f"a template has one {{}} for the class name; found {template!r}")
        return templates


class Duplicates(_Options):
    """An item must differ from those of lower rank in its class; one that is too near by either measure is rejected.

    Attributes:
        hamming: images whose 64-bit perceptual hashes differ in at most so many bits are duplicates. Drawings on plain ground
            hash alike: try it on some first. `None` is no check; for images alone.
        cosine: items whose embeddings have at least this cosine similarity are duplicates; `None` is no check.
        backbone: the encoder for `cosine`: a name or `{"name": ..., **options}`.
    """

    hamming: int | None = Field(default=None, ge=0, lt=64)
    cosine: float | None = Field(default=None, gt=0, le=1)
    backbone: Spec = "clip"

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.hamming is None and self.cosine is None:
            raise ValueError("give hamming (such as 4), cosine (such as 0.98), or both")
        return self


class Gate(_Options):
    """What generated items must pass. A bank with a gate is another bank than one without, or with another gate.

    A rejected item goes to `rejected/`, its reason and scores to `rejected/rejected.jsonl`, and it is made again with the next seed;
    the seeds follow from the request alone. Items that the pipeline itself calls unsafe are rejected too.

    Retried items make batches of their own. Second seeds begin when every wanted item was made with its first, and so on; batches
    are cut from all wanted items that need another seed by then, in the order of the plan. So which items share a batch follows
    from the plan: not from who made what when, nor from an interruption (an item that the generator fails at joins later). At the
    end of a plan, and with another budget, `shard` or set of wanted items, an item has other neighbours. Its bytes are the same
    then from a generator whose items hear neither their neighbours nor their place in the batch, such as ours; from others that
    is not promised.

    Duplicates are looked for when everything else is there. An item is compared with those of lower rank in its class (of its
    prompt, where there are no classes), and only once these are settled: all below are there, or have used up their seeds. So what
    is kept is what would have been kept one after another, whoever fills the bank, and a smaller budget has the same
    items. Until a run without `shard` and `limit` has ended well, an item may yet be found to repeat one that was made after it.

    Attributes:
        retries: seeds tried after the first; then the item counts as failed.
        flat: images whose grey values have a standard deviation (0..1) below this are rejected: black, blank, one colour.
        saturated: images of which more than this share of values is 0 or 255 throughout are rejected; `None` is no check, as
            drawings on plain ground are saturated.
        silence: sounds whose root mean square (0..1) is below this are rejected.
        agreement: zero-shot agreement with the class; `None` is no check. Prompts by row know no class: refused.
        duplicates: near-duplicates within a class; `None` is no check.

    Example:
        >>> gate = Gate(agreement={"backbone": "imagebind-tiny", "top": 3}, duplicates={"hamming": 4})
        >>> gate.options()["duplicates"]
        {'hamming': 4}
    """

    retries: int = Field(default=3, ge=0)
    flat: float = Field(default=0.01, ge=0)
    saturated: float | None = Field(default=None, gt=0, le=1)
    silence: float = Field(default=1e-3, ge=0)
    agreement: Agreement | None = None
    duplicates: Duplicates | None = None

    def check(self, requests: Sequence[Request]) -> None:
        """Raise `ConfigError` or `IncompatibleError` where this gate cannot judge what these requests ask for."""
        if not requests:
            return
        kinds = sorted({request.kind for request in requests})
        if self.agreement is not None:
            labels = {request.label for request in requests}
            if "" in labels:
                raise ConfigError(
                    "gate.agreement compares an item with the classes, and these requests belong to none (prompts by row). "
                    "Remove gate.agreement, or choose prompts by class, such as 'label'."
                )
            if self.agreement.top >= len(labels):
                raise ConfigError(
                    f"gate.agreement with top={self.agreement.top} rejects nothing where there are {len(labels)} classes. Lower top."
                )
            for kind in [*kinds, "text"]:
                backbone(self.agreement.backbone).check_kind(kind)
        if self.duplicates is not None and self.duplicates.cosine is not None:
            for kind in kinds:
                backbone(self.duplicates.backbone).check_kind(kind)
        if self.duplicates is not None and self.duplicates.hamming is not None and kinds != ["image"]:
            raise ConfigError(f"gate.duplicates.hamming compares images; found {', '.join(kinds)}. Use gate.duplicates.cosine.")

    def scope(self, requests: Sequence[Request]) -> str:
        """Return what verdicts follow from besides item and options: the encoders' weights, and the classes to compare with."""
        parts: dict[str, Any] = {}
        if self.agreement is not None:
            parts["agreement"] = [backbone(self.agreement.backbone).fingerprint(), sorted({r.label for r in requests})]
        if self.duplicates is not None and self.duplicates.cosine is not None:
            parts["duplicates"] = backbone(self.duplicates.backbone).fingerprint()
        return json.dumps(parts) if parts else ""

    def inside(self) -> tuple[Plugin, ...]:
        """Return the encoders that judge."""
        specs = [self.agreement.backbone] if self.agreement is not None else []
        if self.duplicates is not None and self.duplicates.cosine is not None:
            specs.append(self.duplicates.backbone)
        return tuple(backbone(spec) for spec in specs)

    def open(self, device: str, plan: Plan) -> Judge:
        """Return what judges the items of one plan; encoders are loaded when first needed."""
        from gtimm.core.bank.judge import Judge

        return Judge(self, device, plan)


def backbone(spec: Spec) -> Backbone:
    """Return the backbone of a gate's option."""
    from gtimm.core.registry import registry

    made: Backbone = registry("backbones").create(spec)
    return made
