"""Every way to fill, with every fusion, on any holes: each promise of a Pipeline, or a clear refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from promises import (
    BY_LABEL,
    CLASSES,
    FUSIONS,
    GENERATOR,
    IMPUTERS,
    KINDS,
    NEED_ALL,
    imputer_of,
    judge_of,
    keeps_its_promises,
    pipeline,
    rows,
    without,
)

import gtimm
from gtimm import GtimmError, MultimodalDataset, Pipeline, load_dataset, preset
from gtimm.core.errors import IncompatibleError, LabelLeakError
from gtimm.core.registry import registry

THREE = tuple(KINDS)[:3]
pytestmark = pytest.mark.usefixtures("_quiet")


@pytest.mark.parametrize("sets", [False, True], ids=["classes", "sets"])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("imputer", IMPUTERS)
def test_every_fill_goes_with_every_fusion(imputer: str, fusion: str, sets: bool, bank: Path, tmp_path: Path) -> None:
    fills = imputer_of(imputer, 3, bank)
    train, test = rows(sets=sets), rows(12, seed=1, sets=sets)
    if imputer == "none" and fusion in NEED_ALL:
        with pytest.raises(IncompatibleError, match="imputer"):
            pipeline(None, fusion, eval_imputer=None).fit(train, test)
        return
    pipe = pipeline(fills, fusion, eval_imputer=judge_of(imputer, fills), draws=2)
    keeps_its_promises(pipe, train, [test], tmp_path / "model")


@pytest.mark.parametrize("sets", [False, True], ids=["classes", "sets"])
@pytest.mark.parametrize("imputer", IMPUTERS)
def test_every_fill_works_with_one_class_and_with_a_modality_that_nothing_has(
    imputer: str, sets: bool, bank: Path, tmp_path: Path
) -> None:
    fills = imputer_of(imputer, 3, bank)
    made = {"eval_imputer": judge_of(imputer, fills)}
    alike, mixed = rows(20, sets=sets, only=0), rows(12, seed=1, sets=sets)
    keeps_its_promises(pipeline(fills, "gated", **made), alike, [mixed, alike], tmp_path / "alike")
    for m in THREE:
        pipe = pipeline(fills, "score", **made)
        keeps_its_promises(pipe, without(rows(sets=sets), m), [mixed, without(mixed, m)], tmp_path / m)
    keeps_its_promises(pipeline(fills, "sum", **made), rows(1, sets=sets), [mixed], tmp_path / "one")


@pytest.mark.parametrize("balance", ["ogm-ge", "agm"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_is_balanced(fusion: str, balance: str, tmp_path: Path) -> None:
    pipe = pipeline("regression", fusion, eval_imputer="retrieval", balance=balance)
    keeps_its_promises(pipe, rows(), [rows(12, seed=1)], tmp_path / "model")
    with pytest.raises(IncompatibleError, match="one true class"):
        pipe.fit(rows(sets=True))
    with pytest.raises(IncompatibleError, match="has only image"):
        pipe.fit(rows(count=1))


def test_every_strategy_is_tried_here() -> None:
    spec = [v for v in [*IMPUTERS.values(), *IMPUTERS["toy-generator"].values(), *IMPUTERS["bank"].values()] if v is not None]
    tried = {v if isinstance(v, str) else v.get("name") for v in spec}
    generators = {"audioldm2", "speech", "stable-diffusion", "stable-diffusion-tiny"}
    ours = {name for name, entry in registry("imputers").view.items() if entry.distribution == "gtimm"}
    assert ours - generators <= tried
    fusions = {v if isinstance(v, str) else v["name"] for v in FUSIONS.values()}
    ours = {name for name, entry in registry("fusion").view.items() if entry.distribution == "gtimm"}
    assert ours == fusions | {"missing-aware"}


@pytest.mark.parametrize("imputer", [name for name in IMPUTERS if name != "none"])
def test_labels_of_evaluation_data_reach_no_prediction(imputer: str, bank: Path) -> None:
    fills = imputer_of(imputer, 3, bank)
    if imputer in BY_LABEL:
        with pytest.raises(LabelLeakError):
            pipeline("zero", "late", eval_imputer=fills)
        return
    pipe = pipeline(fills, "late", eval_imputer=fills, calibrate=True).fit(rows(), rows(12, seed=2))
    test = rows(24, seed=1)
    parts = {m: [test[r].get(m) for r in range(24)] for m in THREE}
    for labels in (None, np.zeros(24, np.int64)):
        other = MultimodalDataset.from_arrays(parts, labels, classes=CLASSES, kinds=KINDS)
        np.testing.assert_array_equal(pipe.predict_proba(other), pipe.predict_proba(test))


@pytest.mark.parametrize("imputer", IMPUTERS)
def test_what_is_sealed_may_be_anything(imputer: str, bank: Path) -> None:
    fills, clean = imputer_of(imputer, 3, bank), rows(30, holes=0.1)
    test = rows(12, seed=1, holes=0.1)

    def result(train: MultimodalDataset) -> Any:
        pipe = pipeline(fills, "attention", eval_imputer=judge_of(imputer, fills)).fit(train, test)
        return pipe.predict_proba(test).tobytes(), pipe.history, {m: pipe.imputers.get(m) for m in THREE}

    missing = gtimm.Missing(image=0.5, left=0.4)
    sealed = clean.with_missing(missing)
    nonsense = {"image": b"no picture", "left": np.full(4, np.nan, np.float32)}
    parts = {
        m: [nonsense[m] if sealed.sealed(m)[r] else clean[r].get(m) for r in range(30)] if m in nonsense else
        [clean[r].get(m) for r in range(30)] for m in THREE
    }  # fmt: skip
    poisoned = MultimodalDataset.from_arrays(parts, clean.labels, classes=CLASSES, kinds=KINDS).with_missing(missing)
    assert all((poisoned.sealed(m) == sealed.sealed(m)).all() for m in THREE)
    assert result(poisoned) == result(sealed)


def test_missing_aware_prompts_read_no_sealed_payload_and_no_test_label(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    clean, val = digits.train.subset(np.arange(40)), digits.val.subset(np.arange(10))
    missing = gtimm.Missing(image=0.5)
    hidden = clean.with_missing(missing).sealed("image")
    parts = {m: [clean.payload(m, r) for r in range(40)] for m in clean.modalities}
    parts["image"] = [b"no picture" if h else image for h, image in zip(hidden, parts["image"], strict=True)]
    poisoned = MultimodalDataset.from_arrays(parts, clean.labels, classes=clean.classes)
    generator = {"name": "stable-diffusion-tiny", "per_class": 1, "steps": 1, "batch_size": 10}
    test, found = digits.test.subset(np.arange(10)).with_missing(missing), []
    for data in (clean, poisoned):
        pipe = preset("gti-mm-prompts", clean, "image", generator, backbone="imagebind-tiny", device="cpu", train={"epochs": 2})
        pipe.fit(data, val, missing)
        found.append(pipe.predict_proba(test))
    np.testing.assert_array_equal(found[0], found[1])
    bare = {m: [test.payload(m, r) if test.present(m)[r] else None for r in range(10)] for m in test.modalities}
    bare = {m: [None, *values[1:]] for m, values in bare.items()}
    unlabelled = MultimodalDataset.from_arrays(bare, None, classes=test.classes, kinds={"image": "image", "audio": "audio"})
    np.testing.assert_allclose(pipe.predict_proba(unlabelled)[1:], found[0][1:], atol=1e-6)
    np.testing.assert_array_equal(pipe.predict_proba(unlabelled)[0], pipe.prior)
    pipe.save(tmp_path / "model")
    np.testing.assert_array_equal(
        Pipeline.load(tmp_path / "model", device="cpu").predict_proba(unlabelled), pipe.predict_proba(unlabelled)
    )
    for imputer in ("mean", "class-mean", "retrieval", "regression", {"name": "zero", "level": "embedding"}):
        with pytest.raises(IncompatibleError, match="Last-block features"):
            Pipeline("imagebind-tiny", imputer, "missing-aware")
    with pytest.raises(IncompatibleError, match="needs it"):
        Pipeline("imagebind-tiny", None, "missing-aware", None, device="cpu").fit(clean.with_missing(missing))


def test_embeddings_that_are_no_numbers_name_their_row_however_late_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    from gtimm.core import predicting

    pipe, test = pipeline("zero", "late").fit(rows()), rows(40, seed=1, holes=0)
    parts: dict[str, list[Any]] = {m: [test[r].get(m) for r in range(40)] for m in THREE}
    parts["left"][37] = np.full(4, np.nan, np.float32)
    bad = MultimodalDataset.from_arrays(parts, None, kinds=KINDS)
    with pytest.raises(GtimmError, match="Row 37"):
        pipe.predict(bad)
    monkeypatch.setattr(predicting, "ROWS", 10)
    with pytest.raises(GtimmError, match="Row 37"):
        pipe.predict(bad)
    with pytest.raises(GtimmError, match="Row 37"):
        pipe.fit(MultimodalDataset.from_arrays(parts, test.labels, classes=CLASSES, kinds=KINDS))


def test_tables_of_any_index_are_predicted(tmp_path: Path) -> None:
    data = rows(sets=True)
    pipe = pipeline("regression", "score", modalities=["left", "right"]).fit(data)
    frame = pd.DataFrame({m: [data[r].get(m) for r in range(12)] for m in ("left", "right")}, index=[3] * 12)
    found = pipe.predict_frame(frame)
    assert found.index.tolist() == [3] * 12
    assert found["prediction"].tolist() == pipe.predict(data.subset(range(12))).tolist()


def test_a_rate_that_diverges_stops_and_says_so_and_leaves_no_model() -> None:
    pipe = pipeline("regression", "late", train={"epochs": 50, "lr": 1e30})
    with pytest.raises(GtimmError, match=r"Lower the learning rate \(lr=1e\+30\)"):
        pipe.fit(rows())
    with pytest.raises(GtimmError, match="not trained"):
        pipe.predict(rows())


def test_class_weights_that_fit_no_rows_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    generating = {"image": GENERATOR, "left": "zero", "right": "zero"}
    for weights, data, message in (("balanced", rows(sets=True), "sets of classes"), ((1.0, 2.0), rows(), "has 2 numbers")):
        pipe = pipeline(generating, "late", train={"class_weights": weights}, store=tmp_path / "store")
        with pytest.raises(GtimmError, match=message):
            pipe.fit(data)
        assert not (tmp_path / "store").exists()
