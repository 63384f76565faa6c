"""`--engine` and `--address`: where batches run, a name or the form that a configuration has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def engine_spec(engine: str | None, address: str | None, configured: Any = None) -> Any:
    """Return the engine that was asked for as a configuration names it, `None` where nothing says one.

    Options of the configuration stay where the command line names the same engine, or only an address.

    Args:
        engine: of the command line: a name, or YAML of a mapping.
        address: of the command line.
        configured: the configuration's `engine`.

    Raises:
        ConfigError: YAML that is no mapping with a name; an address for an engine that has none.
    """
    if engine is None and address is None:
        return configured
    from gtimm.core.errors import ConfigError

    before = {"name": configured} if isinstance(configured, str) else dict(configured or {})
    given = _read(engine) if engine is not None else before
    if given.get("name") == before.get("name"):
        given = {**before, **given}
    if address is None:
        return given
    if given.get("name") in (None, "local"):
        raise ConfigError("--address is of a cluster. Say which engine runs there: --engine ray.")
    return {**given, "address": address}


def configured_engine(config: Path) -> Any:
    """Return the `engine` that a configuration file's pipeline names, or `None`."""
    from gtimm.core.config import read_yaml

    pipeline = read_yaml(config).get("pipeline")
    return pipeline.get("engine") if isinstance(pipeline, Mapping) else None


def _read(text: str) -> dict[str, Any]:
    if "{" not in text and ":" not in text:
        return {"name": text.strip()}
    from gtimm.core.errors import ConfigError
    from gtimm.core.plain import from_yaml

    try:
        found = from_yaml(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise ConfigError(f"--engine is a name or YAML such as '{{name: ray, workers: 4}}'; found {text!r}.")
    return found
