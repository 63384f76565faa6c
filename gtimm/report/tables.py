"""Tables of a report: one model for the page, LaTeX, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gtimm.core.files import whole_file

Value = str | int | float | bool | None

_FORMULA = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
_MARKDOWN = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " ", "\r": " "})
_TEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "−": "$-$",
        "–": "--",
        "…": r"\dots{}",
        "±": r"$\pm$",
        "●": r"$\bullet$",
        "○": r"$\circ$",
        "\n": " ",
        "\r": " ",
    }
)


@dataclass(frozen=True)
class Column:
    """A column: its name for people, the names of the values behind it, whether it holds numbers."""

    name: str
    fields: tuple[str, ...] = ()
    number: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names in CSV."""
        return self.fields or (self.name.lower().replace(" ", "_"),)


@dataclass(frozen=True)
class Cell:
    """What a cell says to people, and its values in full, as many as its column has fields; the first one sorts.

    `small` are further lines, `mark` is a class of the page's style, `href` an anchor.
    """

    text: str
    values: tuple[Value, ...] = ()
    small: tuple[str, ...] = ()
    mark: str = ""
    href: str = ""

    @property
    def key(self) -> str:
        """What a column of numbers is sorted by; empty where there is no number."""
        first = self.values[0] if self.values else None
        return "" if first is None else repr(first)


@dataclass(frozen=True)
class Line:
    """A row of cells, with an anchor and classes for the page."""

    cells: Sequence[Cell]
    id: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `name` is safe in ids and file names."""

    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]

    def csv(self) -> str:
        """Return the values in full, unrounded; fractions stay fractions, what is absent is empty.

        Text that a spreadsheet would take for a formula begins with an apostrophe, as OWASP's page on CSV injection has it.
        """
        memory = io.StringIO()
        writer = csv.writer(memory, lineterminator="\n")
        writer.writerow([_as_text(name) for column in self.columns for name in column.names])
        for line in self.lines:
            row: list[Value] = []
            for column, cell in zip(self.columns, line.cells, strict=True):
                row += cell.values if column.fields or cell.values else (cell.text,)
            writer.writerow(["" if value is None else _as_text(value) for value in row])
        return memory.getvalue()

    def markdown(self) -> str:
        """Return the texts as a table of GitHub's Markdown."""
        head = [column.name.translate(_MARKDOWN) for column in self.columns]
        rule = ["---:" if column.number else "---" for column in self.columns]
        body = [[cell.text.translate(_MARKDOWN) for cell in line.cells] for line in self.lines]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *body))

    def latex(self) -> str:
        r"""Return the texts as a `tabular`, ready for `\input`; it needs the package booktabs."""
        layout = "".join("r" if column.number else "l" for column in self.columns)
        head, *body = (
            f"{' & '.join(cell.translate(_TEX) for cell in cells)} \\\\"
            for cells in ([c.name for c in self.columns], *([cell.text for cell in line.cells] for line in self.lines))
        )
        title = self.title.replace("\n", " ").replace("\r", " ")
        lines = [f"% {title}", f"\\begin{{tabular}}{{{layout}}}", "\\toprule", head, "\\midrule", *body, "\\bottomrule"]
        return "\n".join([*lines, "\\end{tabular}", ""])


def _as_text(value: Value) -> Value:
    """Return text as one that no spreadsheet computes; a number stays one, also where it is written as text."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # the csv module puts no quotes around a lone carriage return
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


_FORMS: dict[str, Callable[[Table], str]] = {".csv": Table.csv, ".md": Table.markdown, ".tex": Table.latex}


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write each table as CSV, Markdown and LaTeX.

    Raises:
        StoreError: the folder cannot be written.
    """
    for table in tables:
        for ending, form in _FORMS.items():
            with whole_file(folder / f"{table.name}{ending}") as temporary:
                temporary.write_text(form(table), encoding="utf-8", newline="\n")
