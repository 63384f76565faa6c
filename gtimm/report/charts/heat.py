"""A matrix of values as coloured cells with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gtimm.report.charts.axes import fit, length
from gtimm.report.colours import heat, on_heat
from gtimm.report.scene import Box, Drawn, Group, Scene, Text

_NAME = 150  # units: the longest name that is shown whole


@dataclass(frozen=True)
class Heat:
    """A cell: its text, its step of the heat ramp (`None`: no colour) and what it says in full."""

    text: str
    step: int | None
    tip: str


def heat_chart(
    name: str, title: str, cells: Sequence[Sequence[Heat]], rows: Sequence[str], columns: Sequence[str], axes: tuple[str, str]
) -> Scene:
    """Return the cells under the names of columns, beside those of rows; `axes` say what rows and columns are."""
    wide = 46 if max((len(cell.text) for line in cells for cell in line), default=0) > 3 else 34
    tall = 26
    left = max((length(fit(row, _NAME)) for row in rows), default=0.0) + 40
    turned = max((length(column, size=11) for column in columns), default=0.0) > wide - 4
    top = 24 + (max(length(fit(c, _NAME, size=11), size=11) for c in columns) + 8 if turned else 22)
    items: list[Drawn | Group] = [
        Text(left + wide * len(columns) / 2, 14, axes[1], "muted", "middle", 11),
        Text(12, top + tall * len(rows) / 2, axes[0], "muted", "middle", 11, angle=-90),
    ]
    for number, column in enumerate(columns):
        x = left + wide * (number + 0.5)
        label = fit(column, _NAME, size=11)
        items.append(Text(x + 4, top - 6, label, size=11, angle=-90) if turned else Text(x, top - 8, label, "ink", "middle", 11))
    for line, (row, values) in enumerate(zip(rows, cells, strict=True)):
        y = top + tall * line
        items.append(Text(left - 8, y + tall / 2 + 4, fit(row, _NAME), "ink", "end"))
        items += [_cell(cell, left + wide * number, y, wide, tall) for number, cell in enumerate(values)]
    tips = "; ".join(cell.tip for line in cells for cell in line)
    width = max(left + wide * len(columns), length(axes[1], size=11) + 2 * left) + 8
    return Scene(name, title, tips, round(width), top + tall * len(rows) + 6, items)


def _cell(cell: Heat, x: float, y: float, wide: float, tall: float) -> Group:
    place = (x + wide / 2, y + tall / 2 + 4)
    if cell.step is None:
        return Group([Text(*place, cell.text, "muted", "middle", 11)], cell.tip)
    box = Box(x + 0.75, y + 0.75, wide - 1.5, tall - 1.5, heat(cell.step))
    return Group([box, Text(*place, cell.text, on_heat(cell.step), "middle", 11)], cell.tip)
