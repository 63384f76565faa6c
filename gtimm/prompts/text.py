"""A row's own text as the prompt: no label, so it may fill evaluation data too."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import field_validator

from gtimm.core.errors import IncompatibleError, did_you_mean
from gtimm.core.media import load_text
from gtimm.core.plugin import Info
from gtimm.core.prompts import RowPrompts
from gtimm.prompts.factors import fields_of, fill

if TYPE_CHECKING:
    from gtimm.core.imputer import View


class TextPrompts(RowPrompts):
    """The row's own caption. A row whose text is missing, sealed or blank has no prompt; long texts are kept whole.

    Attributes:
        modality: which text; by default the only one.
        templates: with the field `{text}`, balanced over a row's items.

    Example:
        >>> TextPrompts().prompts("a flooded street", "image", 1, seed=0)
        ['a flooded street']
        >>> TextPrompts(templates=("A photo of {text}",)).prompts("a flooded street", "image", 1, seed=0)
        ['A photo of a flooded street']
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"))

    modality: str | None = None
    templates: tuple[str, ...] = ("{text}",)

    @field_validator("templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if not templates:
            raise ValueError("templates must not be an empty list")
        for template in templates:
            if "text" not in fields_of(template, ("text",)):
                raise ValueError(f"template {template!r} lacks {{text}}: every row would have the same prompt")
        return templates

    def texts(self, view: View, target: str) -> list[str | None]:
        """Return each row's text, whitespace made single."""
        modality = self._source(view, target)
        there = view.present(modality)
        found = [" ".join(load_text(view.payload(modality, row)).split()) if there[row] else "" for row in range(view.rows)]
        return [text or None for text in found]

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return the first `count` prompts of a text."""
        return fill(self.templates, {}, {"text": label}, count, seed, kind, label)

    def _source(self, view: View, target: str) -> str:
        known = [name for name in view.modalities if view.kind(name) == "text" and name != target]
        if self.modality in known:
            return self.modality
        if self.modality is not None:
            raise IncompatibleError(
                f"TextPrompts: {self.modality!r} is no text beside {target!r}.{did_you_mean(self.modality, known)} "
                f"Texts: {', '.join(known) or 'none'}."
            )
        if len(known) != 1:
            raise IncompatibleError(
                f"TextPrompts makes {target!r} from a row's text; the data has {', '.join(known) or 'none'}. "
                + ("Choose with the option 'modality'." if known else "Use prompts that go by class, such as 'label'.")
            )
        return known[0]
