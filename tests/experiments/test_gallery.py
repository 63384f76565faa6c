"""The gallery of a run folder shows what the run made, and makes nothing of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyGenerator, calls, pictures

import gtimm
from gtimm import compare
from gtimm.core.dataset import Splits
from gtimm.core.errors import GenerationError
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool
from gtimm.experiments.reproduction import presets
from gtimm.experiments.reproduction.outlook import ahead
from gtimm.experiments.reproduction.reproduce import Reproduction, run_reproduce

DATA = Splits(pictures(60), pictures(24, seed=1), pictures(24, seed=2), {"name": "pictures"})
TOYS = {"backbone": {"name": "toy"}, "per_class": 3, "seeds": 1, "train": {"epochs": 1}}


class Fitted(ToyGenerator):
    """Plans from what it learned, as a plug-in may."""

    info = Info(kinds=("image",), items="request", needs_label=True)

    def fit(self, train: Any, target: str) -> dict[str, Any]:
        return {"seed": np.array([7])}

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        return ToyGenerator(per_class=self.per_class, seed=int(state["seed"][0])).pool(view, target, {})


@pytest.fixture(autouse=True)
def _fitted() -> None:
    gtimm.register("imputers", "fitted", Fitted, replace=True)


@pytest.mark.parametrize("name", ["toy-generator", "fitted"])
def test_a_comparison_shows_what_its_runs_used_and_makes_nothing_more(name: str, tmp_path: Path) -> None:
    found = compare(
        DATA, ["gti-mm"], target="image", missing=[0.5], test_missing=[0], seeds=1, mechanism="classes", baselines=False,
        generator={"name": name, "batch_size": 1}, backbone="toy", train={"epochs": 1}, device="cpu", out=tmp_path,
    ).results  # fmt: skip
    assert calls["made"] == found["counters"]["generated"] == 6  # of two classes; the third has all its images
    made = {entry["class"]: [one["file"] for one in entry["generated"]] for entry in found["gallery"]}
    assert sorted(len(files) for files in made.values()) == [0, 3, 3]
    assert all((tmp_path / file).is_file() for files in made.values() for file in files)
    assert all(len(entry["real"]) == 5 for entry in found["gallery"])


@pytest.mark.usefixtures("small")
def test_figure_13_makes_its_items_as_all_generation_is_made(tmp_path: Path) -> None:
    choices = {**TOYS, "generator": {"name": "toy-generator"}}
    with pytest.raises(GenerationError, match="generate=False"):
        run_reproduce(["figure13"], "digits", tmp_path / "none", choices=choices, device="cpu", generate=False)
    assert calls["made"] == 0
    work = Reproduction.of(["figure13"], "digits", choices=choices, device="cpu")
    assert {one.items for one in ahead(work, presets.preset("digits").load(None, work.bench.choices)).items} == {30}
    found = run_reproduce(["figure13"], "digits", tmp_path / "out", choices=choices, device="cpu")
    assert found["counters"]["generated"] > 30
    assert all(len(entry["generated"]) == 9 for entry in found["gallery"])
    assert not found["rows"]


@pytest.mark.usefixtures("small")
def test_an_outlook_plans_with_what_a_generator_learned() -> None:
    work = Reproduction.of(["table10"], "digits", choices={**TOYS, "generator": {"name": "fitted"}}, device="cpu")
    found = ahead(work, presets.preset("digits").load(None, work.bench.choices))
    assert [(one.items, one.there) for one in found.items] == [(30, 0)]
    assert calls["made"] == 0
