"""The error tree. Every mistake that a user can mend is a `GtimmError` and ends the command line with exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

AnyError = TypeVar("AnyError", bound="GtimmError")


class GtimmError(Exception):
    """Something that the user can mend; the message says what was found, what was expected and how to mend it."""


class ConfigError(GtimmError, ValueError):
    """An option, a name or a configuration file is wrong."""


class DataError(GtimmError, ValueError):
    """A data set, a row or a file cannot be used as given."""


class MediaError(DataError):
    """A file or payload that cannot be decoded; the message names it."""


class MissingnessError(GtimmError, ValueError):
    """Missing ratios that cannot be met, or that make no sense for the data."""


class MissingPayloadError(GtimmError, LookupError):
    """A payload was read that the data set never had."""


class MaskedPayloadError(GtimmError, LookupError):
    """A payload was read that simulated missingness has sealed."""


class LabelLeakError(GtimmError, ValueError):
    """A strategy that needs labels was asked to fill evaluation data."""


class IncompatibleError(GtimmError, ValueError):
    """Two strategies that cannot work together, or a modality that a backbone cannot embed."""


class LicenceError(GtimmError, ValueError):
    """A strategy whose licence does not allow the use that was asked for."""


class PluginError(GtimmError, RuntimeError):
    """A plug-in could not be loaded, or broke its contract; the cause is attached."""


class WeightsError(GtimmError, RuntimeError):
    """Model weights are missing, truncated or do not fit the architecture."""


class GenerationError(GtimmError, RuntimeError):
    """Items could not be generated, or generation was refused."""


class EngineError(GtimmError, RuntimeError):
    """A place to run batches cannot be reached, or gives no worker."""


class LostBatchError(EngineError):
    """A batch was given up: each worker that had it was lost. `batch` is its index."""

    def __init__(self, message: str, batch: int) -> None:
        super().__init__(message, batch)
        self.batch = batch

    def __str__(self) -> str:
        return str(self.args[0])


class StoreError(GtimmError, RuntimeError):
    """A file of the store is unreadable or cannot be written."""


def reworded(error: AnyError, text: str) -> AnyError:
    """Return a copy of an error with another text, to be raised from it; its class, which may be a plug-in's, is not constructed anew.

    Example:
        >>> reworded(DataError("it is empty", 7), "Row 3: it is empty").args
        ('Row 3: it is empty', 7)
    """
    made = type(error).__new__(type(error))
    made.__dict__.update(error.__dict__)
    made.args = (text, *error.args[1:])
    if hasattr(error, "__notes__"):
        made.__notes__ = list(error.__notes__)
    return made


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


class Together:
    """Runs checks of which none needs another, so that all that is wrong is said at once.

    Example:
        >>> together = Together()
        >>> with together.check():
        ...     raise DataError("No rows.")
        >>> with together.check():
        ...     raise DataError("No labels.")
        >>> together.finish()
        Traceback (most recent call last):
        gtimm.core.errors.DataError: No rows.
        No labels.
    """

    def __init__(self) -> None:
        self._found: list[ConfigError | DataError] = []

    @contextmanager
    def check(self) -> Iterator[None]:
        """Keep the error that the block raises."""
        try:
            yield
        except (ConfigError, DataError) as error:
            self._found.append(error)

    def finish(self) -> None:
        """Raise what was found as one error, of the kind of the first."""
        if self._found:
            first = self._found[0]
            if len(self._found) == 1:
                raise first
            kind = ConfigError if isinstance(first, ConfigError) else DataError
            raise kind("\n".join(map(str, self._found))) from first
