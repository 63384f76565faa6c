"""Missing by what a row holds: another column, another modality, or the very value that vanishes; and by patterns."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtimm import Missing, MultimodalDataset
from gtimm.core.config import RunConfig
from gtimm.core.errors import ConfigError, MissingnessError
from gtimm.core.missing import mechanisms
from gtimm.core.missing.patterns import shares_missing

ROWS = 40


def album(rows: int = ROWS) -> MultimodalDataset:
    """Images that grow brighter, sounds that grow louder and shorter, texts that grow longer, ages in no order."""
    return MultimodalDataset.from_arrays(
        {
            "image": [np.full((4, 4, 3), 5 * row, np.uint8) for row in range(rows)],
            "audio": [(np.full((1, 400 - 5 * row), (row + 1) / 100, np.float32), 8000) for row in range(rows)],
            "text": ["x" * (row + 1) for row in range(rows)],
        },
        [row % 4 for row in range(rows)],
        extra={"age": [(7 * row) % rows for row in range(rows)], "land": ["abc"[row % 3] for row in range(rows)]},
    )


def gone(missing: Missing, data: MultimodalDataset | None = None, modality: str = "image", seed: int = 0) -> list[int]:
    return np.flatnonzero(missing.masks(data or album(), seed)[modality]).tolist()


@pytest.mark.parametrize(
    ("on", "rows"),
    [
        ("image.brightness", range(30, 40)),
        ("-image.brightness", range(10)),
        ("text.length", range(30, 40)),
        ("audio.loudness", range(30, 40)),
        ("audio.length", range(10)),
        ("age", sorted(range(40), key=lambda r: -((7 * r) % 40))[:10]),
        (np.arange(40) % 10 * 10 + np.arange(40) // 10, [8, 9, 18, 19, 28, 29, 38, 39, 37, 27]),
        (lambda data: -np.arange(len(data)), range(10)),
    ],
)
def test_the_rows_with_the_largest_values_go_first(on: Any, rows: Any) -> None:
    assert gone(Missing(image=0.25, on=on)) == sorted(rows)


def test_payloads_are_read_by_several_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    busy: set[int] = set()
    most: list[int] = []

    def measure(payload: Any) -> float:
        busy.add(threading.get_ident())
        most.append(len(busy))
        time.sleep(0.005)
        busy.discard(threading.get_ident())
        return float(payload[0, 0, 0])

    monkeypatch.setitem(mechanisms.PROPERTIES["image"], "brightness", measure)
    assert gone(Missing(image=0.25, on="image.brightness")) == list(range(30, 40))
    assert len(most) == ROWS
    assert max(most) > 1


def test_words_take_whole_groups() -> None:
    rows = gone(Missing(image=14 / 40, on="land"))
    lands = {row % 3 for row in rows}
    assert len(rows) == 14
    assert len(lands) == 1


@pytest.mark.parametrize("on", ["image.brightness", "age", "land", "label"])
@given(p=st.floats(0, 1), q=st.floats(0, 1), seed=st.integers(0, 9), strength=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_masks_are_exact_and_nest_whatever_decides(on: str, p: float, q: float, seed: int, strength: float) -> None:
    small, large = sorted((p, q))
    few = gone(Missing(image=small, on=on, strength=strength), ALBUM, seed=seed)
    many = gone(Missing(image=large, on=on, strength=strength), ALBUM, seed=seed)
    assert (len(few), len(many)) == (round(small * ROWS), round(large * ROWS))
    assert set(few) <= set(many)


ALBUM = album()


def test_strength_goes_from_chance_to_the_value_alone() -> None:
    data = album(2000 // 50)
    overlap = [
        len(set(gone(Missing(image=0.25, on="age", strength=s))) & set(gone(Missing(image=0.25, on="age")))) for s in (0, 0.5, 1)
    ]
    assert overlap[0] < overlap[1] < overlap[2] == 10
    assert gone(Missing(image=0.25, on="age", strength=0), data, seed=1) != gone(Missing(image=0.25, on="age", strength=0), data)


def test_only_what_decides_is_read_and_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data, read = album(), []
    payload = MultimodalDataset.payload

    def spy(self: MultimodalDataset, modality: str, row: int) -> Any:
        read.append(modality)
        return payload(self, modality, row)

    monkeypatch.setattr(MultimodalDataset, "payload", spy)
    for p in (0.2, 0.4):
        data.with_missing(Missing(image=p, on="text.length"))
    assert read == ["text"] * ROWS


def test_rows_without_the_deciding_value_go_last() -> None:
    texts = [None if row < 20 else "x" * row for row in range(40)]
    data = MultimodalDataset.from_arrays({"image": [np.zeros((2, 2, 3), np.uint8)] * 40, "text": texts}, [0] * 40)
    assert gone(Missing(image=0.5, on="text.length"), data) == list(range(20, 40))
    assert gone(Missing(image=0.5, on="-text.length"), data) == list(range(20, 40))


@pytest.mark.parametrize(
    ("on", "mechanism"),
    [("image.brightness", "mnar"), ("text.length", "mar"), ("age", "mar"), (np.zeros(4), "mar"), ("label", "classes")],
)
def test_the_mechanism_has_its_usual_name(on: Any, mechanism: str) -> None:
    assert Missing(image=0.5, on=on).mechanism == mechanism


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "agee"}, "Did you mean 'age'"),
        ({"on": "image.brightnes"}, "Did you mean 'brightness'"),
        ({"on": "text.loudness"}, "'text' is text, which has no property 'loudness'"),
        ({"on": [1.0, 2.0]}, "each of the 40 rows"),
        ({"on": [float("nan")] + [0.0] * 39}, "no value in row 0"),
        ({"on": [0.0, float("inf")] + [0.0] * 38}, "not finite in row 1"),
    ],
)
def test_what_cannot_decide_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingnessError, match=message):
        Missing(image=0.5, **options).masks(album(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": "abc"}, "seed= must be a whole number"),
        ({"stratify": "yes"}, "stratify= must be True or False"),
        ({"strength": 2}, "strength= must be a number in 0..1"),
        ({"on": 3}, "on= must be"),
        ({"stratfy": True}, "Did you mean 'stratify'"),
        ({"patterns": {"image": 1.0}}, "leave ratios and on= out"),
    ],
)
def test_options_of_a_wrong_type_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MissingnessError, match=message):
        Missing.of({"image": 0.5, **options})
    with pytest.raises(MissingnessError, match="by modality"):
        Missing(0.5)  # type: ignore[arg-type]


def test_columns_of_a_table_decide_and_what_no_file_can_hold_is_said() -> None:
    frame = pd.DataFrame(
        {"text": ["a", "b", "c", "d"], "kind": ["x", "y"] * 2, "age": [3, 9, 1, 7], "vector": [[1.0], [2.0]] * 2}
    )
    data = MultimodalDataset.from_frame(frame, {"text": "text", "vector": "vector"}, "kind")
    assert gone(Missing(text=0.5, on="age"), data, "text") == [1, 3]
    assert gone(Missing(text=0.5, on="age"), data.subset([3, 2, 1, 0]), "text") == [0, 2]
    missing = Missing(text=0.5, on="-age", strength=0.5)
    assert Missing.of(missing.to_config()) == missing
    with pytest.raises(ConfigError, match="a column of the"):
        Missing(text=0.5, on=lambda data: data).to_config()
    assert RunConfig.of({"data": "digits", "missing": {"patterns": {"image": 0.5, "audio+image": 0.5}}}).missing


# Patterns

SHARES = {"audio+image": 0.35, "image": 0.35, "audio": 0.3}


def kept(data: MultimodalDataset) -> list[str]:
    present = {m: data.present(m) for m in data.modalities}
    return ["+".join(sorted(m for m in present if present[m][row])) for row in range(len(data))]


def pairs(rows: int, absent: Any = (), labels: Any = None) -> MultimodalDataset:
    images = [None if (row, "image") in absent else np.zeros((2, 2, 3), np.uint8) for row in range(rows)]
    sounds = [None if (row, "audio") in absent else (np.zeros((1, 9), np.float32), 9) for row in range(rows)]
    return MultimodalDataset.from_arrays({"image": images, "audio": sounds}, labels if labels is not None else [0] * rows)


def test_patterns_have_their_shares_exactly() -> None:
    found = kept(pairs(200).with_missing(Missing(patterns={("image", "audio"): 0.35, ("image",): 0.35, "audio": 0.30})))
    assert {p: found.count(p) for p in SHARES} == {"audio+image": 70, "image": 70, "audio": 60}


@given(weights=st.lists(st.integers(0, 9), min_size=7, max_size=7).filter(any), rows=st.integers(1, 60), seed=st.integers(0, 5))
@settings(deadline=None)
def test_counts_are_the_shares_to_one_row_for_any_patterns(weights: list[int], rows: int, seed: int) -> None:
    names = ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    shares = {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}
    data = MultimodalDataset.from_arrays({m: [[1.0]] * rows for m in "abc"}, [0] * rows, kinds=dict.fromkeys("abc", "vector"))
    found = kept(data.with_missing(Missing(patterns=shares), seed))
    assert len(found) == rows
    assert all(abs(found.count(name) - share * rows) < 1 for name, share in shares.items())


@given(holes=st.sets(st.tuples(st.integers(0, 19), st.sampled_from(["image", "audio"])), max_size=12), seed=st.integers(0, 5))
@settings(deadline=None)
def test_rows_with_holes_take_patterns_that_they_can_still_have(holes: set[tuple[int, str]], seed: int) -> None:
    data = pairs(20, {hole for hole in holes if (hole[0], "audio" if hole[1] == "image" else "image") not in holes})
    lacking = {m: int((~data.present(m)).sum()) for m in data.modalities}
    missing = Missing(patterns={"image": 0.35, "audio": 0.3, "image+audio": 0.35})
    if lacking["image"] > 6 or lacking["audio"] > 7:
        with pytest.raises(MissingnessError, match="Lower its share"):
            data.with_missing(missing, seed)
        return
    found = kept(data.with_missing(missing, seed))
    assert {p: found.count(p) for p in SHARES} == {"audio+image": 7, "image": 7, "audio": 6}


def test_patterns_can_keep_classes_in_proportion_and_follow_the_seed() -> None:
    data = pairs(200, labels=[row % 2 for row in range(200)])
    assert data.labels is not None
    found = np.array(kept(data.with_missing(Missing(patterns=SHARES, stratify=True))))
    assert all(abs(data.labels[found == p].mean() - 0.5) < 0.02 for p in SHARES)
    assert kept(data.with_missing(Missing(patterns=SHARES), 1)) == kept(data.with_missing(Missing(patterns=SHARES), 1))
    assert kept(data.with_missing(Missing(patterns=SHARES), 1)) != kept(data.with_missing(Missing(patterns=SHARES), 2))


def test_patterns_say_what_they_are() -> None:
    missing = Missing(patterns=SHARES)
    assert missing.mechanism == "patterns"
    assert missing.shares == shares_missing(SHARES) == {"audio": 0.35, "image": 0.3}
    assert Missing.of(missing.to_config()) == missing
    empty = pairs(10).with_missing(Missing(patterns={"none": 0.2, "image+audio": 0.8}, allow_empty=True))
    assert kept(empty).count("") == 2


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"image": 0.5}, "sum to 0.5"),
        ({"image": 0.5, "imag": 0.5}, "Did you mean 'image'"),
        ({"image+audio": 0.5, "audio+image": 0.5}, "twice"),
        ({"image": 1.5, "audio": -0.5}, "number in 0..1"),
        ([0.5, 0.5], "maps what a row keeps"),
        ({"none": 0.5, "image": 0.5}, "allow_empty=True"),
    ],
)
def test_wrong_patterns_are_named(patterns: Any, message: str) -> None:
    with pytest.raises(MissingnessError, match=message):
        Missing(patterns=patterns).masks(pairs(10), 0)
