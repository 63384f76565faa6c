"""The imputer `bank` fills from a folder what a generator with the same items fills, and reads nothing outside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import ToyBackbone

from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.bank.transfer import export_bank, import_folder
from gtimm.core.bank.upkeep import list_banks
from gtimm.core.errors import ConfigError, DataError, IncompatibleError, LabelLeakError
from gtimm.core.filling import Filler
from gtimm.core.imputer import Imputer
from gtimm.core.workspace import open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.imputers.bank import BankFolder
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

CLASSES = ("zero", "one")
TINY = {"name": "stable-diffusion-tiny", "steps": 1, "per_class": 3, "batch_size": 3}
TRAIN = {"epochs": 2}


def rows(classes: tuple[str, ...] = CLASSES, count: int = 12) -> MultimodalDataset:
    labels = np.arange(count) % len(classes)
    images = [np.full((4, 4, 3), 40 * int(label) + n, np.uint8) for n, label in enumerate(labels)]
    texts = [f"row {n}" for n in range(count)]
    return MultimodalDataset.from_arrays({"image": images, "text": texts}, labels, classes=list(classes))


def candidates(imputer: Imputer, data: MultimodalDataset, store: Path | None = None) -> list[list[list[float]]]:
    """The features of every candidate of each row, in order."""
    backbones = dict.fromkeys(data.modalities, ToyBackbone())
    machine = Filler(open_workspace(store, device="cpu"), backbones, "pooled", LocalEngine(), True, False)
    source = machine.split(data, {"image": imputer}, {"image": machine.fit(imputer, data, "image")}, "train").sources["image"]
    assert source.fills is not None
    assert source.pool is not None
    index = np.arange(len(data))
    counts = source.pool.counts()
    return [[source.fills[source.pool.nth(index[r : r + 1], j)[0]].tolist() for j in range(counts[r])] for r in index]


def draw(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path)
    return path


@pytest.fixture
def data() -> MultimodalDataset:
    return rows().with_missing(Missing(image=1.0), seed=0)


def test_own_exported_and_imported_banks_fill_as_the_generator_does(data: MultimodalDataset, tmp_path: Path, home: Path) -> None:
    generator = {k: v for k, v in TINY.items() if k != "name"}
    expected = candidates(StableDiffusionTiny(**generator), data)
    assert [len(found) for found in expected] == [3] * 12
    (own,) = list_banks(home)
    export_bank(own.folder, tmp_path / "out")
    imported = import_folder(tmp_path / "out", home, "again").folder
    for folder in (own.folder, tmp_path / "out", imported):
        assert candidates(BankFolder(folder=str(folder)), data) == expected
        for budget in (1, 2):
            fewer = candidates(BankFolder(folder=str(folder), per_class=budget), data)
            assert fewer == [found[:budget] for found in expected]


def test_a_pipeline_from_a_folder_is_the_pipeline_from_the_generator(tmp_path: Path, home: Path) -> None:
    train, test = rows(), rows(count=6)
    first = Pipeline("toy", {"image": TINY}, device="cpu", train=TRAIN).fit(train, missing=Missing(image=0.5))
    (own,) = list_banks(home)
    export_bank(own.folder, tmp_path / "out")
    spec = {"name": "bank", "folder": str(tmp_path / "out")}
    second = Pipeline("toy", {"image": spec}, device="cpu", train=TRAIN, store=tmp_path / "other").fit(
        train, missing=Missing(image=0.5)
    )
    assert second.counters["generated"] == 0
    np.testing.assert_array_equal(first.predict_proba(test), second.predict_proba(test))
    second.save(tmp_path / "model")
    saved = json.loads((tmp_path / "model" / "pipeline.json").read_text())
    assert spec["folder"] in json.dumps(saved["config"])
    shutil.rmtree(tmp_path / "out")
    loaded = Pipeline.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(test), second.predict_proba(test))


def test_classes_go_by_name_first_then_by_words(tmp_path: Path) -> None:
    for value, name in ((10, "BabyBackRibs"), (20, "Dog"), (30, "dog"), (40, "of no class")):
        draw(tmp_path / name / "a.png", value)
    data = rows(("baby_back_ribs", "dog"), 4).with_missing(Missing(image=1.0), seed=0)
    found = candidates(BankFolder(folder=str(tmp_path)), data)
    assert [round(f[0][0] * 255) for f in found] == [10, 30, 10, 30]
    assert [len(f) for f in found] == [1] * 4


def test_a_class_without_files_has_no_candidates(tmp_path: Path, data: MultimodalDataset) -> None:
    draw(tmp_path / "zero" / "a.png", 255)
    with pytest.warns(RuntimeWarning, match="6 rows have no candidate"):
        found = candidates(BankFolder(folder=str(tmp_path)), data)
    assert found[0] == [[1.0] * 4]
    assert found[1] == [[0.0] * 4], "filled as by zero"


def test_no_class_in_common_names_both_lists(tmp_path: Path, data: MultimodalDataset) -> None:
    draw(tmp_path / "cat" / "a.png", 1)
    with pytest.raises(DataError, match=r"data's classes: 'zero', 'one'\. The folder's: 'cat'"):
        candidates(BankFolder(folder=str(tmp_path)), data)


@pytest.mark.parametrize("name", ["{0}", "../secret.png", "link.png"])
def test_a_file_outside_the_folder_is_refused(name: str, tmp_path: Path, data: MultimodalDataset) -> None:
    outside, folder = draw(tmp_path / "secret.png", 1), tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(outside)
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": name.format(outside), "label": "zero"}) + "\n")
    with pytest.raises(DataError, match=r"absolute|'\.\.'|symbolic link"):
        candidates(BankFolder(folder=str(folder)), data)


def test_a_file_that_is_gone_or_damaged_is_named(tmp_path: Path, data: MultimodalDataset) -> None:
    path = draw(tmp_path / "zero" / "a.png", 1)
    draw(tmp_path / "one" / "a.png", 2)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"a\.png"):
        candidates(BankFolder(folder=str(tmp_path)), data)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "zero/b.png", "label": "zero"}\n')
    with pytest.raises(DataError, match=r"'zero/b\.png' is not a file"):
        candidates(BankFolder(folder=str(tmp_path)), data)


def test_other_kinds_and_evaluation_data_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "zero" / "a.png", 1)
    spec: dict[str, Any] = {"name": "bank", "folder": str(tmp_path)}
    with pytest.raises(IncompatibleError, match="BankFolder fills image, audio"):
        Pipeline("toy", {"text": spec}, device="cpu", train=TRAIN).fit(rows(), missing=Missing(text=0.5))
    with pytest.raises(LabelLeakError):
        Pipeline("toy", "zero", eval_imputer={"image": spec, "text": "zero"}, device="cpu")
    with pytest.raises(ConfigError, match="folder"):
        Pipeline("toy", "bank", device="cpu")
