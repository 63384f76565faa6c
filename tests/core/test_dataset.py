"""Data sets know their holes, read nothing early, and never let go of what is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from films import film
from PIL import Image
from toys import KINDS, ToyBackbone, matrix, vectors

from gtimm import Column, Missing, MultimodalDataset
from gtimm.core.errors import ConfigError, DataError, MaskedPayloadError, MediaError, MissingPayloadError
from gtimm.core.media import load_audio, load_still
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    return tmp_path


@pytest.mark.parametrize("hole", [None, float("nan"), np.float32("nan"), np.nan, "", "   ", "\t\n", pd.NA, pd.NaT], ids=repr)
@pytest.mark.parametrize("make", ["arrays", "frame"])
def test_empty_cells_are_holes(hole: Any, make: str) -> None:
    cells = ["hello", hole]
    if make == "arrays":
        data = MultimodalDataset.from_arrays({"text": cells})
    else:
        data = MultimodalDataset.from_frame(pd.DataFrame({"t": pd.Series(cells, dtype=object)}), {"text": "t"})
    assert data.present("text").tolist() == [True, False]
    assert data[1] == {}
    with pytest.raises(MissingPayloadError, match="Row 1"):
        data.payload("text", 1)


def test_arrays_of_strings_have_holes_too() -> None:
    assert MultimodalDataset.from_arrays({"text": np.array(["a", ""])}).present("text").tolist() == [True, False]


def test_arrays_of_images_have_none() -> None:
    data = MultimodalDataset.from_arrays({"image": np.zeros((3, 2, 2, 3), np.uint8)})
    assert data.present("image").all()
    assert data.payload("image", 2).shape == (2, 2, 3)


def test_a_sequence_that_knows_its_holes_is_not_read_for_them() -> None:
    class Remote(list[str]):
        def there(self) -> np.ndarray[Any, Any]:
            return np.array([True, False, True])

        def __iter__(self) -> Any:
            raise AssertionError("read")

    data = MultimodalDataset({"text": Remote(["a", "b", "c"])}, {"text": "text"}, None, ())
    assert data.present("text").tolist() == [True, False, True]
    assert data.payload("text", 2) == "c"


def test_pandas_columns_are_read_by_position() -> None:
    column = pd.Series(["a", "b", "c"], index=[2, 0, 1])
    data = MultimodalDataset.from_arrays({"text": column})
    assert [data.payload("text", r) for r in range(3)] == ["a", "b", "c"]


def test_a_list_that_changes_afterwards_changes_nothing() -> None:
    cells = ["a", "b"]
    data = MultimodalDataset.from_arrays({"text": cells})
    cells[0] = "z"
    assert data.payload("text", 0) == "a"


def test_labels_are_names_or_indices() -> None:
    texts = {"text": ["x", "y", "z"]}
    by_name = MultimodalDataset.from_arrays(texts, ["b", "a", "b"])
    assert by_name.classes == ("a", "b")
    assert by_name.labels is not None
    assert by_name.labels.tolist() == [1, 0, 1]
    by_index = MultimodalDataset.from_arrays(texts, [2, 0, 1], classes=["a", "b", "c"])
    assert by_index.labels is not None
    assert by_index.labels.tolist() == [2, 0, 1]
    assert MultimodalDataset.from_arrays(texts, [10, 9, 10]).classes == ("9", "10")


@pytest.mark.parametrize("labels", [["a", "b", "dgo"], [0, 1, 3], [0, 1, -1], [0, 1, 1.5]])
def test_labels_outside_the_classes_name_the_row(labels: list[Any]) -> None:
    with pytest.raises(DataError, match="Row 2: label"):
        MultimodalDataset.from_arrays({"text": ["x"] * 3}, labels, classes=["a", "b", "dog"])


def test_a_label_that_is_nearly_right_gets_a_suggestion() -> None:
    with pytest.raises(DataError, match="Did you mean 'dog'"):
        MultimodalDataset.from_arrays({"text": ["x"]}, ["dgo"], classes=["cat", "dog"])


@pytest.mark.parametrize("label", [None, float("nan"), pd.NA, ""], ids=repr)
def test_a_row_without_label_is_refused(label: Any) -> None:
    with pytest.raises(DataError, match="Row 1 has no label"):
        MultimodalDataset.from_arrays({"text": ["x", "y"]}, ["a", label])


def test_repeated_class_names_are_refused() -> None:
    with pytest.raises(DataError, match="repeat"):
        MultimodalDataset.from_arrays({"text": ["x"]}, [0], classes=["a", "a"])


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="image 1, text 2"):
        MultimodalDataset.from_arrays({"image": [None], "text": ["x", "y"]})
    with pytest.raises(DataError, match="labels 3"):
        MultimodalDataset.from_arrays({"text": ["x", "y"]}, [0, 1, 0], classes=["a", "b"])


def test_nothing_is_no_data_set() -> None:
    with pytest.raises(DataError, match="no rows"):
        MultimodalDataset.from_arrays({"text": []})
    with pytest.raises(DataError, match="no modality"):
        MultimodalDataset.from_arrays({})
    with pytest.raises(DataError, match="no rows"):
        MultimodalDataset.from_frame(pd.DataFrame({"t": []}), {"text": "t"})


def test_a_modality_whose_name_is_no_kind_must_say_it() -> None:
    with pytest.raises(ConfigError, match="What kind of modality is 'left'"):
        MultimodalDataset.from_arrays({"left": [[1.0]]})
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        Column("path", kind="imgae")  # type: ignore[arg-type]


def test_unknown_modality_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'left'"):
        vectors(4).present("lfet")


def test_rows_outside_are_index_errors() -> None:
    data = vectors(4)
    with pytest.raises(IndexError):
        data[4]
    assert len(list(data)) == 4
    assert set(data[-1]) == set(KINDS)


def test_frame_paths_are_relative_to_root_and_undecoded(files: Path) -> None:
    frame = pd.DataFrame({"path": ["a.png", "broken.png"], "caption": ["one", "two"], "y": ["u", "v"]}, index=[7, 3])
    data = MultimodalDataset.from_frame(frame, {"photo": Column("path", kind="image"), "text": "caption"}, label="y", root=files)
    assert data.kind("photo") == "image"
    assert data.payload("photo", 0) == str(files / "a.png")
    assert data.present("photo").all()
    assert data.classes == ("u", "v")


def test_a_path_that_does_not_exist_names_its_row_at_once(files: Path) -> None:
    frame = pd.DataFrame({"p": ["a.png", "nowhere.png"]})
    with pytest.raises(DataError, match=r"Row 1.*nowhere\.png.*does not exist"):
        MultimodalDataset.from_frame(frame, {"image": "p"}, root=files)
    with pytest.raises(DataError, match=r"Row 0.*not a readable file"):
        MultimodalDataset.from_frame(pd.DataFrame({"p": [str(files)]}), {"image": "p"})
    with pytest.raises(DataError, match="Row 0"):
        MultimodalDataset.from_frame(pd.DataFrame({"p": ["a\0b"]}), {"image": "p"})


@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "sub/../../a.png"])
def test_a_path_that_leads_out_of_root_is_refused(files: Path, path: str) -> None:
    (files / "sub").mkdir()
    with pytest.raises(DataError, match="leads out of"):
        MultimodalDataset.from_frame(pd.DataFrame({"p": [path]}), {"image": "p"}, root=files / "sub")


def test_what_cannot_be_decoded_is_an_error_at_first_use_that_names_it(files: Path) -> None:
    frame = pd.DataFrame({"p": ["a.png", "broken.png"]})
    data = MultimodalDataset.from_frame(frame, {"image": "p"}, root=files)
    workspace = open_workspace()
    with pytest.raises(MediaError, match=r"^Row 1, modality 'image': .*broken\.png"):
        workspace.column(data, "image", ToyBackbone())


def test_what_cannot_be_decoded_may_be_taken_as_missing(files: Path) -> None:
    frame = pd.DataFrame({"p": ["a.png", "broken.png", None]})
    data = MultimodalDataset.from_frame(frame, {"image": "p"}, root=files, unreadable="missing")
    assert data.present("image").tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="unreadable="):
        MultimodalDataset.from_frame(frame, {"image": "p"}, root=files, unreadable="ignore")  # type: ignore[arg-type]


def test_a_column_that_is_not_there_suggests_the_nearest() -> None:
    frame = pd.DataFrame({"caption": ["x"], "label": ["a"]})
    with pytest.raises(DataError, match="Did you mean 'caption'"):
        MultimodalDataset.from_frame(frame, {"text": "captoin"})
    with pytest.raises(DataError, match="Did you mean 'label'"):
        MultimodalDataset.from_frame(frame, {"text": "caption"}, label="lable")


def test_text_that_is_no_string_names_its_row() -> None:
    with pytest.raises(DataError, match="Row 1, modality 'text'"):
        MultimodalDataset.from_frame(pd.DataFrame({"t": ["x", 5]}), {"text": "t"})


def test_folders_pair_files_by_class_and_stem(files: Path) -> None:
    root = files / "corpus"
    for place, content in {"image/cat/1.png": "red", "image/dog/1.png": "blue", "image/dog/2.png": "green"}.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), content).save(root / place)
    for place, content in {"text/cat/1.txt": "meow", "text/dog/2.txt": "woof", "text/dog/3.txt": " "}.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(content)
    (root / "image/dog/notes.md").write_text("no image")
    data = MultimodalDataset.from_folder(root)
    assert data.classes == ("cat", "dog")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1, 1]
    assert data.present("image").tolist() == [True, True, True, False]
    assert data.present("text").tolist() == [True, False, True, False]
    assert data.payload("text", 2) == "woof"
    assert Path(data.payload("image", 2)).name == "2.png"


def test_folders_that_cannot_be_read_say_why(files: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        MultimodalDataset.from_folder(files / "nowhere")
    with pytest.raises(DataError, match="no folder named after a kind"):
        MultimodalDataset.from_folder(files)
    (files / "image" / "cat").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"image holds no <class>/<name> with an ending of kind 'image' \(\.bmp, .*it has no files"
    ):
        MultimodalDataset.from_folder(files)
    (files / "image" / "cat" / "1.mp4").write_bytes(b"film")
    with pytest.raises(DataError, match=r"it has \.mp4\. Put the files in class folders, or name another folder or kind"):
        MultimodalDataset.from_folder(files)
    for suffix in (".png", ".jpg"):
        Image.new("RGB", (2, 2)).save(files / "image" / "cat" / f"1{suffix}")
    with pytest.raises(DataError, match="one stem"):
        MultimodalDataset.from_folder(files)


def test_a_folder_of_films_gives_pictures_and_sound(files: Path) -> None:
    (files / "films" / "cat").mkdir(parents=True)
    film(files / "films" / "cat" / "1.mp4", 0.4)
    data = MultimodalDataset.from_folder(files, {"video": "films", "audio": "films"})
    assert load_still("video", data.payload("video", 0)).size == (96, 64)
    assert load_audio(data.payload("audio", 0))[1] == 16_000


def test_text_files_that_are_not_utf8_are_named_or_missing(files: Path) -> None:
    (files / "text" / "cat").mkdir(parents=True)
    (files / "text" / "cat" / "1.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"1\.txt"):
        MultimodalDataset.from_folder(files, {"text": "text"})
    data = MultimodalDataset.from_folder(files, {"text": "text"}, unreadable="missing")
    assert not data.present("text").any()


def test_sealed_payloads_cannot_be_read_by_any_reader() -> None:
    data = vectors(10).with_missing(Missing(left=0.4), seed=1)
    sealed = np.flatnonzero(data.sealed("left"))
    assert len(sealed) == 4
    view = DatasetView(data, open_workspace(), {"left": ToyBackbone(), "right": ToyBackbone()}, "pooled", labels=False)
    for row in sealed.tolist():
        assert not data.present("left")[row]
        assert "left" not in data[row]
        for read in (
            lambda row=row: data.payload("left", row),
            lambda row=row: data.payload("left", row - len(data)),
            lambda row=row: data.keys("left", np.array([row])),
            lambda row=row: view.payload("left", row),
        ):
            with pytest.raises(MaskedPayloadError, match=f"Row {row}"):
                read()
    features = view.features("left")
    assert np.isnan(features[sealed]).all()
    np.testing.assert_array_equal(features, matrix(data, "left"))


def test_views_hide_labels_unless_they_are_granted() -> None:
    data, backbones = vectors(4), {"left": ToyBackbone()}
    assert DatasetView(data, open_workspace(), backbones, "pooled", labels=False).labels is None
    assert DatasetView(data, open_workspace(), backbones, "pooled", labels=True).labels is data.labels


def test_content_keys_that_were_cached_before_sealing_stay_sealed() -> None:
    data = vectors(6)
    data.keys("left", np.arange(6))
    with pytest.raises(MaskedPayloadError):
        data.with_missing({"left": 1.0}).keys("left", np.array([0]))


def test_sealing_leaves_the_original_as_it_was() -> None:
    data = vectors(10)
    sealed = data.with_missing(Missing(left=0.5))
    assert data.present("left").all()
    assert not data.sealed("left").any()
    assert data.missing is None
    assert sealed.missing == Missing(left=0.5)
    data.present("left")[:] = False
    sealed.sealed("left")[:] = True
    assert data.present("left").all()
    assert sealed.present("left").sum() == 5


def test_sealing_again_counts_what_is_sealed_already() -> None:
    once = vectors(10).with_missing(Missing(left=0.3), seed=1)
    twice = once.with_missing(Missing(left=0.6), seed=2)
    assert twice.present("left").sum() == 4
    assert not (once.sealed("left") & twice.present("left")).any()


def test_a_subset_keeps_holes_seals_and_order() -> None:
    data = vectors(10).with_missing(Missing(left=0.5), seed=1)
    rows = np.array([9, 0, 3, 3])
    part = data.subset(rows)
    assert part.labels is not None
    assert data.labels is not None
    assert part.labels.tolist() == data.labels[rows].tolist()
    np.testing.assert_array_equal(part.sealed("left"), data.sealed("left")[rows])
    np.testing.assert_array_equal(matrix(part, "left"), matrix(data, "left")[rows])
    with pytest.raises(MaskedPayloadError):
        part.payload("left", int(np.flatnonzero(part.sealed("left"))[0]))
    inner = part.subset(np.array([True, False, False, True]))
    np.testing.assert_array_equal(matrix(inner, "right"), matrix(data, "right")[[9, 3]])


def test_a_subset_of_cached_keys_keeps_them_straight() -> None:
    data = vectors(5)
    keys = data.keys("left", np.arange(5))
    part = data.subset([4, 2])
    assert part.keys("left", np.arange(2)) == [keys[4], keys[2]]


def test_a_mask_of_another_length_chooses_nothing() -> None:
    with pytest.raises(DataError, match="cannot choose"):
        vectors(5).subset(np.array([True, False]))
    for nothing in ([], np.zeros(5, bool)):
        with pytest.raises(DataError, match="without rows"):
            vectors(5).subset(nothing)


def test_repr_counts_what_is_there() -> None:
    assert "left (vector, 2 present)" in repr(vectors(4).with_missing({"left": 0.5}))


def test_whole_numbers_are_names_or_indices_for_a_whole_column_never_by_row() -> None:
    text = {"text": ["a", "b", "c"]}
    assert MultimodalDataset.from_arrays(text, [0, 1, 2], classes=["1", "2", "3"]).labels.tolist() == [0, 1, 2]
    assert MultimodalDataset.from_arrays(text, [1, 2, 3], classes=["1", "2", "3"]).labels.tolist() == [0, 1, 2]
    assert MultimodalDataset.from_arrays(text, ["1", "2", "3"], classes=["3", "2", "1"]).labels.tolist() == [2, 1, 0]
    with pytest.raises(DataError, match="names or indices"):
        MultimodalDataset.from_arrays(text, [0, 1, 2], classes=["2", "1", "0"])
    with pytest.raises(DataError, match="repeat"):
        MultimodalDataset.from_arrays(text, [1, "1", "2"])
