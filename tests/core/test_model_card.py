"""The model card: counts that the data bears out, scores that were reached, licences, and a file beside the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from toys import ToyBackbone, pictures, vectors

import gtimm
from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.errors import GtimmError
from gtimm.core.plugin import Info

FAST = {"epochs": 1}


def table(card: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by their first cell."""
    lines = card.split(f"## {heading}")[1].split("\n## ", maxsplit=1)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    return {row[0].strip(): row[1:] for row in cells[2:]}


@pytest.fixture
def generated() -> Pipeline:
    data = pictures(24)
    pipe = Pipeline("toy", {"image": {"name": "toy-generator", "fails": []}, "vector": "zero"}, train=FAST)
    return pipe.fit(data, data, Missing(image=0.75))


def test_it_counts_own_hidden_and_synthetic_values(generated: Pipeline) -> None:
    rows = table(generated.model_card(), "Training data")
    assert rows["image"] == ["6", "18", "18", "toy-generator", "75.0%"]
    assert rows["vector"] == ["24", "0", "0", "", "0"]
    assert "mechanism `random`" in generated.model_card()


def test_holes_of_the_data_are_not_those_hidden_on_purpose_and_bare_rows_are_not_synthetic() -> None:
    images = [np.full((4, 4, 3), 9, np.uint8) if row % 3 else None for row in range(12)]
    data = MultimodalDataset.from_arrays({"image": images}, ["a", "b", "c"] * 4, name="own")
    with pytest.warns(RuntimeWarning, match="have no candidate"):
        pipe = Pipeline("toy", "hot-deck", train=FAST).fit(data)
    assert table(pipe.model_card(), "Training data")["image"] == ["8", "4", "0", "hot-deck", "0"]
    assert "4 rows had no candidate for `image`" in pipe.model_card()
    assert "mechanism" not in pipe.model_card()


def test_items_that_a_bank_made_are_synthetic_whoever_picks_them() -> None:
    data = pictures(24)
    imputer = {"image": {"name": "retrieval", "bank": "toy-generator"}, "vector": "zero"}
    card = Pipeline("toy", imputer, train=FAST).fit(data, missing=Missing(image=0.5)).model_card()
    assert table(card, "Training data")["image"] == ["12", "12", "12", "retrieval", "50.0%"]


def test_scores_are_those_of_evaluate_the_last_of_each_data(generated: Pipeline) -> None:
    test = pictures(12, seed=1)
    assert "`evaluate` was not called" in generated.model_card()
    for _ in range(2):
        full = generated.evaluate(test)
        half = generated.evaluate(test, Missing(image=0.5))
    card = generated.model_card()
    lines = [line for line in card.split("## Scores")[1].splitlines() if line.startswith("| pictures")]
    assert len(lines) == 2
    assert f"| nothing | {full['accuracy']:.3f} |" in lines[0]
    assert f"| image 50.0% | {half['accuracy']:.3f} |" in lines[1]


