"""Messages name a row as its own table does: by the line of a file, by the index of a DataFrame, also after splitting and choosing."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.config import RunConfig, read_table
from gtimm.core.errors import ConfigError, DataError, MaskedPayloadError, MediaError, MissingPayloadError
from gtimm.core.row_names import PLACES, RowNames, listed


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Rows whose splits alternate; the image of the data row 7, on line 10 of the file, is broken."""
    lines = ["image,text,label,part", ""]
    for row in range(18):
        Image.new("RGB", (4, 4), (row, 0, 0)).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,words,{'ab'[row % 2]},{('test', 'train', 'val')[row % 3]}")
    (tmp_path / "7.png").write_bytes(b"no picture")
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    return tmp_path


def data(folder: Path, **change: object) -> RunConfig:
    plain = {"frame": "rows.csv", "modalities": {"image": "image"}, "label": "label", "split": "part", **change}
    return RunConfig.of({"data": {name: value for name, value in plain.items() if value is not None}})


def test_names_are_of_the_index_the_line_or_the_place() -> None:
    assert [PLACES[3], PLACES.within(3), PLACES.pick(np.array([9, 4]))[1]] == ["Row 3", "row 3", "Row 4"]
    letters = RowNames.of(pd.DataFrame({"a": [1, 2]}, index=["x", "y z"]))
    assert letters[1] == "Row 'y z'"
    assert RowNames.of(pd.DataFrame({"a": [1, 2]}, index=[5, 5]))[1] == "Row at position 1"
    lines = RowNames(np.array([2, 7]), ("line ",))
    assert [lines[1], lines.within(1)] == ["Line 7", "line 7"]
    joined = RowNames.joined([RowNames(np.array([2, 7]), ("a.csv, line ",)), RowNames(None, ("b.parquet, row ",))], [2, 3])
    assert [joined[1], joined[4], joined.pick(np.array([3, 0]))[0]] == ["a.csv, line 7", "b.parquet, row 2", "b.parquet, row 1"]
    assert pickle.loads(pickle.dumps(joined))[4] == joined[4]


def test_long_lists_of_faults_are_cut_and_counted() -> None:
    text = listed(range(50, 0, -1), lambda row: f"row {row}")
    assert text.splitlines()[0] == "row 1"
    assert text.splitlines()[-1] == "... and 30 more like these."


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.csv", 'text,label\nx,a\n\n"two\nlines",b\ny,a\n', [2, 4, 6]),
        ("a.tsv", "text\tlabel\n\nx\ta\ny\tb\n", [3, 4]),
        ("a.jsonl", '{"text": "x"}\n\n{"text": "y"}\n', [1, 3]),
    ],
)
def test_the_index_of_a_table_is_the_line_at_which_a_row_begins(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name).index.tolist() == lines


def test_a_broken_file_has_one_name_wherever_it_is_met(corpus: Path) -> None:
    own = r"rows\.csv, line 10"
    train = data(corpus).load_data(corpus).train
    with pytest.raises(MediaError, match=rf"^{own}, modality 'image': .*7\.png.*unreadable='missing'.*`unreadable: missing`"):
        Pipeline("toy", train={"epochs": 1}).fit(train)
    with pytest.warns(RuntimeWarning, match=f"the first in {own}: "):
        split = data(corpus, unreadable="missing").load_data(corpus)
    (found,) = split.train.summary().unreadable or ()
    assert (found.row, found.name) == (2, "rows.csv, line 10")
    with pytest.raises(MissingPayloadError, match=f"^{own} has no 'image'"):
        split.train.payload("image", 2)
    sealed = split.train.with_missing(Missing(image=1.0, allow_empty=True))
    with pytest.raises(MaskedPayloadError, match=r"^rows\.csv, line 4: 'image' is sealed"):
        sealed.payload("image", 0)


def test_a_file_that_vanished_is_named_with_its_row(corpus: Path) -> None:
    train = data(corpus).load_data(corpus).train
    (corpus / "4.png").unlink()
    with pytest.raises(MediaError, match=r"^rows\.csv, line 7, modality 'image': .*4\.png.*No such file"):
        train.keys("image", np.arange(len(train)))


