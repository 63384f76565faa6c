"""The embedded pipeline makes images, the same each time; folders that are no pipeline say how to mend them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import vectors

from gtimm import Missing, MultimodalDataset, Pipeline
from gtimm.core.bank import Bank
from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.pool import Request
from gtimm.core.prompts import plan_requests
from gtimm.engines.local import LocalEngine
from gtimm.imputers.diffusion_loading import check_folder
from gtimm.imputers.stable_diffusion import StableDiffusion, StableDiffusionTiny
from gtimm.prompts.label import LabelPrompts

TINY = StableDiffusionTiny(steps=2, batch_size=4)
Make = Callable[[list[Request]], list[Any]]


@pytest.fixture(scope="module")
def make() -> Make:
    return TINY.open("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded pipeline, to damage."""
    return Path(shutil.copytree(TINY.model, tmp_path / "copy"))


def wanted(*words: str, seed: int = 0, guidance: float = 1.0) -> list[Request]:
    return [Request("image", f"A photo of {word}", seed, guidance) for word in words]


def pixels(images: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(image) for image in images])


def test_images_are_made_and_repeat_exactly(make: Make) -> None:
    one = pixels(make(wanted("zero", "one", "two", "three")))
    two = pixels(TINY.open("cpu")(wanted("zero", "one", "two", "three")))
    assert one.shape == (4, 32, 32, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, two)


def test_seed_prompt_and_guidance_change_the_image(make: Make) -> None:
    base = pixels(make(wanted("zero", "one", "zero", "one")))
    assert (base[0] != base[1]).any()
    np.testing.assert_array_equal(base[0], base[2])
    other = pixels(make(wanted("zero", "one", seed=1) + wanted("zero", "one", guidance=5.0)))
    assert (other[0] != base[0]).any()
    assert (other[2] != base[0]).any()


def test_an_image_does_not_depend_on_its_neighbours(make: Make) -> None:
    one = pixels(make(wanted("zero", "one", "two", "three")))
    two = pixels(make(wanted("zero", "five", "five", "five")))
    np.testing.assert_array_equal(one[0], two[0])


def test_a_small_bank_is_byte_for_byte_part_of_a_larger(tmp_path: Path) -> None:
    found = {}
    for per_class in (1, 2):
        bank = Bank(tmp_path / str(per_class))
        requests, _ = plan_requests(LabelPrompts(performers=()), ["zero", "one", "two"], "image", per_class, 1.0, 0)
        assert bank.make(TINY, bank.plan(TINY, requests), LocalEngine(), "cpu", True) == 3 * per_class
        found[per_class] = {p.name: p.read_bytes() for p in bank.folder.rglob("*.png")}
    assert len(found[2]) == 6
    assert found[1].items() <= found[2].items()


