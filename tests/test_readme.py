"""The README says what happens: its example runs and prints what stands below it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gtimm.core.config import RunConfig

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_example_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    printed = [line.split(" ", 1) for line in capsys.readouterr().out.strip().splitlines()]
    promised = [line.split(" ", 1) for line in blocks("text")[0].strip().splitlines()]
    assert [name for _, name in printed] == [name for _, name in promised]
    for (found, name), (said, _) in zip(printed, promised, strict=True):
        assert float(found) == pytest.approx(float(said), abs=0.01), name


def test_the_other_examples_are_python_and_valid_configurations() -> None:
    for block in blocks("python"):
        compile(block, "README.md", "exec")
    for block in blocks("yaml"):
        RunConfig.of(yaml.safe_load(block))
