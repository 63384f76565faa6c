"""Exhibits as settings: every published value has its cell, with the paper's settings, and cells are shared."""

from __future__ import annotations

from typing import Any

import pytest

from gtimm.core.errors import ConfigError
from gtimm.core.registry import registry
from gtimm.experiments.methods import Setting
from gtimm.experiments.reproduction.bench import Bench
from gtimm.experiments.reproduction.choices import Choices
from gtimm.experiments.reproduction.counted import options
from gtimm.experiments.reproduction.exhibits import names, plan
from gtimm.experiments.reproduction.paper import published
from gtimm.experiments.reproduction.presets import PRESETS, preset
from gtimm.experiments.sweeps.curves import distinct

PAPER = [name for name, one in PRESETS.items() if one.paper is not None]
TOLD = {"descriptions": {"file": "sentences.json"}}


def bench(name: str, **choices: Any) -> Bench:
    return Bench(preset(name), Choices.of(choices))


def settings(b: Bench) -> list[Setting]:
    return distinct(s for one in names(["all"], b.preset.name) for t in ("image", "audio") for s in plan(one, b).settings(t))


@pytest.mark.parametrize("name", PAPER)
def test_every_published_number_of_a_data_set_has_its_cell(name: str) -> None:
    b = bench(name, **TOLD)
    for exhibit in b.preset.exhibits:
        places = {(tuple(sorted(p.at.items())), p.column) for p in plan(exhibit, b).places}
        for line in published().exhibit(exhibit).lines:
            for column in published().exhibit(exhibit).columns:
                value = published().value(exhibit, line.at, column)
                if line.at["dataset"] == b.preset.paper and value is not None and not isinstance(value.value, str):
                    assert (tuple(sorted(line.at.items())), column) in places, (exhibit, line.at, column)


def test_every_table_and_figure_is_somebodys() -> None:
    assert {exhibit for name in PAPER for exhibit in preset(name).exhibits} == set(published().exhibits)
    assert names(["all"], "digits") == list(published().exhibits)


@pytest.mark.parametrize("name", PAPER)
def test_full_settings_are_those_that_the_paper_prints(name: str) -> None:
    b = bench(name)
    exhibit = "table9" if "table9" in b.preset.exhibits else "table8"
    for column, option in {
        "Total Epoch": "epochs",
        "Batch Size": "batch_size",
        "Learning Rate": "lr",
        "Weight Decay": "weight_decay",
    }.items():
        value = published().value(exhibit, {"dataset": b.preset.label}, column)
        assert value is not None
        assert getattr(options(b), option) == value.value
    assert b.preset.seeds == (1 if name.startswith("mit") else 3)
    assert {s.budget for s in settings(b) if s.budget} == ({100} if exhibit == "table9" else {1, 5, 20, 100})


def test_an_option_with_several_candidates_is_no_number_of_the_table() -> None:
    b = bench("digits", train={"lr": [0.001, 0.01]})
    found = {p.column: p for p in plan("table8", b).places}
    data = b.preset.load(None, b.choices)
    rate, decay = found["Learning Rate"], found["Weight Decay"]
    assert rate.counted is not None
    assert rate.counted(data, b) is None
    assert rate.note == "here each run takes one of 0.001, 0.01 by its validation score"
    assert decay.counted is not None
    assert decay.counted(data, b) == 1e-4


@pytest.mark.parametrize("name", PAPER)
def test_presets_are_made_of_strategies_that_exist(name: str) -> None:
    one = preset(name)
    made = registry("datasets").create({**one.data, "root": "somewhere"})
    assert getattr(made, "published", None)
    registry("backbones").create(dict(one.backbone))
    for target in ("image", "audio"):
        if (spec := one.generator_of(target, Choices())) is not None:
            for changed in ({}, one.domains, *one.performers.values()) if target == "image" else ({},):
                generator = registry("imputers").create({**spec, **changed})
                assert generator.makes == target


