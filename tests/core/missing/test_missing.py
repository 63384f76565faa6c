"""Simulated missingness is exact, nested, proportional where asked, and never leaves a row with nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gtimm.core.errors import GtimmError, MissingnessError
from gtimm.core.missing import Missing


@dataclass
class Table:
    """What `Missing` needs of a data set."""

    there: dict[str, np.ndarray]
    labels: Any = None

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.there)

    def __len__(self) -> int:
        return len(next(iter(self.there.values())))

    def present(self, modality: str) -> np.ndarray:
        return self.there[modality]

    def kind(self, modality: str) -> str:
        return "vector"


def full(rows: int, modalities: str = "ab", labels: Any = None) -> Table:
    return Table({m: np.ones(rows, bool) for m in modalities}, labels)


def left(table: Table, masks: dict[str, np.ndarray]) -> np.ndarray:
    """How many modalities each row keeps."""
    return sum(table.there[m] & ~masks.get(m, False) for m in table.modalities)


ratios = st.floats(0, 1, allow_nan=False)
seeds = st.integers(0, 2**32)


@st.composite
def holed(draw: st.DrawFn, modalities: str = "ab") -> Table:
    """A table with natural holes, in which no row has nothing."""
    rows = draw(st.integers(1, 40))
    there = {m: np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows))) for m in modalities}
    empty = ~np.logical_or.reduce(list(there.values()))
    there[modalities[0]] = there[modalities[0]] | empty
    return Table(there)


@given(holed(), ratios, seeds)
def test_count_is_round_of_ratio_with_natural_holes_included(table: Table, p: float, seed: int) -> None:
    try:
        mask = Missing(a=p).masks(table, seed)["a"]
    except MissingnessError:
        holes = (~table.there["a"]).sum()
        assert round(p * len(table)) < holes or round(p * len(table)) > holes + (table.there["a"] & table.there["b"]).sum()
        return
    assert (mask | ~table.there["a"]).sum() == round(p * len(table))
    assert not (mask & ~table.there["a"]).any()


@given(st.lists(st.sampled_from("abcxxxxx"), min_size=1, max_size=40), st.tuples(*[st.floats(0, 0.6)] * 3), seeds)
def test_no_row_loses_everything(absent: list[str], more: tuple[float, ...], seed: int) -> None:
    table = Table({m: np.array([m != one for one in absent]) for m in "abc"})
    wanted = {m: min(1.0, absent.count(m) / len(absent) + extra) for m, extra in zip("abc", more, strict=True)}
    try:
        masks = Missing(wanted).masks(table, seed)
    except MissingnessError:
        assert sum(wanted.values()) > 1
        return
    assert (left(table, masks) > 0).all()
    for m, ratio in wanted.items():
        assert (masks[m] | ~table.there[m]).sum() == round(ratio * len(table))


@given(st.integers(1, 60), ratios, ratios, ratios, ratios, seeds, st.booleans())
def test_masks_of_two_modalities_nest_jointly(
    rows: int, p: float, q: float, more_p: float, more_q: float, seed: int, stratify: bool
) -> None:
    table = full(rows, labels=np.arange(rows) % 3)
    small, large = (min(p, more_p), min(q, more_q)), (max(p, more_p), max(q, more_q))
    assume(round(large[0] * rows) + round(large[1] * rows) <= rows)
    less = Missing(a=small[0], b=small[1], stratify=stratify).masks(table, seed)
    more = Missing(a=large[0], b=large[1], stratify=stratify).masks(table, seed)
    assert not (less["a"] & ~more["a"]).any()
    assert not (less["b"] & ~more["b"]).any()
    assert not (more["a"] & more["b"]).any()


@given(holed(), ratios, ratios, seeds)
def test_masks_nest_around_natural_holes(table: Table, p: float, q: float, seed: int) -> None:
    try:
        less, more = (Missing(a=x).masks(table, seed)["a"] for x in sorted((p, q)))
    except MissingnessError:
        assume(False)
    assert not (less & ~more).any()


@given(st.integers(1, 12), st.integers(1, 8), ratios, seeds)
def test_stratify_keeps_equal_classes_within_one_row_of_the_ratio(size: int, classes: int, p: float, seed: int) -> None:
    labels = np.repeat(np.arange(classes), size)
    mask = Missing(a=p, stratify=True).masks(full(len(labels), labels=labels), seed)["a"]
    counts = np.bincount(labels[mask], minlength=classes)
    assert counts.max() - counts.min() <= 1
    assert np.abs(counts - p * size).max() <= 1 + 1e-9


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), ratios, seeds)
def test_stratify_takes_every_class_by_one_common_share(sizes: list[int], p: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    mask = Missing(a=p, stratify=True).masks(full(len(labels), labels=labels), seed)["a"]
    counts, whole = np.bincount(labels[mask], minlength=len(sizes)), np.array(sizes)
    assert counts.sum() == round(p * len(labels))
    assert ((counts - 1) / whole).max() <= ((counts + 1) / whole).min() + 1e-12


def test_uniform_masks_are_not_stratified() -> None:
    labels = np.repeat(np.arange(20), 5)
    counts = [np.bincount(labels[Missing(a=0.5).masks(full(100, labels=labels), seed)["a"]], minlength=20) for seed in range(5)]
    assert max(c.max() - c.min() for c in counts) > 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=50), ratios, seeds)
def test_on_label_takes_whole_classes_in_one_order(labels: list[int], p: float, seed: int) -> None:
    table = full(len(labels), labels=np.array(labels))
    mask = Missing(a=p, on="label").masks(table, seed)["a"]
    shares = [mask[np.array(labels) == c].mean() for c in set(labels)]
    assert sum(0 < share < 1 for share in shares) <= 1
    assert mask.sum() == round(p * len(labels))


def test_class_order_depends_on_the_seed() -> None:
    labels = np.repeat(np.arange(10), 3)
    first = {int(labels[Missing(a=0.1, on="label").masks(full(30, labels=labels), s)["a"]][0]) for s in range(20)}
    assert len(first) > 3


def test_same_seed_gives_the_same_mask_and_another_seed_another() -> None:
    table = full(50)
    one, again, other = (Missing(a=0.5).masks(table, seed)["a"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_own_seed_goes_before_the_one_handed_in() -> None:
    table = full(50)
    np.testing.assert_array_equal(Missing(a=0.5, seed=7).masks(table, 1)["a"], Missing(a=0.5).masks(table, 7)["a"])


def test_three_modalities_have_orders_of_their_own() -> None:
    masks = Missing(a=0.4, b=0.4, c=0.4).masks(full(200, "abc"), 0)
    assert (masks["a"] != masks["b"]).any()
    assert (masks["b"] != masks["c"]).any()


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    Missing(a=0.5).masks(full(20), 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_all_rows_may_lose_one_modality() -> None:
    assert Missing(a=1).masks(full(7), 0)["a"].all()


def test_a_single_modality_may_vanish_where_rows_have_no_other() -> None:
    assert Missing(a=0.5).masks(full(10, "a"), 0)["a"].sum() == 5


def test_allow_empty_lets_rows_lose_everything() -> None:
    masks = Missing(a=1.0, b=0.5, allow_empty=True).masks(full(10), 0)
    assert masks["a"].all()
    assert masks["b"].sum() == 5


@pytest.mark.parametrize("ratio", [-0.01, 1.01, 95, float("nan"), True, "half", None])
def test_ratio_outside_0_to_1_is_refused(ratio: Any) -> None:
    with pytest.raises(MissingnessError, match=r"must be a number in 0\.\.1"):
        Missing(image=ratio)


def test_unknown_modality_suggests_the_nearest() -> None:
    with pytest.raises(MissingnessError, match="Did you mean 'image'"):
        Missing(imgae=0.5).masks(Table({"image": np.ones(3, bool), "text": np.ones(3, bool)}))


def test_ratios_that_would_empty_rows_are_refused() -> None:
    with pytest.raises(MissingnessError, match="allow_empty=True"):
        Missing(a=0.6, b=0.6).masks(full(10), 0)


def test_ratio_below_the_natural_holes_is_refused() -> None:
    table = full(10)
    table.there["a"][:4] = False
    with pytest.raises(MissingnessError, match="already has 4"):
        Missing(a=0.3).masks(table, 0)
    assert not Missing(a=0.4).masks(table, 0)["a"].any()


@pytest.mark.parametrize("options", [{"stratify": True}, {"on": "label"}])
def test_class_mechanisms_need_labels(options: dict[str, Any]) -> None:
    with pytest.raises(MissingnessError, match="need labels"):
        Missing(a=0.5, **options).masks(full(4), 0)


def test_contradicting_mechanisms_are_refused() -> None:
    with pytest.raises(MissingnessError, match="choose one"):
        Missing(a=0.5, stratify=True, on="label")
    with pytest.raises(MissingnessError, match="neither 'label', nor another column"):
        Missing(a=0.5, on="text").masks(full(4), 0)


def test_names_that_are_no_identifiers_go_in_a_mapping() -> None:
    assert Missing({"my modality": 0.5}).masks(Table({"my modality": np.ones(4, bool)}))["my modality"].sum() == 2


def test_configuration_form_reads_back() -> None:
    missing = Missing(image=0.5, audio=0.25, stratify=True, seed=3)
    assert Missing.of(missing.to_config()) == missing
    assert Missing.of(None) == Missing()
    assert Missing.of(missing) is missing


def test_a_bare_number_says_that_modalities_must_be_named() -> None:
    with pytest.raises(GtimmError, match="name its modalities"):
        Missing.of(0.95)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "mechanism"),
    [(Missing(a=0.1), "random"), (Missing(a=0.1, stratify=True), "stratified"), (Missing(a=0.1, on="label"), "classes")],
)
def test_mechanism_is_named(missing: Missing, mechanism: str) -> None:
    assert missing.mechanism == mechanism
