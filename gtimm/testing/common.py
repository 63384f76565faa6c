"""Promises that every strategy makes, whatever its kind, and how a list of checks is run."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.licences import UNKNOWN, code_licence
from gtimm.testing.explain import hint, own_line

if TYPE_CHECKING:
    from gtimm.core.plugin import Plugin

Check = Callable[[Any, Any], None]
"""A promise: takes a strategy and what it is tried with, and raises where the promise is broken."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # of an object in memory, which is another in each check


def check_options_round_trip(plugin: Plugin, given: object = None) -> None:
    """Options survive JSON, as a configuration file and a saved model need; so do their defaults, written out."""
    for given_options in (plugin.options(), plugin.model_dump(mode="json")):
        again = type(plugin)(**json.loads(json.dumps(given_options)))
        assert again == plugin, f"Options changed by way of JSON: {plugin!r} became {again!r}."


def check_unknown_options_are_refused(plugin: Plugin, given: object = None) -> None:
    """An option that does not exist is an error: a misspelt one would change nothing in silence."""
    try:
        type(plugin)(**{**plugin.options(), "no_such_option": 1})
    except ConfigError:
        return
    raise AssertionError(f"{type(plugin).__name__} took an option that it does not have; leave model_config as Plugin has it.")


def check_licences_are_stated(plugin: Plugin, given: object = None) -> None:
    """The licence of the code is stated, and so is that of weights that are loaded by default."""
    assert code_licence(plugin) != UNKNOWN, (
        "Nobody has stated the licence of the code: give its SPDX identifier as info.licence, or as `license` in the pyproject.toml of "
        "the package whose entry point it is."
    )
    assert isinstance(plugin.weights_licence(), str), "weights_licence() must return text, empty where no weights are loaded."
    assert plugin.info.weights_licence != UNKNOWN, "info.weights_licence: find out under which licence the default weights are."


COMMON_CHECKS: tuple[Check, ...] = (check_options_round_trip, check_unknown_options_are_refused, check_licences_are_stated)


def refuse_other(strategy: Any, base: type[Any]) -> None:
    """Raise `ConfigError` unless a strategy is an instance of a base, with what to write instead."""
    if isinstance(strategy, base):
        return
    if isinstance(strategy, type):
        raise ConfigError(f"Checks take an instance, such as {strategy.__name__}(); found the class {strategy.__name__}.")
    raise ConfigError(f"Checks of this kind take an instance of {base.__name__}; found {strategy!r}.")


def run_checks(checks: Sequence[Check], plugin: Plugin, given: Any, expected: Mapping[str, str] | None = None) -> None:
    """Run all checks, and then raise for those that failed.

    Args:
        checks: what is promised.
        plugin: who promises.
        given: what it is tried with.
        expected: names of checks that are known to fail, with the reason; one that does not fail is an error too.

    Raises:
        AssertionError: promises that are broken, by name.
        ConfigError: an expected name that is no check.
    """
    reasons = known_checks(checks, expected)
    broken: list[tuple[str, BaseException]] = []
    for check in checks:
        name = check.__name__
        try:
            tried(check, plugin, given)
        except (Exception, SystemExit) as error:  # whatever a plug-in does, the other promises are tried too
            if name not in reasons:
                broken.append((name, error))
        else:
            if name in reasons:
                broken.append(
                    (name, AssertionError(f"It was expected to fail ({reasons[name]}) and holds; take it off the list."))
                )
    if broken:
        raise AssertionError(_told(plugin, broken, len(checks))) from broken[0][1]


def tried(check: Check, plugin: Plugin, given: Any) -> None:
    """Run a check; what it raises has a note on what it likely comes from, where that is known."""
    try:
        check(plugin, given)
    except Exception as error:
        if note := hint(plugin, error):
            error.add_note(note)
        raise


def _told(plugin: Plugin, broken: Sequence[tuple[str, BaseException]], checks: int) -> str:
    """Return what is broken in words: an error that several checks met once, with the promises that it kept from being tried."""
    names: dict[str, list[str]] = {}
    for name, error in broken:
        where = own_line(plugin, error)
        words = f"{type(error).__name__}: {error}" + (f" ({where})" if where else "")
        words = _ADDRESS.sub("", " ".join([words, *getattr(error, "__notes__", ())]))
        names.setdefault(words, []).append(name)
    untried = len(broken) - len(names)
    lines = [
        f"{type(plugin).__name__} breaks {len(names)} of {checks} promises"
        + (f"; {untried} could not be tried." if untried else ".")
    ]
    for words, (first, *others) in names.items():
        lines.append(f"{first}: {words}")
        if others:
            lines.append(f"  The same kept these from being tried: {', '.join(others)}.")
    return "\n".join(lines)


def known_checks(checks: Sequence[Check], expected: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the expected failures; raises `ConfigError` for a name that is none of the checks."""
    names = [check.__name__ for check in checks]
    if expected is not None and not isinstance(expected, Mapping):
        raise ConfigError(f"expected_failed_checks= gives the reason for each name, {{'check_name': 'why'}}; found {expected!r}.")
    for name in expected or {}:
        if name not in names:
            raise ConfigError(f"No check is called {name!r}.{did_you_mean(name, names)} Checks: {', '.join(names)}.")
    return expected or {}


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch inside the block, and restore them after it."""
    before = (random.getstate(), np.random.get_state())
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def global_state() -> tuple[bytes, ...]:
    """Return the states of the global generators of Python, NumPy and torch, to compare."""
    return (
        repr(random.getstate()).encode(),
        repr(np.random.get_state(legacy=False)).encode(),
        torch.get_rng_state().numpy().tobytes(),
    )
