"""A run folder's results as one offline web page."""

from __future__ import annotations

import base64
import hashlib
from os import PathLike
from pathlib import Path
from typing import Any

from gtimm.core.files import whole_file
from gtimm.report import wording
from gtimm.report.charts import COLOURS, standalone
from gtimm.report.figures import Figure, budget_figures, difference_figure, difference_heading, method_figures, robustness_figures
from gtimm.report.gallery import gallery
from gtimm.report.methods import GENERATION, glossary
from gtimm.report.results import Comparison, Results, Row, read_results

_POLICY = "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
_SECTIONS = {
    "methods": "Methods",
    "budget": "Budget",
    "robustness": "Missing at test",
    "elsewhere": "Out of domain",
    "table": "All rows",
    "gallery": "Gallery",
    "notes": "Notes",
    "again": "Run it again",
}
_COLUMNS = (
    ("Method", False),
    ("Budget", True),
    ("Mean", True),
    ("Interval", True),
    ("Data", False),
    ("Missing in training", False),
    ("Missing at test", False),
    ("Metric", False),
    ("Std", True),
    ("Seeds", True),
    ("Seconds", True),
)


def write_report(folder: str | PathLike[str]) -> Path:
    """Write `report.html` and `figures/*.svg` from a run folder's `results.json` and gallery; return the page's path.

    The page needs no network and no other file: style, script and figures are in it, images and sounds as base64. The same folder
    gives the same bytes.

    Raises:
        DataError: `results.json` is absent or wrong, or the gallery names a file outside the folder or one that is neither PNG nor WAV.
        StoreError: the folder cannot be written.
    """
    root = Path(folder)
    results = read_results(root / "results.json")
    figures: list[Figure] = []
    page = _render(results, root, figures)
    for figure in figures:
        _write(root / "figures" / f"{figure.name}.svg", standalone(figure.wide or figure.svg))
    return _write(root / "report.html", page)


