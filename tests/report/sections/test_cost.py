"""What methods cost, and which of them nothing cheaper matches."""

from __future__ import annotations

import pytest
from report_toys import full, score

from gtimm.experiments.schema import Cost
from gtimm.report.results import parse_results
from gtimm.report.scene import Group, Mark
from gtimm.report.sections.cost import cost, time_ticks, together


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"train_seconds": 2.0}, 2.0),
        ({"train_seconds": 2.0, "items": 10, "generate_seconds": 5.0}, 7.0),
        ({"train_seconds": 2.0, "items": 10}, None),
        ({"items": 10, "generate_seconds": 5.0}, None),
    ],
)
def test_together_is_known_only_where_its_parts_are(parts, expected):
    assert together(Cost(dataset="d", method="m", **parts)) == expected


def test_frontier_is_what_nothing_cheaper_matches_and_complete_data_is_no_choice():
    missing = {"image": 0.9}
    scores = {"zero-fill": (1, 0.5), "mean-fill": (2, 0.4), "hot-deck": (3, 0.6), "class-mean": (4, 0.6), "gti-mm": (9, 0.8)}
    rows = [score(m, v, missing=missing) for m, (_, v) in scores.items()] + [score("multimodal", 0.99), score("audio-only", 0.3)]
    costs = [{"dataset": "digits", "method": m, "train_seconds": s} for m, (s, _) in scores.items()]
    costs += [{"dataset": "digits", "method": m, "train_seconds": 0.5} for m in ("multimodal", "audio-only")]
    section = cost(parse_results({"schema_version": 1, "rows": rows, "costs": costs}))
    (figure,) = section.figures
    drawn = [item for item in figure.scene.items if isinstance(item, Group)]
    hollow = {group.tip.split(":")[0]: next(m.hollow for m in group.items if isinstance(m, Mark)) for group in drawn}
    assert hollow == {
        "audio-only": False,
        "mean-fill": True,
        "class-mean": True,
        "zero-fill": False,
        "hot-deck": False,
        "gti-mm": False,
    }


def test_the_other_modality_alone_is_a_choice_whichever_is_missing():
    rows = [score(m, 0.5, missing={"audio": 0.9}) for m in ("zero-fill", "hot-deck")]
    rows += [score("visual-only", 0.4), score("audio-only", 0.6)]
    costs = [{"dataset": "digits", "method": row["method"], "train_seconds": i + 1.0} for i, row in enumerate(rows)]
    (figure,) = cost(parse_results({"schema_version": 1, "rows": rows, "costs": costs})).figures
    assert "visual-only" in figure.scene.description
    assert "audio-only" not in figure.scene.description


def test_table_has_every_cost_and_the_run_s_own_counters():
    section = cost(parse_results(full()))
    assert len(section.values["table"].lines) == len(full()["costs"])
    assert section.values["own"] == [("Generated", "1,000"), ("Embedded", "12,345"), ("Time", "2 min 10 s")]


def test_variants_of_a_method_have_costs_of_their_own():
    missing = {"image": 0.9}
    rows = [score("gti-mm", 0.5 + g / 10, missing=missing, budget=5, variant={"guidance": g}) for g in (1, 2, 3)]
    costs = [
        {"dataset": "digits", "method": "gti-mm", "budget": 5, "variant": {"guidance": g}, "train_seconds": float(g)}
        for g in (1, 2, 3)
    ]
    (figure,) = cost(parse_results({"schema_version": 1, "rows": rows, "costs": costs})).figures
    assert "gti-mm, 5/class, guidance 3: 80.0%, 3 s" in figure.scene.description


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1, 30), {"1 s", "5 s", "20 s"}),
        ((50, 5000), {"1 min", "1 h"}),
        ((36_000, 400_000), {"20 h", "100 h"}),
        ((1.1, 1.2), {"1.1 s"}),
    ],
)
def test_axis_of_time_has_round_times_in_their_units(ends, expected):
    found = time_ticks(*ends)
    assert expected <= {text for _, text in found}
    assert all(ends[0] <= x <= ends[1] for x, _ in found)
