"""The paper's label prompt (section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import field_validator, model_validator

from gtimm.core.plugin import Info
from gtimm.core.prompts import Prompts
from gtimm.prompts.factors import check_values, fields_of, fill
from gtimm.prompts.files import check_names, words_of

PERFORMERS = ("a man", "a woman", "a child", "a person", "a group of people")
TEMPLATES = {
    "image": ("A photo of {performer} {action}", "A photo of {action}"),
    "audio": ("{action}", "sound of {action}"),
}


class LabelPrompts(Prompts):
    """`"A photo of {performer} {action}"` with the class name as action; for audio `"{action}"` and `"sound of {action}"`.

    Performers and templates are balanced: among the first k prompts of a class their counts differ by at most one, and their
    combinations are covered evenly.

    Attributes:
        performers: who acts; the paper's five for actions. Empty for things: "A photo of {action}". The paper also restricts them
            to "a man" or "a woman" (Figure 11).
        templates: free templates with the fields `{performer}` and `{action}`; by default those above.
        names: JSON or YAML file {class: words} where a class name does not say what is meant; others become words by themselves.

    Example:
        >>> sorted(LabelPrompts(performers=("a man", "a woman")).prompts("PlayingGuitar", "image", 2, seed=0))
        ['A photo of a man playing guitar', 'A photo of a woman playing guitar']
        >>> LabelPrompts(performers=()).prompts("baby_back_ribs", "image", 1, seed=0)
        ['A photo of baby back ribs']
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"))

    performers: tuple[str, ...] = PERFORMERS
    templates: tuple[str, ...] | None = None
    names: str | None = None

    @field_validator("performers")
    @classmethod
    def _not_blank(cls, performers: tuple[str, ...]) -> tuple[str, ...]:
        check_values(performers, "performers")
        return performers

    @field_validator("templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if templates is not None and not templates:
            raise ValueError("templates must not be an empty list")
        for template in templates or ():
            fields_of(template, ("performer", "action"))
        return templates

    @model_validator(mode="after")
    def _somebody_performs(self) -> LabelPrompts:
        if not self.performers and any(
            "performer" in fields_of(template, ("performer", "action")) for template in self.templates or ()
        ):
            raise ValueError("a template has {performer}, and performers is empty; name some, or take the field out")
        return self

    def prepare(self, classes: Sequence[str]) -> None:
        """Refuse a file of names with classes that the data does not have."""
        check_names(self.names, classes)

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return the first `count` prompts of a class."""
        templates = self.templates or self._defaults(kind)
        factors = {"performer": self.performers} if self.performers else {}
        return fill(templates, factors, {"action": words_of(label, self.names)}, count, seed, kind, label)

    def _defaults(self, kind: str) -> tuple[str, ...]:
        if kind == "audio":
            return TEMPLATES["audio"]
        return TEMPLATES["image"][:1] if self.performers else TEMPLATES["image"][1:]
