"""CITATION.cff says what the format asks for, and nothing that pyproject.toml says otherwise."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml
from wheels import ROOT

CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_what_the_format_requires_is_there() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(CITATION)
    paper = CITATION["preferred-citation"]
    assert paper["type"] == "article"
    assert {"title", "authors"} <= set(paper)
    assert all({"given-names", "family-names"} <= set(author) for author in paper["authors"])


def test_it_names_this_version_under_its_licence_by_its_authors() -> None:
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_paper_is_the_one_that_the_readme_names() -> None:
    paper = CITATION["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Feng", "Yang", "Bose", "Narayanan"]
    (number,) = set(re.findall(r"arxiv\.org/abs/(\d+\.\d+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert paper["url"].endswith(f"/{number}")
    assert paper["doi"] == f"10.48550/arXiv.{number}"
