"""What the tests of the kit have in common: which checks fail for a strategy, each tried by itself."""

from __future__ import annotations

from typing import Any

from gtimm.core.plugin import Plugin
from gtimm.testing.parametrize import checks_for


def failing(strategy: Plugin, **given: Any) -> dict[str, str]:
    """Name to message of the checks that fail, each with data of its own."""
    checks, make = checks_for(strategy, **given)
    found = {}
    for check in checks:
        try:
            check(strategy, make())
        except Exception as error:
            found[check.__name__] = f"{type(error).__name__}: {error}"
    return found


def blames(strategy: Plugin, name: str, message: str, **given: Any) -> None:
    """Assert that just this check fails, and says this."""
    found = failing(strategy, **given)
    assert list(found) == [name], found
    assert message in found[name], found[name]
