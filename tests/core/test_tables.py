"""Tables keep what the file says, and what is wrong with one is named with its line or row and the mend."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.config import RunConfig, read_table
from gtimm.core.errors import ConfigError, DataError
from gtimm.core.readable import checked_files, faults

BIG = "900000000000000001"  # a float would round it


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for index in range(12):
        Image.new("RGB", (4, 4), (index, 0, 0)).save(tmp_path / "pictures" / f"{index}.png")
    lines = ["id,photo,words,kind,user"]
    lines += [f"{int(BIG) + i},pictures/{i}.png,word {i},{'ab'[i % 2]},u{i % 4}" for i in range(12)]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    return tmp_path


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"id,text\n0012,x\n{BIG},NA\n"),
        ("b.csv", b"\xef\xbb\xbf" + f"id,text\r\n0012,x\r\n{BIG},NA\r\n".encode()),
        ("c.csv", b"\xef\xbb\xbf" + f'"id","text"\n0012,"x"\n{BIG},NA\n'.encode()),
        ("d.tsv", f"id\ttext\n0012\tx\n{BIG}\tNA\n"),
        ("e.jsonl", f'{{"id": "0012", "text": "x"}}\n\n{{"id": "{BIG}", "text": "NA"}}\n'),
    ],
)
def test_cells_stay_as_they_are(tmp_path: Path, name: str, content: str | bytes) -> None:
    frame = read_table(write(tmp_path / name, content))
    assert frame.columns.tolist() == ["id", "text"]
    assert frame["id"].tolist() == ["0012", BIG]
    assert frame["text"].tolist() == ["x", "NA"]


def test_whole_numbers_stay_whole_beside_empty_cells(tmp_path: Path) -> None:
    lines = f'{{"id": {BIG}, "text": "x"}}\n{{"text": "y"}}\n'
    assert read_table(write(tmp_path / "a.jsonl", lines))["id"].tolist() == [int(BIG), None]
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    pd.DataFrame({"id": pd.array([int(BIG), None], "Int64"), "text": ["x", None]}).to_parquet(tmp_path / "a.parquet")
    frame = read_table(tmp_path / "a.parquet")
    assert frame["id"].tolist()[0] == int(BIG)
    assert isinstance(frame["id"].tolist()[0], int)
    assert MultimodalDataset.from_frame(frame, {"text": "text"}).present("text").tolist() == [True, False]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match="pip install pyarrow"):
        read_table(write(tmp_path / "a.parquet", "x"))


def test_quotes_mean_nothing_in_tsv_and_hold_cells_together_in_csv(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "a.tsv", 'id\ttext\n1\t"open\n2\tb\n'))["text"].tolist() == ['"open', "b"]
    assert read_table(write(tmp_path / "a.csv", 'id,text\n1,"two\nlines, one cell"\n'))["text"].tolist() == [
        "two\nlines, one cell"
    ]


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("a.xlsx", "", ConfigError, r"tables end in \.csv"),
        (
            "a.csv",
            "a,b\nx,y\n\xe9,z\n".encode("latin-1"),
            DataError,
            r"line 3 is not UTF-8: byte 0xe9 \(1 of 3 lines\).*CSV UTF-8",
        ),
        ("a.tsv", "a\tb\ncaf\xe9\tz\n".encode() + "caf\xe9\tz\n".encode("latin-1"), DataError, "line 3.*mixes two"),
        ("a.csv", "a,b\nx,y\n".encode("utf-16"), DataError, "UTF-16"),
        ("a.csv", "a,b\nx,y\n".encode("utf-16-le"), DataError, "UTF-16"),
        ("a.jsonl", b'{"a": "caf\xe9"}\n', DataError, "line 1 is not UTF-8"),
        ("a.csv", "photo,kind,photo\nx,y,z\n", DataError, "two columns named 'photo'"),
        ("a.tsv", "photo\tkind\tphoto\nx\ty\tz\n", DataError, "two columns named 'photo'"),
        ("a.jsonl", '{"a": 1, "a": 2}\n', DataError, "line 1.*'a' stands twice"),
        ("a.csv", "a,b\nx,y\nx,y,z\n", DataError, "line 3 has 3 cells, the header has 2.*quotes"),
        ("a.csv", "a,b\nx,y,z\n1,2,3\n", DataError, "line 2 has 3 cells"),
        ("a.csv", "a,b\nx,y\nx\n", DataError, "line 3 has 1 cells"),
        ("a.tsv", "a\tb\nx\ty\nx\ty\tz\n", DataError, "line 3 has 3 cells, the header has 2.*tab"),
        ("a.csv", 'a,b\nx,"y\n', DataError, "line 2.*quotes"),
        ("a.csv", "a,b\nx," + "y" * 140_000, DataError, "line 2.*JSON lines"),
        ("a.csv", "a;b\nx;y\n", DataError, r"one column, 'a;b'.*semicolons.*sep=';'"),
        ("a.csv", "a\tb\nx\ty\n", DataError, r"between tabs.*Name the file \.tsv"),
        ("a.tsv", "a,b\nx,y\n", DataError, r"between commas.*Name the file \.csv"),
        ("a.csv", "", DataError, "empty"),
        ("a.tsv", "\n", DataError, "empty"),
        ("a.jsonl", "\n", DataError, "empty"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', DataError, "line 2 is not JSON"),
        ("a.jsonl", "[1, 2]\n", DataError, "line 1 is no JSON object"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, name: str, content: str | bytes, error: type[Exception], says: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(error, match=f"(?s){says}"):
        read_table(path)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_table(tmp_path / "rows.csv")


def test_a_table_becomes_a_data_set_beside_its_files(corpus: Path) -> None:
    data = MultimodalDataset.from_table(corpus / "rows.csv", {"image": "photo", "text": "words"}, "kind", id="id")
    assert data.name == "rows"
    assert data.payload("image", 3) == str(corpus / "pictures" / "3.png")
    assert data.extra["id"].tolist()[:2] == [BIG, str(int(BIG) + 1)]


def test_duplicated_ids_are_reported_and_ids_read_as_floats_refused() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "a", "a"], "t": ["x"] * 4})
    with pytest.raises(DataError, match=r"Row 0 and row 2 have one id, 'a'; 2 rows.*drop_duplicates\('id'\)"):
        MultimodalDataset.from_frame(frame, {"text": "t"}, id="id")
    with pytest.raises(DataError, match=r"Row 1 has no id"):
        MultimodalDataset.from_frame(frame.assign(id=["a", None, "b", "c"]), {"text": "t"}, id="id")
    for shortened in ("9.17793E+17", "9,2E+17"):
        with pytest.raises(DataError, match=r"Row 1: the id '9.*a spreadsheet shortened"):
            MultimodalDataset.from_frame(frame.assign(id=["1e5", shortened, "b", "12E34"]), {"text": "t"}, id="id")
    with pytest.raises(DataError, match=r"read as floats.*dtype=str"):
        MultimodalDataset.from_frame(frame.assign(id=[12345.0, None, 1.0, 2.0]), {"text": "t"}, id="id")


def test_a_frame_with_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(DataError, match="two columns named 't'"):
        MultimodalDataset.from_frame(pd.DataFrame([["a", "b"]], columns=["t", "t"]), {"text": "t"})


@pytest.mark.parametrize("cell", [12345.0, 7, pd.Series([3]).iloc[0]])
def test_image_cells_that_are_numbers_name_their_row(cell: Any) -> None:
    with pytest.raises(DataError, match=r"Row 1, modality 'image': .*is a number, not a path.*dtype=str"):
        MultimodalDataset.from_frame(pd.DataFrame({"p": pd.Series([None, cell], dtype=object)}), {"image": "p"})


def test_a_wrong_root_is_told_from_a_wrong_path(corpus: Path) -> None:
    frame = read_table(corpus / "rows.csv")
    with pytest.raises(DataError, match=r"Line 2.*is not a folder.*root="):
        MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus / "nowhere")
    with pytest.raises(DataError, match=r"Line 2.*no other path.*Is root= right"):
        MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus / "pictures")
    with pytest.raises(DataError, match=r"Line 2.*Pass root=") as caught:
        MultimodalDataset.from_frame(frame, {"image": "photo"})
    assert str(Path.cwd()) in str(caught.value)
    frame.loc[7, "photo"] = "pictures/none.png"
    with pytest.raises(DataError, match=r"Line 7.*does not exist\. Mend the path or leave the cell empty"):
        MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("https://example.org/1.png", "is an address.*download them"),
        ("s3://bucket/1.png", "is an address"),
        ("nan", "'nan' looks like a hole that was written out"),
        ("N/A", "'N/A' looks like a hole that was written out"),
        ("pictures\\1.png", "replace the backslashes"),
        (" pictures/1.png", "begins or ends with a space"),
        ("pictures/1.PNG", r"The folder has '1\.png'"),
        ("pictures/1", r"The folder has '1\.png'"),
        ("../1.png", r"leads out of .*Pass root="),
        ("pictures/none.png", r"leave the cell empty\. `unreadable='missing'` takes"),
    ],
)
def test_what_a_path_that_is_not_there_may_mean_is_said(corpus: Path, cell: str, says: str) -> None:
    frame = pd.DataFrame({"photo": ["pictures/0.png", cell]})
    with pytest.raises(DataError, match=f"Row 1, modality 'image': .*{says}"):
        MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus)


def test_texts_that_are_holes_written_out_are_warned_of_and_stay(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,kind\nx,a\nnan,b\n,a\nNULL,b\n")
    with pytest.warns(RuntimeWarning, match="2 cells of column 'text' are 'nan' or the like, the first in a.csv, line 3"):
        data = MultimodalDataset.from_table(tmp_path / "a.csv", {"text": "text"}, "kind")
    assert data.present("text").tolist() == [True, True, False, True]


def test_a_file_as_pandas_reads_it_and_as_we_do_give_the_same(corpus: Path) -> None:
    rows = [f"{i},pictures/{i}.png,{'' if i % 3 else f'wörd {i}'},{i % 2}" for i in range(12)]
    write(corpus / "messy.csv", b"\xef\xbb\xbf" + "\r\n".join(["id,photo,words,kind", *rows, ""]).encode())
    ours = MultimodalDataset.from_table(corpus / "messy.csv", {"image": "photo", "text": "words"}, "kind")
    theirs = MultimodalDataset.from_frame(
        pd.read_csv(corpus / "messy.csv"), {"image": "photo", "text": "words"}, "kind", root=corpus
    )
    assert ours.classes == theirs.classes == ("0", "1")
    assert ours.labels.tolist() == theirs.labels.tolist() == [i % 2 for i in range(12)]
    assert [dict(row) for row in ours] == [dict(row) for row in theirs]
    assert int(ours.present("text").sum()) == 4


def test_the_first_wrong_row_is_named_whatever_its_folder(corpus: Path) -> None:
    (corpus / "more").mkdir()
    cells = [f"pictures/{i}.png" for i in range(6)] + ["more/x.png", "pictures/none.png", "more/y.png"]
    with pytest.raises(DataError, match="Row 6"):
        checked_files(cells, "image", corpus)


def test_listed_folders_and_single_looks_agree(corpus: Path) -> None:
    (corpus / "pictures" / "folder").mkdir()
    (corpus / "pictures" / "link.png").symlink_to(corpus / "pictures" / "1.png")
    (corpus / "pictures" / "gone.png").symlink_to(corpus / "nothing.png")
    good = [f"pictures/{i}.png" for i in range(8)]
    found = checked_files([*good, "pictures/link.png", None, "", Path("pictures/2.png"), "./pictures//3.png"], "image", corpus)
    assert found[8] == str(corpus / "pictures" / "link.png")
    assert found[9:11] == [None, None]
    assert found[11:] == [str(corpus / "pictures" / f"{i}.png") for i in (2, 3)]
    for bad in (
        "pictures/gone.png",
        "pictures/folder",
        "pictures/",
        "pictures/..",
        "pictures/a\0b.png",
        "pictures/" + "x" * 5000,
    ):
        for cells in ([bad], [*good, bad]):
            with pytest.raises(DataError, match=f"Row {len(cells) - 1}, modality 'image'"):
                checked_files(cells, "image", corpus)


def test_a_folder_with_far_more_files_than_rows_is_no_obstacle(tmp_path: Path) -> None:
    for index in range(300):
        (tmp_path / f"{index}").touch()
    assert checked_files([f"{i}" for i in range(295, 300)], "image", tmp_path)[-1] == str(tmp_path / "299")


def test_damaged_files_are_taken_out_on_request_and_listed(corpus: Path) -> None:
    (corpus / "pictures" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (corpus / "pictures" / "5.png").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match=r"2 of 12 payloads of 'image' cannot be read.*the first in rows.csv, line 4"):
        data = MultimodalDataset.from_table(
            corpus / "rows.csv", {"image": "photo", "text": "words"}, "kind", unreadable="missing"
        )
    assert sorted(data.unreadable["image"]) == [2, 5]
    assert "2.png" in data.unreadable["image"][2]
    assert data.subset([5, 0]).unreadable["image"].keys() == {0}
    assert not data.present("image")[[2, 5]].any()
    kept = MultimodalDataset.from_table(corpus / "rows.csv", {"image": "photo"}, "kind")
    assert kept.present("image").all()
    assert kept.unreadable == {}


def test_absent_files_are_taken_out_on_request_but_not_all_of_a_column(corpus: Path) -> None:
    (corpus / "pictures" / "5.png").write_bytes(b"")
    (corpus / "pictures" / "2.png").unlink()
    modalities = {"image": "photo", "text": "words"}
    with pytest.raises(DataError, match=r"2\.png' does not exist.*empty\. `unreadable='missing'` takes files"):
        MultimodalDataset.from_table(corpus / "rows.csv", modalities, "kind")
    with pytest.warns(RuntimeWarning, match=r"2 of 12 payloads of 'image' cannot be read"):
        data = MultimodalDataset.from_table(corpus / "rows.csv", modalities, "kind", unreadable="missing")
    assert list(data.unreadable["image"]) == [2, 5]
    assert data.unreadable["image"][2].endswith("2.png' does not exist.")
    assert [row for row in range(len(data)) if not data.present("image")[row]] == [2, 5]
    frame = pd.DataFrame({"photo": ["../outside.png", "pictures/1.png"]})
    for unreadable in ("missing", "error"):
        with pytest.raises(DataError, match=r"leads out of .*takes absolute paths\.$"):
            MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus, unreadable=unreadable)  # type: ignore[arg-type]
    frame = pd.DataFrame({"photo": ["a.png", "b.png"]})
    with pytest.raises(DataError, match="Is root= right"):
        MultimodalDataset.from_frame(frame, {"image": "photo"}, root=corpus, unreadable="missing")


def test_films_that_do_not_decode_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    assert list(faults("video", [0], lambda row: str(tmp_path / "a.mp4"))) == [0]


def config(**change: Any) -> dict[str, Any]:
    data = {"frame": "rows.csv", "modalities": {"image": "photo", "text": "words"}, "label": "kind", **change}
    return {"data": {name: value for name, value in data.items() if value is not None}}


def test_a_split_in_yaml_keeps_groups_together(corpus: Path) -> None:
    (corpus / "run.yaml").write_text(yaml.safe_dump(config(split={"val": 0.25, "test": 0.25, "group": "user", "seed": 1})))
    found = RunConfig.of(yaml.safe_load((corpus / "run.yaml").read_text())).load_data(corpus)
    users = [set(part.extra["user"]) for part in (found.train, found.val, found.test)]
    assert sorted(map(len, users)) == [1, 1, 2]
    assert set.union(*users) == {"u0", "u1", "u2", "u3"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frame": 5}, "data.frame must be the path of a table, or .*found 5"),
        ({"modalities": "image"}, "data.modalities must be a mapping"),
        ({"label": 3}, "data.label must be the name of a column"),
        ({"label": ["a", 1]}, "data.label holds 1, which YAML"),
        ({"classes": [True, "no"]}, "data.classes holds True, which YAML"),
        ({"classes": "a"}, "data.classes must be a list"),
        ({"root": ["x"]}, "data.root must be the path"),
        ({"id": 1}, "data.id must be"),
        ({"split": ["a"]}, "data.split must be the name of a column"),
        ({"split": "part"}, "has no column 'part' to split by"),
        ({"split": {"valid": 0.1}}, "data.split has no option 'valid'. Did you mean 'val'"),
        ({"split": {"val": "much"}}, "data.split option 'val'"),
        ({"split": {"val": 0.6, "test": 0.5}}, "leave no rows to train on"),
        ({"split": {"test": 1.5}}, "test= is a share"),
        ({"split": {"group": "usr"}}, "Did you mean 'user'"),
        ({"splits": "part"}, "data has no option 'splits'. Did you mean 'split'"),
        ({"label": None}, "'label' is missing"),
        ({"unreadable": "skip"}, "'error' or 'missing'"),
        ({"frame": "row.csv"}, "row.csv cannot be read: it does not exist"),
    ],
)
def test_wrong_values_in_yaml_are_named(corpus: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        RunConfig.of(json.loads(json.dumps(config(**change)))).load_data(corpus)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("clean.csv", r"'clean\.csv' is a table.*\{frame: clean\.csv, modalities: "),
        ({"frame": "rows.csv", "modalities": {"photo": "photo"}, "label": "kind"}, r"\{name: COLUMN, kind: image\} in YAML"),
    ],
)
def test_what_a_table_needs_is_said_in_yaml(corpus: Path, data: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RunConfig.of({"data": data}).load_data(corpus)


def test_all_mistakes_of_a_file_are_said_at_once_with_its_name_and_the_nearest_names() -> None:
    plain = {
        "data": {"frame": "rows.csv", "modalites": {"image": "photo"}, "label": "kind"},
        "pipeline": {"imputr": "mean", "train": {"epoch": 5}},
        "compare": {"method": ["gti-mm"]},
        "seeds": "two",
    }
    with pytest.raises(ConfigError, match=r"^run\.yaml: ") as caught:
        RunConfig.of(plain, Path("run.yaml"))
    for nearest in ("modalities", "imputer", "epochs", "methods"):
        assert f"Did you mean {nearest!r}?" in str(caught.value)
    assert "option 'seeds" in str(caught.value)


def test_a_renamed_column_and_an_unknown_label_are_named(corpus: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'photos'\. Did you mean 'photo'"):
        RunConfig.of(config(modalities={"image": "photos"})).load_data(corpus)
    with pytest.raises(DataError, match=r"no column 'kinds'\. Did you mean 'kind'"):
        RunConfig.of(config(label="kinds")).load_data(corpus)
    with pytest.raises(DataError, match=r"^rows\.csv, line 3: label 'b' is outside the classes"):
        RunConfig.of(config(classes=["a", "c"])).load_data(corpus)


def test_a_split_column_with_other_words_loses_no_row(corpus: Path) -> None:
    frame = pd.read_csv(corpus / "rows.csv", dtype=str)
    frame["part"] = ["train"] * 6 + ["dev"] * 3 + ["test"] * 3
    frame.to_csv(corpus / "rows.csv", index=False)
    with pytest.raises(
        ConfigError, match=r"(?s)^rows\.csv, line 8: column 'part'.*found 'dev'.*\nrows\.csv, line 9.*\nrows\.csv, line 10"
    ):
        RunConfig.of(config(split="part")).load_data(corpus)


def test_predicting_relative_paths_without_root_asks_for_it(corpus: Path) -> None:
    data = MultimodalDataset.from_table(corpus / "rows.csv", {"image": "photo"}, "kind")
    pipe = Pipeline(backbone="toy", train={"epochs": 1}).fit(data)
    frame = read_table(corpus / "rows.csv")
    with pytest.raises(DataError, match=r"Line 2.*Pass root="):
        pipe.predict(frame)
    assert len(pipe.predict(frame, root=corpus)) == 12


def test_splits_may_be_three_tables_of_one_set_of_classes(corpus: Path) -> None:
    frame = pd.read_csv(corpus / "rows.csv", dtype=str)
    for part, rows in (("train", slice(0, 6)), ("dev", slice(6, 9)), ("test", slice(9, 12))):
        frame[rows].to_csv(corpus / f"{part}.csv", index=False)
    frames = {"test": "test.csv", "train": "train.csv", "val": "dev.csv"}
    data = RunConfig.of(config(frame=frames)).load_data(corpus)
    assert [part.payload("text", 0) for part in (data.train, data.val, data.test)] == ["word 0", "word 6", "word 9"]
    assert data.train.classes == data.test.classes == ("a", "b")
    for change, says in (
        ({"frame": {"train": "train.csv", "test": "test.csv"}}, "one each for train, val and test"),
        ({"frame": frames, "split": {"val": 0.1}}, "leave data.split out"),
        ({"frame": {**frames, "val": "val.csv"}}, r"val\.csv cannot be read: it does not exist"),
    ):
        with pytest.raises(ConfigError, match=says):
            RunConfig.of(config(**change)).load_data(corpus)
    frame[9:12].assign(photo="none.png").to_csv(corpus / "test.csv", index=False)
    with pytest.raises(DataError, match=r"^test\.csv, line 2, modality 'image'"):
        RunConfig.of(config(frame=frames)).load_data(corpus)
    frame[9:12].rename(columns={"photo": "picture"}).to_csv(corpus / "test.csv", index=False)
    with pytest.raises(DataError, match=r"test\.csv has no column 'photo'"):
        RunConfig.of(config(frame=frames)).load_data(corpus)
