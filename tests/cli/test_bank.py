"""`gtimm bank`: what is told, with which exit code, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from gtimm.cli.main import app
from gtimm.core.bank import Bank
from gtimm.core.bank.files import REJECTED
from gtimm.core.bank.upkeep import list_banks
from gtimm.core.errors import ConfigError
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.imputers.stable_diffusion import StableDiffusionTiny
from gtimm.prompts.label import LabelPrompts

NASTY = "<script>alert('x')</script> & \"quoted\""


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bank", *map(str, arguments)])


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    tiny, bank = StableDiffusionTiny(steps=1, batch_size=3), Bank(home / "bank")
    requests, _ = plan_requests(LabelPrompts(performers=()), ["zero", "one", "two"], "image", 2, 1.0, 0)
    bank.make(tiny, bank.plan(tiny, requests), LocalEngine(), "cpu", True)
    return home


@pytest.fixture
def folder(master: Path, home: Path) -> Path:
    """A bank of three classes with two items each."""
    shutil.copytree(master, home)
    (facts,) = list_banks(home)
    return facts.folder


def damage(folder: Path) -> Path:
    path = next(folder.glob("??/*.png"))
    path.write_bytes(path.read_bytes()[:-20])
    return path


def test_list_says_what_each_bank_is(folder: Path) -> None:
    (found,) = json.loads(call("list", "--json").output)
    assert (found["generator"], found["kind"], found["items"], found["rejected"]) == ("StableDiffusionTiny", "image", 6, 0)
    assert found["seconds_per_item"]["cpu"] > 0
    shown = call("list")
    assert shown.exit_code == 0
    assert "StableDiffusionTiny" in shown.output
    assert "6 items" in shown.output


def test_list_without_any_bank(home: Path) -> None:
    assert json.loads(call("list", "--json").output) == []
    assert call("list").exit_code == 0


def test_verify_ends_with_2_until_it_is_mended(folder: Path) -> None:
    assert "6 items in 1 banks are sound" in call("verify").output
    path = damage(folder)
    found = call("verify", "stable")
    assert found.exit_code == 2
    assert path.name in found.output
    assert path.is_file(), "nothing is removed unless asked"
    mended = call("verify", "--repair")
    assert mended.exit_code == 0
    assert "made again when they are needed" in mended.output
    assert "5 items in 1 banks are sound" in call("verify").output


def test_an_imported_bank_says_that_its_items_cannot_be_made_again(folder: Path, tmp_path: Path) -> None:
    assert call("export", "stable", tmp_path / "out").exit_code == 0
    done = call("import", tmp_path / "out", "--name", "mine")
    assert done.exit_code == 0
    assert "6 items imported, 0 were there" in done.output
    (imported,) = [bank for bank in list_banks(folder.parents[1]) if bank.imported]
    damage(imported.folder)
    mended = call("verify", "imported-mine", "--repair")
    assert "cannot be made again" in mended.output
    assert "Import them again" in mended.output
    assert "1 items imported, 5 were there" in call("import", tmp_path / "out", "--name", "mine").output
    assert call("verify").exit_code == 0


def test_import_names_what_is_unreadable(tmp_path: Path, home: Path) -> None:
    (tmp_path / "source" / "cat").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "source" / "cat" / "a.png")
    (tmp_path / "source" / "cat" / "b.png").write_bytes(b"no image")
    done = call("import", tmp_path / "source", "--name", "mine")
    assert done.exit_code == 2
    assert "unreadable: cat/b.png" in done.output
    assert call("import", tmp_path / "source", "--name", "mine", "--skip-unreadable").exit_code == 0


def test_an_unknown_bank_is_refused(folder: Path, tmp_path: Path) -> None:
    for arguments in (
        ("verify", "nothing"),
        ("export", "nothing", tmp_path / "out"),
        ("gallery", "nothing", "-o", tmp_path / "p.html"),
    ):
        assert isinstance(call(*arguments).exception, ConfigError)


class Tags(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def test_the_gallery_is_one_file_that_shows_each_class_and_what_was_rejected(folder: Path, tmp_path: Path) -> None:
    log = folder / "metadata.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    records[0]["prompt"] = NASTY
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / REJECTED).mkdir()
    rejections = [{"file_name": "ab/none.png", "label": "zero", "reason": "unsafe: withheld", "seed": 7}]
    rejections += [{"file_name": "../../secret.png", "label": "one", "reason": "flat"}]
    (folder / REJECTED / "rejected.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rejections))
    assert call("gallery", "stable", "-o", tmp_path / "page.html", "--per-class", 1).exit_code == 0
    page = (tmp_path / "page.html").read_text()
    tags = Tags(page)
    images = tags.of("img")
    assert len(images) == 3
    assert all((image["src"] or "").startswith("data:image/png") and image["alt"] for image in images)
    assert not tags.of("script")
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "unsafe: withheld" in page
    assert "no file was kept" in page
    assert "leads out" in page
    assert "seed 7" in page
    assert page.count("the first 1 shown") == 3
    assert "prefers-color-scheme: dark" in page
    call("gallery", "stable", "-o", tmp_path / "again.html", "--per-class", 1)
    assert (tmp_path / "again.html").read_text() == page


def test_the_gallery_plays_sounds_and_shrinks_large_images(tmp_path: Path, home: Path) -> None:
    for kind in ("sounds", "images"):
        (tmp_path / kind / "a class").mkdir(parents=True)
    soundfile.write(tmp_path / "sounds" / "a class" / "a.flac", np.zeros((8000, 2)), 8000)
    Image.effect_noise((900, 600), 90).save(tmp_path / "images" / "a class" / "a.png")
    for kind in ("sounds", "images"):
        assert call("gallery", tmp_path / kind, "-o", tmp_path / f"{kind}.html").exit_code == 0
    (player,) = Tags((tmp_path / "sounds.html").read_text()).of("audio")
    assert player["aria-label"] == "a class, item 1"
    assert (player["src"] or "").startswith("data:audio/wav")
    assert len((tmp_path / "images.html").read_text()) < 120_000


def test_every_command_has_an_example() -> None:
    for name in ("list", "verify", "import", "export", "gallery"):
        assert f"gtimm bank {name}" in call(name, "--help").output