def test_threads_and_the_global_random_state_are_left_alone(make: Make) -> None:
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    make(wanted("zero", "one", "two", "three"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_another_scheduler_makes_other_images(make: Make) -> None:
    euler = StableDiffusionTiny(steps=2, batch_size=4, scheduler="EulerDiscreteScheduler").open("cpu")
    requests = wanted("zero", "one", "two", "three")
    assert (pixels(euler(requests)) != pixels(make(requests))).any()
    with pytest.raises(ConfigError, match="no scheduler 'EulerDiscreetScheduler'"):
        StableDiffusionTiny(scheduler="EulerDiscreetScheduler").open("cpu")


def test_it_fills_images_that_are_all_missing(tmp_path: Path) -> None:
    images = [np.zeros((4, 4, 3), np.uint8)] * 4
    texts = ["a", "b", "c", "d"]
    data = MultimodalDataset.from_arrays({"image": images, "text": texts}, [0, 1, 0, 1], classes=["zero", "one"])
    tiny = {"name": "stable-diffusion-tiny", "steps": 2, "per_class": 2, "batch_size": 4}
    pipe = Pipeline("toy", {"image": tiny}, device="cpu", train={"epochs": 1}).fit(data, missing=Missing(image=1.0))
    assert pipe.counters["generated"] == 4


def test_the_fingerprint_changes_with_what_changes_an_image_and_with_nothing_else(folder: Path) -> None:
    base = StableDiffusionTiny()
    for change in (
        {"steps": 3},
        {"size": (16, 16)},
        {"dtype": "bfloat16"},
        {"batch_size": 2},
        {"threads": 2},
        {"negative_prompt": "x"},
    ):
        assert base.model_copy(update=change).fingerprint() != base.fingerprint()
    for change in ({"per_class": 3}, {"seed": 5}, {"guidance": 3.0}, {"model": str(folder)}):
        assert base.model_copy(update=change).fingerprint() == base.fingerprint()
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert StableDiffusionTiny(model=str(folder)).fingerprint() != base.fingerprint()


def test_hub_models_are_known_by_id_and_revision() -> None:
    one, two = StableDiffusion(model="a/b", revision="1"), StableDiffusion(model="a/b", revision="2")
    assert len({one.fingerprint(), two.fingerprint(), StableDiffusion(model="a/b").fingerprint()}) == 3


def test_only_images_are_made() -> None:
    class View:
        labels, classes = np.zeros(1, np.int64), ("zero",)

        def kind(self, modality: str) -> str:
            return "audio"

    with pytest.raises(IncompatibleError, match="makes images; 'sound' is audio"):
        TINY.pool(View(), "sound", {})  # type: ignore[arg-type]
    with pytest.raises(IncompatibleError, match="fills image"):
        Pipeline("toy", TINY, device="cpu").fit(vectors(6), missing={"left": 0.5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "'float32', 'float16' or"),
        ({"prompts": "lable"}, "Did you mean 'label'"),
        ({"steps": 0}, "steps"),
        ({"per_class": 0}, "per_class"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StableDiffusion(**options)


def refused(folder: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        StableDiffusion(model=str(folder)).open("cpu")


def test_a_folder_that_is_no_pipeline_says_what_to_give(tmp_path: Path) -> None:
    refused(tmp_path, r"no model_index\.json, so it is not a diffusers pipeline\. Give the folder that holds it")
    (tmp_path / "model_index.json").write_text("{")
    refused(tmp_path, "not JSON")
    (tmp_path / "model_index.json").write_text("[]")
    refused(tmp_path, "does not name the parts")


def test_a_tokenizer_without_its_files_is_refused(folder: Path) -> None:
    check_folder(folder)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    refused(folder, r"no tokenizer\.json .* every prompt would be encoded alike\. Download the folder again")


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "text_encoder/model"])
def test_truncated_weights_are_refused(folder: Path, part: str) -> None:
    weights = folder / f"{part}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(folder, "cannot be loaded")


def test_a_model_that_cannot_be_reached_says_what_to_give() -> None:
    with pytest.raises(WeightsError, match="folder in diffusers format"):
        StableDiffusion(model="nobody/nothing").open("cpu")


def test_the_embedded_images_are_pictures(make: Make) -> None:
    images = make(wanted("seven", "eight", "nine", "four"))
    assert all(isinstance(image, Image.Image) and image.mode == "RGB" for image in images)
    assert pixels(images).std() > 5


def test_nothing_is_downloaded_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers

    asked: list[bool] = []

    def refuse(*_: object, local_files_only: bool, **__: object) -> None:
        asked.append(local_files_only)
        raise OSError("not here")

    monkeypatch.setattr(diffusers.AutoPipelineForText2Image, "from_pretrained", refuse)
    for download in (False, True):
        with pytest.raises(WeightsError, match="download=True"):
            StableDiffusion(download=download).open("cpu")
    assert asked == [True, False]
    pinned = StableDiffusion()
    assert pinned.fingerprint() == StableDiffusion(download=True).fingerprint()
