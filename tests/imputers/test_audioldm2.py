"""A tiny AudioLDM2 of all real classes is loaded, and makes the sounds that the pipeline itself makes of each prompt alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audio_models import save_audioldm2
from toys import vectors

from gtimm import Missing, Pipeline, load_dataset
from gtimm.core.errors import ConfigError, IncompatibleError, WeightsError
from gtimm.core.imputer import Failure
from gtimm.core.media import load_audio
from gtimm.core.pool import Request
from gtimm.imputers.audioldm2 import AudioLDM2, _item, load_audioldm2

PROMPTS = ("cat", "a very long sound of words", "dog")
Make = Callable[[list[Request]], list[Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_audioldm2(tmp_path_factory.mktemp("audioldm2"))


@pytest.fixture(scope="module")
def tiny(model: Path) -> AudioLDM2:
    return AudioLDM2(model=str(model), steps=2, seconds=0.256, batch_size=3)


@pytest.fixture(scope="module")
def make(tiny: AudioLDM2) -> Make:
    return tiny.open("cpu")


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny pipeline, to damage."""
    return Path(shutil.copytree(model, tmp_path / "copy"))


def wanted(*prompts: str, guidance: float = 3.5, seed: int = 7) -> list[Request]:
    return [Request("audio", prompt, seed, guidance) for prompt in prompts]


def sounds(items: list[Any]) -> np.ndarray:
    assert all(rate == 16000 for _, rate in items)
    return np.stack([samples for samples, _ in items])


def test_sounds_are_made_and_repeat_exactly(tiny: AudioLDM2, make: Make) -> None:
    one = sounds(make(wanted(*PROMPTS)))
    assert one.shape == (3, 4096)
    assert one.dtype == np.float32
    assert (one.std(axis=1) > 0.01).all()
    assert np.abs(one).max() <= 1
    np.testing.assert_array_equal(one, sounds(make(wanted(*PROMPTS))))
    np.testing.assert_array_equal(one, sounds(tiny.open("cpu")(wanted(*PROMPTS))))
    np.testing.assert_array_equal(one, sounds(tiny.model_copy(update={"offload": True}).open("cpu")(wanted(*PROMPTS))))


@pytest.mark.parametrize("guidance", [3.5, 1.0, 0.0])
def test_a_sound_does_not_depend_on_its_neighbours(make: Make, guidance: float) -> None:
    mixed = sounds(make(wanted(*PROMPTS, guidance=guidance)))
    for place, prompt in enumerate(PROMPTS):
        alike = sounds(make(wanted(*[prompt] * 3, guidance=guidance)))
        np.testing.assert_allclose(mixed[place], alike[place], atol=1e-4)
    assert np.abs(mixed[0] - mixed[2]).max() > 0.01


@pytest.mark.parametrize("guidance", [3.5, 1.0])
@pytest.mark.parametrize("negative", [None, "noise"])
def test_a_sound_is_what_the_pipeline_makes_of_the_prompt_alone(
    tiny: AudioLDM2, model: Path, guidance: float, negative: str | None
) -> None:
    ours = sounds(tiny.model_copy(update={"negative_prompt": negative}).open("cpu")(wanted(*PROMPTS, guidance=guidance)))
    pipeline = load_audioldm2(str(model), None, "float32", "cpu")
    for place, prompt in enumerate(PROMPTS):
        with torch.inference_mode():
            reference = pipeline(
                prompt,
                negative_prompt=negative,
                num_inference_steps=2,
                guidance_scale=guidance,
                audio_length_in_s=0.256,
                generator=torch.Generator().manual_seed(7),
            ).audios[0]
        np.testing.assert_allclose(ours[place], np.clip(reference, -1, 1), atol=1e-4)


def test_seed_and_guidance_change_the_sound_and_a_batch_may_mix_them(make: Make) -> None:
    base = sounds(make(wanted("cat", "cat", "cat")))
    mixed = sounds(make(wanted("cat") + wanted("cat", seed=8) + wanted("cat", guidance=1.0)))
    np.testing.assert_array_equal(mixed[0], base[0])
    assert np.abs(mixed[1] - base[1]).max() > 0.01
    assert np.abs(mixed[2] - base[2]).max() > 0.01
    plain = sounds(make(wanted("cat", "cat", "cat", guidance=0.0)))
    np.testing.assert_array_equal(mixed[2], plain[2])


