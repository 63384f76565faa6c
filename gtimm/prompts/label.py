"""The paper's label prompt (section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter
from typing import ClassVar

from pydantic import field_validator

from gtimm.core.plugin import Info
from gtimm.core.prompts import Prompts, words
from gtimm.core.seeding import stream

PERFORMERS = ("a man", "a woman", "a child", "a person", "a group of people")
TEMPLATES = {
    "image": ("A photo of {performer} {action}", "A photo of {action}"),
    "audio": ("{action}", "sound of {action}"),
}


class LabelPrompts(Prompts):
    """`"A photo of {performer} {action}"` with the class name as action; for audio `"{action}"` and `"sound of {action}"`.

    Performers and templates are balanced: among the first k prompts of a class their counts differ by at most one.

    Attributes:
        performers: who acts; the paper's five for actions. Empty for things: "A photo of {action}".
        templates: free templates with the fields `{performer}` and `{action}`; by default those above.
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"))

    performers: tuple[str, ...] = PERFORMERS
    templates: tuple[str, ...] | None = None

    @field_validator("templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for template in templates or ():
            try:
                fields = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
            except ValueError as error:
                raise ValueError(f"template {template!r}: {error}") from error
            if unknown := fields - {"performer", "action"}:
                raise ValueError(f"template {template!r} has unknown fields {sorted(unknown)}; known: performer, action")
            if not template.strip():
                raise ValueError("a template must not be empty")
        if templates is not None and not templates:
            raise ValueError("templates must not be an empty list")
        return templates

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return the first `count` prompts of a class; each factor goes in rounds of its own, each round in a seeded order."""
        templates = _rounds(self.templates or self._defaults(kind), count, seed, kind, label, "template")
        performers = _rounds(self.performers or ("",), count, seed, kind, label, "performer")
        action = words(label)
        filled = [t.format(performer=p, action=action) for t, p in zip(templates, performers, strict=True)]
        return [" ".join(text.split()) for text in filled]

    def _defaults(self, kind: str) -> tuple[str, ...]:
        if kind == "audio":
            return TEMPLATES["audio"]
        return TEMPLATES["image"][:1] if self.performers else TEMPLATES["image"][1:]


def _rounds(values: Sequence[str], count: int, *names: object) -> list[str]:
    random = stream(0, "prompts", *names)
    result: list[str] = []
    while len(result) < count:
        result += [values[i] for i in random.permutation(len(values))]
    return result[:count]
