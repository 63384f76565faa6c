"""What a data set holds and lacks, as one offline web page."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gtimm.report.charts import COLOURS
from gtimm.report.data_figure import data_figure
from gtimm.report.page import _POLICY, _hash, _write

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
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    with tempfile.TemporaryDirectory() as folder:
        svg = data_figure(parts, Path(folder) / "figure.svg").read_bytes()
    templates = Environment(loader=PackageLoader("gtimm.report", "."), autoescape=True, undefined=StrictUndefined)
    style = templates.get_template("style.css.j2").render(colours=COLOURS) + "#main img { max-width: 100%; height: auto; }\n"
    page = templates.get_template("data.html.j2").render(
        title=title,
        facts=list(facts.items()),
        tables=tables,
        figure=f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
        style=Markup(style),  # noqa: S704 - a file of this package
        policy=f"{_POLICY}; style-src '{_hash(style)}'",
    )
    return _write(out, page)
