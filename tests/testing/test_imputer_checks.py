"""The kit passes every imputer of ours, and each check fails for an imputer that breaks its promise, and for that one alone."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from broken import blames, failing
from pydantic import ConfigDict
from toys import ToyGenerator, picture

from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Failure, Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Features, Pool, Request
from gtimm.core.registry import registry
from gtimm.imputers.stable_diffusion import ASSETS
from gtimm.testing import CLASSES, check_imputer, sample_data
from gtimm.testing.imputer import imputer_checks

TINY = {"steps": 1, "per_class": 2, "batch_size": 3}
counter = itertools.count()


OURS: list[Any] = [
    "zero",
    "mean",
    "class-mean",
    "hot-deck",
    "retrieval",
    {"name": "retrieval", "average": True, "dtype": "float16"},
    {"name": "retrieval", "bank": {"name": "toy-generator", "per_class": 1}},
    {"name": "regression", "draws": 3},
    "toy-generator",
    {"name": "stable-diffusion-tiny", **TINY},
    {"name": "stable-diffusion-tiny", **TINY, "init": "real", "strength": 1.0},
    {"name": "stable-diffusion-tiny", **TINY, "prompts": "text"},
    {"name": "stable-diffusion", "model": str(ASSETS / "stable-diffusion-tiny"), "guidance": 1.0, **TINY},
    {"name": "speech", "per_class": 2, "batch_size": 3},
]


@pytest.mark.parametrize("spec", OURS, ids=lambda spec: spec if isinstance(spec, str) else spec["name"])
def test_every_imputer_of_ours_keeps_every_promise(spec: Any) -> None:
    imputer = registry("imputers").create(spec)
    check_imputer(imputer, None if imputer.source() is None else sample_data("image").data)


def test_what_fills_with_empty_payloads_and_with_files_keeps_every_promise(tmp_path: Path) -> None:
    from PIL import Image

    images = sample_data("image").data
    check_imputer(registry("imputers").create({"name": "zero", "level": "payload"}), images, "image")
    for name in CLASSES:
        (tmp_path / name).mkdir()
        Image.fromarray(picture(Request("image", name, 0, 1.0))).save(tmp_path / name / "0.png")
    check_imputer(registry("imputers").create({"name": "bank", "folder": str(tmp_path)}), images)


def test_audioldm2_keeps_every_promise(tmp_path: Path) -> None:
    from audio_models import save_audioldm2

    model = str(save_audioldm2(tmp_path / "model"))
    options = {"steps": 1, "seconds": 0.05, "per_class": 1, "batch_size": 2}
    check_imputer(registry("imputers").create({"name": "audioldm2", "model": model, **options}))


def test_every_imputer_of_ours_is_tried_here() -> None:
    ours = {name for name, entry in registry("imputers").view.items() if entry.distribution == "gtimm"}
    tried = {spec if isinstance(spec, str) else spec["name"] for spec in OURS} - {"toy-generator"}
    assert ours == tried | {"bank", "audioldm2"}  # which need files


class Honest(Imputer):
    """The mean of what is there."""

    info: ClassVar[Info] = Info(items="feature", licence="MIT")

    shift: float = 0.0

    def fit(self, train: Any, target: str) -> Any:
        there = train.features(target)[train.present(target)]
        return {
            "mean": (there.mean(0) if len(there) else np.zeros(train.dim(target))).astype(np.float32) + np.float32(self.shift)
        }

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.constant(Features(np.asarray(state["mean"])[None]), view.rows)


class Zeros(Imputer):
    info: ClassVar[Info] = Info(items="feature", licence="MIT")

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.constant(Features(np.zeros((1, view.dim(target)), np.float32)), view.rows)


class Touches(Zeros):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        for row in np.flatnonzero(view.present(target)):
            view.payload(target, int(row))[:] = 0.5
        return super().pool(view, target, state)


class Mutates(Honest):
    def fit(self, train: Any, target: str) -> Any:
        features = train.features(target)
        features[np.isnan(features)] = 0
        return {"mean": features.mean(0)}


class MutatesState(Honest):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        mean = state["mean"].copy()
        state["mean"] *= 0
        return Pool.constant(Features(mean[None]), view.rows)


class FollowsTheGlobalState(Honest):
    def fit(self, train: Any, target: str) -> Any:
        legacy: Any = np.random.get_state()
        return {"mean": np.full(train.dim(target), legacy[1][0] % 97, np.float32)}


class SeedsTheGlobalState(Honest):
    def fit(self, train: Any, target: str) -> Any:
        np.random.seed(7)
        return {"mean": np.random.normal(size=train.dim(target)).astype(np.float32)}


class DrawsFromThePython(Honest):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        random.random()
        return super().pool(view, target, state)


class LooksAtMates(Honest):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        mates = np.nan_to_num(view.features("signal")).mean()
        return Pool.constant(Features(state["mean"][None] + np.float32(mates)), view.rows)


class ReadsSealed(Honest):
    def fit(self, train: Any, target: str) -> Any:
        values = [value for value in train._data._payloads[target].values if value is not None]
        return {"mean": np.mean(values or [np.zeros(train.dim(target))], axis=0).astype(np.float32)}


class ReadsLabels(Honest):
    def fit(self, train: Any, target: str) -> Any:
        labels = train._data.labels.reshape(train.rows, -1)[:, 0]
        return {"mean": np.full(train.dim(target), (labels * np.arange(train.rows)).sum(), np.float32)}


MEMORY: dict[int, Any] = {}


class Remembers(Honest):
    def fit(self, train: Any, target: str) -> Any:
        MEMORY[id(self)] = (self, super().fit(train, target))
        return {}

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return super().pool(view, target, MEMORY[id(self)][1])


class KeepsText(Honest):
    def fit(self, train: Any, target: str) -> Any:
        return {**super().fit(train, target), "about": np.array(["mean"])}


class NamesByNumber(Zeros):
    def fit(self, train: Any, target: str) -> Any:
        return {3: np.zeros(2)}


class KeepsLists(Zeros):
    def fit(self, train: Any, target: str) -> Any:
        return {"mean": [0.0, 1.0]}


class NotInJson(Honest):
    model_config: ClassVar[Any] = {**Honest.model_config, "arbitrary_types_allowed": True}
    thing: object = object()


class NeedsSomeRow(Honest):
    def fit(self, train: Any, target: str) -> Any:
        return {"mean": train.features(target)[train.present(target)].mean(0)}


class NeedsRows(Honest):
    def fit(self, train: Any, target: str) -> Any:
        there = train.features(target)[train.present(target)]
        return {"mean": there.std(0, ddof=1) if len(there) else np.zeros(train.dim(target), np.float32)}


class Doubles(Honest):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return Pool.constant(Features(state["mean"][None].astype(np.float64)), view.rows)


class SaysRows(Honest):
    info: ClassVar[Info] = Info(items="row", licence="MIT")


class SaysLastBlock(Honest):
    info: ClassVar[Info] = Info(items="feature", depths=("pooled", "last_block"), licence="MIT")


class LosesOptions(Honest):
    def options(self) -> dict[str, Any]:
        return {}


class TakesAnything(Honest):
    model_config = ConfigDict(extra="ignore")


class Unlicensed(Honest):
    info: ClassVar[Info] = Info(items="feature", licence="")


class TooShort(Honest):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        rows = view.rows if view.present(target).any() or view.rows < 4 else view.rows - 1
        return Pool.constant(Features(state["mean"][None]), rows)


BROKEN = [
    (Touches(), "check_present_values_are_untouched", "payload 'vector' of row"),
    (Mutates(), "check_input_is_not_mutated", "features of 'vector' changed"),
    (MutatesState(), "check_input_is_not_mutated", "changed the state"),
    (FollowsTheGlobalState(), "check_same_seed_same_result", "Two states"),
    (SeedsTheGlobalState(), "check_global_randomness_is_left_alone", "global random generator"),
    (DrawsFromThePython(), "check_global_randomness_is_left_alone", "global random generator"),
    (LooksAtMates(), "check_no_dependence_on_batch_mates", "among 1 rows"),
    (ReadsSealed(), "check_sealed_payloads_are_never_read", "Sealed payloads of 'vector'"),
    (ReadsLabels(), "check_no_label_is_used_where_none_is_declared", "Labels went into"),
    (Remembers(), "check_state_survives_saving", ""),
    (KeepsText(), "check_state_survives_saving", "holds 'about'"),
    (NeedsSomeRow(), "check_any_missing_pattern", "the target is in no row: the state's 'mean' is not finite"),
    (TooShort(), "check_any_missing_pattern", "a pool for 11 rows; the data has 12"),
    (NeedsRows(), "check_single_row", "one row: the state's 'mean' is not finite"),
    (Doubles(), "check_candidates_fit_the_modality", "float64"),
    (SaysRows(), "check_item_type_is_as_declared", "holds 'feature'"),
    (SaysLastBlock(), "check_served_depths_can_be_served", "serves"),
    (NamesByNumber(), "check_state_survives_saving", "names an array by 3"),
    (KeepsLists(), "check_state_survives_saving", "'mean' of list"),
    (LosesOptions(shift=1.0), "check_options_round_trip", "became LosesOptions"),
    (NotInJson(), "check_options_round_trip", "serialize unknown type"),
    (TakesAnything(), "check_unknown_options_are_refused", "took an option"),
    (Unlicensed(), "check_licences_are_stated", "Nobody has stated the licence of the code"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("imputer", "name", "message"), BROKEN, ids=lambda value: type(value).__name__)
def test_a_broken_promise_is_found_and_no_other_is_blamed(imputer: Imputer, name: str, message: str) -> None:
    blames(imputer, name, message)


class Making(ToyGenerator):
    batch_size: int = 3


class Changes(Making):
    def fingerprint(self) -> str:
        return f"toy-{next(counter)}"


class MakesInThePlan(Making):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        self.open("cpu")
        return super().pool(view, target, state)


class SeedsByBudget(Making):
    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return ToyGenerator(per_class=self.per_class, seed=self.per_class).pool(view, target, state)


class FailsInSilence(Making):
    def open(self, device: str) -> Callable[..., list[Any]]:
        make = super().open(device)
        return lambda batch: [*make(batch)[:-1], Failure("")]


class OtherEachTime(Making):
    def open(self, device: str) -> Callable[..., list[Any]]:
        turn, make = next(counter), super().open(device)
        return lambda batch: [image + np.uint8(turn % 50) for image in make(batch)]


class HearsItsMates(Making):
    def open(self, device: str) -> Callable[..., list[Any]]:
        make = super().open(device)
        return lambda batch: [image + np.uint8(sum(r.seed % 40 for r in batch) % 99) for image in make(batch)]


GENERATORS = [
    (Changes(), "check_fingerprint_is_stable", "of an equal generator differs"),
    (MakesInThePlan(), "check_planning_makes_nothing", "opened the model"),
    (SeedsByBudget(), "check_budgets_nest", "per_class=2 is not the beginning"),
    (FailsInSilence(), "check_one_item_a_request", "failed without a reason"),
    (OtherEachTime(), "check_same_request_same_item", "two different items"),
    (HearsItsMates(), "check_items_ignore_their_batch_mates", "beside other requests"),
]


@pytest.mark.parametrize(("generator", "name", "message"), GENERATORS, ids=lambda value: type(value).__name__)
def test_a_broken_promise_of_a_generator_is_found_and_no_other_is_blamed(generator: Any, name: str, message: str) -> None:
    blames(generator, name, message)


def test_every_check_has_somebody_who_breaks_it() -> None:
    broken = {name for _, name, _ in [*BROKEN, *GENERATORS]}
    assert {check.__name__ for check in imputer_checks(Making())} == broken


def test_honest_ones_keep_every_promise() -> None:
    assert failing(Honest(shift=2.0)) == failing(Making()) == {}


def test_all_that_is_broken_is_said_at_once() -> None:
    with pytest.raises(AssertionError, match="breaks 2 of 16") as caught:
        check_imputer(SaysRows(), expected_failed_checks={"check_single_row": "it holds"})
    assert "check_item_type_is_as_declared: AssertionError" in str(caught.value)
    assert "check_single_row: AssertionError: It was expected to fail (it holds)" in str(caught.value)


def test_a_failure_that_is_expected_passes_and_its_name_must_be_a_check() -> None:
    check_imputer(SaysRows(), expected_failed_checks={"check_item_type_is_as_declared": "for the sake of this test"})
    with pytest.raises(ConfigError, match="Did you mean 'check_single_row'"):
        check_imputer(Honest(), expected_failed_checks={"check_single_rows": "misspelt"})


def test_data_of_ones_own_is_used() -> None:
    seen = []

    class Notes(Zeros):
        def pool(self, view: Any, target: str, state: Any) -> Pool:
            seen.append(target)
            return super().pool(view, target, state)

    check_imputer(Notes(), sample_data("image").data, "caption")
    assert set(seen) == {"caption"}
