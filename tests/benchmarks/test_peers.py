"""What makes `benchmarks/peers` fair: hidden images and labels of test rows stay away from contenders; the runner scores and counts."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from gtimm import MultimodalDataset

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
OWN = ("exported", "measuring", "field", "environments", "table", "run")


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    yield
    for name in OWN:
        sys.modules.pop(name, None)


def dataset(rows):
    images = [np.full((4, 4, 3), row, np.uint8) for row in range(rows)]
    sounds = [(np.zeros(400, np.float32), 8000)] * rows
    return MultimodalDataset.from_arrays({"image": images, "audio": sounds}, [row % 2 for row in range(rows)], classes=["a", "b"])


def test_a_mask_folder_has_neither_hidden_images_nor_labels_of_test_rows(tmp_path):
    import exported

    full = {"train": dataset(10), "val": dataset(4), "test": dataset(6)}
    exported.files(full, tmp_path / "files")
    vectors = {f"{split}_{m}": np.ones((len(rows), 3), np.float32) for split, rows in full.items() for m in ("image", "audio")}
    train = full["train"].with_missing({"image": 0.8})
    parts = {**full, "train": train, "test_half": full["test"].with_missing({"image": 0.5})}
    exported.masked(parts, vectors, tmp_path / "files", tmp_path / "mask")
    shown = train.present("image")
    left = sorted(path.name for path in (tmp_path / "mask" / "train").glob("*.png"))
    assert left == [f"{row:05}.png" for row in np.flatnonzero(shown)]
    with (tmp_path / "mask" / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["image"]) for row in rows] == shown.tolist()
    assert [row["label"] for row in rows] == ["a", "b"] * 5
    with (tmp_path / "mask" / "test_half.csv").open(newline="") as file:
        half = list(csv.DictReader(file))
    assert set(half[0]) == {"image", "audio"}
    assert sum(not row["image"] for row in half) == 3
    table = np.load(tmp_path / "mask" / "embeddings.npz")
    assert not any(name.startswith("test") and name.endswith("labels") for name in table.files)
    assert np.array_equal(np.isnan(table["train_image"]).all(1), ~shown)


def test_predictions_count_by_name_and_by_index(tmp_path):
    from measuring import scores

    np.savez(tmp_path / "truth.npz", val=np.array([0, 1]), test=np.array([0, 1, 1, 0]), classes=np.array(["a", "b"]))
    np.savez(tmp_path / "found.npz", val=np.array([0, 0]), test=np.array(["a", "b", "b", "a"]), test_half=np.array([1, 1, 1, 1]))
    assert scores(tmp_path / "found.npz", tmp_path / "truth.npz") == {"val": 0.5, "test": 1.0, "test_half": 0.5}


def test_lines_that_a_user_writes_are_counted():
    from measuring import code_lines

    text = '"""What it is.\n\nMore.\n"""\n\nimport stopwatch\nimport numpy\n\n# why\nstopwatch.lap("fit")\nfit()  # trailing\n'
    assert code_lines(text) == 2


def test_every_contender_has_a_script_a_choice_and_a_chosen_setting():
    import json

    from field import FIELD, OURS, PLAIN

    names = [contender.name for contender in FIELD]
    assert len(set(names)) == len(names)
    assert {OURS, PLAIN} <= set(names)
    chosen = json.loads((PEERS / "chosen.json").read_text(encoding="utf-8"))
    for contender in FIELD:
        assert (PEERS / "contenders" / f"{contender.script}.py").is_file()
        found = [entries[name] for entries in chosen.values() if (name := contender.like or contender.name) in entries]
        assert found or len(contender.choice) == 1
        for entry in found:
            assert entry["validation"][json.dumps(entry["options"])] == max(entry["validation"].values())
