"""The filling for people with their own training loop: own payloads stay, holes are filled and flagged, seals hold."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader
from toys import ToyBackbone, ToyGenerator, matrix, pictures, vectors

import gtimm
from gtimm import Missing, MultimodalDataset, impute
from gtimm.core.errors import ConfigError, DataError, IncompatibleError, MaskedPayloadError
from gtimm.core.media import load_audio, load_image

HALF = Missing(image=0.5)


def texts() -> MultimodalDataset:
    return MultimodalDataset.from_arrays({"text": ["a cat", None, "a dog", None, "a hog"]}, ["cat", "cat", "dog", "dog", "hog"])


def colours(values: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(load_image(value))[0, 0] for value in values])


def test_it_is_exported_and_stays_the_function() -> None:
    import gtimm.core.impute as module

    assert gtimm.impute is module.impute
    assert "impute" in gtimm.__all__


def test_holes_hold_generated_files_and_own_payloads_stay() -> None:
    data = pictures()
    filled = impute(data, ToyGenerator(), missing=HALF, device="cpu")
    frame = filled.to_frame()
    there = filled.data.present("image")
    assert frame["filled_image"].tolist() == (~there).tolist()
    assert not frame["filled_vector"].any()
    assert frame["label"].tolist() == [data.classes[i] for i in data.labels]
    for row, cell in enumerate(frame["image"]):
        if there[row]:
            assert cell is data.payload("image", row)
        else:
            assert Path(cell).suffix == ".png"
            assert Path(cell).is_file()
    assert frame["image"][~there].groupby(frame["label"]).nunique().tolist() == [1, 1, 1]


def test_draws_are_fresh_each_epoch_and_the_same_for_the_same_epoch() -> None:
    filled = impute(pictures(60), ToyGenerator(per_class=5), missing=HALF, device="cpu")
    again = impute(pictures(60), ToyGenerator(per_class=5), missing=HALF, device="cpu")
    other = impute(pictures(60), ToyGenerator(per_class=5), missing=Missing(image=0.5, seed=0), seed=1, device="cpu")
    holes = np.flatnonzero(~filled.data.present("image"))
    three, four = ([filled.to_torch(epoch)[int(r)]["image"] for r in holes] for epoch in (3, 4))
    assert three == [again.to_torch(3)[int(r)]["image"] for r in holes]
    assert three != four
    assert three != [other.to_torch(3)[int(r)]["image"] for r in holes]
    assert len(set(three)) > 8
    classes = {path: {int(filled.data.labels[r]) for r, p in zip(holes, three, strict=True) if p == path} for path in three}
    assert all(len(owners) == 1 for owners in classes.values())
    with pytest.raises(ConfigError, match="epoch"):
        filled.to_torch(-1)


def test_items_are_what_a_loader_takes() -> None:
    filled = impute(vectors(12), "zero", missing={"left": 0.5}, backbone=ToyBackbone(), device="cpu")
    epoch = filled.to_torch(epoch=1)
    assert set(epoch[0]) == {"left", "right", "filled_left", "filled_right", "label"}
    batches = list(DataLoader(pickle.loads(pickle.dumps(epoch)), batch_size=4))
    assert len(batches) == 3
    assert batches[0]["left"].shape == (4, 4)
    assert sum(int(b["filled_left"].sum()) for b in batches) == 6
    with pytest.raises(IndexError, match="outside the 12 rows"):
        epoch[12]
    assert epoch[-1]["label"] == epoch[11]["label"]
    assert len(epoch[2:5]) == 3


def test_imputers_of_features_give_vectors_on_both_sides_and_need_a_backbone() -> None:
    data = vectors(12)
    with pytest.raises(ConfigError, match=r"MeanFill works with features\. Pass backbone="):
        impute(data, "mean", missing={"left": 0.5}, device="cpu")
    filled = impute(data, "mean", missing={"left": 0.5}, backbone=ToyBackbone(scale=2.0), device="cpu")
    left, there = matrix(filled.data, "left"), filled.data.present("left")
    found = np.stack(filled.to_frame()["left"])
    np.testing.assert_allclose(found[there], 2 * left[there], rtol=1e-6)
    np.testing.assert_allclose(found[~there], np.tile(2 * left[there].mean(0), (6, 1)), rtol=1e-5)
    np.testing.assert_array_equal(np.stack(filled.to_frame()["right"]), matrix(data, "right"))


def test_backbones_go_by_modality() -> None:
    left, right = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(30, dtype=np.float32).reshape(10, 3)
    kinds = {"left": "vector", "right": "vector"}
    data = MultimodalDataset.from_arrays({"left": list(left), "right": list(right)}, [0, 1] * 5, classes=["a", "b"], kinds=kinds)
    own = {m: {"name": "precomputed", "dim": dim} for m, dim in (("left", 2), ("right", 3))}
    filled = impute(data, {"name": "regression", "draws": 1}, missing={"left": 0.5}, backbone=own, device="cpu")
    assert np.stack(filled.to_frame()["left"]).shape == (10, 2)
    with pytest.raises(ConfigError, match=r"Regression works with features\. Pass backbone=.* \{'right': "):
        impute(data, "regression", missing={"left": 0.5}, backbone={"left": own["left"]}, device="cpu")
    with pytest.raises(DataError, match=r"has no modality 'rigth'\. Did you mean 'right'"):
        impute(data, "hot-deck", missing={"left": 0.5}, backbone={"rigth": own["right"]}, device="cpu")


@pytest.mark.parametrize("imputer", ["hot-deck", {"name": "zero", "level": "payload"}, ToyGenerator()])
def test_imputers_of_payloads_need_no_backbone(imputer: Any) -> None:
    filled = impute(pictures(), imputer, missing=HALF, device="cpu")
    assert colours([row["image"] for row in filled.to_torch()]).shape == (24, 3)


def test_hot_deck_takes_only_what_is_left() -> None:
    data = pictures()
    filled = impute(data, "hot-deck", missing=HALF, device="cpu")
    left = {int(r) // 3 + 60 * int(data.labels[r]): int(data.labels[r]) for r in np.flatnonzero(filled.data.present("image"))}
    for epoch in range(4):
        for row in filled.to_torch(epoch):
            assert left[int(colours([row["image"]])[0, 0])] == row["label"]


def test_natural_holes_are_filled_and_a_row_without_candidate_is_as_by_zero() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = MultimodalDataset.from_arrays({"text": ["a cat", None, None]}, ["cat", "cat", "dog"])
        frame = impute(data, "hot-deck", device="cpu").to_frame()
    assert frame["text"].tolist() == ["a cat", "a cat", ""]
    assert frame["filled_text"].tolist() == [False, True, True]
    assert any("1 rows have no candidate" in str(w.message) for w in said)


def test_data_without_holes_comes_back_as_it_is() -> None:
    filled = impute(vectors(6), "mean", device="cpu")
    assert repr(filled) == "Filled('toy': 6 rows, no holes)"
    assert not filled.to_frame()[["filled_left", "filled_right"]].to_numpy().any()


def test_no_sealed_payload_is_read_or_comes_out(tmp_path: Path) -> None:
    """A sealed payload is poisoned with bytes that no decoder takes; nothing notices."""
    for imputer in ("hot-deck", ToyGenerator()):
        clean = pictures()
        mask = ~clean.with_missing(HALF).present("image")
        images = [b"poison" if mask[r] else clean.payload("image", r) for r in range(24)]
        poisoned = MultimodalDataset.from_arrays(
            {"image": images, "vector": [clean.payload("vector", r) for r in range(24)]},
            clean.labels,
            classes=clean.classes,
            name="pictures",
        )
        one, two = (impute(d, imputer, missing=HALF, device="cpu") for d in (clean, poisoned))
        np.testing.assert_array_equal(*(colours(f.to_frame()["image"].tolist()) for f in (one, two)))
        np.testing.assert_array_equal(*(colours([row["image"] for row in f.to_torch(2)]) for f in (one, two)))
        with pytest.raises(MaskedPayloadError):
            two.data.payload("image", int(np.flatnonzero(mask)[0]))
        two.export(tmp_path / type(imputer).__name__)


def test_wrong_requests_say_how_to_mend_them() -> None:
    unlabelled = MultimodalDataset.from_arrays({"text": ["a", None]})
    with pytest.raises(DataError, match="HotDeck fills by label, and 'data' has no labels"):
        impute(unlabelled, "hot-deck")
    with pytest.raises(IncompatibleError, match=r"fills image; 'text' \(text\) has holes too\. Pass target="):
        impute(texts(), ToyGenerator())
    with pytest.raises(DataError, match=r"has no modality 'txt'\. Did you mean 'text'"):
        impute(texts(), "hot-deck", target="txt")
    with pytest.raises(ConfigError, match="Did you mean 'hot-deck'"):
        impute(texts(), "hotdeck")
    with pytest.raises(ConfigError, match="generate="):
        impute(texts(), "hot-deck", generate="maybe")  # type: ignore[arg-type]
    clash = MultimodalDataset.from_arrays({"label": ["a", None]}, ["x", "x"], kinds={"label": "text"})
    with pytest.raises(DataError, match="'label', which names a column"):
        impute(clash, "hot-deck")


def test_target_leaves_other_holes_alone() -> None:
    data = pictures().with_missing({"vector": 0.25})
    filled = impute(data, ToyGenerator(), missing=HALF, target="image", device="cpu")
    frame = filled.to_frame()
    assert frame["image"].notna().all()
    assert int(frame["vector"].isna().sum()) == 6
    assert not frame["filled_vector"].any()


def test_an_export_is_a_folder_that_reads_back(tmp_path: Path) -> None:
    data = pictures()
    filled = impute(data, ToyGenerator(), missing=HALF, device="cpu")
    filled.export(tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(24))
    expected = colours(filled.to_frame()["image"].tolist())
    np.testing.assert_array_equal(colours([tmp_path / "out" / line["file_name"] for line in lines]), expected)
    assert [line["filled_image"] for line in lines] == (~filled.data.present("image")).tolist()
    assert [line["label"] for line in lines] == [data.classes[i] for i in data.labels]
    np.testing.assert_array_equal(np.load(tmp_path / "out" / lines[3]["vector_file_name"]), data.payload("vector", 3))


def test_an_export_copies_files_and_keeps_texts_sounds_and_gaps(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 8, 7)).save(tmp_path / "a.jpg")
    sound = (np.linspace(-0.5, 0.5, 800, dtype=np.float32), 8000)
    data = MultimodalDataset.from_arrays(
        {"image": [str(tmp_path / "a.jpg"), None], "audio": [sound, sound], "text": ["ä", None]}, ["x", "x"]
    )
    impute(data, "hot-deck", target="text").export(tmp_path / "out")
    one, two = (json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text(encoding="utf-8").splitlines())
    assert (tmp_path / "out" / one["file_name"]).read_bytes() == (tmp_path / "a.jpg").read_bytes()
    assert two["file_name"] is None
    assert (one["text"], two["text"], two["filled_text"]) == ("ä", "ä", True)
    samples, rate = load_audio(tmp_path / "out" / one["audio_file_name"])
    assert rate == 8000
    np.testing.assert_allclose(samples[0], sound[0], atol=1e-4)


def test_an_export_replaces_an_earlier_one_and_touches_nothing_else(tmp_path: Path) -> None:
    filled = impute(pictures(), "hot-deck", missing=HALF)
    filled.export(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    impute(pictures(6), "hot-deck", missing=Missing(image=0.2)).export(tmp_path / "out")
    assert len(list((tmp_path / "out" / "image").iterdir())) == 6
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "0.png").write_text("mine")
    with pytest.raises(DataError, match="holds files that no export wrote"):
        filled.export(tmp_path / "foreign")
    with pytest.raises(DataError, match="is a file"):
        filled.export(tmp_path / "foreign" / "0.png")
    assert [p.name for p in (tmp_path / "foreign").iterdir()] == ["0.png"]
