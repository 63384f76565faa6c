"""Several runs as one: every row says its run, and what may not be compared stands apart."""

from __future__ import annotations

import copy
import json

import pytest
from report_toys import full, score, write_run

from gtimm.core.errors import ConfigError
from gtimm.report.join import Run, data_names, join, write_joined
from gtimm.report.page import make_sections
from gtimm.report.results import parse_results, read_results
from gtimm.report.rows import label, without_needless_runs

MISSING = {"image": 0.9}


def run(name, *rows, **parts):
    value = {"schema_version": 1, "rows": list(rows), "data": {"name": "digits", "speech": "synthetic"}} | parts
    return Run(name, None, parse_results(value))


def test_every_row_says_its_run_and_keeps_its_numbers():
    a, b = run("a", score("zero-fill", 0.5, missing=MISSING)), run("b", score("gti-mm", 0.7, missing=MISSING, budget=5))
    joined = join([a, b])
    assert [(row.method, row.variant, row.mean) for row in joined.rows] == [
        ("zero-fill", {"run": "a"}, 0.5),
        ("gti-mm", {"run": "b"}, 0.7),
    ]
    assert joined.kind == "joined"
    assert joined.data == {"name": "digits", "runs": ["a", "b"]}


def test_runs_are_named_in_figures_only_where_their_numbers_differ():
    shared = score("multimodal", 0.9)
    a = run("a", shared, score("zero-fill", 0.5, missing=MISSING), score("hot-deck", 0.6, missing=MISSING))
    b = run("b", shared, score("zero-fill", 0.52, missing=MISSING))
    shown = without_needless_runs(join([a, b]))
    assert [label(row) for row in shown.rows] == ["multimodal", "zero-fill, a", "hot-deck", "multimodal", "zero-fill, b"]
    (figure,) = next(s for s in make_sections(join([a, b]), None) if s.id == "methods").figures
    assert figure.scene.description.count("multimodal") == 1
    rows = next(s for s in make_sections(join([a, b]), None) if s.id == "rows").tables[0]
    assert "Run" in [column.name for column in rows.columns]
    assert len(rows.lines) == 5


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"data": {"name": "digits", "speech": "recorded"}}, "speech: synthetic and recorded"),
        ({"tests": {"digits": "two"}}, "other test rows"),
    ],
)
def test_data_of_one_name_that_differ_stand_apart_and_it_is_said(parts, reason):
    a = run("a", score("zero-fill", 0.5, missing=MISSING), tests={"digits": "one"})
    b = run("b", score("gti-mm", 0.7, missing=MISSING), **({"tests": {"digits": "one"}} | parts))
    joined = join([a, b])
    assert [row.dataset for row in joined.rows] == ["digits (a)", "digits (b)"]
    assert reason in joined.notes[0]
    assert "must not be compared" in joined.notes[0]
    ids = [section.id for section in make_sections(joined, None)]
    assert "elsewhere" in ids  # b's rows are other data, in no panel of a's


def test_runs_on_the_same_test_rows_are_joined_without_a_word():
    parts = {"tests": {"digits": "one"}}
    names, notes = data_names([run("a", score("x", 0.5), **parts), run("b", score("y", 0.6), **parts)])
    assert (names, notes) == ({"a": {}, "b": {}}, [])


def test_test_rows_that_are_not_recorded_are_said():
    _, notes = data_names([run("a", score("x", 0.5), tests={"digits": "one"}), run("b", score("y", 0.6))])
    assert len(notes) == 1
    assert notes[0].startswith("b: which test rows of digits were scored is not recorded")


def test_three_runs_of_two_kinds_of_data_make_two_data_sets():
    tests = [{"digits": which} for which in ("one", "two", "one")]
    runs = [run(name, score("x", 0.5), tests=t) for name, t in zip("abc", tests, strict=True)]
    assert [row.dataset for row in join(runs).rows] == ["digits (a, c)", "digits (b)", "digits (a, c)"]


def test_what_the_runs_do_not_share_is_by_run_and_sums_are_sums():
    a = run("a", score("x", 0.5), environment={"torch": "1", "python": "3"}, counters={"generated": 2}, seconds=1.0)
    b = run(
        "b", score("y", 0.5), environment={"torch": "2", "python": "3"}, counters={"generated": 3, "embedded": 4}, seconds=2.0
    )
    joined = join([a, b])
    assert joined.environment == {"torch": {"a": "1", "b": "2"}, "python": "3"}
    assert joined.counters == {"generated": 5, "embedded": 4}
    assert joined.seconds == 3.0


def test_verdicts_and_recommendations_become_notes_of_their_runs():
    a = run("a", score("x", 0.5), verdict={"sentence": "It helps.", "holds": True}, notes=["Synthetic."])
    joined = join([a, run("b", score("y", 0.5))])
    assert joined.verdict is None
    assert {"a: It helps.", "a: Synthetic."} <= set(joined.notes)


def test_every_part_of_two_whole_runs_is_kept(tmp_path):
    first, second = full(), full()
    folders = [write_run(tmp_path / name, value) for name, value in (("a", first), ("b", second))]
    out = write_joined(folders, tmp_path / "both")
    joined = read_results(out / "results.json")
    for part in ("rows", "comparisons", "details", "costs", "sweeps", "matrices", "published", "gallery"):
        assert len(getattr(joined, part)) == 2 * len(first[part]), part
    assert {exhibit.name for exhibit in joined.gallery} >= {"zero (a)", "zero (b)"}
    files = [file for exhibit in joined.gallery for file in exhibit.real]
    assert all((out / file).is_file() for file in files)
    assert len({cell.exhibit for cell in joined.published}) == 4
    assert joined.patterns == parse_results(first).patterns
    assert make_sections(joined, out)


def test_equal_folder_names_are_told_apart(tmp_path):
    value = {"schema_version": 1, "rows": [score("x", 0.5)]}
    folders = [write_run(tmp_path / above / "run", copy.deepcopy(value)) for above in ("one", "two")]
    joined = read_results(write_joined(folders, tmp_path / "out") / "results.json")
    assert [row.variant["run"] for row in joined.rows] == ["one/run", "two/run"]


def test_joining_again_into_the_same_folder_is_allowed_and_gives_the_same(tmp_path):
    value = {"schema_version": 1, "rows": [score("x", 0.5)]}
    folders = [write_run(tmp_path / name, value) for name in "ab"]
    first = (write_joined(folders, tmp_path / "out") / "results.json").read_bytes()
    assert (write_joined(folders, tmp_path / "out") / "results.json").read_bytes() == first


def test_what_cannot_be_joined_is_refused_and_nothing_is_written(tmp_path):
    value = {"schema_version": 1, "rows": [score("x", 0.5)]}
    a, b = (write_run(tmp_path / name, value) for name in "ab")
    other = write_run(tmp_path / "other", value)
    before = (other / "results.json").read_bytes()
    with pytest.raises(ConfigError, match="holds no joined runs"):
        write_joined([a, b], other)
    with pytest.raises(ConfigError, match="named twice"):
        write_joined([a, a], tmp_path / "out")
    with pytest.raises(ConfigError, match="one of the runs"):
        write_joined([a, b], b)
    joined = write_joined([a, b], tmp_path / "out")
    with pytest.raises(ConfigError, match="joined of several runs itself"):
        write_joined([joined, a], tmp_path / "again")
    assert (other / "results.json").read_bytes() == before
    assert json.loads((joined / "results.json").read_text())["command"].startswith("gtimm report ")
