"""Which modalities the rows of each split have."""

from __future__ import annotations

from gtimm.experiments.schema import Pattern, Results
from gtimm.report import wording
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table

_THERE, _NOT_THERE = "●", "○"


def patterns(results: Results) -> Section | None:
    """Return the patterns of missingness, most frequent first in each split."""
    if not results.patterns:
        return None
    groups: dict[tuple[str, str], list[Pattern]] = {}
    for pattern in results.patterns:
        groups.setdefault((pattern.split, pattern.note), []).append(pattern)
    modalities = list(dict.fromkeys(m for pattern in results.patterns for m in pattern.present))
    lines, shown = [], []
    for (split, note), found in groups.items():
        total = sum(pattern.rows for pattern in found) or 1
        for pattern in sorted(found, key=lambda p: -p.rows):
            share = pattern.rows / total
            there = [Cell(_THERE if m in pattern.present else _NOT_THERE, (m in pattern.present,)) for m in modalities]
            count = [Cell(f"{pattern.rows:,}", (pattern.rows,)), Cell(wording.percent(share), (share,))]
            lines.append(Line([Cell(split, (split,)), Cell(note, (note,)), *there, *count]))
            shown.append(
                {"split": split, "note": note, "there": [m in pattern.present for m in modalities], "rows": pattern.rows}
            )
            shown[-1] |= {"share": share, "first": pattern is max(found, key=lambda p: p.rows), "span": len(found)}
    columns = [Column("Split"), Column("Note"), *(Column(m) for m in modalities), Column("Rows", number=True)]
    columns.append(Column("Share", number=True))
    table = Table("patterns", "What the rows of each split have", columns, lines)
    return Section("patterns", "Missingness", {"modalities": modalities, "lines": shown}, tables=[table])
