"""Hugging Face data sets are read by row, undecoded, in their order, with their class names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from gtimm import Column, Missing, MultimodalDataset
from gtimm.core.errors import ConfigError, DataError, MediaError
from gtimm.core.media import load_audio, load_image, payload_key

datasets = pytest.importorskip("datasets", reason="gtimm[hf] is not installed")


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


def sound(hertz: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(800) * hertz).astype(np.float32), 8_000, format="WAV")
    return file.getvalue()


COLOURS = ("red", "green", "blue", "white")
FEATURES = {
    "photo": datasets.Image(),
    "sound": datasets.Audio(),
    "caption": datasets.Value("string"),
    "vector": datasets.List(datasets.Value("float32")),
    "y": datasets.ClassLabel(names=["zebra", "ape", "cat"]),
    "user": datasets.Value("int64"),
}


def corpus(**change: Any) -> Any:
    columns: dict[str, Any] = {
        "photo": [{"bytes": picture(c), "path": None} for c in COLOURS],
        "sound": [{"bytes": sound(0.1 + 0.1 * i), "path": None} for i in range(4)],
        "caption": ["a", " ", None, "d"],
        "vector": [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]],
        "y": [0, 2, 1, 2],
        "user": [1, 1, 2, 3],
    }
    columns["photo"][1] = columns["sound"][2] = None
    columns.update(change)
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    whole = datasets.Dataset.from_dict(columns, features=datasets.Features({**FEATURES, "sound": stored}))
    return whole.cast_column("sound", datasets.Audio())  # encoding sound would need torchcodec; reading it does not


MODALITIES = {"photo": "photo", "audio": "sound", "text": "caption", "vector": "vector"}


def test_kinds_and_holes_follow_the_features() -> None:
    data = MultimodalDataset.from_hf(corpus(), MODALITIES, "y", extra=["user"])
    assert [data.kind(m) for m in data.modalities] == ["image", "audio", "text", "vector"]
    assert data.present("photo").tolist() == [True, False, True, True]
    assert data.present("audio").tolist() == [True, True, False, True]
    assert data.present("text").tolist() == [True, False, False, True]
    assert data.present("vector").tolist() == [True, False, True, True]
    assert data.classes == ("zebra", "ape", "cat")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 2, 1, 2]
    assert data.extra["user"].tolist() == [1, 1, 2, 3]


def test_payloads_are_what_is_stored_and_decode_here() -> None:
    data = MultimodalDataset.from_hf(corpus(), MODALITIES, "y")
    assert load_image(data.payload("photo", 2)).getpixel((0, 0)) == (0, 0, 255)
    assert data.payload("photo", 2) == picture("blue")
    samples, rate = load_audio(data.payload("audio", 1))
    assert (samples.shape, rate) == ((1, 800), 8_000)
    assert data.payload("vector", 2).tolist() == [3.0, 4.0]
    assert data.keys("photo", np.array([0]))[0] == payload_key("image", picture("red"))


def test_nothing_is_decoded_before_it_is_used() -> None:
    data = MultimodalDataset.from_hf(corpus(photo=[{"bytes": b"no picture", "path": None}] * 4), {"photo": "photo"}, "y")
    assert data.present("photo").all()
    with pytest.raises(MediaError):
        load_image(data.payload("photo", 0))


def test_no_row_is_read_when_the_data_set_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus()
    read: list[Any] = []
    fetch = datasets.Dataset.__getitem__
    monkeypatch.setattr(
        datasets.Dataset, "__getitem__", lambda self, key: (read.append((self.column_names, key)), fetch(self, key))[1]
    )
    data = MultimodalDataset.from_hf(whole, MODALITIES, "y")
    assert {tuple(names) for names, _ in read} == {("y",)}
    read.clear()
    data.payload("photo", 3)
    assert read == [(["photo"], 3)]


@pytest.mark.parametrize("how", ["select", "slice", "concatenate", "shuffle", "filter"])
def test_a_chosen_order_is_kept(how: str) -> None:
    whole = corpus()
    chosen = {
        "select": lambda: whole.select([3, 1, 2]),
        "slice": lambda: whole.select(range(1, 4)),
        "concatenate": lambda: datasets.concatenate_datasets([whole.select(range(2, 4)), whole.select([1, 0])]),
        "shuffle": lambda: whole.shuffle(seed=3),
        "filter": lambda: whole.filter(lambda y: y != 2, input_columns=["y"]),
    }[how]()
    data = MultimodalDataset.from_hf(chosen, MODALITIES, "y", extra=["user"])
    plain = chosen.cast_column("photo", datasets.Image(decode=False)).cast_column("sound", datasets.Audio(decode=False))
    for row, expected in enumerate(plain):
        assert data[row].get("photo") == (expected["photo"] and expected["photo"]["bytes"])
        assert data[row].get("text") == ((expected["caption"] or "").strip() or None)
        assert data.labels is not None
        assert data.labels[row] == expected["y"]


def test_seals_subsets_and_missing_by_a_column_work_as_elsewhere() -> None:
    data = MultimodalDataset.from_hf(corpus(), MODALITIES, "y", extra=["user"])
    assert data.with_missing(Missing(photo=0.75)).present("photo").sum() == 1
    part = data.subset([2, 0])
    assert part.payload("photo", 0) == picture("blue")
    assert part.present("audio").tolist() == [False, True]


def test_lists_of_class_labels_are_sets_of_classes() -> None:
    features = datasets.Features({"t": datasets.Value("string"), "y": datasets.List(datasets.ClassLabel(names=["2", "1", "0"]))})
    whole = datasets.Dataset.from_dict({"t": ["a", "b", "c"], "y": [[0, 2], [], [1]]}, features=features)
    data = MultimodalDataset.from_hf(whole, {"text": "t"}, "y")
    assert data.multilabel
    assert data.classes == ("2", "1", "0")
    assert data.labels is not None
    assert data.labels.tolist() == [[True, False, True], [False, False, False], [False, True, False]]


def test_strings_are_paths_where_the_kind_is_one_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("red"))
    whole = datasets.Dataset.from_dict({"file": ["a.png", None], "y": ["u", "v"]})
    data = MultimodalDataset.from_hf(whole, {"image": "file"}, "y", root=tmp_path)
    assert data.payload("image", 0) == str(tmp_path / "a.png")
    assert data.present("image").tolist() == [True, False]
    with pytest.raises(DataError, match="root="):
        MultimodalDataset.from_hf(whole, {"image": "file"}, "y")


def test_stored_paths_are_checked_without_being_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"damaged")
    features = datasets.Features({"image": datasets.Image()})
    whole = datasets.Dataset.from_dict({"image": [str(tmp_path / "a.png")]}, features=features)
    assert MultimodalDataset.from_hf(whole, {"image": "image"}).payload("image", 0) == str(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"Row 0, modality 'image'.*does not exist"):
        MultimodalDataset.from_hf(whole, {"image": "image"})


def test_what_is_no_split_of_rows_says_what_to_pass() -> None:
    with pytest.raises(ConfigError, match=r"dataset\['train'\]"):
        MultimodalDataset.from_hf(datasets.DatasetDict({"train": corpus()}), MODALITIES)
    with pytest.raises(ConfigError, match="streaming=False"):
        MultimodalDataset.from_hf(corpus().to_iterable_dataset(), MODALITIES)
    with pytest.raises(ConfigError, match="from_frame"):
        MultimodalDataset.from_hf([1, 2], MODALITIES)
    with pytest.raises(ConfigError, match="transform"):
        MultimodalDataset.from_hf(corpus().with_transform(lambda batch: batch), MODALITIES)


def test_what_does_not_fit_is_named() -> None:
    whole = corpus()
    with pytest.raises(DataError, match="Did you mean 'photo'"):
        MultimodalDataset.from_hf(whole, {"image": "foto"})
    with pytest.raises(DataError, match=r"'audio'.*'photo'"):
        MultimodalDataset.from_hf(whole, {"audio": "photo"})
    with pytest.raises(DataError, match="'text'"):
        MultimodalDataset.from_hf(whole, {"text": "user"})
    with pytest.raises(ConfigError, match="What kind"):
        MultimodalDataset.from_hf(whole, {"person": "user"})
    with pytest.raises(DataError, match=r"Row 1 has no label.*label=None"):
        MultimodalDataset.from_hf(corpus(y=[0, -1, 1, 1]), {"text": "caption"}, "y")
    with pytest.raises(DataError, match="Did you mean 'user'"):
        MultimodalDataset.from_hf(whole, {"text": "caption"}, extra=["users"])


def test_files_elsewhere_are_refused_when_they_are_read() -> None:
    whole = corpus(photo=[{"bytes": None, "path": "hf://datasets/x/y/a.png"}] * 4)
    data = MultimodalDataset.from_hf(whole, {"photo": Column("photo", kind="image")}, "y")
    with pytest.raises(DataError, match="not on this machine"):
        data.payload("photo", 0)


def test_damaged_payloads_are_taken_out_on_request_and_listed() -> None:
    rows = [{"bytes": picture(c), "path": None} for c in COLOURS]
    rows[2]["bytes"] = b"no picture"
    with pytest.warns(RuntimeWarning, match="1 of 4 payloads of 'photo' cannot be read"):
        data = MultimodalDataset.from_hf(corpus(photo=rows), {"photo": "photo"}, "y", unreadable="missing")
    assert data.present("photo").tolist() == [True, True, False, True]
    assert list(data.unreadable["photo"]) == [2]
    assert data.payload("photo", 3) == picture("white")
    with pytest.raises(ConfigError, match="unreadable="):
        MultimodalDataset.from_hf(corpus(), MODALITIES, "y", unreadable="skip")  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", [True, False])
def test_absent_files_are_taken_out_on_request_and_listed(tmp_path: Path, stored: bool) -> None:
    (tmp_path / "a.png").write_bytes(picture("red"))
    paths = [str(tmp_path / "gone.png"), str(tmp_path / "a.png"), None]
    feature = datasets.Image() if stored else datasets.Value("string")
    whole = datasets.Dataset.from_dict({"image": paths}, features=datasets.Features({"image": feature}))
    with pytest.warns(RuntimeWarning, match=r"1 of 2 payloads of 'image' cannot be read.*row 0.*does not exist"):
        data = MultimodalDataset.from_hf(whole, {"image": "image"}, root="/", unreadable="missing")
    assert data.present("image").tolist() == [False, True, False]
    assert list(data.unreadable["image"]) == [0]


def test_ids_must_be_there_and_differ() -> None:
    data = MultimodalDataset.from_hf(corpus(user=[4, 3, 2, 1]), {"photo": "photo"}, "y", id="user")
    assert data.extra["user"].tolist() == [4, 3, 2, 1]
    with pytest.raises(DataError, match=r"Row 0 and row 1 have one id, 1; 1 rows repeat an id of column 'user'.*dataset\.filter"):
        MultimodalDataset.from_hf(corpus(), {"photo": "photo"}, "y", id="user")
    with pytest.raises(DataError, match="Did you mean 'user'"):
        MultimodalDataset.from_hf(corpus(), {"photo": "photo"}, "y", id="users")
