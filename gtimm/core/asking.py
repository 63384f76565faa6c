"""Where strategies are asked: an error names which one raised it, in what and where; what it returns is of the right kind."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gtimm.core.errors import GtimmError, PluginError
from gtimm.core.terminal import notes_of

if TYPE_CHECKING:
    from gtimm.core.fusion import Finishers, Fusion, Head
    from gtimm.core.imputer import Imputer, State, View
    from gtimm.core.plugin import Plugin
    from gtimm.core.pool import Pool

CHECKED = {"imputers": "imputer", "backbones": "backbone", "fusion": "fusion", "prompts": "prompts", "datasets": "dataset"}
"""Group to the part of its function's name in `gtimm.testing`."""


class Fault(str):
    """A note of an error: the strategy that raised it, its package, in what, and where.

    Attributes:
        ours: whether the strategy is one of gtimm's own.
        hint: which check of `gtimm.testing` shows what the strategy must hold; may be empty.
    """

    ours: bool = False
    hint: str = ""


@contextmanager
def asking(strategy: Plugin, what: str | Callable[[], str]) -> Iterator[None]:
    """Note on an error, or the user's interruption, which strategy was asked for what; a `GtimmError` about other things says it itself.

    Args:
        strategy: that is asked in this block; of several inside one another the innermost is named.
        what: is asked, such as `"in fit"`, or what says it when an error is there.
    """
    try:
        yield
    except BaseException as error:
        plain = isinstance(error, GtimmError) and not isinstance(error, PluginError)
        if not plain and not any(isinstance(note, Fault) for note in notes_of(error)):
            error.add_note(_fault(strategy, what if isinstance(what, str) else what(), error))
        raise


def fitted(imputer: Imputer, train: View, target: str) -> State:
    """Return what an imputer learns; raises `PluginError` if it is no dictionary."""
    with asking(imputer, "in fit"):
        state = imputer.fit(train, target)
    if not isinstance(state, dict):
        raise wrong(imputer, "fit", state, "the arrays that it learned by name, {} where it learns nothing")
    return state


def pooled(imputer: Imputer, view: View, target: str, state: State) -> Pool:
    """Return an imputer's pool of a view; raises `PluginError` if it is none, or one of other rows."""
    from gtimm.core.pool import Pool

    with asking(imputer, "in pool"):
        pool = imputer.pool(view, target, state)
    if not isinstance(pool, Pool):
        raise wrong(imputer, "pool", pool, "a gtimm.core.pool.Pool, such as Pool.constant(Features(values), view.rows)")
    if len(pool.group) != view.rows:
        raise PluginError(f"{type(imputer).__name__} made a pool for {len(pool.group)} rows; the data has {view.rows}.")
    return pool


def built(fusion: Fusion, sizes: dict[str, int], classes: int, encoders: Finishers | None) -> Head:
    """Return a fusion's new head; raises `PluginError` if it is none."""
    from gtimm.core.fusion import Head

    with asking(fusion, "in build"):
        head = fusion.build(sizes, classes, encoders)
    if not isinstance(head, Head):
        raise wrong(fusion, "build", head, "a gtimm.core.fusion.Head")
    return head


def wrong(strategy: Plugin, method: str, found: object, expected: str) -> PluginError:
    """Return the error of a strategy whose method returned something else than it must."""
    who, group = _named(strategy)
    return PluginError(f"{who} returned {type(found).__name__} from {method}; it must return {expected}.{_hint(group)}")


def _fault(strategy: Plugin, what: str, error: BaseException) -> Fault:
    who, group = _named(strategy)
    how = f"raised {type(error).__name__}" if isinstance(error, Exception) else "was interrupted"
    module = sys.modules.get(type(strategy).__module__)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == getattr(module, "__file__", None)]
    where = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    fault = Fault(f"{who} {how} {what}{where}")
    fault.ours, fault.hint = type(strategy).__module__.partition(".")[0] == "gtimm", _hint(group)
    return fault


def _named(strategy: Plugin) -> tuple[str, str]:
    """Return kind, name and package of a strategy, and its group."""
    from gtimm.core.registry import BASES, registry

    cls = type(strategy)
    for group in BASES:
        found = registry(group)
        if found.base is not None and isinstance(strategy, found.base):
            entry = found.entry_of(cls)
            if entry is None:
                return f"{found.base.__name__} {cls.__name__} (module {cls.__module__})", group
            package = f"package {entry.distribution} {entry.version}".rstrip() if entry.point else "registered in this session"
            return f"{found.base.__name__} {entry.name} ({package})", group
    return f"{cls.__name__} (module {cls.__module__})", ""


def _hint(group: str) -> str:
    return f" gtimm.testing.check_{CHECKED[group]} shows what it must hold." if group in CHECKED else ""
