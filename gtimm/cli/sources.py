"""Data as the command line names it: tables and class folders, and `-m NAME=COLUMN` for their modalities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from gtimm.core.dataset import Column
from gtimm.core.errors import ConfigError
from gtimm.core.plugin import KINDS, Kind


def is_folder(what: str) -> bool:
    """Return whether class folders are meant: a folder that is not called like a data set, or is written as a path."""
    from gtimm.core.registry import registry

    return Path(what).expanduser().is_dir() and (os.sep in what or what not in registry("datasets"))


def columns_of(known: Sequence[str], modalities: Sequence[str], path: Path) -> dict[str, str | Column]:
    """Return modality to column as the options `-m` say it, by default the columns that are named after kinds."""
    columns = named_columns(modalities) or {name: name for name in known if name in KINDS}
    if not columns:
        raise ConfigError(
            f"Which columns of {path} are modalities? Say it: -m image=COLUMN. Columns: {', '.join(map(str, known))}."
        )
    return columns


def named_columns(modalities: Sequence[str]) -> dict[str, str | Column]:
    """Return modality to column, or to column and kind, of options `NAME=COLUMN` and `NAME:KIND=COLUMN`."""
    columns: dict[str, str | Column] = {}
    for name, column in (pair(text, "--modality") for text in modalities):
        modality, _, kind = name.partition(":")
        if kind and kind not in get_args(Kind):
            raise ConfigError(f"--modality {name}={column}: {kind!r} is no kind. Kinds: {', '.join(KINDS)}.")
        columns[modality] = Column(column, kind) if kind else column  # type: ignore[arg-type]
    return columns


def pair(text: str, option: str) -> tuple[str, str]:
    """Return the two sides of `NAME=VALUE`; raises `ConfigError` naming the option."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"{option} takes NAME=VALUE; found {text!r}.")
    return name, value
