"""Labels of one class and of sets of classes: read from every form, grouped for imputers that go by label, scored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from toys import ToyBackbone

from gtimm import MultimodalDataset, Pipeline, impute
from gtimm.core.config import make_splits
from gtimm.core.errors import DataError
from gtimm.core.metrics import by_row, scores
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace

TEXTS = ["a", "b", "c", "d"]
SETS = [["drama"], ["comedy", "drama"], [], ["drama", "comedy"]]
BOTH = np.array([[0, 1], [1, 1], [0, 0], [1, 1]], bool)


def films(labels: object = SETS, **options: object) -> MultimodalDataset:
    return MultimodalDataset.from_arrays({"text": TEXTS}, labels, **options)  # type: ignore[arg-type]


def test_sets_of_classes_are_read_from_lists_sets_arrays_and_indicators() -> None:
    forms = [SETS, [set(s) for s in SETS], [np.array(s, object) for s in SETS]]
    for form in forms:
        data = films(form)
        assert data.multilabel
        assert data.classes == ("comedy", "drama")
        np.testing.assert_array_equal(data.labels, BOTH)
    data = films(BOTH.astype(int), classes=["comedy", "drama"])
    np.testing.assert_array_equal(data.labels, BOTH)
    np.testing.assert_array_equal(films([[0], [1, 0], [], [0, 1]], classes=["drama", "comedy"]).labels, BOTH[:, ::-1])
    assert not films(["x", "y", "x", "y"]).multilabel


def test_tables_hold_sets_in_a_cell_or_in_columns_of_0_and_1() -> None:
    frame = pd.DataFrame(
        {"text": TEXTS[:3], "genres": ["drama", "comedy| drama", "comedy"], "comedy": [0, 1, 1], "drama": ["1", "1", "0"]}
    )
    wanted = np.array([[0, 1], [1, 1], [1, 0]], bool)
    one = MultimodalDataset.from_frame(frame, {"text": "text"}, "genres", label_separator="|")
    two = MultimodalDataset.from_frame(frame, {"text": "text"}, ["comedy", "drama"])
    assert one.classes == two.classes == ("comedy", "drama")
    np.testing.assert_array_equal(one.labels, wanted)
    np.testing.assert_array_equal(two.labels, wanted)
    with pytest.raises(DataError, match=r"Row 2, column 'drama'.*found '7'"):
        MultimodalDataset.from_frame(frame.assign(drama=["1", "1", "7"]), {"text": "text"}, ["comedy", "drama"])
    with pytest.raises(DataError, match="Row 1 has no label"):
        MultimodalDataset.from_frame(frame.assign(genres=["a", None, "b"]), {"text": "text"}, "genres", label_separator="|")


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([["a"], "a", ["b"], []], None, r"Row 1: other rows have a list.*\['a'\]"),
        ([["a"], None, [], []], None, "Row 1 has no label"),
        ([["a"], ["b"], [], ["dog"]], ["a", "b"], "Row 3: label 'dog' is outside the classes"),
        ([[], [], [], []], None, "every list of labels is empty"),
        (np.full((4, 2), 3), ["a", "b"], "Row 0: class 'a' must be 0 or 1"),
        (np.zeros((4, 2)), ["a"], "2 columns and there are 1 classes"),
    ],
)
def test_wrong_labels_name_the_row(labels: object, classes: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        films(labels, classes=classes)


def test_imputers_by_label_see_a_set_of_classes_as_one_group(tmp_path: Path) -> None:
    data = films()
    view = DatasetView(data, open_workspace(tmp_path, "cpu"), {"text": ToyBackbone()}, "pooled", True)
    assert view.classes == ("none", "drama", "comedy, drama")
    assert [view.classes[i] for i in view.labels] == ["drama", "comedy, drama", "none", "comedy, drama"]
    holes = MultimodalDataset.from_arrays({"text": ["a", "b", None, None]}, [["x"], ["x", "y"], ["y", "x"], ["y"]])
    with pytest.warns(RuntimeWarning, match="1 rows have no candidate"):
        filled = impute(holes, "hot-deck", store=tmp_path)
    assert filled.to_frame()["text"].tolist()[2] == "b"
    assert filled.to_frame()["label"].tolist() == [["x"], ["x", "y"], ["x", "y"], ["y"]]
    np.testing.assert_array_equal(filled.to_torch()[2]["label"], [True, True])


@pytest.mark.parametrize("labels", [["x", "y", "x", "y"], [["x"], ["y"], ["x", "y"], []]])
def test_a_class_that_no_training_row_has_is_named(labels: list[Any]) -> None:
    with pytest.warns(RuntimeWarning, match=r"is of class 'z'.*1 of 3 classes"):
        Pipeline("toy", device="cpu").check(films(labels, classes=["x", "y", "z"]))


def test_splits_keep_sets_in_proportion() -> None:
    sets = [["a"], ["a", "b"]] * 50
    whole = MultimodalDataset.from_arrays({"text": [str(i) for i in range(100)]}, sets)
    for part in (made := make_splits(whole)).train, made.val, made.test:
        assert part.labels is not None
        assert part.labels[:, 1].mean() == 0.5


def test_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.random((200, 5)) < 0.3
    labels[:, 4] = False
    p = np.clip(labels * 0.4 + random.random((200, 5)) * 0.6, 0, 1).astype(np.float32)
    found = scores(p, labels)
    for average in ("micro", "macro", "samples"):
        assert found[f"{average}_f1"] == pytest.approx(reference.f1_score(labels, p >= 0.5, average=average, zero_division=0.0))
    assert found["auroc"] == pytest.approx(np.mean([reference.roc_auc_score(labels[:, c], p[:, c]) for c in range(4)]))
    name, each = by_row(p, labels)
    assert name == "samples_f1"
    assert each.mean() == pytest.approx(found["samples_f1"], abs=1e-6)
    assert scores(p[:3] * 0, np.zeros((3, 5), bool)) == {"samples_f1": 0, "micro_f1": 0, "macro_f1": 0, "auroc": 0.5}


def test_labels_that_were_read_as_floats_name_the_mend() -> None:
    for labels in ([0.0, 1.0, 0.0, 1.0], np.array([0.0, 1.0, 0.0, 1.0])):
        with pytest.raises(DataError, match=r"Row 0: label 0\.0 is a fraction.*dtype=str"):
            films(labels)
    with pytest.raises(DataError, match=r"'1' and '1\.0' are one number in two spellings"):
        films(["0", "1", "1.0", "0"])


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["dog", "Dog", "cat", "cat"], "'Dog' and 'dog' differ in case or spaces alone"),
        (["a b", "a  b ", "c", "c"], "'a  b ' and 'a b' differ in case or spaces"),
        (["a", "nan", "b", "a"], "A class is called 'nan'"),
    ],
)
def test_classes_that_look_like_a_slip_are_warned_of(labels: list[str], says: str) -> None:
    with pytest.warns(RuntimeWarning, match=says):
        assert len(films(labels).classes) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        films(["Music", "Musical", "Music", "Film-Noir"])


def test_of_several_classes_in_a_cell_the_separator_alone_is_none() -> None:
    frame = pd.DataFrame({"text": TEXTS[:3], "genres": ["a|b", "|", "b"]})
    data = MultimodalDataset.from_frame(frame, {"text": "text"}, "genres", label_separator="|")
    assert data.labels.tolist() == [[True, True], [False, False], [False, True]]
    with pytest.raises(DataError, match=r"Row 1 has no label: column 'genres' is empty there.*'\|', for a row of no class"):
        MultimodalDataset.from_frame(frame.assign(genres=["a", "", "b"]), {"text": "text"}, "genres", label_separator="|")
