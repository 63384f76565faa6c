"""`gtimm.compare`: what is compared with what, what is recommended, and that an interruption changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from toys import calls, pictures, vectors
from typer.testing import CliRunner

import gtimm
import gtimm.core.training
import gtimm.core.workspace
from gtimm import Missing, MultimodalDataset, Pipeline, compare
from gtimm.cli.main import app
from gtimm.core.config import RunConfig
from gtimm.core.dataset import Splits
from gtimm.core.errors import ConfigError, GenerationError, MissingnessError
from gtimm.experiments import jobs
from gtimm.experiments.comparison.results import CompareResults
from gtimm.experiments.schema import Results

FAST = {"epochs": 8, "lr": 0.1}
TIMES = ("seconds", "counters", "environment")


def toys(rows: int = 90, noise: float = 1.0) -> Splits:
    parts = [vectors(n, seed=s, noise=noise, name="toys") for n, s in ((rows, 0), (60, 1), (150, 2))]
    return Splits(*parts, {"name": "toys"})


def images(rows: int = 60) -> Splits:
    return Splits(pictures(rows), pictures(24, seed=1), pictures(24, seed=2), {"name": "pictures"})


def small(data: Any = None, methods: Any = None, **options: Any) -> CompareResults:
    given = {"target": "left", "missing": [0.8], "test_missing": [0, 0.5], "seeds": 2, "train": FAST, "device": "cpu"}
    given |= {"backbone": "toy", **options}
    return compare(toys() if data is None else data, methods, **given)


def stable(results: Mapping[str, Any]) -> dict[str, Any]:
    """What a results.json holds but for times and machine."""
    found = {key: value for key, value in results.items() if key not in TIMES}
    for part in ("rows", "costs"):
        found[part] = [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in found[part]]
    return found


def rows_of(results: CompareResults, metric: str = "accuracy") -> list[dict[str, Any]]:
    return [row for row in results.results["rows"] if row["metric"] == metric]


def test_every_comparison_shows_the_baselines() -> None:
    found = small()
    methods = {row["method"] for row in rows_of(found)}
    assert methods >= {
        "right-only", "left-only", "low-resource-left", "low-resource-multimodal", "zero-fill", "mean-fill", "class-mean",
        "hot-deck", "retrieval", "regression", "multimodal", "mm-dropout",
    }  # fmt: skip
    assert any("zero-fill-payload was left out" in note for note in found.results["notes"])
    assert any("No generator" in note for note in found.results["notes"])
    Results.model_validate(found.results)


def test_what_nothing_missing_touches_stands_once() -> None:
    rows = rows_of(small())
    other = [row for row in rows if row["method"] == "right-only"]
    assert [(row["missing_train"], row["missing_test"]) for row in other] == [({}, {})]
    whole = [row for row in rows if row["method"] == "multimodal"]
    assert [(row["missing_train"], row["missing_test"]) for row in whole] == [({}, {}), ({}, {"left": 0.5})]


@pytest.mark.parametrize("name", ["missing", "test_missing"])
def test_what_results_have_one_name_for_is_not_compared(name: str) -> None:
    light, dark = ({"left": 0.5, "on": on} for on in ("left.0", "-left.0"))
    with pytest.raises(ConfigError, match=rf"compare\.{name}: results cannot tell .*run folder of its own"):
        small(**{name: [light, dark]})


@pytest.mark.parametrize(("target", "other"), [("image", "audio"), ("audio", "image"), ("text", "audio")])
def test_presets_are_called_after_the_modalities(target: str, other: str) -> None:
    texts = [("a", "b", "c")[i % 3] for i in range(30)]
    sounds = [(np.full(40, i / 30, np.float32), 8000) for i in range(30)]
    parts = {"image": [np.full((4, 4, 3), 8 * i, np.uint8) for i in range(30)], "audio": sounds, "text": texts}
    data = MultimodalDataset.from_arrays({m: parts[m] for m in sorted((target, other))}, texts, classes=list("abc"))
    found = small(data, target=target, missing=[0.5], test_missing=[0], seeds=1)
    words = {"image": "visual", "audio": "audio", "text": "text"}
    methods = {row["method"] for row in rows_of(found)}
    assert {f"{words[target]}-only", f"{words[other]}-only", f"low-resource-{words[target]}"} <= methods


def test_methods_of_ones_own_stand_beside_presets_on_one_backbone_and_fusion() -> None:
    own = Pipeline({"name": "toy", "scale": 2.0}, "mean", "gated", train=FAST, device="cpu")
    options = {"imputer": {"left": "class-mean", "right": "zero"}, "fusion": "score"}
    plan = {"mine": own, "mixed": options, "deck": "hot-deck", "near": "retrieval"}
    found = small(methods=plan, backbone=None, train=None, baselines=False)
    assert {row["method"] for row in rows_of(found)} == set(plan)
    alone = Pipeline({"name": "toy", "scale": 2.0}, "mean", "gated", train=FAST, device="cpu", seed=1)
    alone.fit(toys().train, toys().val, Missing(left=0.8))
    mine = next(row for row in rows_of(found) if row["method"] == "mine" and not row["missing_test"])
    own.fit(toys().train, toys().val, Missing(left=0.8))
    assert mine["mean"] == pytest.approx(np.mean([p.evaluate(toys().test)["accuracy"] for p in (own, alone)]))


def test_presets_are_fused_and_trained_as_the_pipeline_beside_them(tmp_path: Path) -> None:
    mine = Pipeline("toy", "mean", {"name": "gated", "width": 4})
    found = compare(toys(), {"mine": mine}, target="left", missing=[0.8], test_missing=[0], seeds=1, out=tmp_path / "out")
    rows = {row["method"]: row["mean"] for row in rows_of(found)}
    same = Pipeline("toy", "mean", {"name": "gated", "width": 4}, device="cpu").fit(toys().train, toys().val, Missing(left=0.8))
    assert rows["mine"] == pytest.approx(same.evaluate(toys().test)["accuracy"])
    assert rows["mine"] == rows["mean-fill"]
    plain = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert plain["pipeline"] == {"backbone": {"name": "toy"}, "fusion": {"name": "gated", "width": 4}, "train": {}}


def test_pipelines_of_different_backbones_need_one_for_the_rest() -> None:
    both = {"one": Pipeline("toy"), "two": Pipeline({"name": "toy", "scale": 3.0})}
    with pytest.raises(ConfigError, match="different backbones"):
        small(methods=both, backbone=None)


def test_pipelines_bring_where_they_run(tmp_path: Path, home: Path) -> None:
    mine = Pipeline("toy", "mean", train=FAST, store=tmp_path / "own", device="cpu", generate=False)
    options = {"backbone": None, "train": None, "device": None, "seeds": 1, "missing": 0.8, "test_missing": 0}
    found = small(methods={"mine": mine}, baselines=False, **options)
    assert found.results["counters"]["embedded"]
    assert list((tmp_path / "own" / "features").iterdir())
    assert not (home / "features").exists()
    pictured = {"mine": mine, "made": {"imputer": {"image": "toy-generator", "vector": "zero"}}}
    with pytest.raises(GenerationError):
        small(images(), pictured, target="image", baselines=False, **options)


@pytest.mark.parametrize(
    ("name", "values"),
    [("store", ("a", "b")), ("device", ("cpu", "auto")), ("generate", (True, "ask")), ("engine", ("local", "ray"))],
)
def test_pipelines_that_run_in_different_places_need_one_for_all(name: str, values: tuple[Any, Any]) -> None:
    from gtimm.experiments.comparison.contenders import machine_options

    both = {str(value): Pipeline("toy", **{name: value}) for value in values}
    with pytest.raises(ConfigError, match=f"different {name}=.*say {name}="):
        machine_options(both, {name: None})
    assert machine_options(both, {name: values[1]}) == {name: values[1]}


def test_one_thing_needs_no_list(tmp_path: Path) -> None:
    found = small(methods="mean-fill", missing=0.8, test_missing=Missing(left=0.5), seeds=1, baselines=False)
    assert [(r["method"], r["missing_train"], r["missing_test"]) for r in rows_of(found)] == [
        ("mean-fill", {"left": 0.8}, {"left": 0.5})
    ]
    options = RunConfig.of(
        {"data": "digits", "compare": {"methods": "zero-fill", "missing": 0.9, "test_missing": {"image": 0.5}}}
    )
    assert options.compare is not None
    assert (options.compare.methods, options.compare.missing) == (["zero-fill"], [0.9])
    with pytest.raises(ConfigError, match="'mine': Pipeline"):
        small(methods=[Pipeline("toy")])


def test_default_ratios_below_the_data_s_own_holes_are_dropped_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = vectors(120, name="toys")
    data = whole.with_missing(Missing(left=0.92))
    splits = []
    monkeypatch.setattr(MultimodalDataset, "split", lambda self: splits.append(self) or Splits(data, whole, data, {}))
    said: list[str] = []
    options = {"missing": None, "test_missing": None, "methods": "mean-fill", "baselines": False, "seeds": 1, "say": said.append}
    found = small(data, **options)
    assert len(splits) == 1
    assert {(str(r["missing_train"]), str(r["missing_test"])) for r in rows_of(found)} == {("{'left': 0.95}", "{}")}
    for note, kept in (("missing", "0.95"), ("test_missing", "0")):
        assert any(f"so {note} is {kept}:" in line for line in said)
        assert any(f"so {note} is {kept}:" in line for line in found.results["notes"])
    with pytest.raises(MissingnessError, match="already has"):
        small(data, **{**options, "missing": 0.9})


def test_the_comparisons_are_decided_on_validation_and_corrected_together() -> None:
    found = small(missing=[0.5, 0.8])
    tested = [one for one in found.results["comparisons"] if one["p_adjusted"] is not None]
    assert {one["method"] for one in tested} == {"retrieval", "regression"}
    assert len(tested) == 2 * 2 * 2
    assert all(one["p_adjusted"] >= one["p_value"] and one["correction"] == "Holm" for one in tested)
    for one in found.results["comparisons"]:
        assert one["ci_low"] <= one["difference"] <= one["ci_high"]
    against = {(str(one["missing_train"]), str(one["missing_test"])): set() for one in tested}
    for one in tested:
        against[str(one["missing_train"]), str(one["missing_test"])].add(one["against"])
    assert all(len(names) == 1 for names in against.values())


def test_no_test_row_decides_what_is_compared() -> None:
    data = toys()
    labels = np.random.default_rng(0).permutation(data.test.labels)
    parts = {m: [data.test.payload(m, row) for row in range(len(data.test))] for m in data.test.modalities}
    kinds = {m: data.test.kind(m) for m in parts}
    other = MultimodalDataset.from_arrays(parts, labels, classes=data.test.classes, kinds=kinds, name="toys")
    names = ("method", "against", "missing_train", "missing_test", "correction")
    one, two = small(data), small(Splits(data.train, data.val, other, data.facts))
    compared = [[{n: c[n] for n in names} for c in found.results["comparisons"]] for found in (one, two)]
    assert compared[0] == compared[1]
    assert one.results["rows"] != two.results["rows"]


def test_nothing_that_differs_is_called_no_difference() -> None:
    noise = toys(noise=60.0)
    found = small(noise, seeds=3)
    advice = found.results["recommendation"]
    assert advice["sentence"].startswith("No difference that these data can show everywhere")
    assert advice["method"] is None
    assert len(advice["evidence"]) == 2


def test_a_method_that_is_better_is_recommended_with_its_evidence() -> None:
    methods = {
        "right-only": "audio-only",
        "good": {"imputer": {"left": "class-mean", "right": "zero"}},
        "blind": {"imputer": "zero", "modalities": ["right"]},
    }
    found = small(toys(300, noise=1.5), methods, baselines=False, seeds=4, missing=[0.5], test_missing=[0])
    advice = found.results["recommendation"]
    assert advice["method"] == "good"
    assert "Take good everywhere: it beats the best baseline (right-only) by +" in advice["sentence"]
    (evidence,) = advice["evidence"]
    which = found.results["comparisons"][int(evidence["refers_to"].removeprefix("comparisons."))]
    assert (which["method"], which["against"]) == ("good", "right-only")
    assert which["p_adjusted"] < 0.05
    assert f"{100 * which['difference']:+.1f} points" in evidence["sentence"]


def test_a_cheaper_budget_stands_for_a_dearer_one_that_is_not_better() -> None:
    found = compare(
        images(), {"gti-mm": "gti-mm"}, target="image", generator="toy-generator", budgets=[1, 2, 4], missing=[0.9], test_missing=[0],
        seeds=2, backbone="toy", train=FAST, device="cpu",
    )  # fmt: skip
    costs = {(one["method"], one["budget"]): one["items"] for one in found.results["costs"]}
    assert [costs["gti-mm", k] for k in (1, 2, 4)] == [3, 6, 12]
    assert costs["zero-fill", None] == 0
    assert found.results["counters"]["generated"] == 12


def test_nothing_is_embedded_or_generated_twice(tmp_path: Path) -> None:
    options = {
        "target": "image",
        "generator": "toy-generator",
        "missing": [0.5, 0.8],
        "budgets": [1, 3],
        "test_missing": [0, 0.5],
    }
    first = small(images(), **options)
    payloads = {m: len(set(keys(images(), m))) for m in ("image", "vector")}
    assert calls["made"] == 12  # nine items in batches of four
    assert first.results["counters"]["generated"] == 9
    assert calls["encoded"] == payloads["image"] + payloads["vector"] + 9 + 1  # and the black image
    gtimm.core.workspace._open.cache_clear()
    again = small(images(), **options)
    assert again.results["counters"] == {"generated": 0, "embedded": 0}
    assert stable(first.results) == stable(again.results)


def keys(data: Splits, modality: str) -> list[bytes]:
    return [key for part in (data.train, data.val, data.test) for key in part.keys(modality, np.arange(len(part)))]


class Stop(BaseException):
    """What a user's Ctrl-C is."""


