"""UPMC Food-101 in its published form: with or without column names, a validation part of its own, and mistakes named with their line."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from miniatures import DISHES, write_food101

from gtimm import load_dataset
from gtimm.core.errors import ConfigError, DataError, MediaError
from gtimm.core.media import load_image
from gtimm.data.food101 import Food101, names_class, read_titles, without_class
from gtimm.testing import check_dataset

SIZES = {"train": 10, "test": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_food101(tmp_path_factory.mktemp("food101"), SIZES)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def titles(root: Path, part: str) -> Path:
    return root / "texts" / f"{part}_titles.csv"


def table(root: Path, part: str) -> dict[str, list[str]]:
    with titles(root, part).open(encoding="utf-8", newline="") as file:
        return {f"{row[2]}/{row[0]}": row for row in csv.reader(file)}


def test_rows_are_those_of_the_files_and_validation_is_stratified_and_seeded(whole: Path) -> None:
    data = load_dataset("food101", root=str(whole))
    assert (len(data.train), len(data.val), len(data.test)) == (72, 8, 24)
    assert data.train.classes == data.val.classes == data.test.classes == tuple(sorted(DISHES))
    seen = []
    for part, split in (("train", data.train), ("train", data.val), ("test", data.test)):
        rows = table(whole, part)
        for i, row in enumerate(split):
            place = Path(row["image"])
            name, title, label = rows[f"{place.parent.name}/{place.name}"]
            assert row["text"] == title
            assert split.classes[split.labels[i]] == label
            assert place == whole / "images" / part / label / name
            seen.append(row["image"])
    assert len(seen) == len(set(seen)) == 104
    assert set(Counter(data.val.labels.tolist()).values()) == {1}
    assert [r["image"] for r in load_dataset("food101", root=str(whole)).val] == [r["image"] for r in data.val]
    other = load_dataset("food101", root=str(whole), seed=1, val_share=0.3)
    assert len(other.val) == 24
    assert [r["image"] for r in load_dataset("food101", root=str(whole), seed=1).val] != [r["image"] for r in data.val]
    assert np.asarray(load_image(data.train.payload("image", 0))).shape[2] == 3


def test_column_names_a_byte_order_mark_and_windows_line_ends_change_nothing(whole: Path, tmp_path: Path) -> None:
    root = write_food101(tmp_path / "named", SIZES, header=True)
    titles(root, "test").write_bytes(b"\xef\xbb\xbf" + titles(root, "test").read_bytes())
    one, two = (load_dataset("food101", root=str(r)) for r in (whole, root))
    for split in ("train", "val", "test"):
        assert [row["text"] for row in getattr(one, split)] == [row["text"] for row in getattr(two, split)]


def test_titles_that_name_their_class_are_counted_and_can_be_cleaned(whole: Path) -> None:
    left, cleaned = (load_dataset("food101", root=str(whole), remove_class_words=remove) for remove in (False, True))
    rows = [*table(whole, "train").values(), *table(whole, "test").values()]
    named = sum(names_class(title, label) for _, title, label in rows)
    assert 0 < named < len(rows)
    for data in (left, cleaned):
        assert data.facts["titles that name their class"] == f"{named} of 104 ({named / 104:.1%})"
    assert (left.facts["class words"], cleaned.facts["class words"]) == ("left in titles", "removed from titles")
    texts = [(row.get("text", ""), cleaned.test.classes[cleaned.test.labels[i]]) for i, row in enumerate(cleaned.test)]
    assert not any(names_class(text, label) for text, label in texts)


@pytest.mark.parametrize(
    ("title", "label", "expected"),
    [
        ("Best Apple Pies ever", "apple_pie", "Best ever"),
        ("Pineapple piece", "apple_pie", "Pineapple piece"),
        ("Sushi!", "sushi", ""),
        ("APPLE-PIE recipe", "apple_pie", "- recipe"),
    ],
)
def test_only_whole_words_of_the_class_are_removed(title: str, label: str, expected: str) -> None:
    found = without_class(title, label)
    assert found == expected or (expected == "" and not any(c.isalnum() for c in found))


def test_what_is_not_there_is_named_with_what_to_do(root: Path) -> None:
    with pytest.raises(ConfigError, match="root"):
        load_dataset("food101")
    with pytest.raises(DataError, match=r"nowhere does not exist\. root= must be the folder that holds images/train"):
        load_dataset("food101", root=str(root / "nowhere"))
    (root / "images" / "train" / "sushi" / "sushi_3.jpg").unlink()
    with pytest.raises(DataError, match=r"train_titles\.csv, line 74: 'sushi_3\.jpg' is not in .*root="):
        load_dataset("food101", root=str(root))
    titles(root, "test").unlink()
    with pytest.raises(DataError, match=r"test_titles\.csv does not exist\. root="):
        load_dataset("food101", root=str(root))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,apple_pie", r"line 81 has 2 cells instead of 3"),
        ("apple pie", r"line 81 has 1 cells instead of 3"),
        ("a.jpg,,", r"line 81: the class label is ''"),
        ("../a.jpg,Pie,apple_pie", r"line 81: the image name is '\.\./a\.jpg'"),
        ("a.jpg,Pie,new_dish", r"'a\.jpg' is not in .*new_dish"),
    ],
)
def test_lines_that_cannot_be_read_are_named(root: Path, line: str, message: str) -> None:
    with titles(root, "train").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        load_dataset("food101", root=str(root))


def test_the_rows_behind_the_quote_that_is_never_closed_are_read_as_rows(root: Path) -> None:
    plain = load_dataset("food101", root=str(root))
    lines = titles(root, "train").read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(i for i in range(len(lines)) if '"' not in "".join(lines[i : i + 4]))
    for line in range(first + 1, first + 4):  # as in the distributed file: rows behind the quote name .txt, one of them closes it
        lines[line] = lines[line].replace(".jpg,", ".txt,")
    lines[first] = lines[first].replace(",", ',"', 1)
    lines[first + 3] = '",'.join(lines[first + 3].rsplit(",", 1))
    titles(root, "train").write_text("".join(lines), encoding="utf-8")
    with titles(root, "train").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 77  # what a CSV reader makes of it
    data = load_dataset("food101", root=str(root))
    for split in ("train", "val", "test"):
        assert [dict(row) for row in getattr(data, split)] == [dict(row) for row in getattr(plain, split)]
    assert data.facts["titles behind an unclosed quote"] == "3, read as rows of their own"
    counts = Food101(root=str(root)).counts(data)
    assert counts == {"images, train": 80, "images, test": 24, "titles, train": 77, "titles, test": 24}


def test_titles_are_read_as_a_csv_reader_reads_them(root: Path, tmp_path: Path) -> None:
    rows = [
        ["a_0.jpg", 'The "best" pie, ever', "apple_pie"],
        ["a_1.jpg", "two\nlines, b.txt and\r\na third", "apple_pie"],
        ["a_2.jpg", 'a 12" pie', "apple_pie"],
        ["a_3.jpg", "", "apple_pie"],
        ["a_4.jpg", '"', "apple_pie"],
        ["a_5.jpg", "plain\u2028line", "apple_pie"],
    ]
    for place, quoting in enumerate((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)):
        file = tmp_path / f"{place}.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out, quoting=quoting).writerows(rows)
        found = [[line.image, line.title, line.label] for line in read_titles(file)]
        assert found == [[image, title.replace("\r\n", "\n"), label] for image, title, label in rows]
        assert not any(line.hidden for line in read_titles(file))


def test_pictures_that_are_listed_twice_are_counted(root: Path) -> None:
    with titles(root, "test").open("a", encoding="utf-8") as file:
        file.write("apple_pie_0.jpg,The same again,apple_pie\n")
    assert load_dataset("food101", root=str(root)).facts["pictures listed twice"] == "1"


def test_files_of_another_encoding_without_rows_or_with_another_class_are_named(root: Path) -> None:
    content = titles(root, "test").read_bytes()
    titles(root, "test").write_bytes(content + b"a.jpg,Pie,new_dish\n")
    with pytest.raises(DataError, match=r"test_titles\.csv, line 25: class 'new_dish' is not in .*train_titles\.csv"):
        load_dataset("food101", root=str(root))
    titles(root, "test").write_bytes(b"image_name,title,class\n")
    with pytest.raises(DataError, match="has no rows"):
        load_dataset("food101", root=str(root))
    titles(root, "test").write_bytes("é".encode("utf-16"))
    with pytest.raises(DataError, match="is UTF-16, not UTF-8"):
        load_dataset("food101", root=str(root))


def test_pictures_that_cannot_be_decoded_are_left_to_their_use_or_taken_as_missing(root: Path) -> None:
    (root / "images" / "test" / "apple_pie" / "apple_pie_0.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError, match="apple_pie_0"):
        load_image(load_dataset("food101", root=str(root)).test.payload("image", 0))
    assert not load_dataset("food101", root=str(root), unreadable="missing").test.present("image")[0]


def test_it_keeps_every_promise_of_a_data_set(whole: Path) -> None:
    check_dataset(Food101(root=str(whole)))
