"""What every prompt strategy promises. A broken promise is an `AssertionError` that says which, with what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gtimm.core.errors import ConfigError
from gtimm.core.prompts import Prompts, RowPrompts
from gtimm.testing.common import COMMON_CHECKS, Check, global_seed, global_state, refuse_other, run_checks
from gtimm.testing.samples import CLASSES, Sample, rebuilt, sample_data
from gtimm.testing.trial import WatchedView, trial

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset

LONG, SHORT = 23, (1, 2, 7)
"""Numbers of prompts that are asked for."""


@dataclass(frozen=True)
class Asked:
    """What prompts are tried with.

    Attributes:
        classes: names of classes, or for prompts by row texts, two or more.
        kinds: kinds of item to make.
        sample: rows for prompts by row.
    """

    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    sample: Sample


def check_prompts(
    prompts: Prompts,
    classes: Sequence[str] = CLASSES,
    data: MultimodalDataset | None = None,
    target: str | None = None,
    *,
    expected_failed_checks: Mapping[str, str] | None = None,
) -> None:
    """Run every check of `PROMPT_CHECKS`, and of prompts by row those of `ROW_PROMPT_CHECKS`.

    Args:
        prompts: the strategy.
        classes: class names that it can serve, two or more.
        data: complete, labelled rows for prompts by row; by default such are made up, with one text.
        target: the modality to make.
        expected_failed_checks: names of checks that are known to fail, with the reason.

    Raises:
        AssertionError: promises are broken.
        ConfigError: no instance of a prompt strategy, or classes or data that it cannot be tried on.

    Example:
        >>> from gtimm.prompts.label import LabelPrompts
        >>> check_prompts(LabelPrompts())
    """
    refuse_other(prompts, Prompts)
    run_checks(prompt_checks(prompts), prompts, asked_for(prompts, classes, data, target), expected_failed_checks)


def prompt_checks(prompts: Prompts) -> tuple[Check, ...]:
    """Return the checks of a prompt strategy."""
    return PROMPT_CHECKS + (ROW_PROMPT_CHECKS if isinstance(prompts, RowPrompts) else ())


def asked_for(
    prompts: Prompts, classes: Sequence[str] = CLASSES, data: MultimodalDataset | None = None, target: str | None = None
) -> Asked:
    """Return what a strategy is tried with."""
    kinds = tuple(prompts.info.kinds) or ("image", "audio")
    if isinstance(classes, str) or len(classes) < 2:
        raise ConfigError(f"classes= is two or more names; found {classes!r}.")
    sample = sample_data(kinds[0]) if data is None else Sample(data, target or data.modalities[0])
    sample.check(least=4)
    return Asked(tuple(classes), kinds, sample)


def check_as_many_as_asked(prompts: Prompts, given: Asked) -> None:
    """As many prompts come as were asked for, none too, each of them text that is not blank, for every kind and class."""
    prompts.prepare(given.classes)
    for kind in given.kinds:
        for label in given.classes:
            for count in (0, *SHORT, LONG):
                found = prompts.prompts(label, kind, count, 0)
                assert len(found) == count, f"{len(found)} prompts for {label!r} ({kind}); {count} were asked for."
                for prompt in found:
                    assert isinstance(prompt, str), f"A prompt for {label!r} is {type(prompt).__name__}, not text."
                    assert prompt.strip(), f"A prompt for {label!r} ({kind}) is blank."


def check_budgets_nest(prompts: Prompts, given: Asked) -> None:
    """The first k prompts of any longer list are the list for k: a larger budget makes nothing again."""
    prompts.prepare(given.classes)
    for kind in given.kinds:
        for label in given.classes:
            whole = prompts.prompts(label, kind, LONG, 0)
            for count in SHORT:
                found = prompts.prompts(label, kind, count, 0)
                assert found == whole[:count], f"The {count} prompts for {label!r} ({kind}) do not begin the list of {LONG}."


def check_same_seed_same_result(prompts: Prompts, given: Asked) -> None:
    """Equal options and seeds give equal prompts, whatever the global generators hold and whatever was asked before."""
    found = []
    for seed in (1, 2):
        with global_seed(seed):
            fresh = type(prompts)(**json.loads(json.dumps(prompts.options())))
            fresh.prepare(given.classes)
            order = given.classes[:: 3 - 2 * seed]
            asked = {(label, kind): fresh.prompts(label, kind, 7, 0) for label in order for kind in given.kinds}
            found.append(asked)
    assert found[0] == found[1], (
        "Two lists of prompts with equal options and seed differ; use gtimm.core.seeding.stream(seed, ...)."
    )


def check_global_randomness_is_left_alone(prompts: Prompts, given: Asked) -> None:
    """The global generators of Python, NumPy and torch are neither seeded nor drawn from."""
    prompts.prepare(given.classes)
    prompts.prompts(given.classes[0], given.kinds[0], 7, 0)
    with global_seed(3):
        before = global_state()
        prompts.prepare(given.classes)
        prompts.prompts(given.classes[0], given.kinds[0], 7, 0)
        after = global_state()
    assert after == before, "A global random generator was seeded or drawn from; use gtimm.core.seeding.stream(seed, ...)."


def check_other_classes_change_nothing(prompts: Prompts, given: Asked) -> None:
    """The prompts of a class are the same whichever other classes the plan has: another class more makes nothing again."""
    for label in given.classes:
        found = []
        for told in (given.classes, (label,)):
            prompts.prepare(told)
            found.append([prompts.prompts(label, kind, 7, 0) for kind in given.kinds])
        assert found[0] == found[1], f"The prompts of {label!r} are others when it is the only class."


def check_classes_differ(prompts: Prompts, given: Asked) -> None:
    """Two classes have different prompts, so that what is made tells them apart."""
    prompts.prepare(given.classes)
    for kind in given.kinds:
        lists = [tuple(prompts.prompts(label, kind, 7, 0)) for label in given.classes]
        assert len(set(lists)) == len(lists), f"Two classes have the same prompts ({kind}): {lists[0][0]!r}, ..."


def check_input_is_not_mutated(prompts: Prompts, given: Asked) -> None:
    """The list of classes stays as it was."""
    classes = list(given.classes)
    prompts.prepare(classes)
    prompts.prompts(classes[0], given.kinds[0], 2, 0)
    assert classes == list(given.classes), "prepare() changed the list of classes; copy it first."


PROMPT_CHECKS: tuple[Check, ...] = (
    *COMMON_CHECKS,
    check_as_many_as_asked,
    check_budgets_nest,
    check_same_seed_same_result,
    check_global_randomness_is_left_alone,
    check_other_classes_change_nothing,
    check_classes_differ,
    check_input_is_not_mutated,
)


def check_a_text_or_none_for_every_row(prompts: RowPrompts, given: Asked) -> None:
    """`texts` gives for each row a text or `None`, also where all that a row could be described by is missing."""
    data, target = given.sample.data, given.sample.target
    bare = rebuilt(data, {m: np.arange(len(data)) % 3 == 0 for m in data.modalities})
    for rows in (data, bare):
        found = _texts(prompts, rows, target)
        assert len(found) == len(rows), f"{len(found)} texts for {len(rows)} rows."
        for row, text in enumerate(found):
            assert text is None or (isinstance(text, str) and text.strip()), f"Row {row}: {text!r} is neither text nor None."
    assert any(text is not None for text in _texts(prompts, data, target)), "No row has a text; try it on data=, whose rows have."


def check_rows_stand_alone(prompts: RowPrompts, given: Asked) -> None:
    """A row's text follows from the row, not from its place or from rows beside it."""
    data, target = given.sample.data, given.sample.target
    whole, few = _texts(prompts, data, target), list(range(len(data) - 1, 0, -5))
    assert _texts(prompts, data.subset(few), target) == [whole[row] for row in few], "A row has another text among other rows."