def test_table_3_of_ucf101_is_these_settings_and_no_others() -> None:
    found = plan("table3", bench("ucf101"))
    paper = {p.column: p.setting for p in found.places if p.column in published().exhibit("table3").columns}
    missing = {"image": 0.95}
    assert paper == {
        "Audio Training": Setting("ucf101", "audio-only", missing_train=missing),
        "Low-resource Visual Training": Setting("ucf101", "low-resource-visual", missing_train=missing),
        "Low-resource Multimodal Training": Setting("ucf101", "low-resource-multimodal", missing_train=missing),
        "Zero-filling Imputation Multimodal Training": Setting("ucf101", "zero-fill", missing_train=missing),
        "GTI-MM (Ours)": Setting("ucf101", "gti-mm", missing_train=missing, budget=100),
    }
    beside = {p.setting.method for p in found.places if p.setting is not None} - {
        s.method for s in paper.values() if s is not None
    }
    assert beside == {"zero-fill-payload", "mean-fill", "class-mean", "hot-deck"}


def test_dropout_of_table_5_is_at_the_ratio_of_the_test_unless_said() -> None:
    for choice, rate in (({}, None), ({"dropout": 0.3}, 0.3)):
        found = plan("table5", bench("mit10", **choice))
        cells = {
            (p.setting.method, *p.setting.missing_train.values(), *p.setting.missing_test.values()): p.setting.rate
            for p in found.places
            if p.setting
        }
        assert cells["gti-mm-dropout", 0.99, 0.7] == rate
        assert cells["mm-dropout", 0.7] is None


def test_audio_goes_missing_in_table_7_alone() -> None:
    b = bench("activitynet")
    for name in b.preset.exhibits:
        targets = {m for p in plan(name, b).places if p.setting for m in p.setting.missing_train}
        assert targets <= ({"audio"} if name == "table7" else {"image"})


def test_exhibits_share_cells() -> None:
    b = bench("digits")
    apart = sum(len(plan(one, b).settings(t)) for one in b.preset.exhibits for t in ("image", "audio"))
    assert len(settings(b)) < 0.75 * apart
    assert plan("figure6", b).settings("image") == plan("figure10", b).settings("image")
    base = b.setting("gti-mm", 95)
    for name in ("table3", "table4", "figure5", "figure6", "figure7"):
        assert base in plan(name, b).settings("image"), name


def test_equal_settings_have_equal_keys_and_others_do_not() -> None:
    one, two = Setting("d", "gti-mm", missing_train={"image": 0.5}), Setting("d", "gti-mm", missing_train={"image": 0.5})
    assert one.key() == two.key()
    assert (
        len({one.key(), *(Setting("d", "gti-mm", **more).key() for more in ({}, {"rate": 0.5}, {"generator": {"guidance": 2}}))})
        == 4
    )


def test_where_no_language_model_wrote_anything_its_line_is_left_out_with_the_mend() -> None:
    found = plan("table4", bench("ucf101"))
    assert [p.at["prompt"] for p in found.places] == ["Label prompt"]
    assert "--descriptions file=FILE" in found.absent[0]
    told = plan("table4", bench("ucf101", **TOLD))
    assert [p.setting.generator for p in told.places if p.setting] == [
        {},
        {"prompts": {"name": "descriptions", "file": "sentences.json"}},
    ]


def test_digits_say_which_numbers_mean_nothing() -> None:
    assert set(preset("digits").path_only) == {"table4", "table10", "table11", "figure11", "figure12"}


def test_an_exhibit_without_the_data_set_says_which_presets_have_it() -> None:
    with pytest.raises(ConfigError, match=r"Table 10 has no UCF101\. Choose --preset digits or crisismmd or food101"):
        plan("table10", bench("ucf101"))
    with pytest.raises(ConfigError, match="Did you mean 'ucf101'"):
        preset("ucf10")
    with pytest.raises(ConfigError, match="Did you mean 'table3'"):
        names(["tabel3"], "digits")
    assert names(["figure6", "table3"], "digits") == ["table3", "figure6"]