class Bound(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector",), licence="Apache-2.0", weights_licence="CC-BY-NC-SA-4.0")


def test_it_says_which_licences_speak_against_commercial_use(generated: Pipeline) -> None:
    assert "All of these allow commercial use" in generated.model_card()
    assert table(generated.model_card(), "Licences")["toy"] == ["Apache-2.0", "none", ""]
    gtimm.register("backbones", "bound", Bound)
    card = Pipeline("bound", "mean", train=FAST).fit(vectors(12)).model_card()
    assert table(card, "Licences")["bound"] == ["Apache-2.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0: no commercial use"]
    assert "by `bound` (weights: CC-BY-NC-SA-4.0: no commercial use)" in card


def test_it_is_saved_beside_the_model_and_a_loaded_model_says_the_same(generated: Pipeline, tmp_path: Path) -> None:
    generated.evaluate(pictures(12, seed=1))
    for _ in range(2):  # a folder with a card is a saved model, which may be replaced
        generated.save(tmp_path / "model")
    written = (tmp_path / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    again = Pipeline.load(tmp_path / "model", device="cpu")
    assert written == generated.model_card() == again.model_card()
    again.evaluate(pictures(9, seed=2))
    assert again.model_card().count("| pictures |") == 2


def test_a_model_saved_without_a_record_loads_and_has_no_card(generated: Pipeline, tmp_path: Path) -> None:
    generated.save(tmp_path / "model")
    path = tmp_path / "model" / "pipeline.json"
    meta = json.loads(path.read_text())
    del meta["record"]
    path.write_text(json.dumps(meta))
    again = Pipeline.load(tmp_path / "model", device="cpu")
    again.predict(pictures(3))
    with pytest.raises(GtimmError, match="call fit"):
        again.model_card()
    again.save(tmp_path / "other")
    assert not (tmp_path / "other" / "MODEL_CARD.md").exists()


def test_there_is_none_before_training_and_none_of_training_that_failed() -> None:
    pipe = Pipeline("toy", "zero", train=FAST)
    with pytest.raises(GtimmError, match="call fit"):
        pipe.model_card()
    pipe.fit(vectors(12))
    with pytest.raises(GtimmError):
        pipe.fit(MultimodalDataset.from_arrays({"vector": [np.ones(4)]}, None))
    with pytest.raises(GtimmError):
        pipe.check(pictures(6), MultimodalDataset.from_arrays({"text": ["a"]}, ["x"]))
    with pytest.raises(GtimmError, match="call fit"):
        pipe.model_card()


def test_names_with_marks_of_markdown_stay_in_their_cells() -> None:
    data = MultimodalDataset.from_arrays({"vector": [np.ones(4), None]}, ["a|b", "c`d"], name="odd | name")
    card = Pipeline("toy", "zero", train=FAST).fit(data).model_card()
    assert "`odd | name`: 2 rows" in card
    assert "`a|b`, `c'd`" in card
    pipe = Pipeline("toy", "zero", train=FAST).fit(data)
    pipe.evaluate(data)
    assert "| odd \\| name | 2 |" in pipe.model_card()


@pytest.mark.parametrize(("judge", "says"), [("retrieval", True), ("regression", False)])
def test_it_says_what_the_model_holds_of_its_training_data(judge: str, says: bool) -> None:
    pipe = Pipeline("toy", "zero", eval_imputer={"image": judge, "vector": "zero"}, train=FAST).fit(pictures(24))
    assert ("holds embeddings of training rows** (`image`: 24 by `retrieval`)" in pipe.model_card()) is says


def test_a_strategy_that_is_used_twice_stands_once_among_the_licences() -> None:
    pipe = Pipeline("toy", {"name": "retrieval", "k": 2}, eval_imputer={"name": "retrieval", "k": 1}, train=FAST)
    card = pipe.fit(pictures(24), missing=Missing(image=0.5)).model_card()
    assert card.split("## Licences")[1].count("| retrieval |") == 1


def test_names_are_no_markup_links_or_ends_of_a_block() -> None:
    mean = "<script>alert(1)</script> [click](javascript:x) ```\n# Heading\x1b[2J"
    data = MultimodalDataset.from_arrays({"vector": [np.ones(4), None]}, [mean, "b"], name=mean)
    pipe = Pipeline("toy", {"name": "zero"}, train=FAST).fit(data)
    pipe.evaluate(data)
    card = pipe.model_card()
    cells = [line for line in card.splitlines() if line.startswith("|")]
    assert not any("<script" in line or "[click]" in line.replace("\\[", "") for line in cells)
    assert "\x1b" not in card
    assert not [line for line in card.splitlines() if line.startswith("# ") and line != "# Model card"]
    assert card.count("```") == 2


def test_modalities_taken_as_unseen_leave_the_mechanism_that_was_asked_for() -> None:
    data = vectors(24)
    pipe = Pipeline("toy", "mean", unseen=["right"], train=FAST).fit(data, missing=Missing(left=0.5, on="label"))
    assert "mechanism `classes`" in pipe.model_card()
    assert table(pipe.model_card(), "Training data")["right"][:3] == ["0", "24", "24"]
    alone = Pipeline("toy", "mean", unseen=["right"], train=FAST).fit(data)
    assert "mechanism `random`" in alone.model_card()
