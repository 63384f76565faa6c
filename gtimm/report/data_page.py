"""What a data set holds and lacks, as one offline web page."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gtimm.report.data_figure import data_figure
from gtimm.report.html import render, write_text

if TYPE_CHECKING:
    from gtimm.core.summary import Summary


@dataclass(frozen=True)
class Table:
    """A table of text: title, names of the columns, rows of as many cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_data_page(
    title: str, parts: Mapping[str, Summary], tables: Sequence[Table], facts: Mapping[str, str], out: Path
) -> Path:
    """Write the page and return its path. It needs no network and no other file.

    Args:
        title: of the page.
        parts: summaries by name, for the figure.
        tables: below the figure.
        facts: name to value, above it.
        out: the page.

    Raises:
        StoreError: the page cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        svg = data_figure(parts, Path(folder) / "figure.svg").read_bytes()
    values = {
        "title": title,
        "facts": list(facts.items()),
        "tables": tables,
        "figure": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
    }
    return write_text(out, render("data.html.j2", values, extra_style="#main img { max-width: 100%; height: auto; }\n"))
