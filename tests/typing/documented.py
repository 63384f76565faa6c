"""Code of users, as the README and the documentation show it, with what a type checker must see of each call.

It is checked and not run: by `mypy --strict` against the installed wheel, without this project's settings, in `test_typing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, assert_type

import numpy as np
import pandas as pd
import torch
from gtimm_example.colour_histogram import ColourHistogram
from gtimm_example.gaussian import GaussianFill
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

import gtimm
from gtimm import (
    Column,
    GtimmError,
    Missing,
    MultimodalDataset,
    Pipeline,
    Splits,
    compare,
    impute,
    load_dataset,
    preset,
    register,
)
from gtimm.core.backbone import Backbone
from gtimm.core.engine import Engine
from gtimm.core.fusion import Fusion, Head
from gtimm.core.imputer import Imputer, State, View
from gtimm.core.media import Payload
from gtimm.core.plugin import Depth, Info
from gtimm.core.pool import Features, Pool
from gtimm.core.prompts import Prompts
from gtimm.experiments.comparison.results import CompareResults
from gtimm.testing import check_backbone, check_fusion, check_imputer, check_prompts, parametrize_with_checks, sample_data


def names() -> None:
    assert_type(gtimm.__version__, str)
    assert_type(gtimm.Pipeline(), Pipeline)  # by way of the module too
    assert_type(gtimm.Missing(image=0.5), Missing)


def loading(frame: pd.DataFrame) -> MultimodalDataset:
    data = load_dataset("digits")
    assert_type(data, Splits)
    assert_type(data.train, MultimodalDataset)
    assert_type(load_dataset("digits", speech="recordings/").val, MultimodalDataset)
    columns = {"image": Column("photo", kind="image"), "text": Column("caption", kind="text")}
    table = MultimodalDataset.from_frame(frame, columns, label="category", root=Path("photos"))
    assert_type(table, MultimodalDataset)
    assert_type(MultimodalDataset.from_frame(frame, {"image": "photo"}, label=None), MultimodalDataset)
    assert_type(MultimodalDataset.from_table("tweets.csv", {"image": "photo"}, "category"), MultimodalDataset)
    assert_type(MultimodalDataset.from_folder("photos/"), MultimodalDataset)
    pixels = [np.zeros((8, 8, 3), np.uint8), None]
    assert_type(MultimodalDataset.from_arrays({"image": pixels, "text": ["a", "b"]}, ["x", "y"]), MultimodalDataset)
    assert_type(table.split(val=0.1, test=0.2), Splits)
    assert_type(table.with_missing(Missing(image=0.95)), MultimodalDataset)
    assert_type(len(table), int)
    assert_type(table.present("image"), NDArray[np.bool_])
    assert_type(table.classes, tuple[str, ...])
    assert_type(table[0], dict[str, Any])
    return table


def missing() -> list[Missing]:
    return [
        Missing(image=0.95, audio=0.05, stratify=True, seed=3),
        Missing({"my modality": 0.5}),
        Missing(image=0.5, on="label"),
        Missing(patterns={"image+text": 0.5, "image": 0.25, "text": 0.25}),
    ]


def training(data: Splits, frame: pd.DataFrame) -> dict[str, float]:
    imputers: list[str | dict[str, Any]] = ["zero", "hot-deck", {"name": "stable-diffusion-tiny", "per_class": 20}]
    for imputer in imputers:
        pipe = Pipeline(backbone="imagebind-tiny", imputer=imputer, fusion="late", train={"epochs": 60, "lr": 0.02})
        assert_type(pipe.fit(data.train, val=data.val, missing=Missing(image=0.99, stratify=True)), Pipeline)
    own = Pipeline(
        backbone={"name": "imagebind", "weights": "imagebind_huge.pth"},
        imputer={"image": "stable-diffusion", "text": GaussianFill(draws=3)},
        fusion={"name": "dropout", "rate": 0.5, "base": "late"},
        eval_imputer="retrieval",
        draws=5,
        calibrate=True,
        commercial=False,
        seed=0,
    )
    scores = own.evaluate(data.test, missing=Missing(image=0.5))
    assert_type(scores, dict[str, float])
    assert_type(scores["accuracy"], float)
    assert_type(own.evaluate(data.test, missing={"image": 0.5}), dict[str, float])
    assert_type(own.predict(data.test), NDArray[Any])
    assert_type(own.predict(frame), NDArray[Any])
    assert_type(own.predict_proba(frame), NDArray[np.float32])
    assert_type(own.predict_frame(data.test), pd.DataFrame)
    assert_type(own.model_card(), str)
    assert_type(own.config(), dict[str, Any])
    own.save("model/")
    assert_type(Pipeline.load("model/"), Pipeline)
    assert_type(preset("gti-mm", data.train, "image", "stable-diffusion", backbone="clip"), Pipeline)
    return scores


def comparing(data: Splits) -> Path:
    mine = Pipeline("imagebind-tiny", {"image": "hot-deck", "audio": "zero"}, "gated", train={"epochs": 60, "lr": 0.02})
    methods = {"mine": mine, "gti-mm": "gti-mm"}
    results = compare(data, methods, missing=[0.9, 0.95], test_missing=[0, 0.5], seeds=5)
    assert_type(results, CompareResults)
    assert_type(results.recommendation, str)
    assert_type(results.to_frame(), pd.DataFrame)
    return results.report("report.html")


def filling(data: MultimodalDataset) -> None:
    filled = impute(data, imputer="stable-diffusion", missing=Missing(image=0.9))
    assert_type(filled.to_frame(), pd.DataFrame)
    rows = filled.to_torch(epoch=3)
    assert_type(rows[0], dict[str, Any])
    assert_type(DataLoader(rows, batch_size=64, shuffle=True, collate_fn=_batch), DataLoader[dict[str, Any]])
    filled.export("filled/")


def _batch(rows: list[dict[str, Any]]) -> Tensor:
    return torch.stack([row["image"] for row in rows])


class MedianFill(Imputer):
    """An imputer of a third party; options are fields, also for the type checker."""

    info: ClassVar[Info] = Info(items="feature")
    scale: float = Field(default=1.0, gt=0)

    def fit(self, train: View, target: str) -> State:
        assert_type(train.present(target), NDArray[np.bool_])
        assert_type(train.features(target), NDArray[np.float32])
        return {"median": np.median(train.features(target)[train.present(target)], axis=0)}

    def pool(self, view: View, target: str, state: State) -> Pool:
        return Pool.constant(Features(self.scale * state["median"][None]), view.rows)


class Brightness(Backbone):
    """A backbone of a third party."""

    info: ClassVar[Info] = Info(kinds=("image",))

    def fingerprint(self) -> str:
        return "brightness-1"

    def size(self, kind: str, depth: Depth = "pooled") -> int:
        return 1

    def prepare(self, kind: str, payload: Payload) -> Tensor:
        return torch.tensor([float(np.mean(payload))])

    def open(self, device: str = "cpu", dtype: str = "float32") -> Brightness:
        return self

    def encode(self, kind: str, batch: Tensor, depth: Depth = "pooled") -> Tensor:
        return batch


class Linear(Fusion):
    """A fusion of a third party."""

    def build(self, sizes: Mapping[str, int], classes: int, encoder: Any = None) -> Head:
        return LinearHead(sizes, classes)


class LinearHead(Head):
    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.last = torch.nn.Linear(sum(sizes.values()), classes)

    def forward(self, x: dict[str, Tensor], filled: Tensor, observed: Tensor) -> Tensor:
        found: Tensor = self.last(torch.cat(list(x.values()), dim=1))
        return found


def plugging_in() -> None:
    register("imputers", "median", MedianFill)
    gtimm.register("backbones", "brightness", Brightness, replace=True)
    assert_type(MedianFill(scale=2.0).scale, float)
    Pipeline(backbone=Brightness(), imputer={"image": MedianFill(scale=2.0)}, fusion=Linear())
    check_imputer(MedianFill(), expected_failed_checks={"check_single_row": "one row has no median"})
    check_backbone(Brightness())
    check_backbone(ColourHistogram(bins=8))
    check_fusion(Linear())


@parametrize_with_checks([MedianFill(), GaussianFill(draws=1)])
def test_promises(strategy: Any, check: Any) -> None:
    check(strategy)


def failing() -> str:
    try:
        Pipeline(imputer="hot-dek")
    except GtimmError as error:
        return str(error)
    return ""


def kit(prompts: Prompts, engine: Engine) -> None:
    check_prompts(prompts)
    assert_type(sample_data("image").data, MultimodalDataset)
