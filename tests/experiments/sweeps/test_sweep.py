"""`gtimm sweep`: a configuration's data and Pipeline, one quantity varied, into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import gtimm.core.workspace
from gtimm.core.config import RunConfig
from gtimm.core.errors import ConfigError
from gtimm.experiments.sweeps.sweep import Sweeping, run_sweep


def table(folder: Path, rows: int = 60) -> dict[str, Any]:
    """Write a table of colours and captions, and return its configuration."""
    random = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        label = ("red", "blue")[row % 2]
        colour = (200, 0, 0) if label == "red" else (0, 0, 200)
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8) + random.integers(0, 9, (4, 4, 3), np.uint8)).save(
            folder / f"{row}.png"
        )
        lines.append({"photo": f"{row}.png", "caption": f"{label} {row}", "kind": label})
    pd.DataFrame(lines).to_csv(folder / "rows.csv", index=False)
    return {
        "data": {"frame": "rows.csv", "modalities": {"image": "photo", "text": "caption"}, "label": "kind"},
        "missing": {"image": 0.8},
        "pipeline": {"backbone": "toy", "imputer": {"image": "toy-generator", "text": "zero"}, "train": {"epochs": 2}},
        "seeds": 2,
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(table(tmp_path)))
    return path


def ground(path: Path, **changes: Any) -> Sweeping:
    parsed = RunConfig.of({**yaml.safe_load(path.read_text()), **changes})
    return Sweeping.of(parsed, parsed.load_data(path.parent))


def test_a_configuration_says_what_is_missing_what_makes_it_and_how_much(config: Path) -> None:
    found = ground(config)
    assert (found.target, found.generator) == ("image", {"name": "toy-generator"})
    base = found.base
    assert (base.method, base.budget, base.missing_train, base.missing_test) == ("gti-mm", 3, {"image": 0.8}, {})
    plain = ground(config, pipeline={"backbone": "toy"})
    assert (plain.target, plain.generator, plain.base.method, plain.base.budget) == ("image", None, "zero-fill", None)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_budgets_have_curves_a_frontier_and_a_knee_and_the_run_runs_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run_sweep("quantity", config, tmp_path / "out", values=[1, 3])
    assert found["kind"] == "sweep"
    assert [one["name"] for one in found["sweeps"]] == ["quantity", "frontier"]
    curves = {one["name"]: [point["x"] for point in one["points"]] for one in found["sweeps"][0]["series"]}
    assert curves == {"gti-mm": [1, 3], "zero-fill": [1, 3], "hot-deck": [1, 3]}
    assert "items a class" in found["sweeps"][0]["sentence"]
    assert found["counters"]["generated"] == 6
    assert (tmp_path / "out" / "report.html").is_file()
    saved = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert saved.pop("experiment") == "sweep"
    sweep = saved.pop("sweep")
    gtimm.core.workspace._open.cache_clear()
    monkeypatch.chdir("/")
    again = run_sweep(sweep.pop("name"), saved, tmp_path / "again", **sweep)
    assert again["sweeps"] == [{**one} for one in found["sweeps"]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_robustness_is_three_matrices_of_a_generator_and_one_of_a_fill(config: Path, tmp_path: Path) -> None:
    axes = {"p": [0, 50, 100], "q": [0, 50, 100]}
    found = run_sweep("robustness", config, tmp_path / "one", values=axes, rate=0.3)
    assert [(m["method"], m["dropout"], m["rate"]) for m in found["matrices"]] == [
        ("gti-mm", "none", None),
        ("gti-mm-dropout", "matched", None),
        ("gti-mm-dropout", "fixed", 0.3),
    ]
    assert all(len(m["values"]) == len(m["values"][0]) == 3 for m in found["matrices"])
    found = run_sweep("robustness", config, tmp_path / "two", values=axes, methods=["hot-deck"])
    assert [(m["method"], m["dropout"]) for m in found["matrices"]] == [("hot-deck", "none")]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("guidance", [1, [1, 5]], ["1", "1 to 5"]),
        ("domains", None, ["as it is", "ten domains"]),
        ("performers", None, ["all five", "a man", "a woman"]),
        ("prompts", {"own": None, "many": "domain"}, ["own", "many"]),
        ("prompts", ["label", "domain"], ["label", "domain"]),
        ("training", [0, 90], [0, 90]),
        ("test", [0, 90], [0, 90]),
    ],
)
def test_every_other_sweep_is_planned_with_its_values(config: Path, name: str, values: Any, expected: list[Any]) -> None:
    (found,) = ground(config).plan(name, values)
    assert list(dict.fromkeys(spot.x for spot in found.spots)) == expected  # type: ignore[union-attr]


def test_without_a_generator_ratios_are_swept_for_what_fills(config: Path) -> None:
    (found,) = ground(config, pipeline={"backbone": "toy"}).plan("training", [50])
    assert {spot.series for spot in found.spots} == {"low-resource-visual", "zero-fill", "hot-deck"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "changes", "says"),
    [
        ("quantitty", {}, {}, "Did you mean 'quantity'"),
        ("quantity", {"values": ["many"]}, {}, "values are numbers"),
        ("quantity", {"values": 5}, {}, "values is a list"),
        ("prompts", {}, {}, "needs --values"),
        ("robustness", {"values": [1, 2]}, {}, "p: .*q: "),
        ("training", {"methods": ["zero-fil"]}, {}, "Did you mean 'zero-fill'"),
        ("quantity", {}, {"pipeline": {"backbone": "toy", "imputer": "hot-deck"}}, "varies a generator"),
        ("training", {}, {"missing": {}, "pipeline": {"backbone": "toy"}}, "which modality goes missing"),
        ("training", {"target": "imag"}, {}, "Did you mean 'image'"),
        (
            "training",
            {},
            {"pipeline": {"backbone": "toy", "imputer": {"image": "toy-generator", "text": "mean"}}},
            "'text' by 'mean'",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    config: Path, tmp_path: Path, name: str, options: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **changes}))
    with pytest.raises(ConfigError, match=says):
        run_sweep(name, config, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
