"""A figure as PDF: matplotlib's writer under the very marks that the page shows."""

from __future__ import annotations

from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from gtimm.report.colours import COLOURS, GROUND
from gtimm.report.scene import HOLLOW, RADIUS, Box, Drawn, Mark, Rule, Scene, Text

if TYPE_CHECKING:
    from matplotlib.patches import Patch
    from matplotlib.transforms import Transform

_PIXELS = 96.0  # CSS pixels an inch
_POINT = 72.0 / _PIXELS  # points a pixel
_STYLE = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "pdf.fonttype": 42, "text.parse_math": False}
_ALIGN = {"start": "left", "middle": "center", "end": "right"}


def write_pdf(scene: Scene, path: File) -> None:
    """Write a figure as PDF, light theme, letters as text; the same figure gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(scene.width / _PIXELS, scene.height / _PIXELS))
        FigureCanvasPdf(figure)
        place = Affine2D().scale(1 / scene.width, -1 / scene.height).translate(0, 1) + figure.transFigure
        for order, item in enumerate(scene.drawn()):
            if artist := _artist(item, place):
                artist.set(zorder=order, clip_on=False)
                figure.add_artist(artist)
        # Without its date the file depends on the figure alone.
        figure.savefig(path, format="pdf", transparent=True, metadata={"CreationDate": None, "Title": scene.title})


def _artist(item: Drawn, place: Transform) -> Any:
    """Return the matplotlib artist of a mark; `None` for what is not seen."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text as Letters

    colour = COLOURS[item.role][0] if item.role else ""
    if isinstance(item, Text):
        words = Letters(item.x, item.y, item.text, color=colour, fontsize=item.size * _POINT, transform=place)
        words.set(ha=_ALIGN[item.anchor], va="baseline", rotation=-item.angle, rotation_mode="anchor")
        words.set_fontweight("bold" if item.bold else "normal")
        return words
    if isinstance(item, Mark):
        return _mark(item, colour, place)
    if isinstance(item, Box):
        return Rectangle((item.x, item.y), item.width, item.height, facecolor=colour, lw=0, transform=place) if colour else None
    points = [(item.x1, item.y1), (item.x2, item.y2)] if isinstance(item, Rule) else item.points
    line = Line2D([x for x, _ in points], [y for _, y in points], color=colour, lw=item.width * _POINT, transform=place)
    if item.dash:
        line.set_linestyle((0, tuple(part / item.width for part in item.dash)))
    line.set(solid_capstyle="butt", dash_capstyle="butt")
    return line


def _mark(item: Mark, colour: str, place: Transform) -> Patch:
    from matplotlib.patches import Circle, Polygon

    shape: Patch
    if item.shape == "circle":
        shape = Circle((item.x, item.y), RADIUS * item.scale, transform=place)
    else:
        shape = Polygon(item.corners(), transform=place)
    shape.set(facecolor=GROUND[0] if item.hollow else colour, edgecolor=colour, lw=HOLLOW * _POINT if item.hollow else 0)
    return shape
