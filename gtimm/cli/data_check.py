"""What `gtimm check data` loads, compares, prints and writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtimm.cli.sources import columns_of, is_folder, named_columns, pair
from gtimm.core.dataset import DatasetLoader, MultimodalDataset, Splits
from gtimm.core.errors import ConfigError, DataError, GtimmError
from gtimm.core.summary import SplitsSummary, Summary, compare_published
from gtimm.core.table_files import TABLES

if TYPE_CHECKING:
    from gtimm.report.data_page import Table

NAMED = 20  # lines of a long list that a terminal shows


@dataclass(frozen=True)
class Check:
    """A data set's counts, and what is known of it.

    Attributes:
        title: what was checked.
        summary: of one data set, or of splits.
        published: name to published count and the one found, `None` where nothing is to compare.
        source: where the files come from.
        facts: of the splits.
    """

    title: str
    summary: Summary | SplitsSummary
    published: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    source: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Summary]:
        """Summaries by name."""
        return dict(self.summary.splits) if isinstance(self.summary, SplitsSummary) else {self.summary.name: self.summary}

    @property
    def unreadable(self) -> int:
        """How many payloads cannot be decoded."""
        return sum(len(one.unreadable or ()) for one in self.parts.values())


def load(
    what: str,
    *,
    root: Path | None = None,
    options: Sequence[str] = (),
    modalities: Sequence[str] = (),
    label: str | None = None,
    split: str | None = None,
    decode: bool = False,
    duplicates: bool = True,
) -> Check:
    """Load a named data set, a configuration's, a table or class folders, and count.

    Raises:
        ConfigError: options that do not go with what is checked.
        DataError: files that are not there; the message says where they come from.
    """
    suffix = Path(what).suffix.lower()
    if suffix in TABLES:
        if options:
            raise ConfigError("--option is for data sets with a name; a table takes --root, --modality, --label and --split.")
        table = _table(Path(what).expanduser(), root, modalities, label, split)
        if isinstance(table, Splits):
            return Check(Path(what).name, table.summary(decode=decode, duplicates=duplicates))
        return Check(Path(what).name, table.summary(decode=decode))
    if is_folder(what):
        if options or root is not None or label is not None or split is not None:
            raise ConfigError(
                "Class folders take --modality alone: their classes are the folders' names, their root is the folder."
            )
        folder = Path(what).expanduser()
        return Check(folder.name, MultimodalDataset.from_folder(folder, named_columns(modalities) or None).summary(decode=decode))
    if modalities or label is not None or split is not None:
        raise ConfigError("--modality, --label and --split are for tables; a configuration and a named data set know theirs.")
    if suffix in (".yaml", ".yml"):
        if root is not None or options:
            raise ConfigError("--root and --option are for names and tables; a configuration holds its own.")
        splits, loader = _configured(Path(what).expanduser())
    else:
        given = dict(pair(text, "--option") for text in options) | ({"root": str(root)} if root is not None else {})
        loader = _loader({"name": what, **given})
        splits = _loaded(loader)
    summary = splits.summary(decode=decode, duplicates=duplicates)
    published = compare_published(loader.published, summary, loader.counts(splits)) if loader is not None else {}
    return Check(Path(what).name, summary, published, loader.source if loader is not None else "", dict(splits.facts))


def show(check: Check, *, as_json: bool) -> None:
    """Print a check, as tables or as JSON."""
    if as_json:
        published = {name: {"published": count, "found": found} for name, (count, found) in check.published.items()}
        print(json.dumps({**check.summary.to_dict(), "published": published, "source": check.source}, indent=2))
        return
    from rich.markup import escape
    from rich.table import Table as Printed

    from gtimm.core.terminal import terminal

    console = terminal()
    for table in tables(check):
        printed = Printed(title=escape(table.title), title_justify="left", title_style="bold")
        for place, name in enumerate(table.columns):
            printed.add_column(escape(name), overflow="fold", justify="left" if place == 0 else "right")
        for row in table.rows[:NAMED]:
            printed.add_row(*(escape(cell) for cell in row))
        console.print(printed)
        if len(table.rows) > NAMED:
            console.print(f"and {len(table.rows) - NAMED:,} more; --json and -o page.html have all", highlight=False)
    if isinstance(check.summary, SplitsSummary) and check.summary.duplicates == ():
        console.print("No content stands in two splits.", highlight=False)
    if check.source:
        console.print(escape(f"Source: {check.source}"), highlight=False)


def report(check: Check, out: Path) -> Path:
    """Write a page or a figure, by the ending of its name."""
    from gtimm.report.data_figure import data_figure
    from gtimm.report.data_page import write_data_page

    if out.suffix.lower() != ".html":
        return data_figure(check.parts, out)
    facts = {**check.facts, **({"files from": check.source} if check.source else {})}
    return write_data_page(check.title, check.parts, tables(check), facts, out)


def tables(check: Check) -> list[Table]:
    """Return what is printed, each with at least one row."""
    from gtimm.report.data_page import Table

    parts = check.parts
    modalities = list(dict.fromkeys(m for one in parts.values() for m in one.missing))
    found = [
        Table(
            f"Rows of {check.title}",
            ["", "rows", "classes", *(f"without {m}" for m in modalities)],
            [
                [
                    name,
                    f"{one.rows:,}",
                    one.labels,
                    *(_share(one.missing.get(m, one.rows), one.rows) for m in modalities),
                ]
                for name, one in parts.items()
            ],
        ),
        Table("What rows have", ["pattern", *parts], _patterns(parts)),
        Table("Rows by class, and those without a modality", ["class", *parts], _classes(parts)),
        Table("Published counts", ["", "published", "here", ""], _published(check.published)),
    ]
    if isinstance(check.summary, SplitsSummary):
        rows = [[str(d), _pairs(d.examples)] for d in check.summary.duplicates or ()]
        found.append(Table("Equal content in two splits", ["what", "such as"], rows))
    damaged = [[name, one.modality, one.name, one.reason] for name, s in parts.items() for one in s.unreadable or ()]
    found.append(Table("Cannot be read", ["", "modality", "row", "why"], damaged))
    return [table for table in found if table.rows]


def _table(
    path: Path, root: Path | None, modalities: Sequence[str], label: str | None, split: str | None
) -> MultimodalDataset | Splits:
    from gtimm.core.row_names import RowNames
    from gtimm.core.splitting import read_splits
    from gtimm.core.table_files import read_table
    from gtimm.core.tables import read_frame

    frame = read_table(path)
    columns = columns_of(frame.columns.tolist(), modalities, path)
    used = label if label is not None else "label" if "label" in frame.columns else None
    form: dict[str, Any] = {"root": root or path.parent, "name": path.stem, "row_names": RowNames.of(frame, path.name)}
    return read_frame(frame, columns, used, **form) if split is None else read_splits(frame, columns, used, split, **form)


def _configured(path: Path) -> tuple[Splits, DatasetLoader | None]:
    from gtimm.core.config import RunConfig, read_yaml

    config = RunConfig.of(read_yaml(path), path)
    data = {"name": config.data} if isinstance(config.data, str) else config.data
    if "name" not in data:
        return config.load_data(path.parent), None
    loader = _loader(data)
    return _loaded(loader), loader


def _loader(spec: Mapping[str, Any]) -> DatasetLoader:
    from gtimm.core.registry import registry

    known = registry("datasets")
    cls: type[DatasetLoader] = known.load(spec["name"])
    try:
        loader: DatasetLoader = known.create(spec)
    except ConfigError as error:
        need = [
            f"--{name} DIR" if name == "root" else f"-O {name}=VALUE" for name, f in cls.model_fields.items() if f.is_required()
        ]
        hint = f" {spec['name']} needs {', '.join(need)}." if need else ""
        raise ConfigError(f"{error}{hint}{_from(cls)}") from error
    return loader


def _loaded(loader: DatasetLoader) -> Splits:
    try:
        return loader.load()
    except GtimmError as error:
        raise DataError(f"{error}{_from(type(loader))}") from error


def _from(cls: type[DatasetLoader]) -> str:
    return f" The files come from {cls.source}." if cls.source else ""


def _patterns(parts: Mapping[str, Summary]) -> list[list[str]]:
    names = dict.fromkeys(pattern for one in parts.values() for pattern in one.patterns)
    return [[pattern, *(_share(one.patterns.get(pattern, 0), one.rows) for one in parts.values())] for pattern in names]


def _classes(parts: Mapping[str, Summary]) -> list[list[str]]:
    def cell(one: Summary, label: str) -> str:
        lacking = [f"{rows:,} no {m}" for m, rows in one.missing_by_class.get(label, {}).items() if rows]
        return f"{one.classes.get(label, 0):,}" + (f" ({', '.join(lacking)})" if lacking else "")

    names = dict.fromkeys(label for one in parts.values() for label in one.classes)
    return [[label, *(cell(one, label) for one in parts.values())] for label in names]


def _published(published: Mapping[str, tuple[int, int | None]]) -> list[list[str]]:
    rows = []
    for name, (count, found) in published.items():
        verdict = "" if found is None else "as published" if found == count else f"{found - count:+,}"
        rows.append([name, f"{count:,}", "not compared" if found is None else f"{found:,}", verdict])
    return rows


def _pairs(examples: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{first} and {second}" for first, second in examples)


def _share(count: int, rows: int) -> str:
    return f"{count:,} ({count / rows:.1%})"
