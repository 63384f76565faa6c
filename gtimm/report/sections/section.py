"""What a section hands to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gtimm.report.figures import Figure
from gtimm.report.tables import Table


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        id: its anchor, and its template's name.
        name: in the contents.
        values: for the template, as `s`.
        figures: those of the page, to be written as files too.
        tables: to be written as files.
    """

    id: str
    name: str
    values: dict[str, Any]
    figures: Sequence[Figure] = field(default=())
    tables: Sequence[Table] = field(default=())
