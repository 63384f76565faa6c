"""What a data set lacks, as a figure: rows by pattern of what is there, and the share missing by class and modality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.errors import ConfigError
from gtimm.core.files import whole_file
from gtimm.report.colours import COLOURS

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from gtimm.core.summary import Summary

_CLASSES = 40  # lines of the second panel; of more classes those that lack most
_PATTERNS = 16
_LETTERS = 28  # of a label
_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 10.5, "fontweight": "bold"}
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "gtimm",
    "axes.edgecolor": COLOURS["grid"][0],
    "text.color": COLOURS["ink"][0],
}


def data_figure(parts: Mapping[str, Summary], path: str | PathLike[str]) -> Path:
    """Write the figure; the same summaries give the same bytes.

    Args:
        parts: summaries by name: of splits, or of one data set.
        path: `.svg` or `.png`.

    Raises:
        ConfigError: another ending.
        StoreError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out = Path(path)
    if out.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(f"{out}: a figure ends in .svg or .png, a page in .html.")
    patterns = _patterns(parts)
    classes, columns, shares = _by_class(parts)
    tall = max(len(patterns) * len(parts), len(classes), 4)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        widths = (4.2, 1.6 + 0.75 * len(columns))
        figure = Figure(figsize=(sum(widths) + 2.4, 1.6 + 0.26 * tall), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=widths)
        _draw_patterns(left, parts, patterns, tall / len(parts))
        _draw_classes(right, classes, columns, shares)
        if any(one.without_class is not None for one in parts.values()):
            right.set_title("Share missing, by each class of a row", **_TITLE)
        if len(classes) - 1 < (every := len({label for one in parts.values() for label in one.classes})):
            right.set_xlabel(
                f"{len(classes) - 1} of {every:,} classes, those that lack most", fontsize=8, color=COLOURS["muted"][0]
            )
        with whole_file(out) as temporary:
            form = out.suffix[1:].lower()
            figure.savefig(temporary, format=form, dpi=160, metadata={"Date" if form == "svg" else "Software": None})
    return out


def _patterns(parts: Mapping[str, Summary]) -> list[str]:
    total: dict[str, int] = {}
    for one in parts.values():
        for pattern, rows in one.patterns.items():
            total[pattern] = total.get(pattern, 0) + rows
    return sorted(total, key=lambda pattern: (-total[pattern], pattern))[:_PATTERNS]


def _by_class(parts: Mapping[str, Summary]) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Return class names (all rows first), column names, and (classes, columns) shares missing; NaN where a part has no such row."""
    names = list(dict.fromkeys(label for one in parts.values() for label in one.classes))
    columns = [(part, m) for part, one in parts.items() for m in one.missing]
    shares = np.full((len(names) + 1, len(columns)), np.nan)
    for place, (part, modality) in enumerate(columns):
        one = parts[part]
        shares[0, place] = one.missing[modality] / one.rows
        for line, label in enumerate(names, 1):
            if rows := one.classes.get(label, 0):
                shares[line, place] = one.missing_by_class[label][modality] / rows
    kept = range(1, len(names) + 1)
    if len(names) > _CLASSES:
        lack = np.nan_to_num(shares).sum(axis=1)
        kept = sorted(sorted(kept, key=lambda line: -lack[line])[:_CLASSES])  # type: ignore[assignment]
    lines = [0, *kept]
    titles = [f"{m}\n{part}" if len(parts) > 1 else m for part, m in columns]
    return ["all rows", *(names[line - 1] for line in kept)], titles, shares[lines]


def _draw_patterns(panel: Axes, parts: Mapping[str, Summary], patterns: list[str], lines: float) -> None:
    """Draw bars; `lines` is the panel's height in groups of bars of the usual thickness."""
    roles = ("generation", "hot-deck", "robust")
    height = 0.8 / len(parts)
    for index, (name, one) in enumerate(parts.items()):
        shares = [one.patterns.get(pattern, 0) / one.rows for pattern in patterns]
        places = [line + (index - (len(parts) - 1) / 2) * height for line in range(len(patterns))]
        panel.barh(places, shares, height * 0.9, color=COLOURS[roles[index % 3]][0], label=f"{name}, {one.rows:,} rows")
        for place, pattern, share in zip(places, patterns, shares, strict=True):
            text = f" {one.patterns.get(pattern, 0):,} ({share:.1%})"
            panel.text(share, place, text, va="center", fontsize=8, color=COLOURS["muted"][0])
    panel.set_yticks(range(len(patterns)), [_short(pattern) for pattern in patterns])
    panel.set_ylim(max(len(patterns), lines) - 0.4, -0.6)
    panel.set_xlim(0, 1.35)
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    panel.xaxis.tick_top()
    panel.set_title("What rows have", **_TITLE)
    panel.tick_params(length=0, colors=COLOURS["muted"][0])
    panel.spines[:].set_visible(False)
    below = (len(patterns) + 0.1) / (max(len(patterns), lines) + 0.2)
    panel.legend(loc="upper left", bbox_to_anchor=(0, 1 - below), ncols=len(parts), frameon=False, fontsize=8)


def _draw_classes(panel: Axes, classes: list[str], columns: list[str], shares: NDArray[np.float64]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    plain = LinearSegmentedColormap.from_list("missing", ["#ffffff", COLOURS["hot-deck"][0]])
    shade = plain.with_extremes(bad=COLOURS["grid"][0])
    panel.imshow(shares, aspect="auto", cmap=shade, vmin=0, vmax=1)
    for line, column in np.ndindex(*shares.shape):
        share = shares[line, column]
        text = "no rows" if np.isnan(share) else "0" if share == 0 else f"{share:.1%}"
        panel.text(column, line, text, ha="center", va="center", fontsize=8, color="white" if share > 0.75 else COLOURS["ink"][0])
    panel.set_xticks(range(len(columns)), columns, fontsize=8)
    panel.xaxis.tick_top()
    panel.set_yticks(range(len(classes)), [_short(label) for label in classes])
    panel.set_title("Share missing, by class", **_TITLE)
    panel.tick_params(length=0, colors=COLOURS["muted"][0])
    panel.spines[:].set_visible(False)


def _short(text: str) -> str:
    """Return a label that fits and that matplotlib reads as it is: a dollar sign would begin a formula."""
    cut = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
    return cut.replace("$", r"\$")