def _write(path: Path, text: str) -> Path:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _render(results: Results, root: Path, figures: list[Figure]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def inline(figure: Figure) -> Markup:
        figures.append(figure)
        both = f'<div class="narrow">{figure.svg}</div><div class="wide">{figure.wide}</div>' if figure.wide else figure.svg
        return Markup(both)  # noqa: S704 - charts.py escapes every label

    templates = Environment(loader=PackageLoader("gtimm.report", "."), autoescape=True, undefined=StrictUndefined)
    style = templates.get_template("style.css.j2").render(colours=COLOURS)
    script = templates.get_template("script.js.j2").render()
    exhibits, absent = gallery(results.gallery, root)
    values = {
        "results": results,
        "title": results.title or "gtimm report",
        "lead": lead(results),
        "how": _how(results),
        "facts": [(_fact(name), wording.plain(value)) for name, value in results.data.items()],
        "methods": method_figures(results, results.dataset),
        "differences": difference_figure(results.comparisons, results.dataset),
        "budgets": budget_figures(results, results.dataset),
        "robustness": robustness_figures(results, results.dataset),
        "elsewhere": _elsewhere(results),
        "columns": _COLUMNS,
        "table": [_cells(row) for row in results.ordered()],
        "glossary": glossary([row.method for row in results.rows]),
        "gallery": exhibits,
        "absent": absent,
        "cost": _cost(results),
        "environment": [(name, wording.plain(value)) for name, value in results.environment.items()],
        "inline": inline,
        # Both are files of this package, without results in them.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "policy": f"{_POLICY}; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
    }
    again = results.command or values["cost"] or results.environment
    shown = {**values, "budget": values["budgets"], "notes": results.notes, "again": again}
    sections = [(key, name) for key, name in _SECTIONS.items() if shown[key]]
    return templates.get_template("template.html.j2").render(**values, sections=sections)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def lead(results: Results) -> str:
    """Return the page's first sentence: the verdict, else the highest mean for each way of training."""
    if results.verdict:
        return results.verdict.sentence
    sentences = []
    for setting in results.settings(results.dataset):
        rows = [row for row in results.trained(setting) if row.setting == setting or not setting.missing]
        if rows:
            best = max(rows, key=lambda row: row.mean or 0.0)
            value = wording.percent(best.mean) + (f" ({wording.interval(best.interval)})" if best.interval else "")
            metric = _metric(best.metric)
            what = f"the highest {metric} is {value}, of {_spoken(best)}" if rows[1:] else f"{_spoken(best)} has {metric} {value}"
            sentences.append(f"With {wording.setting(dict(setting.missing), setting.mechanism)}, {what}.")
    if not sentences and results.rows:
        best = max(results.rows, key=lambda row: (row.metric == results.metric, row.mean or 0.0))
        value = wording.percent(best.mean) + (f" ({wording.interval(best.interval)})" if best.interval else "")
        missing = f", with {wording.ratios(best.missing_test)} missing at test" if best.missing_test else ""
        sentences.append(f"{_spoken(best)} has {_metric(best.metric)} {value}{missing}.")
    return " ".join(sentences[:3]) or "These results have no row that can be shown."


def _spoken(scored: Row | Comparison) -> str:
    return scored.method if scored.budget is None else f"{scored.method} with {scored.budget:,} per class"


def _metric(name: str) -> str:
    return name.replace("_", " ")


def _fact(name: str) -> str:
    return "Data" if name == "name" else wording.sentence(name.replace("_", " "))


def _how(results: Results) -> str:
    parts = ["How to read: a dot is the mean over seeds, its bar the confidence interval (no bar: narrower than the dot)"]
    if any(row.family == GENERATION for row in results.rows):
        parts.append("generation is in blue")
    if any(row.method == "hot-deck" for row in results.rows):
        parts.append("hot-deck, which only resamples real items, in orange")
    return "; ".join(parts) + "."


def _elsewhere(results: Results) -> list[dict[str, Any]]:
    parts = []
    for name in dict.fromkeys(row.dataset for row in results.rows if row.dataset != results.dataset):
        compared = difference_figure(results.comparisons, name)
        figures = method_figures(results, name) + ([compared] if compared else [])
        sentences = [_sentence(c) for c in results.comparisons if c.dataset == name and c.difference is not None]
        parts.append({"name": name, "figures": figures, "sentences": sentences})
    return parts


def _sentence(c: Comparison) -> str:
    ends = c.interval or (c.difference or 0.0, c.difference or 0.0)
    sign = "above" if ends[0] > 0 else "below" if ends[1] < 0 else "not distinguishable from"
    value = f"{wording.points(c.difference)} points" + (
        f" ({wording.interval(c.interval, difference=True)})" if c.interval else ""
    )
    return wording.sentence(f"{difference_heading(c)}: {_spoken(c)} is {sign} {c.against}, {value}.")


def _cells(row: Row) -> dict[str, Any]:
    def number(text: str, value: float | None) -> tuple[str, str]:
        return text, "" if value is None else repr(value)

    trained = wording.ratios(row.missing_train)
    return {
        "method": row.method,
        "generated": row.family == GENERATION,
        "cells": [
            number("–" if row.budget is None else f"{row.budget:,}", row.budget),
            number(wording.percent(row.mean), row.mean),
            number(wording.interval(row.interval), row.ci_low if row.interval else None),
            (row.dataset, None),
            (f"{trained} {wording.mechanism(row.mechanism)}" if row.missing_train else trained, None),
            (wording.ratios(row.missing_test), None),
            (_metric(row.metric), None),
            number(wording.percent(row.std), row.std),
            number("–" if row.seeds is None else str(row.seeds), row.seeds),
            number("–" if row.seconds is None else f"{row.seconds:.1f}", row.seconds),
        ],
    }


def _cost(results: Results) -> list[tuple[str, str]]:
    cost = [
        (wording.sentence(_metric(k)), f"{v:,}" if isinstance(v, int) else wording.plain(v)) for k, v in results.counters.items()
    ]
    return cost + ([("Time", wording.duration(results.seconds))] if results.seconds is not None else [])