@pytest.mark.parametrize("after", [0, 2, 9])
def test_an_interrupted_comparison_goes_on_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(jobs, "GROUP_BYTES", 20_000)
    options = {"target": "image", "generator": "toy-generator", "missing": [0.5, 0.8]}
    whole = small(images(), out=tmp_path / "whole", **options)
    left, real = [after], gtimm.experiments.grid.write_cell

    def stopping(*arguments: Any) -> None:
        if not left[0]:
            raise Stop
        left[0] -= 1
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(gtimm.experiments.grid, "write_cell", stopping)
        with pytest.raises(Stop):
            small(images(), out=tmp_path / "cut", **options)
    assert not (tmp_path / "cut" / "results.json").exists()
    assert len(list((tmp_path / "cut" / "cells").glob("*.npz"))) == after
    goes_on = small(images(), out=tmp_path / "cut", **options)
    assert stable({**goes_on.results, "command": ""}) == stable({**whole.results, "command": ""})
    assert json.loads((tmp_path / "cut" / "results.json").read_text()) == goes_on.results


def table(folder: Path) -> Path:
    import pandas as pd
    from PIL import Image

    random = np.random.default_rng(0)
    lines = []
    for row in range(90):
        colour = np.full((4, 4, 3), (200, 0, 0) if row % 2 else (0, 0, 200), np.uint8)
        Image.fromarray(colour + random.integers(0, 9, (4, 4, 3), np.uint8)).save(folder / f"{row}.png")
        lines.append(
            {"photo": f"{row}.png" if row % 9 else "", "words": f"{random.integers(5)} {'ab'[row % 2]}", "kind": "xy"[row % 2]}
        )
    pd.DataFrame(lines).to_csv(folder / "rows.csv", index=False)
    config = {
        "data": {"frame": "rows.csv", "modalities": {"image": "photo", "text": "words"}, "label": "kind"},
        "pipeline": {"backbone": "toy", "train": FAST},
        "compare": {
            "methods": ["hot-deck", "gti-mm"], "missing": [0.5, {"image": 0.4, "text": 0.2}], "mechanism": {"on": "text.length"},
            "test_missing": [0.5], "budgets": [1, 2], "generator": "toy-generator",
        },
        "seeds": 2,
    }  # fmt: skip
    (folder / "compare.yaml").write_text(yaml.safe_dump(config))
    return folder / "compare.yaml"


