"""Prompt strategies: what a generator is asked for, by class."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from gtimm.core.plugin import Plugin
from gtimm.core.pool import Request
from gtimm.core.seeding import stable_seed

if TYPE_CHECKING:
    from collections.abc import Sequence


class Prompts(Plugin, ABC):
    """A prompt strategy. Write `prompts`.

    Example:
        >>> class Plain(Prompts):
        ...     def prompts(self, label, kind, count, seed):
        ...         return [label] * count
    """

    @abstractmethod
    def prompts(self, label: str, kind: str, count: int, seed: int) -> list[str]:
        """Return `count` prompts for a class, in order of rank.

        Budgets nest: the first k of any longer list are the list for k. Factors are balanced at every k.
        """


def words(name: str) -> str:
    """Turn a class name into words.

    Example:
        >>> words("BasketballDunk"), words("playing+music"), words("baby_back_ribs")
        ('basketball dunk', 'playing music', 'baby back ribs')
    """
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    text = " ".join(re.sub(r"[_+/\\|]+", " ", text).split())
    return text.lower() if text != name or " " not in name else text


def plan_requests(
    strategy: Prompts, classes: Sequence[str], kind: str, per_class: int, guidance: float, seed: int
) -> tuple[list[Request], list[int]]:
    """Return the requests of all classes and the class of each, ordered by rank, then class: budgets are prefixes."""
    prompts = [strategy.prompts(label, kind, per_class, seed) for label in classes]
    requests, owner = [], []
    for rank in range(per_class):
        for index, label in enumerate(classes):
            item_seed = stable_seed(seed, "item", kind, label, rank)
            requests.append(Request(kind, prompts[index][rank], item_seed, guidance, label=label))
            owner.append(index)
    return requests, owner
