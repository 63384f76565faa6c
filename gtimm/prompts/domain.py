"""The paper's multi-domain prompt (section 4.3, "Diversity Enhancement")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import field_validator

from gtimm.core.plugin import Info
from gtimm.core.prompts import Prompts
from gtimm.prompts.factors import check_values, fill
from gtimm.prompts.files import check_names, words_of
from gtimm.prompts.label import PERFORMERS

DOMAINS = (
    "photo",
    "drawing",
    "painting",
    "sketch",
    "collage",
    "poster",
    "digital art image",
    "rock drawing",
    "stick figure",
    "3D rendering",
)


class DomainPrompts(Prompts):
    """`"A {domain} of {performer} {action}"` over the paper's ten domains and five performers, or without performers.

    Domains and performers are balanced at every budget; among the first 50 prompts every pair of them occurs once.

    Attributes:
        domains: kinds of picture.
        performers: who acts; empty for things: "A {domain} of {action}".
        names: JSON or YAML file {class: words} where a class name does not say what is meant; others become words by themselves.

    Example:
        >>> sorted(DomainPrompts(domains=("photo", "sketch"), performers=()).prompts("YoYo", "image", 2, seed=0))
        ['A photo of yo yo', 'A sketch of yo yo']
    """

    info: ClassVar[Info] = Info(kinds=("image",))

    domains: tuple[str, ...] = DOMAINS
    performers: tuple[str, ...] = PERFORMERS
    names: str | None = None

    @field_validator("domains", "performers")
    @classmethod
    def _not_blank(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        check_values(values, "entries")
        return values

    @field_validator("domains")
    @classmethod
    def _some(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        if not domains:
            raise ValueError("domains must not be empty; for photos alone use the prompts 'label'")
        return domains

    def prepare(self, classes: Sequence[str]) -> None:
        """Refuse a file of names with classes that the data does not have."""
        check_names(self.names, classes)

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return the first `count` prompts of a class."""
        template = "A {domain} of {performer} {action}" if self.performers else "A {domain} of {action}"
        factors = {"domain": self.domains, **({"performer": self.performers} if self.performers else {})}
        return fill([template], factors, {"action": words_of(label, self.names)}, count, seed, kind, label)
