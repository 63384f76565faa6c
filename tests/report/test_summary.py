"""The figure of a README."""

from __future__ import annotations

import pytest
from PIL import Image
from report_toys import full, score

from gtimm.core.errors import DataError
from gtimm.report import summary_figure


def test_summary_figure_is_written_whole_and_the_same_again(tmp_path):
    png, svg = summary_figure(full(), tmp_path / "out" / "summary.png")
    assert (png.name, svg.name) == ("summary.png", "summary.svg")
    first = png.read_bytes(), svg.read_bytes()
    assert Image.open(png).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    summary_figure(full(), tmp_path / "out" / "summary")
    assert (png.read_bytes(), svg.read_bytes()) == first
    with pytest.raises(DataError, match="missing at random"):
        summary_figure({"schema_version": 1, "rows": [score("multimodal", 0.9)]}, tmp_path / "none")
