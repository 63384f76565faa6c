"""Ours beside the paper's: the cells of exhibits, with the published value and the difference where both are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gtimm.experiments.reproduction.paper import Value, heading, label, published
from gtimm.experiments.schema import Published
from gtimm.experiments.statistics import interval

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.experiments.reproduction.bench import Bench, Place, Plan
    from gtimm.experiments.statistics import Interval
    from gtimm.experiments.sweeps.curves import Cells

ODD = " of the paper: "
"""Stands in notes about the paper itself, after the exhibit."""


def beside(plan: Plan, bench: Bench, cells: Cells, data: Splits) -> list[Published]:
    """Return an exhibit's cells: ours, and what the paper has besides.

    Of a data set that the paper has, its own lines are given; of another one all, as they are without a difference.

    Args:
        plan: the exhibit.
        bench: the preset and choices.
        cells: by key.
        data: the splits, for what is counted.
    """
    reason = bench.preset.path_only.get(plan.name, "")
    trained = [p.setting.key() for p in plan.places if p.setting is not None and p.setting.key() in cells]
    intervals = {key: interval(cells[key].values) for key in trained}
    found = [_cell(plan, place, bench, cells, data, intervals, reason) for place in plan.places]
    exhibit = published().exhibit(plan.name)
    there = {(label(place.at), place.column) for place in plan.places}
    for line in exhibit.lines:
        name = str(line.at["dataset"])
        if bench.preset.paper not in (None, name):
            continue
        for column in exhibit.columns:
            value = published().value(plan.name, line.at, column)
            if value is not None and not isinstance(value.value, str) and (label(line.at), column) not in there:
                why = "not run" if name == bench.preset.paper else f"not run: {bench.preset.label} is another data set"
                found.append(_published(plan.name, label(line.at), column, value, [why]))
    return found


def paper_notes(plan: Plan) -> list[str]:
    """Return what is odd about an exhibit in the paper, and what was left out of it here."""
    notes = [f"{heading(plan.name)}{ODD}{note}" for note in published().exhibit(plan.name).notes]
    return notes + [f"{heading(plan.name)}, left out here. {why}." for why in plan.absent]


def _cell(
    plan: Plan, place: Place, bench: Bench, cells: Cells, data: Splits, intervals: Mapping[str, Interval], reason: str
) -> Published:
    value = published().value(plan.name, place.at, place.column)
    notes = [note for note in (place.note, reason) if note]
    ours: dict[str, Any] = {"path_only": bool(reason)}
    if place.setting is not None and place.setting.key() in intervals:
        key = place.setting.key()
        one = intervals[key]
        ours |= {"ours": one.mean, "ci_low": one.low, "ci_high": one.high, "metric": cells[key].metric}
    elif place.counted is not None:
        ours |= {"ours": place.counted(data, bench), "metric": place.metric}
        ours |= {"unit": "count" if place.metric == "count" else "number"}
    else:
        notes.append("not run")
    return _published(plan.name, label(place.at), place.column, value, notes, ours)


def _published(
    exhibit: str, row: str, column: str, value: Value | None, notes: list[str], ours: dict[str, Any] | None = None
) -> Published:
    fields: dict[str, Any] = {"exhibit": exhibit, "row": row, "column": column, **(ours or {})}
    if value is not None:
        notes = [*notes, *value.notes]
        if value.source != heading(exhibit):
            notes.append(f"the paper's value stands in its {value.source}")
        if isinstance(value.value, str):
            notes.append(f"paper: {value.value}")
        else:
            fields |= {"paper": value.value, "unit": value.unit}
            fields.setdefault("metric", value.metric)
            if fields.get("ours") is not None and fields["metric"] == value.metric:
                fields["difference"] = fields["ours"] - value.value
            elif fields.get("ours") is not None:
                notes.append(f"no difference: the paper has {value.metric}")
    return Published(**fields, note="; ".join(note.removesuffix(".") for note in notes))
