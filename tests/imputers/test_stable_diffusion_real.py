"""Real guidance: generation that starts from the real images a class has left, and never from a sealed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import ToyBackbone

from gtimm import Missing, MultimodalDataset
from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Failure
from gtimm.core.media import payload_key
from gtimm.core.pool import Pool, Request
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

REAL = StableDiffusionTiny(steps=4, batch_size=4, per_class=4, init="real", strength=0.5)


def pictures(rows: int = 12) -> MultimodalDataset:
    """Images of one grey each, every third of a class."""
    images = [np.full((28, 28, 3), 20 * row, np.uint8) for row in range(rows)]
    texts = [f"row {row}" for row in range(rows)]
    return MultimodalDataset.from_arrays(
        {"image": images, "text": texts}, [r % 3 for r in range(rows)], classes=["one", "two", "three"]
    )


def pool(data: MultimodalDataset, imputer: Any = REAL) -> Pool:
    workspace = open_workspace(None, "cpu")
    return imputer.pool(
        DatasetView(data, workspace, {"image": ToyBackbone(), "text": ToyBackbone()}, "pooled", True), "image", {}
    )


def requests(data: MultimodalDataset, imputer: Any = REAL) -> list[Request]:
    return list(pool(data, imputer).items.values)  # type: ignore[union-attr]


def key(data: MultimodalDataset, row: int) -> str:
    return payload_key("image", np.full((28, 28, 3), 20 * row, np.uint8)).hex()


def test_sources_are_present_rows_of_the_class_taken_in_turn() -> None:
    data = pictures().with_missing(Missing(image=0.5))
    there = data.present("image")
    for label, name in enumerate(data.classes):
        mine = {key(data, row) for row in range(12) if there[row] and row % 3 == label}
        used = [r.init for r in requests(data) if r.label == name]
        assert set(used) == (mine or {None})
        if mine:
            assert used == [used[i % len(mine)] for i in range(4)]
    for request in requests(data):
        assert request.init is None or payload_key("image", request.source).hex() == request.init


def test_a_class_without_images_is_generated_from_noise_as_without_guidance() -> None:
    data = pictures()
    data = data.with_missing({"image": 11 / 12})
    plain = [r.label for r in requests(data) if r.init is None]
    assert len(set(plain)) == 2
    ordinary = StableDiffusionTiny(steps=4, batch_size=4, per_class=4)
    same = {(r.label, r.seed): r for r in requests(data, ordinary)}
    assert all(same[r.label, r.seed] == r for r in requests(data) if r.init is None)


def test_smaller_budgets_are_prefixes_and_other_sources_other_keys() -> None:
    data = pictures().with_missing(Missing(image=0.5))
    few = requests(data, REAL.model_copy(update={"per_class": 2}))
    assert few == requests(data)[: len(few)]
    one, two = (Request("image", "x", 0, 1.0, init=init) for init in ("a", "b"))
    assert one.key("f") != two.key("f")
    assert Request("image", "x", 0, 1.0, init="a", source=b"1").key("f") == one.key("f")


def test_strength_says_how_much_of_the_source_stays() -> None:
    source = np.zeros((28, 28, 3), np.uint8)
    source[8:20, 12:16] = 255
    away = {}
    for strength in (0.25, 1.0):
        make = REAL.model_copy(update={"strength": strength}).open("cpu")
        wanted = [Request("image", "A photo of one", seed, 1.0, init="k", source=source) for seed in range(4)]
        made = np.stack([np.asarray(image, np.float32) for image in make(wanted)])
        assert made.shape == (4, 32, 32, 3)
        reference = np.asarray(_fitted(source), np.float32)
        away[strength] = float(np.abs(made - reference).mean())
    assert away[0.25] < 0.5 * away[1.0]


def test_requests_from_noise_and_from_images_share_a_batch_and_each_is_as_if_alone() -> None:
    make = REAL.open("cpu")
    source = np.full((28, 28, 3), 90, np.uint8)
    real = [Request("image", "A photo of one", seed, 1.0, init="k", source=source) for seed in range(4)]
    noise = [Request("image", "A photo of one", seed, 1.0) for seed in range(4)]
    mixed = make([real[0], noise[1], real[2], Request("image", "A photo of two", 3, 4.0, init="k", source=source)])
    alone, plain = make(real), make(noise)
    for place, expected in ((0, alone), (1, plain), (2, alone)):
        np.testing.assert_array_equal(np.asarray(mixed[place]), np.asarray(expected[place]))
    ordinary = StableDiffusionTiny(steps=4, batch_size=4).open("cpu")(noise)
    np.testing.assert_array_equal(np.asarray(mixed[1]), np.asarray(ordinary[1]))


def test_a_source_that_is_not_there_or_no_image_fails_alone() -> None:
    good = Request("image", "A photo of one", 0, 1.0)
    lost = Request("image", "A photo of one", 0, 1.0, init="k")
    damaged = Request("image", "A photo of one", 0, 1.0, init="k", source=b"no image")
    found = REAL.open("cpu")([good, lost, damaged, good])
    assert [isinstance(item, Failure) for item in found] == [False, True, True, False]
    assert "did not come" in found[1].reason
    assert "cannot be read" in found[2].reason


def test_a_bank_of_it_belongs_to_its_mask_and_is_made_once(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path, "cpu")
    made = []
    for seed in (0, 0, 1):
        wanted = requests(pictures().with_missing(Missing(image=0.5), seed))
        before = workspace.counters["generated"]
        workspace.items(REAL, wanted, range(len(wanted)), LocalEngine(), True)
        made.append(workspace.counters["generated"] - before)
    assert made[0] == 12
    assert made[1] == 0
    assert made[2] > 0


def test_a_strength_that_leaves_no_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no step to run"):
        StableDiffusionTiny(steps=4, init="real", strength=0.2)
    with pytest.raises(ConfigError, match="strength"):
        StableDiffusionTiny(strength=0)


def _fitted(source: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(source).resize((32, 32), Image.Resampling.BICUBIC)
