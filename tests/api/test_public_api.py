"""What is public changes only on purpose: the file of it is renewed by hand, and its difference is read."""

from __future__ import annotations

import difflib
from typing import Any

import public_api
import pytest

import gtimm
from gtimm import Pipeline


def difference() -> str:
    said, found = public_api.FILE.read_text(encoding="utf-8").splitlines(), public_api.public_api().splitlines()
    return "\n".join(difflib.unified_diff(said, found, public_api.FILE.name, "now", lineterm="", n=2))


def test_what_is_public_is_what_the_file_says() -> None:
    if found := difference():
        pytest.fail(f"What is public has changed. If so it should be: {public_api.COMMAND}\n{found}", pytrace=False)


def test_a_changed_default_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: Any, folder: str = "model") -> None: ...

    monkeypatch.setattr(Pipeline, "save", save)
    lines = difference().splitlines()
    assert "-    save(self, folder: str | PathLike[str]) -> None" in lines
    assert "+    save(self: Any, folder: str = 'model') -> None" in lines


def test_a_name_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtimm, "__all__", [name for name in gtimm.__all__ if name != "preset"])
    assert "-def preset(" in difference()


def test_every_name_of_the_commands_and_of_the_exports_is_in_it() -> None:
    text = public_api.FILE.read_text(encoding="utf-8")
    assert all(f" {name}" in text for name in gtimm.__all__)
    assert "    --out -o: Path = runs/demo" in text
    assert "imputers: stable-diffusion\n" in text
    assert "/" not in "".join(line for line in text.splitlines() if "imagebind_tiny.safetensors" in line).replace(
        "gtimm/assets/imagebind-tiny/", ""
    )
