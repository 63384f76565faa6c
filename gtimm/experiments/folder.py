"""Run folders: `config.yaml`, `results.json`, `log.jsonl`, `report.html`, and `cells/`, what was found so far."""

from __future__ import annotations

import json
import math
import platform
import shlex
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gtimm.core.errors import ConfigError, StoreError
from gtimm.core.files import entries, sweep, whole_file, write_json
from gtimm.core.plain import from_yaml
from gtimm.experiments.schema import SCHEMA_VERSION, Results

PACKAGES = ("gtimm", "torch", "diffusers", "transformers", "open_clip_torch", "numpy", "scikit-learn")

CELLS = "cells"
WRITTEN = ("figures", "tables", "gallery")
"""Folders of the report."""


class RunFolder:
    """A folder of one run, made at once; refuses a folder that holds anything but a run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.exists() and (not self.path.is_dir() or (entries(self.path) and not (self.path / "config.yaml").is_file())):
            raise ConfigError(f"{self.path} exists and is not a run folder; choose another with -o.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make {self.path}: {error.strerror}. Choose another folder with -o.") from error
        for folder in (self.path, self.cells, *(self.path / name for name in WRITTEN)):
            sweep(folder)

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"gtimm run {shlex.join([str(self.path / 'config.yaml'), '-o', str(self.path)])}"

    def config(self, config: dict[str, Any]) -> None:
        """Write `config.yaml`, which runs again as it is.

        A run that began and did not end goes on with another configuration: outcomes are found by all that decides them.

        Raises:
            ConfigError: the results of another configuration are there, or a configuration that no run began with.
        """
        import yaml

        path = self.path / "config.yaml"
        changed = _differences(_read(path), config) if path.is_file() else []
        began, ended = ((self.path / name).exists() for name in ("log.jsonl", "results.json"))
        if changed and (ended or not began):
            named = "; ".join([*changed[:5], *["..."] * (len(changed) > 5)])
            raise ConfigError(
                f"{self.path} holds another configuration ({named}). "
                f"Choose another folder with -o; with a copy of {self.path / CELLS} in it, what is the same is not computed again."
            )
        with whole_file(path) as temporary:
            temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def log(self, event: str, **fields: Any) -> None:
        """Append a line to `log.jsonl`."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **fields}, ensure_ascii=False)
        try:
            with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise StoreError(f"Cannot write to {self.path}: {error.strerror}. Free some space, then run it again.") from error

    @property
    def cells(self) -> Path:
        """Where outcomes are kept, so that a run that was interrupted goes on."""
        return self.path / CELLS

    def results(self, results: dict[str, Any]) -> dict[str, Any]:
        """Write `results.json`, checked against its form, and return what it holds; what is not finite is written as null."""
        written = checked_results(results)
        write_json(self.path / "results.json", written)
        return written


def _differences(there: Any, here: Any, field: str = "") -> list[str]:
    """Return the fields in which two configurations differ, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = dict.fromkeys([*here, *there])
        return [one for name in names for one in _differences(there.get(name), here.get(name), f"{field}.{name}".lstrip("."))]
    return [] if there == here else [f"{field} was {_short(there)}, is {_short(here)}"]


def _short(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(path: Path) -> Any:
    try:
        return from_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Choose another folder with -o, or remove this file.") from error


def checked_results(results: dict[str, Any]) -> dict[str, Any]:
    """Return results in the form of `results.json`: complete, checked, and with null for what is not finite."""
    checked = Results.model_validate(_finite({"schema_version": SCHEMA_VERSION, **results}))
    return checked.model_dump(mode="json", by_alias=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def environment() -> dict[str, str]:
    """Return versions and machine, for `results.json`."""
    import torch

    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["device"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    found["command"] = shlex.join(["gtimm", *sys.argv[1:]]) if sys.argv else ""
    return found
