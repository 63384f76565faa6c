"""Real beside generated, and what was rejected: images, players, prompts, seeds, reasons."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import soundfile
from PIL import Image
from report_toys import full, write_run

from gtimm.core.errors import DataError
from gtimm.report.results import parse_results
from gtimm.report.sections import gallery as module
from gtimm.report.sections.gallery import FIRST, gallery, rejected


@pytest.fixture
def sections(tmp_path):
    def make(exhibits):
        value = full() | {"gallery": exhibits}
        write_run(tmp_path, value)
        return parse_results(value)

    return make


def test_prompt_and_seed_are_said_and_what_is_synthetic(sections, tmp_path):
    section = gallery(sections(full()["gallery"]), tmp_path)
    (_, _, real), (heading, made, tiles) = section.values["first"][1]["strips"]
    assert (heading, made) == ("synthetic (generated)", True)
    assert tiles[0]["caption"] == "“A photo of one”, seed 7562005063083450467"
    assert [tile["alt"] for tile in real] == ["one, real, 1"]
    assert tiles[0]["source"].startswith("data:image/png;base64,")


def test_sounds_are_players(sections, tmp_path):
    section = gallery(sections(full()["gallery"]), tmp_path)
    tiles = section.values["first"][0]["strips"][1][2]
    assert [(t["scale"], t["caption"]) for t in tiles if t["scale"] == "sound"] == [("sound", "“zero”, seed 4")]


def test_rejected_items_say_why_also_where_no_file_was_kept(sections, tmp_path):
    section = rejected(sections(full()["gallery"]), tmp_path)
    first = section.values["first"][0]
    assert [tile["reason"] for tile in first["tiles"]] == ["flat: spread 0.01 < 0.02", "withheld by the safety check"]
    assert [tile["scale"] for tile in first["tiles"]] == ["pixel", "none"]


def test_absent_files_are_counted(sections, tmp_path):
    results = sections(full()["gallery"])
    (tmp_path / "gallery" / "real-1.png").unlink()
    assert gallery(results, tmp_path).values["absent"] == 1


def test_many_classes_are_folded_after_the_first(sections, tmp_path):
    section = gallery(sections(full([str(i) for i in range(40)])["gallery"]), tmp_path)
    assert (len(section.values["first"]), len(section.values["more"])) == (FIRST, 40 - FIRST)


def test_page_does_not_grow_without_end_and_says_what_is_left_out(sections, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2000)
    section = gallery(sections(full()["gallery"]), tmp_path)
    shown = [tile for e in section.values["first"] for _, _, tiles in e["strips"] for tile in tiles]
    assert shown
    total = sum(len(e["real"]) + len(e["generated"]) for e in full()["gallery"])
    assert len(shown) + section.values["left_out"] == total


def test_large_images_become_thumbnails_and_long_sounds_are_cut(sections, tmp_path):
    exhibits = [{"class": "a", "real": ["gallery/large.png", "gallery/long.wav"], "generated": []}]
    results = sections(exhibits)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1024, 512, 3), np.uint8)).save(tmp_path / "gallery" / "large.png")
    soundfile.write(tmp_path / "gallery" / "long.wav", np.zeros(16_000 * 40), 16_000, subtype="PCM_16")
    (_, _, (image, sound)), _ = gallery(results, tmp_path).values["first"][0]["strips"]
    assert len(image["source"]) < 140_000
    assert (image["scale"], sound["scale"]) == ("photo", "sound")
    assert len(sound["source"]) < 16_000 * 2 * 16 * 4 / 3


def test_file_that_is_no_image_is_refused(sections, tmp_path):
    exhibits = copy.deepcopy(full()["gallery"][:1])
    exhibits[0]["real"] = ["results.json"]
    value = full() | {"gallery": exhibits}
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="neither a PNG"):
        gallery(parse_results(value), tmp_path)


def test_damaged_image_is_an_error_that_names_it(sections, tmp_path):
    results = sections([{"class": "a", "real": ["gallery/bad.png"], "generated": []}])
    head = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (2000).to_bytes(4) * 2
    (tmp_path / "gallery" / "bad.png").write_bytes(head)
    with pytest.raises(DataError, match=r"bad\.png"):
        gallery(results, tmp_path)
