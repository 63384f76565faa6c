"""Summaries count what is there and what is not; splits by group leak nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gtimm import Missing, MultimodalDataset
from gtimm.core.dataset import Splits
from gtimm.core.duplicates import find_duplicates
from gtimm.core.errors import ConfigError
from gtimm.core.summary import compare_published


def texts(count: int, **options: object) -> MultimodalDataset:
    random = np.random.default_rng(0)
    labels = random.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1]).tolist()
    return MultimodalDataset.from_arrays({"text": [f"text {i}" for i in range(count)]}, labels, **options)  # type: ignore[arg-type]


@pytest.fixture
def holes() -> MultimodalDataset:
    pixels = np.zeros((2, 2, 3), np.uint8)
    return MultimodalDataset.from_arrays(
        {"image": [pixels, None, pixels, None, pixels], "text": ["x", "y", None, None, "z"]},
        ["a", "a", "b", "b", "b"],
        name="five",
    )


def test_counts_agree_with_pandas(holes: MultimodalDataset) -> None:
    found = holes.with_missing(Missing({"text": 0.6}, allow_empty=True)).summary()
    data = holes.with_missing(Missing({"text": 0.6}, allow_empty=True))
    frame = pd.DataFrame({"class": [data.classes[i] for i in data.labels], **{m: ~data.present(m) for m in data.modalities}})  # type: ignore[union-attr]
    assert dict(found.classes) == frame["class"].value_counts().to_dict()
    assert dict(found.missing) == frame[["image", "text"]].sum().to_dict()
    assert found.sealed["text"] == 1
    by_class = frame.groupby("class")[["image", "text"]].sum()
    assert {label: dict(counts) for label, counts in found.missing_by_class.items()} == by_class.to_dict("index")
    assert sum(found.patterns.values()) == found.rows == 5


def test_patterns_are_named_by_what_is_there(holes: MultimodalDataset) -> None:
    assert holes.summary().patterns == {"image + text": 2, "image only": 1, "nothing": 1, "text only": 1}


def test_of_multilabel_data_a_row_counts_in_each_class() -> None:
    data = MultimodalDataset.from_arrays({"text": ["x", None, "z"]}, [["a", "b"], ["b"], []])
    found = data.summary()
    assert found.classes == {"a": 1, "b": 2}
    assert found.missing_by_class == {"a": {"text": 0}, "b": {"text": 1}}
    assert (found.without_class, found.to_dict()["without_class"]) == (1, 1)
    assert "classes: 2; 1.0 a row, 1 without any" in str(found)
    single = MultimodalDataset.from_arrays({"text": ["x", "y"]}, ["a", "b"]).summary()
    assert single.without_class is None
    assert "a row" not in str(single)


def test_data_without_labels_has_one_line(holes: MultimodalDataset) -> None:
    data = MultimodalDataset.from_arrays({"text": ["x", None]})
    assert data.summary().to_frame().to_dict("list") == {"class": [None], "rows": [2], "missing text": [1]}


def test_forms_say_the_same(holes: MultimodalDataset) -> None:
    found = holes.summary()
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["missing_by_class"]["b"] == {"image": 1, "text": 2}
    assert found.to_frame()["missing text"].tolist() == [0, 2]
    assert "five: 5 rows, 2 classes" in str(found)
    assert "class b: 3 (1 without image, 2 without text)" in str(found)


def test_a_summary_reads_nothing_unless_asked(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    data = MultimodalDataset.from_frame(pd.DataFrame({"p": ["a.png", "b.png"]}), {"image": "p"}, root=tmp_path)
    (tmp_path / "b.png").write_bytes(b"junk")
    assert data.summary().unreadable is None
    (damaged,) = data.summary(decode=True).unreadable or ()
    assert (damaged.modality, damaged.row) == ("image", 1)
    assert "b.png" in damaged.payload
    assert "b.png" in damaged.reason
    kept = MultimodalDataset.from_frame(
        pd.DataFrame({"p": ["a.png", "b.png"]}), {"image": "p"}, root=tmp_path, unreadable="missing"
    )
    (known,) = kept.summary().unreadable or ()
    assert (known.row, kept.summary().missing["image"]) == (1, 1)


def test_sealed_payloads_are_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"junk")
    data = MultimodalDataset.from_frame(pd.DataFrame({"p": ["a.png"]}), {"image": "p"}, root=tmp_path)
    assert data.with_missing(Missing({"image": 1.0}, allow_empty=True)).summary(decode=True).unreadable == ()


def test_duplicates_across_splits_are_found_by_content_alone(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2), ("c", 1), ("d", 3)):
        Image.new("RGB", (4, 4), (value, 0, 0)).save(tmp_path / f"{name}.png")
    frame = pd.DataFrame({"p": [f"{n}.png" for n in "abcd"], "t": ["one", "two", "three", "two"]})
    whole = MultimodalDataset.from_frame(frame, {"image": "p", "text": "t"}, root=tmp_path)
    splits = Splits(whole.subset([0, 1]), whole.subset([2]), whole.subset([3]))
    found = splits.summary()
    assert found.duplicates is not None
    assert {(d.modality, d.first, d.second, d.rows, d.examples) for d in found.duplicates} == {
        ("image", "train", "val", 1, (("row 0", "row 2"),)),
        ("text", "train", "test", 1, (("row 1", "row 3"),)),
    }
    assert "1 row of val has the image of a row of train" in str(found)
    assert splits.summary(duplicates=False).duplicates is None
    hidden = Splits(splits.train, splits.val.with_missing(Missing(image=1.0)), splits.test)
    assert [d.modality for d in hidden.summary().duplicates or ()] == ["text"]


def test_files_whose_size_no_other_split_has_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {}
    for split, size in (("train", 10), ("val", 20), ("test", 10)):
        (tmp_path / f"{split}.png").write_bytes(split[1].encode() * size)
        parts[split] = MultimodalDataset.from_arrays({"image": [str(tmp_path / f"{split}.png")]})
    read = []
    plain = MultimodalDataset.keys
    monkeypatch.setattr(MultimodalDataset, "keys", lambda self, m, rows: (read.append(self), plain(self, m, rows))[1])
    assert find_duplicates(parts) == []
    assert read == [parts["train"], parts["test"]]


def test_published_counts_are_compared_where_there_is_something_to_compare() -> None:
    splits = texts(100).split()
    published = {"train": 70, "val": 11, "rows": 100, "classes": 4, "clips with sound": 5}
    assert compare_published(published, splits.summary()) == {
        "train": (70, 70),
        "val": (11, 10),
        "rows": (100, 100),
        "classes": (4, 3),
        "clips with sound": (5, None),
    }
    found = compare_published(published, splits.summary(), {"clips with sound": 4, "train": 7})
    assert (found["clips with sound"], found["train"], found["val"]) == ((5, 4), (70, 7), (11, 10))


def test_splits_are_exact_stratified_and_seeded() -> None:
    data = texts(200)
    splits = data.split(val=0.1, test=0.2, seed=3)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [140, 20, 40]
    rows = [part.payload("text", row) for part in (splits.train, splits.val, splits.test) for row in range(len(part))]
    assert sorted(rows) == sorted(data.payload("text", row) for row in range(200))
    for part in (splits.val, splits.test):
        shares = np.bincount(part.labels, minlength=3) / len(part)  # type: ignore[arg-type]
        np.testing.assert_allclose(shares, np.bincount(data.labels) / 200, atol=1.01 / len(part))  # type: ignore[arg-type]
    again = data.split(val=0.1, test=0.2, seed=3)
    assert [again.test.payload("text", r) for r in range(40)] == [splits.test.payload("text", r) for r in range(40)]
    other = data.split(val=0.1, test=0.2, seed=4)
    assert [other.test.payload("text", r) for r in range(40)] != [splits.test.payload("text", r) for r in range(40)]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("stratify", [True, False])
def test_no_group_is_in_two_splits_and_shares_are_near(seed: int, stratify: bool) -> None:
    users = np.random.default_rng(seed).zipf(1.6, 2000) % 150
    splits = texts(2000, extra={"user": users}).split(0.1, 0.2, group="user", stratify=stratify, seed=seed)
    parts = [splits.train, splits.val, splits.test]
    groups = [set(part.extra["user"]) for part in parts]
    assert sum(map(len, groups)) == len(set(users.tolist()))
    largest = np.bincount(users).max() / 2000  # one group alone may be more than a split should hold
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert abs(len(part) / 2000 - share) < max(0.02, largest - share + 0.02)


def test_grouped_splits_keep_class_shares_and_follow_the_seed() -> None:
    data = texts(3000, extra={"user": np.arange(3000) // 10})
    splits = data.split(0.1, 0.2, group="user", seed=0)
    for part in (splits.val, splits.test):
        np.testing.assert_allclose(np.bincount(part.labels) / len(part), np.bincount(data.labels) / 3000, atol=0.02)  # type: ignore[arg-type]
    assert set(data.split(group="user", seed=1).test.extra["user"]) != set(data.split(group="user", seed=2).test.extra["user"])


def test_three_groups_make_three_splits() -> None:
    splits = texts(9, extra={"user": list("aaaaaaabc")}).split(group="user")
    assert sorted(len(part) for part in (splits.train, splits.val, splits.test)) == [1, 1, 7]


def test_what_cannot_be_split_is_named() -> None:
    data = texts(10, extra={"user": ["a", "b"] * 5, "half": ["a", None] * 5})
    for options, says in (
        ({"group": "usr"}, "Did you mean 'user'"),
        ({"group": "user"}, "2 groups"),
        ({"group": "half"}, "Row 1 has no 'half'"),
        ({"val": 0}, "val= is a share"),
        ({"test": "x"}, "test= is a share"),
        ({"val": 0.5, "test": 0.5}, "leave no rows"),
        ({"seed": -1}, "seed="),
    ):
        with pytest.raises(ConfigError, match=says):
            data.split(**options)  # type: ignore[arg-type]
    unlabelled = MultimodalDataset.from_arrays({"text": list("abcdefghij")})
    with pytest.raises(ConfigError, match="stratify=False"):
        unlabelled.split()
    assert len(unlabelled.split(stratify=False).test) == 2
    with pytest.raises(ConfigError, match="too few"):
        texts(4).split()
