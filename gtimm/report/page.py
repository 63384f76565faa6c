"""A run folder's results as one offline web page, its figures as SVG and PDF, its tables as LaTeX, Markdown and CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.core.files import whole_file
from gtimm.experiments.schema import Results
from gtimm.report import wording
from gtimm.report.html import render, write_text
from gtimm.report.pdf import write_pdf
from gtimm.report.results import parse_results, read_results
from gtimm.report.rows import without_needless_runs
from gtimm.report.sections.again import again, notes
from gtimm.report.sections.all_rows import all_rows
from gtimm.report.sections.classes import classes
from gtimm.report.sections.cost import cost
from gtimm.report.sections.curves import budget, missing_at_test, sweeps
from gtimm.report.sections.differences import differences
from gtimm.report.sections.gallery import gallery, rejected
from gtimm.report.sections.matrices import matrices
from gtimm.report.sections.methods import elsewhere, how_to_read, lead, methods
from gtimm.report.sections.patterns import patterns
from gtimm.report.sections.published import published
from gtimm.report.sections.section import Section
from gtimm.report.tables import write_tables

if TYPE_CHECKING:
    from markupsafe import Markup

    from gtimm.report.figures import Figure

_GLANCE = 420  # letters
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def write_report(folder: str | PathLike[str], out: str | PathLike[str] | None = None) -> Path:
    """Write `report.html`, `figures/` (SVG, PDF) and `tables/` (LaTeX, Markdown, CSV) of a run folder; return the page's path.

    The page needs no network and no other file: style, script and figures are in it, images and sounds as base64. The same folder
    gives the same bytes.

    Args:
        folder: of the run; `results.json`, `config.yaml` and the gallery's files are read.
        out: where to write; by default the run folder.

    Raises:
        DataError: `results.json` is absent or wrong, or the gallery names a file outside the folder or one that is neither PNG nor WAV.
        StoreError: the folder cannot be written.
    """
    root = Path(folder)
    target = Path(out) if out is not None else root
    results = read_results(root / "results.json")
    sections = make_sections(results, root)
    page = render_page(results, sections)
    for section in sections:
        write_figures(section.figures, target / "figures")
        write_tables(section.tables, target / "tables")
    return write_text(target / "report.html", page)


def write_page(results: dict[str, Any], path: str | PathLike[str], root: Path | None = None) -> Path:
    """Write the page of results alone, to a file of any name, and return its path.

    Args:
        results: what `results.json` holds.
        path: of the page.
        root: the run folder, for the gallery and the configuration; without it they are left out.

    Raises:
        DataError: the results are wrong, or the gallery names a file that cannot be shown.
        StoreError: the file cannot be written.
    """
    checked = parse_results(results)
    return write_text(Path(path), render_page(checked, make_sections(checked, root)))


def make_sections(results: Results, root: Path | None) -> list[Section]:
    """Return the sections for which the results have something, in the order of the page.

    Args:
        results: of a run.
        root: the run folder, for the gallery and the configuration; without it they are left out.

    Raises:
        DataError: the gallery names a file that cannot be shown.
    """
    shown = without_needless_runs(results)
    found = (
        published(results),
        methods(shown),
        differences(shown),
        budget(shown),
        sweeps(results),
        matrices(results),
        missing_at_test(shown),
        elsewhere(shown),
        classes(shown),
        gallery(results, root),
        rejected(results, root),
        cost(shown),
        all_rows(results),
        patterns(results),
        notes(results),
        again(results, root),
    )
    return [section for section in found if section is not None]


def render_page(results: Results, sections: Sequence[Section]) -> str:
    """Return the page's HTML."""
    values = {
        "title": results.title or "gtimm report",
        "verdict": results.verdict,
        "recommendation": results.recommendation,
        "lead": sentences(lead(results)),
        "evidence": _evidence(results, sections),
        "facts": [(_fact(name), wording.plain(value)) for name, value in results.data.items()],
        "how": how_to_read(results),
        "sections": sections,
        "inline": _inline,
    }
    return render("page.html.j2", values, styles=("items.css.j2", "report.css.j2"), script="script.js.j2")


def write_figures(figures: Sequence[Figure], folder: Path) -> None:
    """Write each figure as SVG and PDF.

    Raises:
        StoreError: the folder cannot be written.
    """
    for figure in figures:
        scene = (figure.wide or figure.scene).named(figure.name)
        write_text(folder / f"{figure.name}.svg", scene.svg_file())
        with whole_file(folder / f"{figure.name}.pdf") as temporary:
            write_pdf(scene, temporary)


def _inline(figure: Figure) -> Markup:
    from markupsafe import Markup

    if figure.wide is None:
        return Markup(figure.scene.svg())  # noqa: S704 - scene.py escapes every label
    both = f'<div class="narrow">{figure.scene.svg()}</div><div class="wide">{figure.wide.svg()}</div>'
    return Markup(both)  # noqa: S704


def _evidence(results: Results, sections: Sequence[Section]) -> list[tuple[str, str]]:
    """Return each piece of evidence with the anchor of where it stands, empty where the page does not show that."""
    shown = {section.id for section in sections}
    places = {"rows": ("rows", "row"), "comparisons": ("differences", "comparison"), "sweeps": ("sweeps", "sweep")}
    places |= {"matrices": ("matrices", "matrix")}
    found = []
    for evidence in results.recommendation.evidence if results.recommendation else []:
        part, _, number = evidence.refers_to.partition(".")
        number = number.split(".")[0]
        section, anchor = places.get(part, ("", ""))
        there = section in shown and number.isdigit() and int(number) < len(getattr(results, part))
        found.append((evidence.sentence, f"#{anchor}-{number}" if there else ""))
    return found


def sentences(text: str) -> list[str]:
    """Return the text whole where it can be taken in at a glance, else its sentences."""
    return [text] if len(text) <= _GLANCE else _SENTENCE.split(text)


def _fact(name: str) -> str:
    return "Data" if name == "name" else wording.sentence(name.replace("_", " "))
