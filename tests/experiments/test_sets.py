"""Rows with sets of classes, from a table with a separator to a report: they are learnt, whatever fills the gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score
from typer.testing import CliRunner

from gtimm import MultimodalDataset, Pipeline
from gtimm.cli.main import app

CLASSES = ("comedy", "drama", "war")
TRAIN = {"epochs": 30, "lr": 0.02, "batch_size": 32}
FILLS: dict[str, Any] = {
    "zero": "zero",
    "class-mean": "class-mean",
    "hot-deck": "hot-deck",
    "retrieval": "retrieval",
    "regression": "regression",
    "generated": {"image": {"name": "toy-generator", "per_class": 2}, "left": "zero"},
}


def films(rows: int, seed: int) -> MultimodalDataset:
    """Each class adds a colour channel to the picture, and a direction to the vector, with noise; some rows have no class."""
    random = np.random.default_rng(seed)
    sets, codes = random.random((rows, 3)) < 0.4, np.random.default_rng(5).normal(size=(3, 4))
    pictures = [(random.integers(0, 9, (4, 4, 3)) + 40 + 170 * row).astype(np.uint8) for row in sets]
    vectors = [(row @ codes + 0.4 * random.normal(size=4)).astype(np.float32) for row in sets]
    kinds = {"image": "image", "left": "vector"}
    return MultimodalDataset.from_arrays({"image": pictures, "left": vectors}, sets, classes=CLASSES, kinds=kinds, name="films")


@pytest.mark.parametrize("name", FILLS)
def test_sets_are_learnt_whatever_fills_the_gaps(name: str) -> None:
    judge = FILLS[name] if name in ("retrieval", "regression") else "zero"
    pipe = Pipeline("toy", FILLS[name], eval_imputer=judge, train=TRAIN, device="cpu")
    pipe.fit(films(300, 0), films(100, 1), {"image": 0.6})
    test = films(300, 2)
    whole, holes = pipe.evaluate(test), pipe.evaluate(test, {"image": 0.6})
    assert whole["micro_f1"] > 0.85
    assert 0.8 < holes["micro_f1"] < whole["micro_f1"]
    assert holes["auroc"] > 0.9
    found = pipe.predict_proba(test)
    assert test.labels is not None
    assert whole["macro_f1"] == pytest.approx(f1_score(test.labels, found >= 0.5, average="macro"))
    assert whole["auroc"] == pytest.approx(roc_auc_score(test.labels, found, average="macro"))
    assert pipe.predict(test)[0] == tuple(np.array(CLASSES)[found[0] >= 0.5])


@pytest.mark.parametrize("name", ["hot-deck", "generated"])
def test_a_table_with_a_separator_runs_to_a_report(name: str, tmp_path: Path) -> None:
    data, lines = films(90, 0), []
    assert data.labels is not None
    for row, kinds in enumerate(data.labels):
        Image.fromarray(data.payload("image", row)).save(tmp_path / f"{row}.png")
        genres = "|".join(np.array(CLASSES)[kinds]) or "war"
        lines.append({"poster": f"{row}.png" if row % 4 else "", "plot": f"{genres} {row % 5}", "genres": genres})
    pd.DataFrame(lines).to_csv(tmp_path / "films.csv", index=False)
    imputer = {"image": FILLS["generated"]["image"], "text": "zero"} if name == "generated" else name
    config = {
        "data": {
            "frame": "films.csv", "modalities": {"image": "poster", "text": "plot"}, "label": "genres", "label_separator": "|",
        },
        "missing": {"image": 0.5},
        "pipeline": {"backbone": "toy", "imputer": imputer, "train": {**TRAIN, "epochs": 5}},
        "evaluate": {"missing": {"image": 0.5}},
        "seeds": 2,
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    found = CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert {row["metric"] for row in rows} == {"samples_f1", "micro_f1", "macro_f1", "auroc", "ece"}
    assert all(0 <= row["mean"] <= 1 for row in rows)
    main = next(row for row in rows if row["metric"] == "samples_f1")
    assert main["ci_low"] <= main["mean"] <= main["ci_high"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{100 * main['mean']:.1f}" in page
    assert ">nan" not in page