def test_a_configuration_runs_and_its_copy_runs_again_by_gtimm_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["compare", str(table(tmp_path)), "-o", str(tmp_path / "one")])
    assert done.exit_code == 0, done.output
    assert "Differences are from" in done.output
    assert {p.name for p in (tmp_path / "one").iterdir()} >= {
        "config.yaml",
        "results.json",
        "report.html",
        "log.jsonl",
        "cells",
        "gallery",
    }
    monkeypatch.chdir("/")
    monkeypatch.setenv("GTIMM_HOME", str(tmp_path / "elsewhere"))
    again = CliRunner().invoke(app, ["run", str(tmp_path / "one" / "config.yaml"), "-o", str(tmp_path / "two")])
    assert again.exit_code == 0, again.output
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert stable({**one, "command": ""}) == stable({**two, "command": ""})
    assert {row["mechanism"] for row in one["rows"]} == {"mar", "random"}
    assert {str(row["missing_train"]) for row in one["rows"]} >= {"{'image': 0.5}", "{'image': 0.4, 'text': 0.2}"}
    assert all(file["file"].startswith("gallery/") for entry in one["gallery"] for file in entry["generated"])


def test_a_dry_run_prints_models_and_generation_and_makes_nothing(tmp_path: Path, home: Path) -> None:
    config = table(tmp_path)
    calls.clear()
    done = CliRunner().invoke(app, ["compare", str(config), "-o", str(tmp_path / "out"), "--dry-run"], env={"COLUMNS": "150"})
    assert done.exit_code == 0, done.output
    assert "0 of them done" in done.output
    assert "ToyGenerator" in done.output
    assert not (tmp_path / "out").exists()
    assert not calls["encoded"] + calls["made"]
    made = CliRunner().invoke(app, ["generate", str(config)])
    assert made.exit_code == 0, made.output
    assert calls["made"] == 4
    CliRunner().invoke(app, ["compare", str(config), "-o", str(tmp_path / "out")])
    assert calls["made"] == 4
    again = CliRunner().invoke(app, ["compare", str(config), "-o", str(tmp_path / "out"), "--dry-run"])
    assert "0 of them done" not in again.output


