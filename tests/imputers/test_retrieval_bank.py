"""Retrieval from a bank compares its items with what a row has in one space, with no label and no training embedding."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from sklearn.neighbors import NearestNeighbors
from toys import ToyBackbone, matrix

import gtimm
from gtimm import Missing, MultimodalDataset, Pipeline, impute, load_dataset
from gtimm.backbones.clip.backbone import Clip
from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.backbone import comparable
from gtimm.core.bank.planning import plan_config
from gtimm.core.bank.upkeep import list_banks
from gtimm.core.config import RunConfig
from gtimm.core.errors import ConfigError, DataError, IncompatibleError, PluginError
from gtimm.core.filling import Filler
from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.imputers.retrieval import Retrieval

LETTERS = "abdefghjkrst"
FAST = {"epochs": 3, "lr": 0.05, "batch_size": 16}
TINY = {"name": "stable-diffusion-tiny", "steps": 2, "per_class": 3, "batch_size": 30}


def glyph(letter: str, right: int = 0) -> np.ndarray:
    """A white letter on black, as imagebind-tiny knows them."""
    image = Image.new("L", (28, 28), 0)
    ImageDraw.Draw(image).text((14 + right, 14), letter.upper(), 255, font=ImageFont.load_default(size=24), anchor="mm")
    return np.repeat(np.asarray(image)[..., None], 3, 2)


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """A folder of drawn letters by class, two each."""
    for letter in LETTERS:
        (tmp_path / "bank" / letter).mkdir(parents=True)
        for right in (0, 1):
            Image.fromarray(glyph(letter, right)).save(tmp_path / "bank" / letter / f"{right}.png")
    return tmp_path / "bank"


def named(rows: int, images: bool = True) -> MultimodalDataset:
    """Rows that name a letter, with or without its image; classes in turn."""
    labels = np.arange(rows) % len(LETTERS)
    texts = [LETTERS[c] for c in labels]
    drawn = [glyph(letter) if images else None for letter in texts]
    return MultimodalDataset.from_arrays({"image": drawn, "text": texts}, labels, classes=list(LETTERS), name="letters")


def filler(data: MultimodalDataset, backbone: Any) -> Filler:
    return Filler(open_workspace(device="cpu"), dict.fromkeys(data.modalities, backbone), "pooled", LocalEngine(), True, False)


def offered(imputer: Imputer, train: MultimodalDataset, data: MultimodalDataset, backbone: Any) -> list[np.ndarray]:
    """The candidates of each row of `data` for its image, (n, dim)."""
    machine = filler(train, backbone)
    state = machine.fit(imputer, train, "image")
    view = DatasetView(data, machine.workspace, machine.backbones, "pooled", False)
    pool = imputer.pool(view, "image", state)
    assert isinstance(pool.items, Features)
    spans = [(0, 0) if g < 0 else (pool.start[g], pool.start[g + 1]) for g in pool.group]
    return [pool.items.values[pool.members[begin:end]] for begin, end in spans]


def embedded(folder: Path) -> np.ndarray:
    """Every file of a folder in the order of its names, embedded by imagebind-tiny."""
    return ImageBindTiny().embed({"image": [str(path) for path in sorted(folder.glob("*/*.png"))]})["image"].numpy()


def bank(folder: Path, **options: Any) -> dict[str, Any]:
    return {"name": "retrieval", "bank": {"name": "bank", "folder": str(folder)}, **options}


def test_a_text_finds_the_images_of_what_it_names_in_the_order_of_scikit_learn(letters: Path) -> None:
    train, test = named(24).with_missing({"image": 1.0}), named(12, images=False)
    found = offered(Retrieval(k=4, bank={"name": "bank", "folder": str(letters)}), train, test, ImageBindTiny())
    items, texts = embedded(letters), ImageBindTiny().embed({"text": list(LETTERS)})["text"].numpy()
    expected = NearestNeighbors(n_neighbors=4, metric="cosine").fit(items).kneighbors(texts, return_distance=False)
    for row in range(12):
        np.testing.assert_allclose(found[row], items[expected[row]], atol=1e-5)
    assert (expected[:, 0] // 2 == np.arange(12)).sum() >= 10, "by chance 1 of 12"


def test_a_model_learns_from_a_bank_alone_and_a_saved_one_needs_neither_bank_nor_training_data(
    letters: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"modalities": ["image", "text"], "train": {"epochs": 40, "lr": 0.05}, "device": "cpu"}
    spec = {"image": bank(letters, k=2), "text": "zero"}
    pipe = Pipeline("imagebind-tiny", spec, eval_imputer=spec, store=tmp_path / "first", **options)
    pipe.fit(named(48), named(12), Missing(image=1.0, allow_empty=True))
    assert pipe.evaluate(named(12, images=False))["accuracy"] > 0.9
    assert pipe.evaluate(named(12), Missing(text=1.0))["accuracy"] > 0.5, "real images are read by what was learnt from the bank"
    assert list(pipe._states["image"]) == ["target"]
    np.testing.assert_allclose(pipe._states["image"]["target"], embedded(letters), atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.save(tmp_path / "model")
    assert "training_data" not in json.loads((tmp_path / "model" / "pipeline.json").read_text())
    shutil.rmtree(letters)
    shutil.rmtree(tmp_path / "first")
    loaded = Pipeline.load(tmp_path / "model", device="cpu", store=tmp_path / "second")
    for rows in (named(12, images=False), named(1, images=False)):
        np.testing.assert_array_equal(loaded.predict_proba(rows), pipe.predict_proba(rows))


def test_items_of_a_generator_are_made_once_for_all_who_use_them(home: Path) -> None:
    digits = load_dataset("digits")
    train, val, test = (part.subset(np.arange(60)) for part in (digits.train, digits.val, digits.test))
    spec = {"name": "retrieval", "bank": TINY, "k": 3}
    pipe = Pipeline(
        "imagebind-tiny",
        {"image": TINY},
        eval_imputer={"image": spec, "audio": "zero"},
        draws=3,
        train=FAST,
        device="cpu",
    ).fit(train, val, Missing(image=0.5))
    assert pipe.counters["generated"] == 30
    (made,) = list_banks(home)
    assert made.items == 30
    again = Pipeline("imagebind-tiny", {"image": spec}, eval_imputer={"image": spec, "audio": "zero"}, train=FAST, device="cpu")
    assert again.fit(train, val, Missing(image=0.5)).counters == {"generated": 0, "embedded": 0}
    holes = test.with_missing(Missing(image=1.0))
    frame = pipe.predict_frame(holes)
    assert (frame["uncertainty"] > 0).any()
    unlabelled = MultimodalDataset.from_arrays({m: [holes[r].get(m) for r in range(60)] for m in holes.modalities}, kinds={
        "image": "image", "audio": "audio"})  # fmt: skip
    np.testing.assert_array_equal(pipe.predict_proba(unlabelled), pipe.predict_proba(holes))
    items = pipe._states["image"]["target"]
    sounds = ImageBindTiny().embed({"audio": [test.payload("audio", r) for r in range(5)]})["audio"].numpy()
    expected = NearestNeighbors(n_neighbors=3, metric="cosine").fit(items).kneighbors(sounds, return_distance=False)
    found = offered(Retrieval(k=3, bank=TINY), train, holes, ImageBindTiny())
    for row in range(5):
        np.testing.assert_allclose(found[row], items[expected[row]], atol=1e-5)


def vectors_beside_images(folder: Path) -> MultimodalDataset:
    """Rows without an image that have two vectors, one, none, or a text alone."""
    for place, colour in enumerate(([250, 0, 0], [0, 250, 0], [0, 0, 250])):
        (folder / "x").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(folder / "x" / f"{place}.png")
    left = [[1, 0.1, 0, 0], [0, 1, 0.2, 0], None, None, None]
    right = [[0, 0.1, 1, 0], None, [0.1, 0, 1, 0], None, None]
    parts: dict[str, Any] = {"image": [None] * 5, "left": left, "right": right, "note": ["a", "b", "c", "d", None]}
    kinds = {"image": "image", "left": "vector", "right": "vector", "note": "text"}
    return MultimodalDataset.from_arrays(parts, [0] * 5, classes=["x"], kinds=kinds)


@pytest.mark.parametrize("average", [False, True])
def test_alike_is_the_mean_over_what_lies_in_one_space(average: bool, tmp_path: Path) -> None:
    data = vectors_beside_images(tmp_path / "bank")
    found = offered(
        Retrieval(k=3, average=average, bank={"name": "bank", "folder": str(tmp_path / "bank")}), data, data, ToyBackbone()
    )
    items = np.array([[250, 0, 0, 255], [0, 250, 0, 255], [0, 0, 250, 255]]) / 255
    units = items / np.linalg.norm(items, axis=1, keepdims=True)
    for row in range(5):
        seen = [matrix(data, m)[row] for m in ("left", "right") if data.present(m)[row]]
        alike = np.mean([units @ v / np.linalg.norm(v) for v in seen], 0) if seen else None
        if alike is None:
            expected = items.mean(0)[None]
        elif average:
            expected = np.average(items, axis=0, weights=np.maximum(alike, 0))[None]
        else:
            expected = items[np.argsort(-alike)]
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_only_one_backbone_that_binds_both_kinds_puts_them_in_one_space() -> None:
    kinds = {"image": "image", "sound": "audio", "text": "text", "more": "text"}
    same = dict.fromkeys(kinds, ImageBindTiny())
    assert comparable("image", kinds, same) == ("sound", "text", "more")
    assert comparable("more", kinds, same) == ("image", "sound", "text")
    assert comparable("image", kinds, {**same, "sound": ToyBackbone(), "more": ImageBindTiny(downmix="mean")}) == ("text",)
    assert comparable("sound", kinds, {**same, "sound": ToyBackbone()}) == ()
    assert comparable("image", kinds, dict.fromkeys(kinds, Clip())) == ("text", "more")
    assert comparable("image", kinds, dict.fromkeys(kinds, ToyBackbone())) == ()


def test_what_cannot_be_compared_is_refused_before_anything_is_made(letters: Path, home: Path) -> None:
    data, spec = named(12), {"image": {"name": "retrieval", "bank": TINY}, "text": "zero"}
    apart = {"image": "imagebind-tiny", "text": {"name": "imagebind-tiny", "renormalize": True}}
    for backbone, modalities in (("toy", None), (apart, None), ("imagebind-tiny", ["image"])):
        for option in ("imputer", "eval_imputer"):
            chosen: dict[str, Any] = {option: spec, "modalities": modalities}
            with pytest.raises(IncompatibleError, match="No backbone here puts them in one space"):
                Pipeline(backbone, **chosen, device="cpu", train=FAST).fit(data, missing=Missing(image=0.5))
    with pytest.raises(IncompatibleError, match=r"fills image, but 'text' \(text\) may have holes too"):
        Pipeline("imagebind-tiny", eval_imputer=spec["image"], device="cpu", train=FAST).fit(data)
    assert not home.exists()


@pytest.mark.parametrize(
    ("bank", "message"),
    [("hot-deck", "leave it out for training rows"), ("zero", "generator or a folder"), ("pictures/", "pictures/"), (7, "bank")],
)
def test_a_bank_is_a_generator_or_a_folder(bank: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Retrieval(bank=bank)


def test_the_filling_alone_retrieves_from_a_bank_too(letters: Path) -> None:
    data, spec = named(12, images=False), bank(letters, k=1)
    frame = impute(data, spec, backbone="imagebind-tiny", target="image", device="cpu").to_frame()
    items, texts = embedded(letters), ImageBindTiny().embed({"text": list(LETTERS)})["text"].numpy()
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(items).kneighbors(texts, return_distance=False)[:, 0]
    np.testing.assert_allclose(np.stack(list(frame["image"])), items[nearest], atol=1e-5)
    with pytest.raises(ConfigError, match="Pass backbone="):
        impute(data, spec, target="image", device="cpu")
    with pytest.raises(IncompatibleError, match="one space"):
        impute(data, spec, backbone="toy", target="image", device="cpu")
    bare = MultimodalDataset.from_arrays({"image": [None], "text": ["a"]}, kinds={"image": "image", "text": "text"})
    with pytest.raises(DataError, match="BankFolder fills by label"):
        impute(bare, spec, backbone="imagebind-tiny", target="image", device="cpu")


def test_planning_counts_what_a_bank_will_ask_for_and_a_run_then_finds_it(home: Path) -> None:
    digits = load_dataset("digits")
    small = type(digits)(*(part.subset(np.arange(30)) for part in (digits.train, digits.val, digits.test)))
    spec = {"name": "retrieval", "bank": TINY}
    config = RunConfig.of({
        "data": "digits",
        "pipeline": {"backbone": "imagebind-tiny", "eval_imputer": {"image": spec, "audio": "zero"}, "train": FAST},
        "evaluate": {"missing": {"image": 0.5}},
    })  # fmt: skip
    work = plan_config(config, small, device="cpu")
    (job,) = work.jobs
    assert (len(job.requests), len(job.wanted), job.modalities) == (30, 30, ["image"])
    from gtimm.core.bank.planning import Done

    work.make(job, Done())
    pipe = Pipeline(**config.pipeline, device="cpu").fit(small.train, small.val)
    assert pipe.counters["generated"] == 0


def test_items_are_for_an_imputer_that_names_a_source_while_it_is_fitted() -> None:
    class Curious(Imputer):
        info = Info(items="feature")

        def pool(self, view: Any, target: str, state: Any) -> Pool:
            return Pool.constant(Features(view.items(target)), view.rows)

    gtimm.register("imputers", "curious", Curious)
    with pytest.raises(PluginError, match="names a `source`"):
        Pipeline("toy", "curious", device="cpu", train=FAST).fit(named(12), missing=Missing(image=0.5))


def test_a_view_of_the_old_form_still_serves_retrieval_from_training_rows() -> None:
    class Old:
        """A third party's view, which knows nothing of banks."""

        rows, modalities, classes, labels = 3, ("image", "left"), ("x",), None

        def __init__(self, image: list[Any]) -> None:
            self._image = image

        def kind(self, modality: str) -> str:
            return "vector"

        def present(self, modality: str) -> np.ndarray:
            return np.array([v is not None for v in self._image]) if modality == "image" else np.ones(3, bool)

        def features(self, modality: str) -> np.ndarray:
            values = [[np.nan] * 2 if v is None else v for v in self._image] if modality == "image" else np.eye(3)
            return np.array(values, np.float32)

        def dim(self, modality: str) -> int:
            return 2

    train, test = Old([[1, 2], [3, 4], [5, 6]]), Old([None, None, [0, 0]])
    imputer = Retrieval(k=1)
    imputer.check(train, "image")  # type: ignore[arg-type]
    pool = imputer.pool(test, "image", imputer.fit(train, "image"))  # type: ignore[arg-type]
    assert isinstance(pool.items, Features)
    np.testing.assert_array_equal(pool.items.values[pool.nth(np.arange(2), 0)], [[1, 2], [3, 4]])
