"""A figure drawn once: the same marks in the page's SVG, in the SVG file and in the PDF."""

from __future__ import annotations

import re
import zlib
from xml.etree import ElementTree

import pytest

from gtimm.report.colours import COLOURS
from gtimm.report.pdf import write_pdf
from gtimm.report.scene import Box, Group, Mark, Path, Rule, Scene, Text

SCENE = Scene(
    "name",
    "A title & <more>",
    "says it",
    200,
    100,
    [
        Box(0, 0, 50, 20, "band"),
        Rule(0, 96, 200, 96, "ink", 2, (4, 2)),
        Path([(0, 0), (10, 10), (20, 0)], "generation"),
        Group([Text(10, 50, "up & down", angle=-90), Mark(100, 50, "diamond", "hot-deck"), Box(0, 0, 9, 9)], "a tip"),
        Mark(150, 50, "circle", "robust", hollow=True, scale=2),
    ],
)
SVG = "{http://www.w3.org/2000/svg}"


def content(path):
    """The drawing commands of a PDF of one page."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL)
    return zlib.decompress(streams[0]).decode("latin-1")


def test_svg_names_itself_and_escapes_text():
    tree = ElementTree.fromstring(SCENE.svg())
    assert tree.get("aria-labelledby") == "name-title name-text"
    assert tree.findtext(f"{SVG}title") == "A title & <more>"
    assert [e.text for e in tree.iter(f"{SVG}text")] == ["up & down"]
    assert tree.find(f".//{SVG}g/{SVG}title").text == "a tip"


def test_svg_file_turns_with_the_theme_for_the_roles_that_it_uses():
    text = SCENE.svg_file()
    ElementTree.fromstring(text.encode())
    used = {role for role in COLOURS if f".f-{role}{{" in text}
    assert used == {"band", "ink", "generation", "hot-deck", "robust"}


def test_pdf_has_the_scene_s_size_and_marks_at_their_places(tmp_path):
    write_pdf(SCENE, tmp_path / "a.pdf")
    raw = (tmp_path / "a.pdf").read_bytes()
    box = [float(v) for v in re.search(rb"/MediaBox \[([^\]]*)\]", raw)[1].split()]
    assert box == pytest.approx([0, 0, 150, 75])  # 96 pixels are 72 points
    drawn = content(tmp_path / "a.pdf")
    ends = re.search(r"([\d.]+) ([\d.]+) m\s+([\d.]+) ([\d.]+) l\s+S", drawn)
    assert [float(v) for v in ends.groups()] == pytest.approx([0, 3, 150, 3])  # y = 96 from above is 4 pixels from below
    assert re.search(r"\[ ?3 1\.5 ?\] 0 d", drawn)
    assert b"/CreationDate" not in raw


def test_pdf_is_the_same_again_and_keeps_letters_as_text(tmp_path):
    for name in ("a.pdf", "b.pdf"):
        write_pdf(SCENE, tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert "BT" in content(tmp_path / "a.pdf")
    assert b"/Type /Font" in (tmp_path / "a.pdf").read_bytes()


def test_dollar_signs_are_no_formulas(tmp_path):
    write_pdf(Scene("n", "t", "d", 50, 20, [Text(0, 10, "a $x_ b$ \\frac")]), tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").stat().st_size > 0