def test_an_interruption_says_that_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gtimm.experiments.grid.write_cell", interrupted)
    done = CliRunner().invoke(app, ["compare", str(table(tmp_path)), "-o", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert "the same command goes on" in " ".join(done.output.split())


def test_options_stand_in_for_a_file(tmp_path: Path) -> None:
    import gtimm.cli.compare as command

    given = {"missing": [0.95], "test_missing": None, "methods": ["hot-deck"], "backbone": "clip", "budgets": []}
    assert command.compare_config("digits", given, 3) == {
        "data": "digits",
        "compare": {"missing": [0.95], "methods": ["hot-deck"]},
        "pipeline": {"backbone": "clip"},
        "seeds": 3,
    }
    config = table(tmp_path)
    with pytest.raises(ConfigError, match="instead of giving --missing"):
        command.compare_config(str(config), given, None)
    with pytest.raises(ConfigError, match=r"instead of giving --method\.$"):
        command.compare_config(str(config), {"methods": ["hot-deck"]}, None)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"target": "lft"}, ConfigError, "Did you mean 'left'"),
        ({"methods": ["hot-dek"]}, ConfigError, "Did you mean 'hot-deck'"),
        ({"methods": ["gti-mm"]}, ConfigError, "needs a generator"),
        ({"missing": [1.5]}, ConfigError, "compare option 'missing"),
        ({"missing": [0.5, 0.5]}, ConfigError, "twice"),
        ({"missing": []}, ConfigError, "empty"),
        ({"missing": [{"lft": 0.5}]}, MissingnessError, "Did you mean 'left'"),
        ({"mechanism": "randm"}, ConfigError, "Did you mean 'random'"),
        ({"seeds": 0}, ConfigError, "at least one seed"),
        ({"budgets": [0]}, ConfigError, "compare option 'budgets"),
        ({"methods": {"mine": {"imputr": "zero"}}}, ConfigError, "Did you mean 'imputer'"),
        ({"methods": {"mine": 3}}, ConfigError, "compare option 'methods"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    methods = options.pop("methods", None)
    with pytest.raises(error, match=says):
        small(methods=methods, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_configurations_that_say_two_things_are_refused(tmp_path: Path) -> None:
    from gtimm.experiments.comparison.compare import read_compare

    with pytest.raises(ConfigError, match="has no 'evaluate'"):
        RunConfig.of({"data": "digits", "compare": {}, "evaluate": {}})
    with pytest.raises(ConfigError, match="given in Python"):
        read_compare({"data": {"in_memory": "toys"}, "compare": {}})
    with pytest.raises(ConfigError, match="has no 'compare'"):
        read_compare({"data": "digits"})


def test_generation_without_leave_is_refused(tmp_path: Path) -> None:
    options = {"target": "image", "generator": "toy-generator"}
    with pytest.raises(GenerationError):
        small(images(), generate=False, **options)


def test_results_become_a_table_and_a_page(tmp_path: Path) -> None:
    found = small(out=tmp_path / "run")
    frame = found.to_frame()
    assert len(frame) == len(found.results["rows"])
    shown = frame[(frame.metric == "accuracy") & (frame["missing_test.left"] == 0.5)]
    assert (shown.relative_robustness.dropna() < 1.5).all()
    assert shown.relative_robustness.notna().all()
    assert {"method", "against", "p_adjusted"} <= set(found.to_frame("comparisons").columns)
    page = found.report(tmp_path / "page.html")
    assert "<html" in page.read_text()
    memory = small()
    assert memory.folder is None
    assert memory.report(tmp_path / "other.html").is_file()
    assert str(memory) == memory.recommendation


def test_robustness_is_against_the_same_model_with_nothing_missing() -> None:
    rows = {(r["method"], bool(r["missing_test"])): r for r in rows_of(small())}
    zero = rows["zero-fill", True]
    assert zero["relative_robustness"] == pytest.approx(zero["mean"] / rows["zero-fill", False]["mean"])
    assert rows["zero-fill", False]["relative_robustness"] is None
    assert abs(zero["effective_robustness"]) < 0.2
    assert rows["mm-dropout", True]["relative_robustness"] is not None


def test_sets_of_classes_and_data_with_holes_of_its_own_are_compared_too() -> None:
    random = np.random.default_rng(0)
    sets = random.random((120, 3)) < 0.4
    codes = random.normal(size=(2, 3, 4))
    parts = {
        m: [(row @ codes[i] + 0.3 * random.normal(size=4)).astype(np.float32) if random.random() > 0.2 else None for row in sets]
        for i, m in enumerate(("left", "right"))
    }
    data = MultimodalDataset.from_arrays(parts, sets, classes=list("abc"), kinds=dict.fromkeys(parts, "vector"), name="sets")
    found = small(data, missing=[0, 0.6], test_missing=[0, 0.5])
    assert {row["metric"] for row in found.results["rows"]} == {"samples_f1", "micro_f1", "macro_f1", "auroc", "ece"}
    assert {str(row["missing_train"]) for row in found.results["rows"]} == {"{}", "{'left': 0.6}"}
    assert "samples f1" in found.recommendation
    Results.model_validate(found.results)
