"""What a check found in short, and what an error of a strategy likely comes from."""

from __future__ import annotations

import inspect
import traceback
from typing import TYPE_CHECKING, Any

from gtimm.core.imputer import Imputer

if TYPE_CHECKING:
    from gtimm.core.plugin import Plugin

WIDTH = 100


def short(value: Any) -> str:
    """Return a value in a few words: an array by its dtype and shape, what is long by its type and length.

    Example:
        >>> import numpy as np
        >>> short(np.zeros((3, 4))), short([0]), short("x" * 500)
        ('an ndarray of float64, shape (3, 4)', '[0]', 'a str of length 500')
    """
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" or name == "ndarray" else "a"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{article} {name} of {value.dtype}, shape {tuple(value.shape)}"
    written = repr(value)
    if len(written) <= WIDTH:
        return written
    return f"{article} {name} of length {len(value)}" if hasattr(value, "__len__") else f"{written[:WIDTH]}..."


def own_line(strategy: Plugin, error: BaseException) -> str:
    """Return the line of the strategy's own file that raised an error, as `file, line N: code`; empty where another one did."""
    own = inspect.getsourcefile(type(strategy))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def hint(strategy: Plugin, error: BaseException) -> str:
    """Return what an error likely comes from, empty where nothing is known of its kind."""
    unlabelled = isinstance(strategy, Imputer) and not strategy.info.needs_label
    if unlabelled and ("NoneType" in str(error) or "labels" in own_line(strategy, error)):
        return "If it is of view.labels: they are None unless info says needs_label=True."
    return ""