def check_sealed_payloads_are_never_read(prompts: RowPrompts, given: Asked) -> None:
    """What is sealed of any modality goes into no text."""
    from gtimm.core.missing import Missing

    data, target = given.sample.data, given.sample.target
    for m in data.modalities:
        missing, found = Missing({m: 0.5}, seed=1), []
        hidden = data.with_missing(missing).sealed(m)
        own = [data.payload(m, row) for row in range(len(data))]
        for turn in (0, 1):
            values = [own[(row + turn) % len(own)] if hidden[row] else own[row] for row in range(len(own))]
            found.append(_texts(prompts, rebuilt(data, payloads={m: values}).with_missing(missing), target))
        assert found[0] == found[1], f"Sealed payloads of {m!r} went into the texts."


def check_no_label_is_used(prompts: RowPrompts, given: Asked) -> None:
    """Labels change no text, so that the prompts may fill evaluation data."""
    data, target = given.sample.data, given.sample.target
    assert data.labels is not None
    other = rebuilt(data, labels=np.zeros_like(data.labels))
    assert _texts(prompts, data, target) == _texts(prompts, other, target), "Labels went into the texts."


ROW_PROMPT_CHECKS: tuple[Check, ...] = (
    check_a_text_or_none_for_every_row,
    check_rows_stand_alone,
    check_sealed_payloads_are_never_read,
    check_no_label_is_used,
)


def _texts(prompts: RowPrompts, data: MultimodalDataset, target: str) -> list[str | None]:
    with trial() as run:
        return prompts.texts(WatchedView(data, run.workspace), target)
