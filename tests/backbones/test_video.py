"""A backbone of images embeds a video as its middle frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from films import film

from gtimm import MultimodalDataset, Pipeline
from gtimm.backbones.imagebind.tiny import ImageBindTiny
from gtimm.core.media import load_frame


def test_a_video_and_its_middle_frame_have_one_embedding(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    film(path, seconds=1.0)
    backbone = ImageBindTiny()
    found = backbone.embed({"video": [path], "image": [np.asarray(load_frame(path))]})
    torch.testing.assert_close(found["video"], found["image"])
    assert backbone.size("video") == backbone.size("image")


def test_a_pipeline_learns_from_videos_with_holes(tmp_path: Path) -> None:
    paths = []
    for index in range(4):
        film(tmp_path / f"{index}.mp4", seconds=0.5 + 0.2 * index)
        paths.append(str(tmp_path / f"{index}.mp4"))
    text = ["the letter a", "the letter b", "the letter a", "the letter b"]
    data = MultimodalDataset.from_arrays({"video": [*paths[:3], None], "text": text}, [0, 1, 0, 1], classes=["a", "b"])
    pipe = Pipeline(backbone="imagebind-tiny", imputer="zero", train={"epochs": 1}).fit(data)
    assert pipe.predict_proba(data).shape == (4, 2)
