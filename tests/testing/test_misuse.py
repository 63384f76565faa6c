"""A kit that is used wrongly says so: a check that tried nothing would be taken for a promise that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from toys import ToyBackbone

from gtimm import MultimodalDataset
from gtimm.balance.ogm_ge import OgmGe
from gtimm.core.errors import ConfigError, IncompatibleError
from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool
from gtimm.data.digits import Digits
from gtimm.engines.local import LocalEngine
from gtimm.fusion.late import LateFusion
from gtimm.fusion.score import ScoreFusion
from gtimm.imputers.fill import MeanFill
from gtimm.imputers.stable_diffusion import StableDiffusionTiny
from gtimm.prompts.label import LabelPrompts
from gtimm.prompts.text import TextPrompts
from gtimm.testing import (
    check_backbone,
    check_balance,
    check_dataset,
    check_engine,
    check_fusion,
    check_imputer,
    check_prompts,
    parametrize_with_checks,
    sample_data,
)

KINDS: list[tuple[Callable[..., None], Any]] = [
    (check_imputer, MeanFill),
    (check_backbone, ToyBackbone),
    (check_fusion, LateFusion),
    (check_prompts, LabelPrompts),
    (check_dataset, Digits),
    (check_balance, OgmGe),
    (check_engine, LocalEngine),
]


@pytest.mark.parametrize(("check", "cls"), KINDS)
def test_a_class_is_no_instance(check: Callable[..., None], cls: Any) -> None:
    with pytest.raises(ConfigError, match=rf"instance, such as {cls.__name__}\(\); found the class"):
        check(cls)


@pytest.mark.parametrize("check", [check for check, _ in KINDS])
@pytest.mark.parametrize("wrong", ["mean", None, 3])
def test_a_name_is_no_instance(check: Callable[..., None], wrong: Any) -> None:
    with pytest.raises(ConfigError, match="Checks of this kind take an instance of"):
        check(wrong)


def test_a_strategy_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="an instance of Imputer; found LateFusion"):
        check_imputer(LateFusion())  # type: ignore[arg-type]


def rows(count: int = 12, holes: int = 0, labels: bool = True) -> MultimodalDataset:
    vectors = [None if row < holes else np.full(3, row, np.float32) for row in range(count)]
    return MultimodalDataset.from_arrays({"vector": vectors}, ["a", "b"] * (count // 2) if labels else None)


@pytest.mark.parametrize(
    ("data", "target", "message"),
    [
        (rows(labels=False), None, "has no labels"),
        (rows(10), None, "has 10 rows; strategies are tried on 12 or more"),
        (rows(holes=1), None, "has no 'vector' in row 0"),
        (rows(), "picture", r"the data has vector \(vector\), target='picture'"),
    ],
)
def test_data_that_nothing_can_be_tried_on_is_refused(data: MultimodalDataset, target: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_imputer(MeanFill(), data, target)


def test_data_of_other_kinds_is_refused() -> None:
    with pytest.raises(ConfigError, match="StableDiffusionTiny fills image; the data has vector"):
        check_imputer(StableDiffusionTiny(), rows())
    with pytest.raises(ConfigError, match="fills image"):
        check_imputer(StableDiffusionTiny(), sample_data("image").data, "caption")
    with pytest.raises(ConfigError, match="has no labels"):
        check_prompts(TextPrompts(), data=rows(labels=False))


def test_nothing_or_one_payload_proves_nothing() -> None:
    vector = np.ones(4, np.float32)
    with pytest.raises(ConfigError, match="nothing to try the backbone on"):
        check_backbone(ToyBackbone(), {})
    with pytest.raises(ConfigError, match="two or more different payloads of a kind; of 'vector' there are 1"):
        check_backbone(ToyBackbone(), {"vector": [vector]})
    with pytest.raises(IncompatibleError, match="cannot embed 'video'"):
        check_backbone(ToyBackbone(), {"video": ["a.mp4", "b.mp4"]})


def test_no_modality_and_one_class_prove_nothing() -> None:
    for sizes, classes in (({}, 3), ({"a": 2}, 1)):
        with pytest.raises(ConfigError, match="one modality or more, and two classes or more"):
            check_fusion(ScoreFusion(), sizes, classes)
    for names in ("cat", ["cat"], []):
        with pytest.raises(ConfigError, match="two or more names"):
            check_prompts(LabelPrompts(), names)


@pytest.mark.parametrize(
    ("strategy", "given", "message"),
    [
        (MeanFill(), {"payloads": {}}, "MeanFill is not tried with 'payloads', but with data, target"),
        (ToyBackbone(), {"data": rows()}, "not tried with 'data', but with payloads"),
        (Digits(), {"root": "here"}, "not tried with 'root', but with itself alone"),
    ],
)
def test_what_a_kind_is_not_tried_with_is_refused(strategy: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parametrize_with_checks([strategy], **given)


def test_one_strategy_is_no_list() -> None:
    with pytest.raises(ConfigError, match="needs a list of at least one strategy"):
        parametrize_with_checks(MeanFill())  # type: ignore[arg-type]


@pytest.mark.parametrize("expected", [["check_single_row"], "check_single_row"])
def test_expected_failures_have_reasons(expected: Any) -> None:
    with pytest.raises(ConfigError, match="gives the reason for each name"):
        check_imputer(MeanFill(), expected_failed_checks=expected)
    with pytest.raises(ConfigError, match="gives the reason for each name"):
        parametrize_with_checks([MeanFill()], expected_failed_checks=expected)


class Fill(Imputer):
    info: ClassVar[Info] = Info(licence="MIT")

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.constant(Features(np.zeros((1, view.dim(target)), np.float32)), view.rows)


class NoPool(Fill):
    def pool(self, view: Any, target: str, state: Any) -> Any:
        return np.zeros((40, 50))


class Letters(Fill):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.constant(Features(np.array([["a", "b"]])), view.rows)  # type: ignore[arg-type]


class NoState(Fill):
    def fit(self, train: Any, target: str) -> Any:
        return None


class Ends(Fill):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        raise SystemExit(5)


@pytest.mark.parametrize(
    ("imputer", "message"),
    [
        (NoPool(), r"pool\(\) returned an ndarray of float64, shape \(40, 50\); it must be a Pool"),
        (Letters(), "features must be an array of numbers; found <U1"),
        (NoState(), r"fit\(\) returned None; it must be a dictionary of arrays"),
        (Ends(), "check_present_values_are_untouched: SystemExit: 5"),
    ],
)
def test_what_breaks_nearly_all_says_why(imputer: Imputer, message: str) -> None:
    with pytest.raises(AssertionError, match=message) as caught:
        check_imputer(imputer)
    assert str(caught.value).count("check_single_row") == 1
    assert "The same kept these from being tried: " in str(caught.value)
    assert len(str(caught.value)) < 1500


class Unlabelled(Fill):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.rows(np.flatnonzero(view.labels >= 0), view.labels, view.labels, len(view.classes))


class Asserts(Fill):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        assert view.labels is not None
        return super().pool(view, target, state)


@pytest.mark.parametrize("imputer", [Unlabelled(), Asserts()])
def test_labels_that_are_none_are_explained(imputer: Imputer) -> None:
    with pytest.raises(AssertionError, match=r"breaks 1 of 16 promises; 11 could not be tried\.") as caught:
        check_imputer(imputer)
    assert str(caught.value).count("they are None unless info says needs_label=True") == 1
    checks = dict(case.values[1:] and (case.id, case.values[1]) for case in parametrize_with_checks([imputer]).args[1])
    with pytest.raises((TypeError, AssertionError)) as alone:
        next(check for name, check in checks.items() if name.endswith("single_row"))(imputer)
    assert "needs_label=True" in alone.value.__notes__[0]


class NoHead(ScoreFusion):
    info: ClassVar[Info] = Info(licence="MIT")

    def build(self, sizes: dict[str, int], classes: int, encoder: Any = None) -> Any:
        return None


def test_what_is_no_head_is_told_once() -> None:
    with pytest.raises(AssertionError, match=r"build\(\) returned None; it must be a Head") as caught:
        check_fusion(NoHead())
    assert str(caught.value).count("returned None") == 1


def test_a_failure_with_several_modalities_alone_can_be_expected() -> None:
    class ScoresPairs(ScoreFusion):
        info: ClassVar[Info] = Info(licence="MIT")

        def build(self, sizes: dict[str, int], classes: int, encoder: Any = None) -> Any:
            head = super().build(sizes, classes, encoder)
            if len(sizes) > 1:
                head.forward = lambda x, filled, observed: type(head).forward(head, x, filled, observed).float()
            return head

    check_fusion(ScoresPairs(), expected_failed_checks={"check_logits_keep_dtype_and_device": "it is single precision"})


class Careless(MeanFill):
    """Takes its training data to be whole."""

    def fit(self, train: Any, target: str) -> Any:
        return {"mean": train.features("no such modality")}


def test_an_error_in_a_strategy_is_told_with_its_line() -> None:
    with pytest.raises(AssertionError, match=r"test_misuse\.py, line \d+: return \{\"mean\": train\.features"):
        check_imputer(Careless())
