"""A grid of settings: what is shared is trained once, and what was interrupted goes on to the very same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score
from toys import calls, pictures, vectors

import gtimm.core.training
import gtimm.experiments.grid
from gtimm.core.calibration import ece
from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError, MissingnessError
from gtimm.core.missing import Missing
from gtimm.core.pipeline import Pipeline
from gtimm.experiments import jobs
from gtimm.experiments.cells import Cell, read_cell, write_cell
from gtimm.experiments.grid import Grid
from gtimm.experiments.methods import Setting
from gtimm.experiments.rows import costs_of, detail_of, patterns_of, rows_of, simulated

TRAIN = {"epochs": 10, "lr": 0.1}
FILLS = ("zero-fill", "mean-fill", "class-mean", "hot-deck")


def splits() -> Splits:
    return Splits(vectors(60, name="toys"), vectors(30, seed=1), vectors(45, seed=2), {"name": "toys"})


def grid(data: Splits | None = None, folder: Path | None = None, **options: Any) -> Grid:
    given = {"backbone": "toy", "train": TRAIN, "device": "cpu"}
    return Grid(data or splits(), options.pop("target", "left"), given, None, range(2), folder=folder, **options)


def settings(test: float = 0.5) -> list[Setting]:
    return [
        Setting("toys", m, missing_train={"left": p}, missing_test=q)
        for p in (0.5, 0.8)
        for m in FILLS
        for q in ({}, {"left": test})
    ]


def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that are trained from here on."""
    real, found = gtimm.core.training.train, []

    def train(runs: Any) -> None:
        found.append(len(runs))
        real(runs)

    monkeypatch.setattr(gtimm.core.training, "train", train, raising=False)
    return found


def same(one: Cell, two: Cell) -> None:
    for name in ("values", "predicted", "confidence", "validation"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)
    assert {n: v.tolist() for n, v in one.scores.items()} == {n: v.tolist() for n, v in two.scores.items()}
    assert (one.setting, one.metric, one.chosen, one.items, one.model) == (
        two.setting,
        two.metric,
        two.chosen,
        two.items,
        two.model,
    )


def test_a_model_is_trained_once_for_all_that_it_is_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(monkeypatch)
    cells = grid().run(settings())
    assert found == [2 * 2 * len(FILLS)]
    assert [cell.setting for cell in cells] == settings()
    whole, holes = cells[:2]
    assert whole.model == holes.model
    assert whole.values.mean() > holes.values.mean()


def test_a_model_tested_on_two_things_scores_as_two_models_would() -> None:
    together = grid().run(settings())
    for cell in together[:4]:
        (alone,) = grid().run([cell.setting])
        np.testing.assert_allclose(alone.confidence, cell.confidence, atol=1e-5)


