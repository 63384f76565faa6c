"""The figure of a README: every method and budget at the two hardest ratios, as PNG and SVG on white."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.errors import DataError
from gtimm.core.files import whole_file
from gtimm.experiments.schema import Results, Row
from gtimm.report import wording
from gtimm.report.charts.axes import bounds
from gtimm.report.colours import COLOURS
from gtimm.report.methods import FAMILIES, GENERATION, LESS_DATA, REFERENCES
from gtimm.report.results import parse_results
from gtimm.report.rows import Setting, interval, kind, label, main_dataset, main_metric, row_order, settings, trained

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

_RATIOS = (0.95, 0.99)
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "gtimm",
    "axes.edgecolor": COLOURS["grid"][0],
    "text.color": COLOURS["ink"][0],
}


def summary_figure(results: dict[str, Any], path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write the methods with their intervals at 95% and 99% missing at random, one panel each; generation at every budget.

    Where the run has neither ratio, its two largest are shown. The same results give the same bytes.

    Args:
        results: what `results.json` holds.
        path: where to write; the ending is replaced by `.png` and `.svg`.

    Returns:
        The paths of the PNG and of the SVG.

    Raises:
        DataError: the results have no row that was trained with something missing at random.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    checked = parse_results(results)
    found = _settings(checked)
    shown = [trained(checked, setting) for setting in found]
    keys = sorted({key for rows in shown for row in rows if (key := _key(row))})
    axis = bounds([value for rows in shown for row in rows for value in (row.mean or 0.0, *(interval(row) or ()))])
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(2.2 + 3.4 * len(found), 1.2 + 0.27 * len(keys)), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for panel, setting, rows in zip(panels, found, shown, strict=True):
            _draw(panel, rows, keys, axis)
            title = wording.sentence(setting.title)
            panel.set_title(title, loc="left", fontsize=10.5, fontweight="bold", pad=10)
        panels[0].set_yticks(range(len(keys)), [key[-1] for key in keys])
        for name in panels[0].get_yticklabels():
            strong = keys[round(name.get_position()[1])][0] == FAMILIES.index(GENERATION)
            name.set(color=COLOURS["generation" if strong else "ink"][0], fontweight="bold" if strong else "normal")
        seeds = {row.seeds for rows in shown for row in rows if row.seeds}
        note = f"{wording.metric(main_metric(checked))} on {found[0].dataset}: mean and confidence interval" + (
            f" over {max(seeds)} seeds" if seeds else ""
        )
        figure.supxlabel(note, fontsize=9, color=COLOURS["muted"][0])
        return _save(figure, Path(path))


def _settings(results: Results) -> list[Setting]:
    random = [s for s in settings(results, main_dataset(results)) if s.mechanism == "random" and s.missing]
    wanted = [s for s in random if len(s.missing) == 1 and s.missing[0][1] in _RATIOS]
    found = (wanted or sorted(random, key=lambda s: max(share for _, share in s.missing)))[-2:]
    if not found:
        raise DataError(
            "These results have no row trained with something missing at random; the summary figure shows nothing else."
        )
    return found


def _key(row: Row) -> tuple[Any, ...]:
    return (*row_order(row)[0], row.budget or 0, label(row))


def _draw(panel: Axes, rows: list[Row], keys: list[tuple[Any, ...]], axis: tuple[float, float]) -> None:
    for row in rows:
        y, mean = keys.index(_key(row)), row.mean or 0.0
        role = {GENERATION: "generation", REFERENCES: "muted", LESS_DATA: "muted"}.get(kind(row), "ink")
        role = "hot-deck" if row.method == "hot-deck" else role
        colour = COLOURS[role][0]
        if kind(row) == GENERATION:
            panel.axhspan(y - 0.5, y + 0.5, color=COLOURS["band"][0], lw=0, zorder=0)
        if ends := interval(row):
            panel.plot(ends, (y, y), "-|", color=colour, lw=1.6, ms=8, mew=1.2, zorder=2)
        hollow = kind(row) in (REFERENCES, LESS_DATA)
        marker = "D" if row.method == "hot-deck" else "o"
        panel.plot(mean, y, marker, ms=4.2, mec=colour, mew=1.2, mfc="white" if hollow else colour, zorder=3)
        bold = "bold" if kind(row) == GENERATION else "normal"
        beside = panel.annotate(wording.percent(mean), (1.15, y), xycoords=("axes fraction", "data"), annotation_clip=False)
        beside.set(color=colour, fontweight=bold, va="center_baseline", ha="right", fontsize=8.5)
    for before, (one, other) in enumerate(pairwise(keys)):
        if one[0] != other[0]:
            panel.axhline(before + 0.5, color=COLOURS["grid"][0], lw=0.8, zorder=1)
    room = 0.03 * (axis[1] - axis[0])
    panel.set_xlim(axis[0] - room, axis[1] + room)
    panel.set_ylim(len(keys) - 0.4, -0.6)
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    panel.tick_params(length=0, colors=COLOURS["muted"][0])
    panel.grid(axis="x", color=COLOURS["grid"][0], lw=0.8, zorder=1)
    panel.set_axisbelow(True)
    panel.spines[:].set_visible(False)


def _save(figure: Any, path: Path) -> tuple[Path, Path]:
    stem = path.with_suffix("") if path.suffix.lower() in (".png", ".svg") else path
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    with whole_file(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    with whole_file(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    return png, svg
