"""CrisisMMD in its published form: read without quoting, in its own splits, and what is wrong is named with its line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from miniatures import LABELS, write_crisismmd

from gtimm import load_dataset
from gtimm.core.errors import ConfigError, DataError, MediaError
from gtimm.core.media import load_image
from gtimm.data.crisismmd import CrisisMMD, CrisisMMDAgreed
from gtimm.testing import check_dataset

FOLDER = "crisismmd_datasplit_all"
SIZES = {"train": 4, "dev": 2, "test": 3}
EXCLUDED = ["not_humanitarian", "other_relevant_information"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crisismmd(tmp_path_factory.mktemp("crisismmd"), SIZES)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def tsv(root: Path, split: str = "train") -> Path:
    return root / FOLDER / f"task_humanitarian_text_img_{split}.tsv"


def table(root: Path, split: str) -> pd.DataFrame:
    return pd.read_csv(tsv(root, split), sep="\t", quoting=3, dtype=str, keep_default_na=False, lineterminator="\n")


def edit(path: Path, before: str, after: str, count: int = -1) -> None:
    path.write_bytes(path.read_bytes().replace(before.encode(), after.encode(), count))


def test_splits_rows_and_payloads_are_those_of_the_files(whole: Path) -> None:
    data = load_dataset("crisismmd", root=str(whole))
    for split, found in (("train", data.train), ("dev", data.val), ("test", data.test)):
        expected = table(whole, split)
        assert len(expected) == 8 * SIZES[split]
        expected = expected[~expected["label"].isin(EXCLUDED)]
        assert [found.payload("text", r) for r in range(len(found))] == expected["tweet_text"].tolist()
        assert [found.payload("image", r) for r in range(len(found))] == [str(whole / p) for p in expected["image"]]
        assert found.labels is not None
        assert [found.classes[i] for i in found.labels] == expected["label"].tolist()
        assert found.modalities == ("image", "text")
    assert data.train.classes == data.test.classes == tuple(sorted(set(LABELS) - set(EXCLUDED)))
    assert data.facts["name"] == "crisismmd"
    assert data.facts["rows of the files"] == "32 train, 16 val, 24 test"
    assert np.asarray(load_image(data.train.payload("image", 0))).shape[2] == 3


def test_quotes_and_odd_characters_stay_in_the_text(whole: Path) -> None:
    found = load_dataset("crisismmd", root=str(whole)).train
    texts = [found.payload("text", r) for r in range(len(found))]
    for piece in ('"', '"stay inside', "🌀", "Niños", "\u2028", "&amp;"):
        assert any(piece in text for text in texts)


def test_labels_to_exclude_and_the_label_column_can_be_chosen(whole: Path) -> None:
    everything = load_dataset("crisismmd", root=str(whole), exclude=[])
    assert everything.train.classes == tuple(sorted(LABELS))
    assert len(everything.train) == 32
    assert len(load_dataset("crisismmd", root=str(whole), exclude=["vehicle_damage"]).train) == 28
    with pytest.raises(ConfigError, match=r"'vehicle_damages', which no row has\. Did you mean 'vehicle_damage'"):
        load_dataset("crisismmd", root=str(whole), exclude=["vehicle_damages"])
    other = load_dataset("crisismmd", root=str(whole), label="label_text_image", exclude=[])
    assert other.train.classes == ("Positive",)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(root: Path, whole: Path) -> None:
    for split in SIZES:
        tsv(root, split).write_bytes(b"\xef\xbb\xbf" + tsv(root, split).read_bytes().replace(b"\n", b"\r\n"))
    for label in ("label", "event_name", "label_text_image"):  # the first column and the last
        exclude = EXCLUDED if label == "label" else []
        found, expected = (load_dataset("crisismmd", root=str(r), label=label, exclude=exclude).train for r in (root, whole))
        assert found.classes == expected.classes
        assert [row["text"] for row in found] == [row["text"] for row in expected]


def test_an_empty_cell_is_a_hole(root: Path) -> None:
    first = table(root, "train").query("label == 'vehicle_damage'").iloc[0]
    edit(tsv(root), first["image"], "")
    found = load_dataset("crisismmd", root=str(root)).train
    assert int((~found.present("image")).sum()) == 1


def test_folders_and_files_that_are_not_there_are_named_with_what_to_do(root: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist\. root= must be the folder that holds crisismmd_datasplit_all/"):
        load_dataset("crisismmd", root=str(root / "nowhere"))
    with pytest.raises(DataError, match=r"data_image/crisismmd_datasplit_all does not exist\. root="):
        load_dataset("crisismmd", root=str(root / "data_image"))
    tsv(root, "dev").unlink()
    with pytest.raises(DataError, match=r"task_humanitarian_text_img_dev\.tsv does not exist\. root="):
        load_dataset("crisismmd", root=str(root))
    with pytest.raises(ConfigError, match="root"):
        load_dataset("crisismmd")


def test_a_renamed_column_is_named_with_its_file(root: Path) -> None:
    edit(tsv(root, "test"), "tweet_text", "tweet_txt", 1)
    with pytest.raises(
        DataError, match=r"img_test\.tsv has no column 'tweet_text'\. Did you mean 'tweet_txt'\? Columns: event_name"
    ):
        load_dataset("crisismmd", root=str(root))
    with pytest.raises(DataError, match=r"img_train\.tsv has no column 'labels'\. Did you mean 'label'"):
        load_dataset("crisismmd", root=str(root), label="labels")


def test_lines_that_cannot_be_read_are_named(root: Path) -> None:
    lines = tsv(root).read_text(encoding="utf-8").split("\n")
    for broken, says in (
        ("\t".join(lines[4].split("\t")[:-1]), "line 5 has 8 cells, the header has 9"),
        (lines[4].replace("Positive", "Positive\t"), "line 5 has 10 cells"),
    ):
        tsv(root).write_bytes("\n".join([*lines[:4], broken, *lines[5:]]).encode())
        with pytest.raises(DataError, match=rf"img_train\.tsv, {says}"):
            load_dataset("crisismmd", root=str(root))
    cells = lines[4].split("\t")
    tsv(root).write_bytes("\n".join([*lines[:4], "\t".join([*cells[:5], "", *cells[6:]]), *lines[5:]]).encode())
    with pytest.raises(DataError, match=r"img_train\.tsv, line 5: column 'label' is empty"):
        load_dataset("crisismmd", root=str(root))
    tsv(root).write_bytes("\n".join(lines).encode("utf-16"))
    with pytest.raises(DataError, match=r"img_train\.tsv is UTF-16, not UTF-8\. Unpack"):
        load_dataset("crisismmd", root=str(root))


def test_unknown_labels_repeated_pictures_and_shortened_ids_are_named(root: Path) -> None:
    whole = {split: tsv(root, split).read_bytes() for split in SIZES}
    edit(tsv(root, "dev"), "\tvehicle_damage\t", "\tvehicle_damages\t", 1)
    with pytest.raises(
        DataError, match=r"img_dev\.tsv, line \d+: 'label' is 'vehicle_damages', which.*Did you mean 'vehicle_damage'"
    ):
        load_dataset("crisismmd", root=str(root))
    tsv(root, "dev").write_bytes(whole["dev"] + whole["train"].split(b"\n")[3] + b"\n")
    with pytest.raises(DataError, match=r"img_dev\.tsv, line 18: image .*stands in .*img_train\.tsv, line 4 too\. Remove one"):
        load_dataset("crisismmd", root=str(root))
    tsv(root, "dev").write_bytes(whole["dev"])
    tweet = table(root, "test")["tweet_id"].iloc[5]
    edit(tsv(root, "test"), f"\t{tweet}\t", "\t9.1779E+17\t", 1)
    with pytest.raises(DataError, match=r"img_test\.tsv, line 7: tweet_id is '9\.1779E\+17', not a whole number.*spreadsheet"):
        load_dataset("crisismmd", root=str(root))


def test_lines_of_another_encoding_are_named(root: Path) -> None:
    lines = tsv(root).read_bytes().split(b"\n")
    tsv(root).write_bytes(b"\n".join([*lines[:3], lines[3].replace(b"a", b"\xe9"), *lines[4:]]))
    with pytest.raises(
        DataError, match=r"img_train\.tsv, line 4 is not UTF-8: byte 0xe9; 1 lines.*mixes two\. Unpack the data split again"
    ):
        load_dataset("crisismmd", root=str(root))


def test_pictures_that_are_missing_or_damaged_are_named(root: Path) -> None:
    kept = table(root, "test").query("label not in @EXCLUDED")
    line, name = int(kept.index[1]) + 2, kept.iloc[1]["image"]
    picture = root / name
    picture.write_bytes(b"no picture")
    found = load_dataset("crisismmd", root=str(root))  # nothing is decoded
    with pytest.raises(MediaError, match=picture.name):
        load_image(found.test.payload("image", 1))
    assert not load_dataset("crisismmd", root=str(root), unreadable="missing").test.present("image")[1]
    picture.unlink()
    with pytest.raises(DataError, match=rf"img_test\.tsv, line {line}: image '{name}' is not in .*root="):
        load_dataset("crisismmd", root=str(root))


def test_pictures_of_excluded_rows_need_not_be_there(root: Path) -> None:
    for name in table(root, "train").query("label in @EXCLUDED")["image"]:
        (root / name).unlink()
    assert len(load_dataset("crisismmd", root=str(root)).train) == 24


AGREED = "crisismmd_datasplit_agreed_label"


@pytest.fixture
def agreed(root: Path) -> Path:
    """The form of the agreed-label split: its own folder and file names."""
    (root / FOLDER).rename(root / AGREED)
    for split in SIZES:
        (root / AGREED / f"task_humanitarian_text_img_{split}.tsv").rename(
            root / AGREED / f"task_humanitarian_text_img_agreed_lab_{split}.tsv"
        )
    return root


def test_the_agreed_label_set_has_its_own_files_and_merges_eight_labels_into_five(agreed: Path, whole: Path) -> None:
    merged = {
        "injured_or_dead_people": "affected_individuals",
        "missing_or_found_people": "affected_individuals",
        "vehicle_damage": "infrastructure_and_utility_damage",
    }
    data = load_dataset("crisismmd", root=str(agreed), labels="agreed")
    for split, found in (("train", data.train), ("dev", data.val), ("test", data.test)):
        expected = table(whole, split)
        assert [row["text"] for row in found] == expected["tweet_text"].tolist()
        assert [found.classes[i] for i in found.labels] == [merged.get(label, label) for label in expected["label"]]
    assert data.train.classes == tuple(sorted(set(LABELS) - set(merged)))
    assert "5 classes" in data.facts["source"]
    assert data.facts["excluded"] == "none"
    named = load_dataset("crisismmd-agreed", root=str(agreed))
    assert named.train.classes == data.train.classes
    assert len(named.train) == len(data.train)


def test_labels_of_the_agreed_set_are_excluded_by_their_merged_names(agreed: Path) -> None:
    found = load_dataset("crisismmd-agreed", root=str(agreed), exclude=["affected_individuals"])
    assert len(found.train) == 32 - 3 * SIZES["train"]
    with pytest.raises(ConfigError, match=r"'vehicle_damage', which no row has"):
        load_dataset("crisismmd-agreed", root=str(agreed), exclude=["vehicle_damage"])


def test_each_split_names_the_folder_that_it_needs(whole: Path, agreed: Path) -> None:
    with pytest.raises(
        DataError, match=r"agreed_label does not exist\. root= must be the folder that holds crisismmd_datasplit_agreed"
    ):
        load_dataset("crisismmd", root=str(whole), labels="agreed")
    with pytest.raises(DataError, match=r"crisismmd_datasplit_all does not exist"):
        load_dataset("crisismmd", root=str(agreed))
    path = agreed / AGREED / "task_humanitarian_text_img_agreed_lab_dev.tsv"
    path.write_bytes(path.read_bytes().replace(b"Positive", b"Positive\t", 1))
    with pytest.raises(DataError, match=r"agreed_lab_dev\.tsv, line 2 has 10 cells"):
        load_dataset("crisismmd", root=str(agreed), labels="agreed")


def test_the_published_counts_are_those_of_the_papers() -> None:
    assert dict(CrisisMMDAgreed.published) == {"train": 6126, "val": 998, "test": 955, "rows": 8079, "classes": 5}
    # What is published of all rows counts the excluded ones too.
    assert dict(CrisisMMD.published) == {"train, all labels": 13_608, "val, all labels": 2_237, "test, all labels": 2_237}


def test_both_keep_every_promise_of_a_data_set(whole: Path, agreed: Path) -> None:
    check_dataset(CrisisMMD(root=str(whole)))
    check_dataset(CrisisMMDAgreed(root=str(agreed)))