def test_kept_outcomes_are_read_back_whole_and_nothing_is_embedded_or_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = grid(folder=tmp_path / "cells").run(settings())
    found = trained(monkeypatch)
    calls.clear()
    again = grid(folder=tmp_path / "cells")
    for one, two in zip(first, again.run(settings()), strict=True):
        same(one, two)
    assert found == []
    assert not calls
    assert again.counters == {"generated": 0, "embedded": 0}


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(f.read_bytes()[:-200]), lambda f: f.write_bytes(b""), Path.unlink])
def test_a_damaged_outcome_is_found_again(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    first = grid(folder=tmp_path / "cells").run(settings())
    for file in sorted((tmp_path / "cells").iterdir())[:2]:
        damage(file)
    for one, two in zip(first, grid(folder=tmp_path / "cells").run(settings()), strict=True):
        same(one, two)


class Stop(BaseException):
    """What a user's Ctrl-C is."""


@pytest.mark.parametrize("place", ["train", "adopt", "write"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_was_interrupted_anywhere_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, after: int
) -> None:
    monkeypatch.setattr(jobs, "GROUP_BYTES", 4 * 8 * 60 * 2 * 2)  # two models of two seeds a group
    expected = grid(folder=tmp_path / "whole").run(settings())
    home, name = {
        "train": (gtimm.core.training, "train"),
        "adopt": (gtimm.core.pipeline.Pipeline, "adopt"),
        "write": (gtimm.experiments.grid, "write_cell"),
    }[place]
    real, left = getattr(home, name), [after]

    def stopping(*arguments: Any) -> Any:
        if not left[0]:
            raise Stop
        left[0] -= 1
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(home, name, stopping, raising=False)
        with pytest.raises(Stop):
            grid(folder=tmp_path / "cells").run(settings())
    found = trained(monkeypatch)
    for one, two in zip(expected, grid(folder=tmp_path / "cells").run(settings()), strict=True):
        same(one, two)
    assert len(found) == 4 - {"train": after, "adopt": after // 4, "write": after // 4}[place]


def test_outcomes_of_other_data_seeds_options_and_holes_are_not_taken(tmp_path: Path) -> None:
    first = {job.key for job in grid().plan(settings())}
    other = splits()
    changed = Splits(other.train, other.val, vectors(45, seed=3), other.facts)
    assert not first & {job.key for job in grid(changed).plan(settings())}
    options = {"backbone": {"name": "toy", "scale": 2.0}, "train": TRAIN, "device": "cpu"}
    assert not first & {job.key for job in replace(grid(), options=options).plan(settings())}
    assert not first & {job.key for job in replace(grid(), seeds=(0, 2)).plan(settings())}
    stratified = [replace(setting, mechanism="stratified") for setting in settings()]
    assert not first & {job.key for job in grid().plan(stratified)}
    assert first == {job.key for job in grid().plan([replace(setting, dataset="renamed") for setting in settings()])}


def test_what_a_later_call_shares_with_an_earlier_one_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, both = grid(), settings()
    first = one.run(both[:4])
    found = trained(monkeypatch)
    cells = one.run(both)
    assert found == [2 * 6]
    for early, late in zip(first, cells[:4], strict=True):
        same(early, late)


def test_methods_of_the_user_stand_beside_presets() -> None:
    own = {"mine": {"imputer": "mean", "fusion": "score"}, "sounds only": "audio-only"}
    made = grid(methods=own)
    cells = made.run([Setting("toys", name, missing_train={"left": 0.5}) for name in (*own, "mean-fill")])
    assert [cell.setting.method for cell in cells] == ["mine", "sounds only", "mean-fill"]
    jobs = made.plan([Setting("toys", "sounds only"), Setting("toys", "mine")])
    assert [tuple(job.pipes[0].kinds) for job in jobs] == [("right",), ("left", "right")]


def test_dropout_that_follows_the_test_is_a_model_for_each_ratio() -> None:
    own = {"drops": {"fusion": {"name": "dropout", "rate": "match"}}}
    planned = grid(methods=own).plan([Setting("toys", "drops", missing_test=q) for q in ({"left": 0.3}, {"left": 0.6}, {})])
    assert [job.pipes[0].fusion.rates(("left", "right")) for job in planned] == [[0.3, 0.0], [0.6, 0.0], [0.0, 0.0]]
    assert len({job.model for job in planned}) == 3


def test_any_missingness_can_be_a_setting() -> None:
    patterns = Missing(patterns={"left+right": 0.4, "left": 0.3, "right": 0.3})
    by_norm = Missing(left=0.5, on="left.norm")
    made = [Setting.of("toys", "zero-fill", train, Missing(right=0.5)) for train in (patterns, by_norm)]
    assert [one.mechanism for one in made] == ["patterns", "mnar"]
    assert made[0].missing_train == {"left": 0.3, "right": 0.3}
    first, second = grid().plan(made)
    assert first.trains[0].present("left").sum() == 42
    assert first.tests[0].present("right").sum() == 23
    norms = [np.linalg.norm(splits().train.payload("left", row)) for row in range(60)]
    assert set(np.flatnonzero(second.trains[0].sealed("left"))) == set(np.argsort(norms)[-30:])
    with pytest.raises(ConfigError, match="Mechanism 'mar' needs a Missing"):
        grid().plan([Setting("toys", "zero-fill", "mar", {"left": 0.5})])


def test_what_a_setting_asks_too_much_is_refused_before_anything_is_done() -> None:
    calls.clear()
    with pytest.raises(MissingnessError, match=r"0\.\.1"):
        grid().run([*settings(), Setting("toys", "zero-fill", missing_train={"left": 1.5})])
    assert not calls


def test_validation_rows_are_scored_with_the_holes_of_the_test() -> None:
    cells = grid(validate=True).run(settings())
    assert all(cell.validation.shape == (2,) for cell in cells)
    assert cells[0].validation.mean() > cells[1].validation.mean()
    pipe = grid().plan(settings())[1].pipes[0]
    data = splits()
    pipe.fit(data.train, data.val, Missing(left=0.5))
    assert cells[1].validation[0] == pytest.approx(pipe.evaluate(data.val, Missing(left=0.5))["accuracy"])


def test_scores_by_class_agree_with_sklearn() -> None:
    data = splits()
    cells = grid(data).run(settings())
    labels = np.tile(data.test.labels, 2)
    for cell in cells[:3]:
        found = detail_of(cell, data.test.labels, data.test.classes, cells[2])
        flat = cell.predicted.ravel()
        assert found["recall"] == pytest.approx(recall_score(labels, flat, average=None))
        assert found["confusion"] == confusion_matrix(labels, flat).tolist()
        assert cell.scores["macro_f1"].tolist() == pytest.approx(
            [f1_score(data.test.labels, p, average="macro") for p in cell.predicted]
        )
        assert cell.values.mean() == pytest.approx(np.mean(cell.predicted == data.test.labels))
        bins = found["calibration"]
        assert sum(b["count"] for b in bins) == 90
        spread = np.repeat((1 - cell.confidence.ravel())[:, None] / 2, 3, 1)
        spread[np.arange(90), flat] = cell.confidence.ravel()
        gap = sum(b["count"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / 90
        assert gap == pytest.approx(ece(spread, labels), abs=1e-6)
    gains = detail_of(cells[0], data.test.labels, data.test.classes, cells[2])
    assert gains["gain"] == pytest.approx(
        (np.array(gains["recall"]) - np.array(detail_of(cells[2], data.test.labels, data.test.classes)["recall"])).tolist()
    )


def test_a_class_without_test_rows_has_no_recall() -> None:
    cell = Cell(Setting("toys", "zero-fill"), np.ones((1, 2), np.float32), 0.0, scores={"ece": np.zeros(1)})
    cell.predicted, cell.confidence = np.array([[0, 1]], np.int32), np.full((1, 2), 0.9, np.float32)
    assert detail_of(cell, np.array([0, 1]), ("a", "b", "c"))["recall"] == [1.0, 1.0, None]


def test_costs_count_items_by_what_the_bank_has_and_the_seconds_that_it_measured(tmp_path: Path) -> None:
    data = Splits(pictures(24), pictures(12, seed=1), pictures(12, seed=2), {"name": "pictures"})
    made = grid(data, tmp_path, target="image")
    made.generator = {"name": "toy-generator"}
    found = [Setting("pictures", "gti-mm", missing_train={"image": 0.5}, budget=k) for k in (1, 4)]
    planned = made.plan([*found, Setting("pictures", "zero-fill", missing_train={"image": 0.5})])
    cells = made.complete(planned)
    assert made.counters["generated"] == 12
    workspace = planned[0].pipes[0].workspace
    costs = costs_of(cells, workspace)
    assert [cost["items"] for cost in costs] == [3, 12, 0]
    about = json.loads((next((workspace.bank.folder).glob("toygenerator-*")) / "about.json").read_text())
    assert costs[1]["generate_seconds"] == pytest.approx(12 * about["seconds_per_item"]["cpu"])
    assert costs[2]["generate_seconds"] == 0


def test_variants_of_a_method_have_costs_of_their_own(tmp_path: Path) -> None:
    def cell(seconds: float, items: int, **variant: Any) -> Cell:
        setting = Setting("toys", "gti-mm", budget=10, variant=variant)
        return Cell(setting, np.ones((1, 2), np.float32), seconds, items={"bank": items})

    workspace = Pipeline(imputer=None, store=tmp_path).workspace
    cells = [cell(1.0, 100), cell(9.0, 100, guidance=7), cell(5.0, 400, prompts="domain"), cell(3.0, 100)]
    found = [(cost["variant"], cost["train_seconds"], cost["items"]) for cost in costs_of(cells, workspace)]
    assert found == [({}, 2.0, 100), ({"guidance": 7}, 9.0, 100), ({"prompts": "domain"}, 5.0, 400)]


def test_rows_and_patterns_have_the_form_of_results() -> None:
    from gtimm.experiments.schema import Results

    data = splits()
    made = grid(data)
    planned = made.plan(settings())
    cells = made.complete(planned)
    rows = rows_of(cells, every_score=True)
    assert {row["metric"] for row in rows} == {"accuracy", "macro_f1", "top3_accuracy", "ece"}
    checked = Results.model_validate({"rows": rows, "patterns": patterns_of(data, simulated(planned[1:2]))})
    assert [p.rows for p in checked.patterns if p.note] == [30, 30, 23, 22]


def test_a_cell_of_another_program_is_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", other=np.zeros(3))
    assert read_cell(tmp_path / "foreign.npz", settings()[0]) is None
    (cell,) = grid().run(settings()[:1])
    write_cell(tmp_path / "own.npz", cell)
    found = read_cell(tmp_path / "own.npz", cell.setting)
    assert found is not None
    same(cell, found)
