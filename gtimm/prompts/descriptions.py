"""Descriptions of a class as prompts: from a file, a local language model or a function (section 4.3, "LLM-assisted Prompt")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.files import write_json
from gtimm.core.licences import UNKNOWN
from gtimm.core.plugin import Info
from gtimm.core.prompts import Prompts
from gtimm.prompts.factors import check_values, fields_of, fill
from gtimm.prompts.files import check_names, read_classes, words_of
from gtimm.prompts.language import Asked, describe

QUESTION = "Provide {count} definitions of action class {action}."


class DescriptionPrompts(Prompts):
    """Sentences that describe a class, each as often as the others; from exactly one of `file`, `model` and `given`.

    Attributes:
        file: JSON or YAML file {class: [descriptions]}; it may hold more classes than the data.
        model: folder of a transformers text-generation model with safetensors weights; nothing is downloaded.
        given: {class: [descriptions]} itself; `from_callable` makes it.
        save: JSON file where the model's descriptions are kept, to be read and edited; a class that stands in it is not asked again.
        question: what the model is asked, with the fields `{count}` and `{action}`; the paper's.
        count: descriptions a class that the model is asked for.
        seed: of the model's sampling, for each class apart.
        max_new_tokens: the longest answer.
        templates: the prompt from a description, with the fields `{description}` and `{action}`.
        names: JSON or YAML file {class: words} where a class name does not say what is meant; others become words by themselves.
        licence: of the model's weights, such as `"Apache-2.0"`, or `"own"`.

    Example:
        >>> strategy = DescriptionPrompts(given={"YoYo": ["A toy on a string."]})
        >>> strategy.prompts("YoYo", "image", 2, seed=0)
        ['A toy on a string.', 'A toy on a string.']
    """

    info: ClassVar[Info] = Info(kinds=("image", "audio"))

    file: str | None = None
    model: str | None = None
    given: dict[str, tuple[str, ...]] | None = None
    save: str | None = None
    question: str = QUESTION
    count: int = Field(default=5, ge=1)
    seed: int = 0
    max_new_tokens: int = Field(default=256, ge=1)
    templates: tuple[str, ...] = ("{description}",)
    names: str | None = None
    licence: str | None = None

    @field_validator("question")
    @classmethod
    def _asks(cls, question: str) -> str:
        if "action" not in fields_of(question, ("count", "action")):
            raise ValueError("question lacks {action}: every class would be described alike")
        return question

    @field_validator("templates")
    @classmethod
    def _known_fields(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if not templates:
            raise ValueError("templates must not be an empty list")
        for template in templates:
            if "description" not in fields_of(template, ("description", "action")):
                raise ValueError(f"template {template!r} lacks {{description}}")
        return templates

    @field_validator("given")
    @classmethod
    def _not_blank(cls, given: dict[str, tuple[str, ...]] | None) -> dict[str, tuple[str, ...]] | None:
        for label, texts in (given or {}).items():
            if not texts:
                raise ValueError(f"class {label!r} has no description")
            check_values(texts, f"descriptions of class {label!r}")
        return given

    @model_validator(mode="after")
    def _one_source(self) -> DescriptionPrompts:
        sources = [name for name in ("file", "model", "given") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(f"give exactly one of file, model and given; found {', '.join(sources) or 'none'}")
        if self.save is not None and self.model is None:
            raise ValueError("save keeps what a model writes; without model there is nothing to save")
        if self.save is not None and Path(self.save).suffix.lower() != ".json":
            raise ValueError(f"save must end in .json; found {self.save!r}")
        return self

    @classmethod
    def from_callable(cls, write: Callable[[str], Iterable[str]], classes: Iterable[str], **options: Any) -> DescriptionPrompts:
        """Call a function once for each class and keep its answers as the option `given`, so configurations can be saved.

        Example:
            >>> DescriptionPrompts.from_callable(lambda label: [f"Someone does {label}."], ["yoga"]).options()
            {'given': {'yoga': ['Someone does yoga.']}}
        """
        return cls(given={label: tuple(write(label)) for label in classes}, **options)

    def weights_licence(self) -> str:
        """Return the licence of the language model, if one is asked."""
        return "" if self.model is None else self.licence or UNKNOWN

    def lacks(self) -> tuple[str, ...]:
        """Return whether the file or the model is not there."""
        if self.file is not None and not Path(self.file).is_file():
            return (f"The file {self.file} does not exist. Write {{class: [descriptions]}} into it.",)
        if self.model is not None and not (Path(self.model) / "config.json").is_file():
            return (
                f"{self.model} is no folder of a transformers model. Bring a text-generation model with safetensors weights.",
            )
        return ()

    def prepare(self, classes: Sequence[str]) -> None:
        """Check that every class is described; ask the model about those that are not, and save its answers."""
        check_names(self.names, classes)
        found = self._described(classes)
        for label in classes:
            self._texts(found, label)

    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return the first `count` prompts of a class."""
        factors = {"description": self._texts(self._described([label]), label)}
        return fill(self.templates, factors, {"action": words_of(label, self.names)}, count, seed, kind, label)

    def _described(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return class to descriptions; a model is asked about those of these classes that are not there yet."""
        found = self._found()
        missing = [label for label in classes if label not in found]
        if self.model is None or not missing:
            return found
        asked = tuple(
            Asked(label, self.question.format(count=self.count, action=words_of(label, self.names))) for label in missing
        )
        answers = describe(self.model, asked, self.count, self.seed, self.max_new_tokens)
        found.update(zip(missing, map(list, answers), strict=True))
        if self.save is not None:
            write_json(self.save, found)
        return found

    def _found(self) -> dict[str, Any]:
        if self.given is not None:
            return dict(self.given)
        path = self.file or self.save
        return dict(read_classes(path)) if path is not None and (self.file or Path(path).exists()) else {}

    def _texts(self, found: Mapping[str, Any], label: str) -> tuple[str, ...]:
        where = self.file or self.save or "DescriptionPrompts"
        if label not in found:
            raise ConfigError(f"{where}: class {label!r} has no description.{did_you_mean(label, found)}")
        texts = found[label]
        if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
            raise ConfigError(f"{where}: class {label!r} needs a list of texts that are not blank; found {texts!r}.")
        return tuple(texts)
