"""Files that people write beside a configuration: class to words, class to descriptions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.plain import from_json, from_yaml
from gtimm.core.prompts import words


def read_classes(path: str) -> dict[str, Any]:
    """Read a mapping with class names as keys from a JSON or YAML file; a file unchanged in size and time is read once.

    Raises:
        ConfigError: no such file, not JSON or plain YAML, not a mapping, or a key that is not text.
    """
    try:
        state = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    return _read(str(Path(path).absolute()), path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(absolute: str, path: str, size: int, time: int) -> dict[str, Any]:
    try:
        text = Path(absolute).read_text(encoding="utf-8")
        value = (from_json if Path(path).suffix.lower() == ".json" else from_yaml)(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON or plain YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a mapping with class names as keys; found {type(value).__name__}.")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{path}: the class {key!r} was read as {type(key).__name__}; put it in quotes.")
    return value


def names_of(names: str | None) -> dict[str, str]:
    """Return class to words as a file says, `{}` for `None`; an entry that is no text is an error."""
    if names is None:
        return {}
    found = read_classes(names)
    for label, text in found.items():
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{names}: class {label!r} needs words; found {text!r}.")
    return found


def check_names(names: str | None, classes: Iterable[str]) -> None:
    """Raise `ConfigError` where the file names a class that is not among these."""
    known = list(classes)
    for label in names_of(names):
        if label not in known:
            raise ConfigError(f"{names}: no class {label!r} in the data.{did_you_mean(label, known)}")


def words_of(label: str, names: str | None) -> str:
    """Return a class's words: those of the file where it has it, else by `gtimm.core.prompts.words`."""
    return names_of(names).get(label) or words(label)
