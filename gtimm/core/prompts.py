"""Prompt strategies: what a generator is asked for, by class or by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gtimm.core.errors import ConfigError, IncompatibleError, PluginError
from gtimm.core.plugin import Plugin
from gtimm.core.pool import Pool, Request, Requests
from gtimm.core.seeding import stable_seed, stream

if TYPE_CHECKING:
    from gtimm.core.imputer import View


class Prompts(Plugin, ABC):
    """A prompt strategy. Write `prompts`, and `prepare` where something must be read or checked first.

    Example:
        >>> class Plain(Prompts):
        ...     def prompts(self, label, kind, count, seed):
        ...         return [label] * count
        >>> requests, owner = plan_requests(Plain(), ["cat", "dog"], "image", 2, guidance=7.5, seed=0)
        >>> [request.prompt for request in requests], owner
        (['cat', 'dog', 'cat', 'dog'], [0, 1, 0, 1])
    """

    def prepare(self, classes: Sequence[str]) -> None:
        """Be told all classes, once for each plan and before `prompts`; raise `ConfigError` where they cannot be served."""

    @abstractmethod
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return `count` prompts for a class (a row's text for `RowPrompts`), in order of rank; deterministic.

        Budgets nest: the first k of any longer list are the list for k. Factors are balanced at every k. Other classes
        change nothing.
        """


class RowPrompts(Prompts, ABC):
    """A prompt strategy that goes by a row's own content, needs no label, and so may fill evaluation data. Write `texts` too.

    Example:
        >>> class Named(RowPrompts):
        ...     def texts(self, view, target):
        ...         return [f"row {row}" for row in range(view.rows)]
        ...     def prompts(self, label, kind, count, seed):
        ...         return [label] * count
    """

    @abstractmethod
    def texts(self, view: View, target: str) -> list[str | None]:
        """Return (rows,) what the prompts of each row are made from; `None` where a row has nothing to go by."""


class GuidanceRange(BaseModel):
    """A classifier-free guidance scale drawn for each item: uniform, to two decimals. The paper's is 1 to 5 (section 4.3, "UGC").

    Attributes:
        low: smallest scale.
        high: largest scale.

    Example:
        >>> GuidanceRange(low=1, high=5) == GuidanceRange.model_validate((1, 5))
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    high: float = Field(default=5.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise ValueError(f"a range of guidance has two ends, low and high; found {len(value)} numbers")
            return {"low": value[0], "high": value[1]}
        return value

    @model_validator(mode="after")
    def _ascends(self) -> GuidanceRange:
        if self.low > self.high:
            raise ValueError(f"low must not exceed high; found {self.low} and {self.high}")
        return self

    def draw(self, seed: int, *names: object) -> float:
        """Return the scale of one named item."""
        value = round(float(stream(seed, "guidance", *names).uniform(self.low, self.high)), 2)
        return min(max(value, self.low), self.high)


Guidance = Annotated[float, Field(ge=0, allow_inf_nan=False)] | GuidanceRange
"""A generator's option: a number for all items, or `{"low": 1, "high": 5}` (or a pair) for one drawn by item."""


def words(name: str) -> str:
    """Turn a class name into words, in lower case; a name that holds a blank is words already and keeps its letters.

    Example:
        >>> words("BasketballDunk"), words("playing+music"), words("baby_back_ribs"), words("HTMLParser"), words("MP3Player")
        ('basketball dunk', 'playing music', 'baby back ribs', 'html parser', 'mp3 player')
        >>> words("Paris at night")
        'Paris at night'
    """
    parts = name.split()
    if len(parts) > 1:
        return " ".join(parts)
    text = "".join(f" {c}" if _starts_word(name, i) else c for i, c in enumerate(name))
    return " ".join("".join(" " if c in "_+/\\|" else c for c in text).split()).lower()


def _starts_word(name: str, i: int) -> bool:
    if i == 0 or not name[i].isupper():
        return False
    return name[i - 1].islower() or (name[i - 1].isalnum() and name[i + 1 : i + 2].islower())