def test_each_prompt_is_encoded_once(tiny: AudioLDM2, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import AudioLDM2Pipeline

    seen: list[str] = []
    original = AudioLDM2Pipeline.encode_prompt

    def counted(self: Any, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        if prompt is not None:
            seen.extend(prompt)
        return original(self, prompt, *args, **kwargs)

    monkeypatch.setattr(AudioLDM2Pipeline, "encode_prompt", counted)
    make = tiny.open("cpu")
    for _ in range(3):
        make(wanted("cat", "dog", "cat"))
    assert sorted(seen) == ["cat", "dog"]


def test_a_checkpoint_that_names_gpt2model_makes_the_same_sounds(tiny: AudioLDM2, make: Make, tmp_path: Path) -> None:
    older = save_audioldm2(tmp_path / "older", "GPT2Model")
    found = sounds(tiny.model_copy(update={"model": str(older)}).open("cpu")(wanted(*PROMPTS)))
    np.testing.assert_allclose(found, sounds(make(wanted(*PROMPTS))), atol=1e-5)


def test_threads_and_the_global_random_state_are_left_alone(make: Make) -> None:
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    make(wanted(*PROMPTS))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_the_length_is_the_models_unless_one_is_given(tiny: AudioLDM2) -> None:
    own = tiny.model_copy(update={"seconds": None, "batch_size": 1}).open("cpu")(wanted("cat"))
    assert sounds(own).shape == (1, 32 * 2 * 64)  # sample_size, times the factors of autoencoder and vocoder
    with pytest.raises(ConfigError, match=r"makes no less than 0\.008 s \(found 0\.001\)"):
        tiny.model_copy(update={"seconds": 0.001}).open("cpu")


def test_half_precision_makes_sound(tiny: AudioLDM2) -> None:
    found = sounds(tiny.model_copy(update={"dtype": "bfloat16"}).open("cpu")(wanted(*PROMPTS)))
    assert found.dtype == np.float32
    assert found.std() > 0.01


def test_sounds_that_are_not_finite_are_failures() -> None:
    assert isinstance(_item(np.array([0.0, np.nan]), 16000), Failure)


def test_the_fingerprint_changes_with_what_changes_a_sound_and_with_nothing_else(tiny: AudioLDM2, folder: Path) -> None:
    before = tiny.fingerprint()
    for change in (
        {"steps": 3},
        {"seconds": 1.0},
        {"dtype": "bfloat16"},
        {"batch_size": 2},
        {"threads": 2},
        {"negative_prompt": "x"},
    ):
        assert tiny.model_copy(update=change).fingerprint() != before
    for change in ({"per_class": 3}, {"seed": 5}, {"guidance": 1.0}, {"model": str(folder)}, {"download": True}):
        assert tiny.model_copy(update=change).fingerprint() == before
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert tiny.model_copy(update={"model": str(folder)}).fingerprint() != before
    hub = [AudioLDM2(model="a/b", revision=revision).fingerprint() for revision in ("1", "2", None)]
    assert len(set(hub)) == 3


def test_only_sound_is_made(tiny: AudioLDM2) -> None:
    class View:
        labels, classes = np.zeros(1, np.int64), ("zero",)

        def kind(self, modality: str) -> str:
            return "image"

    with pytest.raises(IncompatibleError, match="makes sound; 'photo' is image"):
        tiny.pool(View(), "photo", {})  # type: ignore[arg-type]
    with pytest.raises(IncompatibleError, match="fills audio"):
        Pipeline("toy", tiny, device="cpu").fit(vectors(6), missing={"left": 0.5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "'float32', 'float16' or"),
        ({"prompts": "lable"}, "Did you mean 'label'"),
        ({"steps": 0}, "steps"),
        ({"seconds": 0}, "seconds"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AudioLDM2(**options)


def refused(folder: Path | str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        AudioLDM2(model=str(folder)).open("cpu")


@pytest.mark.parametrize("part", ["tokenizer", "tokenizer_2"])
def test_a_tokenizer_without_its_files_is_refused(folder: Path, part: str) -> None:
    (folder / part / "tokenizer.json").unlink()
    refused(folder, r"no tokenizer\.json .* every prompt would be encoded alike\. Download the folder again")


@pytest.mark.parametrize(
    "part", ["unet/diffusion_pytorch_model", "language_model/model", "text_encoder_2/model", "vocoder/model"]
)
def test_missing_and_truncated_weights_say_what_to_give(folder: Path, part: str) -> None:
    weights = folder / f"{part}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(folder, "cannot be loaded.*folder in diffusers format with safetensors weights")
    weights.unlink()
    refused(folder, "cannot be loaded.*folder in diffusers format with safetensors weights")


def test_a_language_model_of_which_weights_are_missing_is_not_filled_with_random_ones(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "language_model" / "model.safetensors"
    save_file({name: v for name, v in load_file(weights).items() if "wpe" not in name}, weights, {"format": "pt"})
    refused(folder, "lacks the weights.*wpe")


def test_a_folder_that_is_no_pipeline_and_a_model_that_is_not_here_say_what_to_give(tmp_path: Path) -> None:
    refused(tmp_path, r"no model_index\.json")
    refused("nobody/nothing", "download=True fetches")


def test_it_fills_missing_sound_of_digits(tiny: AudioLDM2, home: Path) -> None:
    whole = load_dataset("digits")
    few = {"name": "audioldm2", **tiny.options(), "per_class": 1, "batch_size": 5}
    pipe = Pipeline("imagebind-tiny", {"audio": few}, device="cpu", train={"epochs": 1})
    pipe.fit(whole.train.subset(np.arange(30)), missing=Missing(audio=0.9))
    assert pipe.counters["generated"] == 10
    files = sorted((home / "bank").rglob("*.wav"))
    assert len(files) == 10
    samples, rate = load_audio(files[0])
    assert (samples.shape, rate) == ((1, 4096), 16000)
    assert samples.std() > 0.01
    assert 0 <= pipe.evaluate(whole.test.subset(np.arange(20)), missing=Missing(audio=0.5))["accuracy"] <= 1