def test_a_split_made_at_random_and_its_parts_keep_the_names(corpus: Path) -> None:
    parts = data(corpus, split={"val": 0.3, "test": 0.3}).load_data(corpus)
    for part in (parts.train, parts.val, parts.test):
        half = part.subset(np.arange(len(part)) % 2 == 0)
        for row in range(len(half)):
            place = int(Path(half.payload("image", row)).stem)
            assert half.row_names[row] == f"rows.csv, line {place + 3}"


def test_rows_of_a_frame_go_by_its_index_in_training_and_in_prediction(corpus: Path) -> None:
    frame = pd.read_csv(corpus / "rows.csv", dtype=str)
    frame.index = frame.index + 600
    shuffled = frame[frame["part"] == "train"].sample(frac=1, random_state=0)
    with pytest.raises(MediaError, match=r"^Row 607, modality 'image'"):
        Pipeline("toy", train={"epochs": 1}).fit(MultimodalDataset.from_frame(shuffled, {"image": "image"}, "label", root=corpus))
    whole = MultimodalDataset.from_frame(frame.drop(607), {"image": "image"}, "label", root=corpus)
    pipe = Pipeline("toy", train={"epochs": 1}).fit(whole)
    with pytest.raises(MediaError, match=r"^Row 607, modality 'image'"):
        pipe.predict_frame(shuffled, root=corpus)
    shuffled.loc[610, "image"] = "none.png"
    with pytest.raises(DataError, match=r"^Row 610, modality 'image': .*does not exist"):
        pipe.predict_frame(shuffled, root=corpus)


def test_one_broken_file_of_a_batch_is_missing_when_asked_and_the_frame_says_why(corpus: Path) -> None:
    frame = pd.read_csv(corpus / "rows.csv", dtype=str)
    columns = {"image": "image", "text": "text"}
    pipe = Pipeline("toy", train={"epochs": 1}).fit(MultimodalDataset.from_frame(frame.drop(7), columns, "label", root=corpus))
    with pytest.warns(RuntimeWarning, match="taken as missing"):
        found = pipe.predict_frame(frame, root=corpus, unreadable="missing")
    assert found["unreadable"].ne("").tolist() == [row == 7 for row in range(18)]
    assert "7.png" in found["unreadable"][7]
    lacking = pipe.predict_frame(frame.assign(image=[None if row == 7 else f"{row}.png" for row in range(18)]), root=corpus)
    pd.testing.assert_frame_equal(found.drop(columns="unreadable"), lacking)
    with pytest.raises(ConfigError, match="unreadable="):
        pipe.predict_frame(frame, root=corpus, unreadable="skip")  # type: ignore[arg-type]


def test_all_that_is_wrong_with_a_table_is_said_at_once(corpus: Path) -> None:
    table = (corpus / "rows.csv").read_text().splitlines()
    table[3] = "gone.png,words,b,train"
    table[5] = "3.png,words,,test"
    table[8] = "lost.png,words,a,dev"
    (corpus / "rows.csv").write_text("\n".join(table))
    with pytest.raises(DataError) as caught:
        data(corpus).load_data(corpus)
    said = [line.partition(":")[0].partition(" has")[0] for line in str(caught.value).splitlines()]
    assert said == [
        "rows.csv, line 4, modality 'image'",
        "rows.csv, line 9, modality 'image'",
        "rows.csv, line 6",
        "rows.csv, line 9",
    ]


def test_what_predicts_takes_a_table_with_its_columns() -> None:
    train = pd.DataFrame(
        {"photo": [np.full((4, 4, 3), i, np.uint8) for i in range(6)], "text": ["x"] * 6, "label": list("ababab")}
    )
    from gtimm import Column

    modalities = {"image": Column("photo", "image"), "text": "text"}
    pipe = Pipeline("toy", train={"epochs": 1}).fit(MultimodalDataset.from_frame(train, modalities, "label"))
    with pytest.raises(DataError, match=r"no column 'photo', which the model was trained on.*table\['photo'\] = None"):
        pipe.predict_frame(train.drop(columns="photo"))
    assert len(pipe.predict_frame(train.assign(photo=None))) == 6
    for wrong in ([{"text": "x"}], "rows.csv"):
        for predict in (pipe.predict, pipe.predict_frame):
            with pytest.raises(DataError, match=f"found {type(wrong).__name__}.*pandas.DataFrame"):
                predict(wrong)  # type: ignore[operator]