def plan_requests(
    strategy: Prompts, classes: Sequence[str], kind: str, per_class: int, guidance: Any, seed: int
) -> tuple[list[Request], list[int]]:
    """Return the requests of all classes and the class of each, ordered by rank, then class: budgets are prefixes.

    An item's prompt, seed and guidance follow from the class, its rank and `seed` alone.

    Args:
        strategy: what is asked for.
        classes: names of the classes.
        kind: `"image"` or `"audio"`.
        per_class: requests a class.
        guidance: a number, or a `GuidanceRange`, as a pair or a mapping too.
        seed: of the plan.

    Raises:
        ConfigError: the strategy cannot serve these classes.
        IncompatibleError: the strategy goes by rows, or does not make this kind.
    """
    if isinstance(strategy, RowPrompts):
        raise IncompatibleError(
            f"{type(strategy).__name__} makes prompts from a row's own content, not from its class; plan with plan_rows, "
            "or choose prompts that go by class, such as 'label'."
        )
    strategy.prepare(classes)
    return _plan(strategy, classes, kind, per_class, guidance, seed, labelled=True)


def plan_rows(strategy: RowPrompts, view: View, target: str, per_row: int, guidance: Any, seed: int) -> Pool:
    """Return the pool of requests from rows' own content: `per_row` candidates for each row that lacks `target`.

    A row with the modality, or with nothing to make a prompt from, has no candidate. Rows of equal text share their items, so an
    item follows from text, rank and `seed` alone: not from the row's number, the other rows, or the split.

    Args:
        strategy: what is asked for.
        view: the data; its labels are not read.
        target: modality to fill; its kind is what is made.
        per_row: requests a row.
        guidance: a number, or a `GuidanceRange`, as a pair or a mapping too.
        seed: of the plan.
    """
    texts = strategy.texts(view, target)
    if len(texts) != view.rows:
        raise PluginError(f"{type(strategy).__name__}.texts gave {len(texts)} texts for {view.rows} rows.")
    there = view.present(target)
    groups: dict[str, int] = {}
    group = np.full(view.rows, -1, np.int32)
    for row, text in enumerate(texts):
        if text is not None and not there[row]:
            group[row] = groups.setdefault(text, len(groups))
    requests, owner = _plan(strategy, list(groups), view.kind(target), per_row, guidance, seed, labelled=False)
    return Pool.by_class(Requests(requests), np.array(owner, np.int64), group, max(len(groups), 1))


def _plan(
    strategy: Prompts, subjects: Sequence[str], kind: str, count: int, guidance: Any, seed: int, labelled: bool
) -> tuple[list[Request], list[int]]:
    name = type(strategy).__name__
    if strategy.info.kinds and kind not in strategy.info.kinds:
        raise IncompatibleError(f"{name} writes prompts for {', '.join(strategy.info.kinds)}; found {kind!r}. Choose others.")
    try:
        scale = TypeAdapter[float | GuidanceRange](Guidance).validate_python(guidance)
    except ValidationError as error:
        raise ConfigError(f"guidance must be a number of at least 0, or {{low, high}}; found {guidance!r}: {error}") from error
    prompts = []
    for subject in subjects:
        found = strategy.prompts(subject, kind, count, seed)
        if len(found) != count:
            raise PluginError(f"{name} gave {len(found)} prompts for {subject!r}; {count} were asked for.")
        if blank := [rank for rank, prompt in enumerate(found) if not prompt.strip()]:
            raise ConfigError(f"{name} gave an empty prompt for {subject!r} (number {blank[0] + 1}).")
        prompts.append(found)
    requests, owner = [], []
    for rank in range(count):
        for index, subject in enumerate(subjects):
            requests.append(
                Request(
                    kind,
                    prompts[index][rank],
                    stable_seed(seed, "item", kind, subject, rank),
                    scale.draw(seed, kind, subject, rank) if isinstance(scale, GuidanceRange) else scale,
                    label=subject if labelled else "",
                )
            )
            owner.append(index)
    return requests, owner
