"""What the paper leaves open: each choice changes just what it says, in every Pipeline that it concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import pictures

from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError
from gtimm.experiments.reproduction.choices import Choices, absolute
from gtimm.experiments.reproduction.reproduce import Reproduction

TOYS: dict[str, Any] = {"backbone": {"name": "toy"}, "generator": {"name": "toy-generator"}}


def work(preset: str = "ucf101", **choices: Any) -> Reproduction:
    return Reproduction.of([], preset, choices={**TOYS, **choices})


def config(made: Reproduction, name: str, p: float = 50, q: float = 0) -> dict[str, Any]:
    """The configuration of a method's first Pipeline, on toys whose other modality stands for sound."""
    grid = made.grid(Splits(pictures(), pictures(), pictures()), "image")
    job = grid.plan([made.bench.setting(name, p, q)])[0]
    found = job.pipes[0].config()
    found["val"] = job.pipes[0].prepare(job.trains[0], grid.data.val if grid.choose else None).val is not None
    return found


BLACK = {"name": "zero", "level": "payload"}


def test_zero_is_of_embeddings_unless_payloads_are_chosen_in_training_and_at_test() -> None:
    plain, black = config(work(), "zero-fill"), config(work(zero="payload"), "zero-fill")
    assert (plain["imputer"]["image"], plain["eval_imputer"]) == ({"name": "zero"}, {"name": "zero"})
    assert (black["imputer"]["image"], black["eval_imputer"]) == (BLACK, BLACK)
    assert config(work(zero="payload"), "gti-mm")["eval_imputer"] == BLACK


def test_the_head_is_linear_unless_another_is_chosen_within_dropout_too() -> None:
    wide = {"name": "late", "hidden": 7}
    assert config(work(), "gti-mm")["fusion"] == {"name": "late"}
    assert config(work(fusion={"hidden": 7}), "gti-mm")["fusion"] == wide
    assert config(work(fusion={"hidden": 7}), "gti-mm-dropout", q=70)["fusion"]["base"] == wide
    assert config(work(fusion={"name": "score"}), "zero-fill")["fusion"] == {"name": "score"}


def test_the_last_epoch_is_kept_where_validation_is_not_to_choose() -> None:
    assert config(work(), "zero-fill")["val"] is True
    assert config(work(select="last"), "zero-fill")["val"] is False


def test_options_of_training_backbone_and_generator_win_over_the_presets() -> None:
    found = config(
        work(train={"lr": 0.1}, backbone={"name": "toy", "scale": 2.0}, generator={"name": "toy-generator", "seed": 4}), "gti-mm"
    )
    assert found["train"] == {"epochs": 15, "lr": 0.1}  # of the paper's, the batch size and weight decay are the defaults
    assert found["backbone"] == {"name": "toy", "scale": 2.0}
    assert found["imputer"]["image"] == {"name": "toy-generator", "per_class": 100, "seed": 4}


def test_dropout_of_gti_mm_follows_the_test_unless_a_rate_is_chosen_and_that_of_mm_dropout_always() -> None:
    for name, rates in (("gti-mm-dropout", (0.7, 0.2)), ("mm-dropout", (0.7, 0.7))):
        found = [config(one, name, q=70)["fusion"]["rate"]["image"] for one in (work(), work(dropout=0.2))]
        assert tuple(found) == rates


def test_zero_shot_models_see_classes_as_in_training_unless_all_alike() -> None:
    assert "class_weights" not in config(work(), "zs-visual", 0)["train"]
    assert config(work(prior="uniform"), "zs-visual", 0)["train"]["class_weights"] == "balanced"
    assert "class_weights" not in config(work(prior="uniform"), "gti-mm")["train"]


def test_values_go_missing_at_random_unless_stratified() -> None:
    assert work().bench.setting("zero-fill", 95).mechanism == "random"
    assert work(mechanism="stratified").bench.setting("zero-fill", 95).mechanism == "stratified"
    assert work(mechanism="stratified").bench.setting("mm-dropout", 0, 50).mechanism == "random"


def test_f1_is_macro_unless_said_and_food_is_scored_by_the_metric_of_table_10() -> None:
    assert work("crisismmd").bench.metric == "macro_f1"
    assert work("crisismmd", f1="weighted").bench.metric == "weighted_f1"
    assert work("food101").bench.metric == "top3_accuracy"
    assert work("food101", top=1).bench.metric == "accuracy"
    assert work("ucf101").bench.metric == "accuracy"


def test_budgets_end_at_the_chosen_number_of_items() -> None:
    assert work().bench.budgets == (1, 5, 20, 100)
    assert work(per_class=20).bench.budgets == (1, 5, 20)
    assert work(per_class=3).bench.budgets == (1, 3)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"zerro": "payload"}, "Did you mean 'zero'"),
        ({"zero": "pixel"}, "option 'zero'"),
        ({"dropout": 2.0}, "rate in 0..1"),
        ({"per_class": 0}, "per_class"),
        ({"generator": {"per_class": 5}}, "per_class is an option of its own"),
        ({"seeds": 0}, "seeds"),
        ({"top": 2}, "top"),
    ],
)
def test_wrong_choices_are_named(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Choices.of(choices)


def test_paths_are_made_absolute_and_other_values_stay(tmp_path: Path) -> None:
    given = Choices.of(
        {
            "data": {"prepared": "prepared", "split": 2},
            "backbone": {"weights": "imagebind.pth", "model": "ViT-L-14"},
            "sound": {"prompts": {"name": "label", "names": "names.yaml"}},
            "descriptions": {"file": "sentences.json"},
        }
    )
    found = absolute(given, tmp_path)
    assert found.data == {"prepared": str(tmp_path / "prepared"), "split": 2}
    assert found.backbone == {"weights": str(tmp_path / "imagebind.pth"), "model": "ViT-L-14"}
    assert found.sound["prompts"]["names"] == str(tmp_path / "names.yaml")
    assert found.descriptions == {"file": str(tmp_path / "sentences.json")}
    assert absolute(found, Path("/elsewhere")) == found
    assert absolute(Choices(), tmp_path) == Choices()
