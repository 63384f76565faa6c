"""Retrieval finds the nearest training rows by what is present, whatever the pattern, the batch or the memory limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from toys import ToyBackbone, matrix, vectors

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.errors import ConfigError
from gtimm.core.filling import Filler
from gtimm.core.imputer import State
from gtimm.core.pool import Features, Pool
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.imputers import retrieval
from gtimm.imputers.retrieval import Retrieval

NAMES = ("a", "b", "c")
FAST = {"epochs": 3, "lr": 0.05, "batch_size": 16}


def rows(count: int, seed: int = 0, holes: float = 0.0) -> MultimodalDataset:
    """Three vector modalities with holes anywhere, whole rows included."""
    random = np.random.default_rng(seed)
    parts: dict[str, list[Any]] = {
        m: [None if random.random() < holes else random.normal(size=4).astype(np.float32) for _ in range(count)] for m in NAMES
    }
    return MultimodalDataset.from_arrays(parts, np.arange(count) % 2, classes=["x", "y"], kinds=dict.fromkeys(NAMES, "vector"))


def view(data: MultimodalDataset) -> DatasetView:
    backbones = dict.fromkeys(data.modalities, ToyBackbone())
    return DatasetView(data, open_workspace(device="cpu"), backbones, "pooled", False)


def candidates(pool: Pool) -> list[np.ndarray]:
    """The candidates of each row, (n, dim)."""
    assert isinstance(pool.items, Features)
    spans = [(0, 0) if g < 0 else (pool.start[g], pool.start[g + 1]) for g in pool.group]
    return [pool.items.values[pool.members[begin:end]] for begin, end in spans]


def offered(imputer: Retrieval, train: MultimodalDataset, data: MultimodalDataset, target: str = "a") -> list[np.ndarray]:
    return candidates(imputer.pool(view(data), target, imputer.fit(view(train), target)))


def cosine(p: np.ndarray, q: np.ndarray) -> float:
    return float(p.astype(float) @ q / np.linalg.norm(p.astype(float)) / np.linalg.norm(q.astype(float)))


def neighbours(train: MultimodalDataset, data: MultimodalDataset, row: int, target: str = "a") -> list[tuple[float, int]]:
    """(similarity, training row), the nearest first, one pair at a time."""
    found = []
    for other in np.flatnonzero(train.present(target)).tolist():
        shared = [m for m in NAMES if m != target and data.present(m)[row] and train.present(m)[other]]
        if shared:
            alike = np.mean([cosine(data.payload(m, row), train.payload(m, other)) for m in shared])
            found.append((-float(alike), other))
    return [(-alike, other) for alike, other in sorted(found)]


@pytest.mark.parametrize("target", ["a", "c"])
def test_neighbours_are_the_most_alike_in_what_both_have(target: str) -> None:
    train, test = rows(60, 1, holes=0.4), rows(50, 2, holes=0.4)
    found = offered(Retrieval(k=7), train, test, target)
    mean = matrix(train, target)[train.present(target)].astype(float).mean(0)
    kinds = set()
    for row in range(len(test)):
        if test.present(target)[row]:
            assert not len(found[row])
            continue
        expected = neighbours(train, test, row, target)[:7]
        kinds.add(sum(test.present(m)[row] for m in NAMES))
        values = [train.payload(target, other) for _, other in expected] or [mean]
        np.testing.assert_allclose(found[row], values, atol=1e-6)
    assert kinds == {0, 1, 2}


def test_neighbours_of_one_modality_are_those_of_scikit_learn() -> None:
    train, test = vectors(80, seed=1), vectors(30, seed=2).with_missing({"left": 1.0})
    reference = NearestNeighbors(n_neighbors=5, metric="cosine").fit(matrix(train, "right"))
    expected = matrix(train, "left")[reference.kneighbors(matrix(test, "right"), return_distance=False)]
    np.testing.assert_allclose(offered(Retrieval(), train, test, "left"), expected)


def test_smaller_budgets_are_prefixes() -> None:
    train, test = rows(40, 1, 0.3), rows(20, 2, 0.5)
    many, few = offered(Retrieval(k=9), train, test), offered(Retrieval(k=3), train, test)
    state = Retrieval(k=9).fit(view(train), "a")
    cut = candidates(Retrieval(k=9).pool(view(test), "a", state).first(3))
    for row in range(len(test)):
        np.testing.assert_array_equal(many[row][:3], few[row])
        np.testing.assert_array_equal(cut[row], few[row])


def test_a_memory_limit_and_the_other_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = rows(70, 1, 0.3), rows(40, 2, 0.5)
    whole = offered(Retrieval(), train, test)
    parts = [p for begin in range(0, 40, 7) for p in offered(Retrieval(), train, test.subset(range(begin, min(begin + 7, 40))))]
    monkeypatch.setattr(retrieval.nearest, "__defaults__", (3 * retrieval.PAIR_BYTES * 70,))
    for others in (parts, offered(Retrieval(), train, test)):
        for one, other in zip(whole, others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_of_equal_neighbours_the_earlier_comes_first() -> None:
    parts = {"a": [[i, 0, 0, 1.0] for i in range(40)], "b": [[1, 2, 3, 4.0 * (1 + i % 2)] for i in range(40)]}
    train = MultimodalDataset.from_arrays(parts, [0] * 40, classes=["x"], kinds={"a": "vector", "b": "vector"})
    test = MultimodalDataset.from_arrays(
        {"a": [None], "b": [[2, 4, 6, 8.0]]}, [0], classes=["x"], kinds={"a": "vector", "b": "vector"}
    )
    assert offered(Retrieval(k=4), train, test)[0][:, 0].tolist() == [0, 2, 4, 6]


def test_the_average_is_weighted_by_similarity() -> None:
    train, test = rows(30, 1, 0.3), rows(30, 2, 0.5)
    found = offered(Retrieval(k=12, average=True), train, test)
    negative = 0
    for row in np.flatnonzero(~test.present("a")).tolist():
        best = neighbours(train, test, row)[:12]
        negative += any(alike < 0 for alike, _ in best)
        values = [train.payload("a", other) for _, other in best] or matrix(train, "a")[train.present("a")]
        weights = [max(alike, 0) for alike, _ in best] or None
        np.testing.assert_allclose(found[row], [np.average(values, axis=0, weights=weights)], atol=1e-5)
    assert negative


def test_a_row_that_shares_nothing_gets_the_training_mean() -> None:
    train = rows(20, 1)
    bare = MultimodalDataset.from_arrays(
        {"a": [None, None], "b": [None, [1, 2, 3, 4.0]], "c": [None, None]}, kinds=dict.fromkeys(NAMES, "vector")
    )
    mean = matrix(train, "a").astype(float).mean(0)
    for average in (False, True):
        found = offered(Retrieval(k=3, average=average), train, bare)
        np.testing.assert_allclose(found[0], [mean], atol=1e-6)
        assert len(found[1]) == (1 if average else 3)


def test_a_training_row_is_never_its_own_neighbour_and_what_is_sealed_is_not_seen() -> None:
    data = rows(40)
    sealed = data.with_missing({"a": 0.5}, seed=1)
    lacking = ~sealed.present("a")
    found = offered(Retrieval(k=40), sealed, sealed)
    own = matrix(data, "a")
    for row in np.flatnonzero(lacking).tolist():
        assert len(found[row]) == 20
        assert not (found[row] == own[row]).all(1).any()
        assert {tuple(v) for v in found[row]} == {tuple(v) for v in own[~lacking]}


@pytest.mark.parametrize("average", [False, True])
def test_without_any_row_that_has_the_target_nothing_is_offered(average: bool) -> None:
    data = vectors(12).with_missing({"left": 1.0})
    machine = Filler(
        open_workspace(device="cpu"), dict.fromkeys(data.modalities, ToyBackbone()), "pooled", LocalEngine(), True, False
    )
    imputer = Retrieval(average=average)
    with pytest.warns(RuntimeWarning, match="12 rows have no candidate"):
        split = machine.split(data, {"left": imputer}, {"left": machine.fit(imputer, data, "left")}, "train")
    assert split.sources["left"].fills is not None
    assert not split.sources["left"].fills.any()


def test_one_modality_alone_has_no_neighbours_and_gets_the_mean() -> None:
    train = vectors(12)
    pipe = Pipeline("toy", modalities=["left"], eval_imputer="retrieval", train=FAST, device="cpu").fit(train)
    assert pipe.predict(vectors(5, seed=1).with_missing({"left": 0.4}, 0)).shape == (5,)


def test_values_that_do_not_fit_are_refused() -> None:
    data = MultimodalDataset.from_arrays({"a": [[1e5, 0, 0, 0.0]]}, [0], classes=["x"], kinds={"a": "vector"})
    with pytest.raises(ConfigError, match=r"up to 100000 do not fit float16"):
        Retrieval(dtype="float16").fit(view(data), "a")


def test_dropout_puts_zeros_where_fills_differ_by_row() -> None:
    train = vectors(20)
    machine = Filler(
        open_workspace(device="cpu"), dict.fromkeys(train.modalities, ToyBackbone()), "pooled", LocalEngine(), True, False
    )
    one_hole = train.with_missing({"left": 0.05})
    imputer = Retrieval(k=1)
    state: State = machine.fit(imputer, one_hole, "left")
    hidden = machine.constant(imputer, state, one_hole, "left")
    assert hidden is not None
    assert not hidden.any()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_saved_model_predicts_the_same_without_training_data_and_says_what_it_holds(dtype: str, tmp_path: Path) -> None:
    pipe = Pipeline(
        "toy",
        imputer="retrieval",
        eval_imputer={"left": {"name": "retrieval", "dtype": dtype, "k": 3}, "right": "zero"},
        train=FAST,
        device="cpu",
        store=tmp_path / "first",
    ).fit(vectors(40), vectors(20, seed=1), {"left": 0.5})
    test = vectors(15, seed=2).with_missing({"left": 0.6})
    with pytest.warns(UserWarning, match=r"holds embeddings of 20 training rows .*'left'.*Retrieval"):
        pipe.save(tmp_path / "model")
    about = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert about["training_data"]["left"]["strategy"] == "Retrieval"
    loaded = Pipeline.load(tmp_path / "model", device="cpu", store=tmp_path / "second")
    assert loaded._states["left"]["target"].dtype == dtype
    np.testing.assert_array_equal(loaded.predict_proba(test), pipe.predict_proba(test))


def test_a_model_that_holds_none_says_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Pipeline("toy", eval_imputer="regression", train=FAST, device="cpu").fit(vectors(40)).save(tmp_path / "model")
    assert "training_data" not in json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert not [w for w in recwarn if "training" in str(w.message)]


def test_labels_are_not_needed() -> None:
    assert not Retrieval().needs_label()
    assert view(rows(3)).labels is None
