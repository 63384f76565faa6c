"""Reading `results.json`: lenient in what may be absent, strict in what is there. Its form is `gtimm.experiments.schema`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gtimm.core.errors import DataError
from gtimm.core.plain import from_json
from gtimm.experiments.schema import SCHEMA_VERSION, Results, Trained

# What neither XML nor UTF-8 can hold: C0 controls but tab and line ends, DEL to C1, lone surrogates, the two non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REQUIRED = ("mean", "difference")  # keys that must be there and may be null


def parse_results(value: Any, source: str = "results") -> Results:
    """Return the checked results of a JSON value.

    Keys that this version does not know are passed over; numbers that are not finite count as absent, missing ratios of 0 as not
    given; text that no file can hold is replaced by U+FFFD.

    Args:
        value: what JSON gave.
        source: for messages.

    Raises:
        DataError: not of this schema; the message names the first key that is wrong.
    """
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{source} has schema_version {version!r}; this gtimm reads {SCHEMA_VERSION}. Write it again with this version."
        )
    try:
        results = Results.model_validate(_plain(value), extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{source}: {place}: {first['msg']} (found {str(first['input'])[:80]!r}).") from error
    return results.model_copy(
        update={name: [_without_zeros(part) for part in getattr(results, name)] for name in ("rows", "comparisons", "details")}
    )


def read_results(path: Path) -> Results:
    """Read a `results.json`.

    Raises:
        DataError: absent, not JSON, or not of this schema.
    """
    try:
        value = from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. A run folder holds results.json, written by gtimm run."
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}. Run the experiment again to write it anew.") from error
    return parse_results(value, str(path))


def _plain(value: Any) -> Any:
    """Return JSON without what counts as absent."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        parts = {_plain(str(key)): _plain(item) for key, item in value.items()}
        return {key: item for key, item in parts.items() if item is not None or key in _REQUIRED}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _without_zeros(part: Trained) -> Trained:
    names = ("missing_train", "missing_test")
    return part.model_copy(update={name: {m: share for m, share in getattr(part, name).items() if share} for name in names})
