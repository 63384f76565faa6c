"""Plain values of JSON and YAML that anyone may have written: text of any form gives a value that is safe to walk, or a `ValueError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

DEEPEST = 64  # levels; what walks a value goes down by calling itself
LARGEST = 10_000_000  # letters of YAML, which is read at about a million a second
MOST = 1_000_000  # values of a YAML file with its aliases written out: some ten lines can stand for more than memory holds


def from_json(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return what JSON says.

    Args:
        text: as `json.loads` takes it.
        pairs: makes an object of its names and values; by default a dict.

    Raises:
        ValueError: no JSON, no UTF-8, or more than `DEEPEST` levels.
    """
    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError(f"it is nested in more than {DEEPEST} levels") from None
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else DEEPEST + 1
    if brackets > DEEPEST:  # else it cannot be so deep
        _check_depth(value)
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose names stand once each, for `from_json`.

    Raises:
        ValueError: a name stands twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands twice in one object")
        found[name] = value
    return found


def from_yaml(text: str) -> Any:
    """Return what YAML of plain values says.

    Raises:
        ValueError: no YAML, a tag that makes objects, a name that stands twice in one mapping, more than `LARGEST` letters, more than
            `DEEPEST` levels, or, with every alias written out, without end or more than `MOST` values.
    """
    import yaml

    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} letters, more than {LARGEST:,}")
    try:
        value = yaml.load(text, _loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError(f"it is nested in more than {DEEPEST} levels") from None
    except Exception as error:  # PyYAML lets through what its constructors raise: `!!int x`, the date 2001-99-99
        raise ValueError(f"a value is not of the form that its tag asks for: {type(error).__name__}: {error}") from error
    _check_size(value)
    return value


@cache
def _loader() -> type[Any]:
    """Return YAML's safe loader, made to refuse what it would overwrite in silence."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            first: dict[tuple[str, Any], int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in first:
                    raise yaml.YAMLError(f"{key.value!r} stands twice, in line {first[name]} and in line {line}. Take one out")
                first[name] = line
            return node

    return Loader


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple, set)) else []


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level := [child for one in level for child in _children(one) if isinstance(child, (dict, list))]:
        depth += 1
        if depth >= DEEPEST:
            raise ValueError(f"it is nested in more than {DEEPEST} levels")


def _check_size(value: Any) -> None:
    """Count values as if no two places shared one: what is shared is counted once and multiplied."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(one: Any) -> int:
        if not isinstance(one, (dict, list, tuple, set)):
            return 1
        if id(one) in above or len(above) >= DEEPEST:
            raise ValueError(f"it is nested in more than {DEEPEST} levels, or in itself")
        if id(one) not in sizes:
            above.add(id(one))
            sizes[id(one)] = 1 + sum(map(size, _children(one)))
            above.remove(id(one))
        if sizes[id(one)] > MOST:
            raise ValueError(f"with its aliases written out it has more than {MOST:,} values")
        return sizes[id(one)]

    size(value)
