"""JSON and YAML of strangers: what is deep, endless, larger than it looks or makes objects is refused, and everything else is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gtimm.core.config import read_yaml
from gtimm.core.errors import ConfigError
from gtimm.core.plain import DEEPEST, from_json, from_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize("form", ['{"a": [1, 2.5, null, true, "ä"]}', b'{"a": [1, 2.5, null, true, "\xc3\xa4"]}'])
def test_json_is_read(form: str | bytes) -> None:
    assert from_json(form) == {"a": [1, 2.5, None, True, "ä"]}
    assert from_json('{"a": 1, "a": 2}', len) == 2


@pytest.mark.parametrize("levels", [DEEPEST + 1, 1000, 200_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_json_of_many_levels_is_refused(levels: int, begin: str, end: str) -> None:
    text = begin * levels + "1" + end * levels
    for form in (text, text.encode()):
        with pytest.raises(ValueError, match="nested in more than"):
            from_json(form)
    few = DEEPEST - 1
    assert from_json(begin * few + "1" + end * few) is not None


def test_many_brackets_on_few_levels_are_read() -> None:
    assert from_json(f"[{', '.join(['[[1], {}]'] * 1000)}]") == [[[1], {}]] * 1000


def test_yaml_is_read_with_its_aliases() -> None:
    assert from_yaml("base: &b {x: 1}\nmore: {<<: *b, y: [*b, 2001-01-01]}")["more"]["x"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases written out"),
        ("&a [*a]", "in itself"),
        ("&a {x: [1, *a]}", "in itself"),
        ("[" * 100 + "]" * 100, "nested in more than"),
        ("[" * 100_000, "nested in more than"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("!!python/object/new:subprocess.Popen [[id]]", "could not determine a constructor"),
        ("x: !!int y", "not of the form that its tag asks for"),
        ("x: 2001-99-99", "not of the form that its tag asks for"),
        ("x: !!bool maybe", "not of the form that its tag asks for"),
        ("x: !!timestamp soon", "not of the form that its tag asks for"),
        ("a: b: c", "mapping values"),
        ("x" * 10_000_001, "letters, more than"),
    ],
)
def test_yaml_that_harms_is_refused_at_once(text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=message):
        from_yaml(text)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", [LAUGHS, "data: !!python/object/apply:os.mkdir [made]", "&a [*a]"])
def test_a_configuration_that_harms_is_refused_by_name(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mean.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"mean\.yaml is not plain YAML"):
        read_yaml(tmp_path / "mean.yaml")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("text", "lines"),
    [("seeds: 2\ndata: digits\nseeds: 3\n", ("1", "3")), ("a:\n  - {seeds: 1, seeds: 1}", ("2", "2"))],
)
def test_a_name_that_stands_twice_is_refused_with_both_lines(text: str, lines: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=f"'seeds' stands twice, in line {lines[0]} and in line {lines[1]}"):
        from_yaml(text)


def test_a_name_may_win_over_a_merged_one() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, x: 3}\n"
    assert from_yaml(text)["c"] == {"x": 3, "y": 1}


@pytest.mark.parametrize("read", [from_json, from_yaml])
def test_what_has_no_value_is_a_value_error(read: Callable[[str], Any]) -> None:
    for text in ("{", "[1, ", '"\\x"', "\0"):
        with pytest.raises(ValueError, match=r"."):
            read(text)
