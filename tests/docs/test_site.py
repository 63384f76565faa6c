"""The site: built without a warning, and complete without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from doc_blocks import ROOT

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-d",
        str(out / "doctrees"),
        "docs",
        str(out / "html"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


class _Loaded(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if LOADS.get(tag) == name]


def loaded(text: str) -> list[str]:
    """Return what a page makes a browser fetch."""
    parser = _Loaded()
    parser.feed(text)
    return parser.found


def test_what_a_page_loads_is_found() -> None:
    text = '<link rel="stylesheet" href="https://x/a.css"><a href="https://y"><script src="//z/b.js"></script>'
    assert loaded(text) == ["https://x/a.css", "//z/b.js"]


def test_no_page_asks_for_anything_from_outside(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 40
    outside = {
        (page.name, one) for page in pages for one in loaded(page.read_text(encoding="utf-8")) if re.match(r"(?:https?:)?//", one)
    }
    assert not outside


def test_no_stylesheet_asks_for_anything_from_outside(site: Path) -> None:
    sheets = sorted(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_link_between_pages_leads_somewhere(site: Path) -> None:
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) for page in site.rglob("*.html")}
    for page in anchors:
        for target in re.findall(r'<a [^>]*href="([^"]+)"', page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if ":" in path:
                continue
            place = (page.parent / path).resolve() if path else page
            assert place.exists(), f"{page.name}: {target}"
            assert not anchor or place not in anchors or anchor in anchors[place], f"{page.name}: {target}"


def test_public_names_stand_in_the_reference(site: Path) -> None:
    import gtimm
    import gtimm.testing

    text = (site / "reference" / "api.html").read_text(encoding="utf-8") + (site / "reference" / "interfaces.html").read_text(
        encoding="utf-8"
    )
    for name in gtimm.__all__:
        assert f'id="gtimm.{name}"' in text or f'id="gtimm.core.errors.{name}"' in text, name
    for name in gtimm.testing.__all__:
        assert name.isupper() or f'id="gtimm.testing.{name}"' in text, name


def test_every_strategy_and_command_stands_in_the_reference(site: Path) -> None:
    import typer

    from gtimm.cli.main import app
    from gtimm.core.registry import registry

    text = (site / "reference" / "strategies.html").read_text(encoding="utf-8")
    for group in ("imputers", "backbones", "fusion", "balance", "prompts", "datasets", "engines"):
        for name, entry in registry(group).items():
            assert entry.distribution != "gtimm" or f"<h3>{name}<" in text, name
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:
        assert f"gtimm {name}" in re.sub(r"<[^>]+>", "", text), name
