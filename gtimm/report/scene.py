"""A figure as marks and labels, drawn once and written in every form: SVG in the page, SVG and PDF as files.

Lengths are CSS pixels (1/96 inch), y goes down. A role is a colour of `colours.py`; in SVG it is a class for the page's theme and, for
viewers without CSS, a plain colour of the light theme.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gtimm.report.colours import COLOURS

FONTS = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
RADIUS = 3.2  # of the shape `circle`
POLYGONS = {
    "square": ((-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)),
    "diamond": ((0.0, -4.2), (4.2, 0.0), (0.0, 4.2), (-4.2, 0.0)),
    "triangle": ((0.0, -4.2), (3.9, 2.9), (-3.9, 2.9)),
}
HOLLOW = 1.75  # width of a hollow mark's line


@dataclass(frozen=True)
class Text:
    """A label whose baseline starts, ends or has its middle at (x, y); `angle` turns it, in degrees, clockwise."""

    x: float
    y: float
    text: str
    role: str = "ink"
    anchor: str = "start"
    size: int = 12
    bold: bool = False
    angle: int = 0

    def svg(self) -> str:
        """Return it as an SVG element."""
        weight = ' font-weight="600"' if self.bold else ""
        turn = f' transform="rotate({self.angle} {self.x:.1f} {self.y:.1f})"' if self.angle else ""
        return (
            f'<text x="{self.x:.1f}" y="{self.y:.1f}" font-size="{self.size}" text-anchor="{self.anchor}"{weight}{turn} '
            f"{_fill(self.role)}>{clean(self.text)}</text>"
        )


@dataclass(frozen=True)
class Rule:
    """A straight line; `dash` is on and off lengths."""

    x1: float
    y1: float
    x2: float
    y2: float
    role: str
    width: float = 1
    dash: tuple[float, float] | None = None

    def svg(self) -> str:
        """Return it as an SVG element."""
        ends = f'x1="{self.x1:.1f}" y1="{self.y1:.1f}" x2="{self.x2:.1f}" y2="{self.y2:.1f}"'
        return f'<line {ends} stroke-width="{self.width:g}"{_dashes(self.dash)} {_stroke(self.role)}/>'


@dataclass(frozen=True)
class Path:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    role: str
    width: float = 1.5
    dash: tuple[float, float] | None = None

    def svg(self) -> str:
        """Return it as an SVG element."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)
        return f'<polyline points="{points}" fill="none" stroke-width="{self.width:g}"{_dashes(self.dash)} {_stroke(self.role)}/>'


@dataclass(frozen=True)
class Box:
    """A filled rectangle; without a role it is not seen and only catches the pointer."""

    x: float
    y: float
    width: float
    height: float
    role: str | None = None

    def svg(self) -> str:
        """Return it as an SVG element."""
        place = f'x="{self.x:.5g}" y="{self.y:.5g}" width="{self.width:.5g}" height="{self.height:.5g}"'
        return f"<rect {place} {_fill(self.role)}/>" if self.role else f'<rect {place} fill="none" pointer-events="all"/>'


@dataclass(frozen=True)
class Mark:
    """A point of data, filled or hollow; its shape is `circle` or one of `POLYGONS`."""

    x: float
    y: float
    shape: str
    role: str
    hollow: bool = False
    scale: float = 1.0

    def svg(self) -> str:
        """Return it as an SVG element."""
        line = f'class="hollow s-{self.role}" fill="#fff" stroke-width="{HOLLOW}" stroke="{COLOURS[self.role][0]}"'
        paint = line if self.hollow else _fill(self.role)
        if self.shape == "circle":
            return f'<circle cx="{self.x:.1f}" cy="{self.y:.1f}" r="{RADIUS * self.scale:.3g}" {paint}/>'
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self.corners())
        return f'<polygon points="{points}" {paint}/>'

    def corners(self) -> list[tuple[float, float]]:
        """Return the corners of a mark that is no circle."""
        return [(self.x + x * self.scale, self.y + y * self.scale) for x, y in POLYGONS[self.shape]]


Drawn = Text | Rule | Path | Box | Mark


@dataclass(frozen=True)
class Group:
    """Marks that belong together; `tip` says in words what they show."""

    items: Sequence[Drawn]
    tip: str = ""

    def svg(self) -> str:
        """Return it as an SVG element."""
        tip = f"<title>{clean(self.tip)}</title>" if self.tip else ""
        return f"<g>{tip}{''.join(item.svg() for item in self.items)}</g>"


@dataclass(frozen=True)
class Scene:
    """A figure: `name` is safe in ids and file names; `title` and `description` say in words what it shows."""

    name: str
    title: str
    description: str
    width: float
    height: float
    items: Sequence[Drawn | Group]

    def drawn(self) -> Iterator[Drawn]:
        """Yield every mark, groups taken apart, in the order of drawing."""
        for item in self.items:
            yield from item.items if isinstance(item, Group) else (item,)

    def named(self, name: str) -> Scene:
        """Return the same figure under another name."""
        return replace(self, name=name)

    def svg(self) -> str:
        """Return it as an SVG element for a page that has the roles' classes."""
        return (
            f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:.0f}" '
            f'width="{self.width:g}" height="{self.height:.0f}" font-family="{FONTS}" '
            f'role="img" aria-labelledby="{self.name}-title {self.name}-text">'
            f'<title id="{self.name}-title">{clean(self.title)}</title>'
            f'<desc id="{self.name}-text">{clean(self.description)}</desc>{"".join(item.svg() for item in self.items)}</svg>'
        )

    def svg_file(self) -> str:
        """Return it as a file of its own: transparent, and readable on a light and on a dark ground."""
        roles = {item.role for item in self.drawn() if not isinstance(item, Box) or item.role}
        rules = "".join(
            f".f-{role}{{fill:{dark}}}.s-{role}{{stroke:{dark}}}" for role, (_, dark) in COLOURS.items() if role in roles
        )
        style = f"<style>.hollow{{fill:none}}@media (prefers-color-scheme:dark){{{rules}.hollow{{fill:none}}}}</style>"
        text = self.svg()
        start = text.index("<title")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text[:start]}{style}{text[start:]}\n'


def clean(text: str) -> str:
    """Escape text for an element or an attribute."""
    return html.escape(text, quote=True)


def _dashes(dash: tuple[float, float] | None) -> str:
    return f' stroke-dasharray="{dash[0]:g} {dash[1]:g}"' if dash else ""


def _fill(role: str) -> str:
    return f'class="f-{role}" fill="{COLOURS[role][0]}"'


def _stroke(role: str) -> str:
    return f'class="s-{role}" stroke="{COLOURS[role][0]}"'
