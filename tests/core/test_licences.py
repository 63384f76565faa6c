"""Licences: what each strategy states, what commercial use refuses, and why."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint
from typing import Any, ClassVar

import pytest
from toys import ToyBackbone, ToyGenerator

import gtimm
from gtimm import Pipeline
from gtimm.backbones.clip import Clip
from gtimm.backbones.imagebind.backbone import ImageBind
from gtimm.core.errors import ConfigError, LicenceError
from gtimm.core.licences import KNOWN, UNKNOWN, code_licence, licences, names_in, objections, refusal
from gtimm.core.package_licence import package_licence
from gtimm.core.plugin import Info
from gtimm.core.registry import Entry, registry
from gtimm.engines.local import LocalEngine
from gtimm.imputers.audioldm2 import AudioLDM2
from gtimm.imputers.speech import Speech
from gtimm.imputers.stable_diffusion import StableDiffusion, StableDiffusionTiny
from gtimm.prompts.descriptions import DescriptionPrompts

PUBLISHED = [
    (ImageBind(), "CC-BY-NC-SA-4.0", False),
    (StableDiffusion(), "CreativeML-OpenRAIL++-M", True),
    (AudioLDM2(), "CC-BY-NC-SA-4.0", False),
    (Clip(), "MIT", True),
    (Clip(pretrained="laion2b_s34b_b79k"), "MIT", True),
    (Clip(model="ViT-B-16-SigLIP", pretrained="webli"), "Apache-2.0", True),
    (Clip(pretrained="metaclip_400m"), "CC-BY-NC-4.0", False),
    (Clip(model="MobileCLIP-B", pretrained="datacompdr"), "apple-amlr", False),
    (Clip(model="ViT-B-16", pretrained="dfn2b"), "apple-amlr", False),
    (StableDiffusionTiny(), "Apache-2.0", True),
    (Speech(voices=("hibari",)), "Apache-2.0 (hibari)", True),
    (Speech(), "GPL-3.0-or-later (espeak-ng) AND Apache-2.0 (hibari)", True),
]


@pytest.mark.parametrize(("strategy", "licence", "commercial"), PUBLISHED, ids=lambda value: type(value).__name__)
def test_published_weights_have_the_licence_of_their_page(strategy: Any, licence: str, commercial: bool) -> None:
    assert strategy.weights_licence() == licence
    assert (refusal(licence) == "") is commercial


@pytest.mark.parametrize(
    "strategy",
    [
        StableDiffusion(model="somebody/model"),
        AudioLDM2(model="somebody/model"),
        Clip(model="hf-hub:somebody/model"),
        Clip(model="local-dir:folder"),
        Clip(pretrained="openai_tuned.pt"),
        Clip(pretrained="weights/openai"),
        Clip(pretrained="nobody_knows"),
        DescriptionPrompts(model="folder"),
    ],
)
def test_weights_of_somebody_have_no_licence_before_it_is_stated(strategy: Any) -> None:
    assert strategy.weights_licence() == UNKNOWN
    assert "nobody has stated" in refusal(strategy.weights_licence())
    stated = type(strategy)(**strategy.options(), licence="MIT")
    assert stated.weights_licence() == "MIT"
    assert type(strategy)(**stated.options()) == stated


def test_a_licence_that_is_stated_changes_no_item_and_no_feature() -> None:
    assert StableDiffusionTiny(licence="own").fingerprint() == StableDiffusionTiny().fingerprint()
    tiny: Any = registry("backbones").load("imagebind-tiny")
    assert tiny(licence="own").fingerprint() == tiny().fingerprint()


@pytest.mark.parametrize("group", ["imputers", "backbones", "fusion", "prompts", "balance", "engines"])
def test_every_strategy_of_ours_states_licences_that_are_known(group: Any) -> None:
    ours = [name for name, entry in registry(group).view.items() if entry.distribution == "gtimm"]
    for name in ours:
        info = registry(group).load(name).info
        assert code_licence(registry(group).load(name)) == "Apache-2.0"
        assert set(names_in(info.weights_licence)) <= set(KNOWN)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("Apache-2.0 AND CC-BY-NC-4.0", "CC-BY-NC-4.0: no commercial use"),
        ("CC-BY-NC-4.0 (a), MIT (b)", "CC-BY-NC-4.0: no commercial use"),
        ("CC-BY-NC-4.0 OR MIT", ""),
        ("Beerware", "Beerware: not known to gtimm"),
        ("", ""),
        ("  ", "nobody has stated the licence"),
        ("()", "nobody has stated the licence"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0: no commercial use"),
        ("mit and Cc-By-Nc-4.0", "CC-BY-NC-4.0: no commercial use"),
        ("(CC-BY-NC-4.0)", "CC-BY-NC-4.0: no commercial use"),
        ("MIT AND (CC-BY-NC-4.0 OR Apache-2.0)", ""),
        ("MIT AND (CC-BY-NC-4.0 AND Apache-2.0)", "CC-BY-NC-4.0: no commercial use"),
        ("(MIT AND CC-BY-NC-4.0) OR (CC-BY-NC-SA-4.0 AND MIT)", "CC-BY-NC-4.0: no commercial use"),
        ("(MIT AND CC-BY-NC-4.0) OR Apache-2.0", ""),
    ],
)
def test_every_licence_of_several_must_allow_it_and_one_of_a_choice(statement: str, why: str) -> None:
    assert refusal(statement) == why


def test_a_strategy_may_speak_for_a_licence_that_is_not_known_but_not_against_one_that_is() -> None:
    assert refusal("Beerware", says=True) == ""
    assert refusal("Beerware", says=False) == "Beerware: no commercial use, says the strategy"
    assert refusal("CC-BY-NC-4.0", says=True)
    assert refusal("(cc-by-nc-4.0)", says=True)
    assert refusal(UNKNOWN, says=True)


def test_commercial_use_names_every_strategy_that_speaks_against_it_and_the_way_out() -> None:
    with pytest.raises(LicenceError) as caught:
        Pipeline("imagebind", {"image": "stable-diffusion", "audio": "audioldm2"}, commercial=True)
    message = str(caught.value)
    assert "imagebind (weights: CC-BY-NC-SA-4.0: no commercial use)" in message
    assert "audioldm2 (weights: CC-BY-NC-SA-4.0" in message
    assert "stable-diffusion (" not in message
    assert "licence='own'" in message


@pytest.mark.parametrize(
    ("backbone", "imputer"),
    [
        ("clip", "stable-diffusion"),
        ("imagebind-tiny", "speech"),
        ({"name": "imagebind", "weights": "ours.pth", "licence": "own"}, {"name": "audioldm2", "model": "m", "licence": "MIT"}),
    ],
)
def test_commercial_use_lets_the_others_through(backbone: Any, imputer: Any) -> None:
    pipe = Pipeline(backbone, imputer, commercial=True)
    assert pipe.config()["commercial"] is True
    assert Pipeline.from_config(pipe.config()).commercial


def test_what_stands_inside_another_strategy_counts() -> None:
    gated = {"name": "stable-diffusion-tiny", "gate": {"agreement": {"backbone": "imagebind", "top": 1}}}
    with pytest.raises(LicenceError, match=r"imagebind \(weights"):
        Pipeline("imagebind-tiny", gated, commercial=True)
    duplicates = {"duplicates": {"cosine": 0.9, "backbone": {"name": "clip", "pretrained": "dfn2b"}}}
    with pytest.raises(LicenceError, match="apple-amlr"):
        Pipeline("imagebind-tiny", {"name": "stable-diffusion-tiny", "gate": duplicates}, commercial=True)
    asked = {"name": "stable-diffusion-tiny", "prompts": {"name": "descriptions", "model": "llm/"}}
    with pytest.raises(LicenceError, match=r"descriptions \(weights: nobody"):
        Pipeline("imagebind-tiny", asked, commercial=True)
    with pytest.raises(LicenceError, match=r"audioldm2 \(weights"):
        Pipeline("imagebind-tiny", {"audio": {"name": "retrieval", "bank": "audioldm2"}}, commercial=True)
    pipe = Pipeline("imagebind-tiny", "stable-diffusion-tiny", {"name": "dropout", "base": "gated"}, balance="ogm-ge")
    assert list(licences(pipe)) == ["dropout", "gated", "imagebind-tiny", "label", "ogm-ge", "stable-diffusion-tiny", "zero"]


class Restricted(ToyBackbone):
    info: ClassVar[Info] = Info(kinds=("vector",), licence="CC-BY-NC-4.0", weights_licence="Ours-1.0", commercial=True)


class Unstated(ToyGenerator):
    info: ClassVar[Info] = Info(kinds=("image",), items="request", licence="")


def test_code_counts_too_and_nothing_unstated_passes() -> None:
    with pytest.raises(LicenceError, match=r"Restricted \(code: CC-BY-NC-4.0"):
        Pipeline(Restricted(), commercial=True)
    with pytest.raises(LicenceError, match=r"Unstated \(code: nobody has stated"):
        Pipeline("toy", Unstated(), commercial=True)


def test_the_engine_counts_too() -> None:
    class Rented(LocalEngine):
        info: ClassVar[Info] = Info(licence="CC-BY-NC-4.0")

    with pytest.raises(LicenceError, match=r"Rented \(code: CC-BY-NC-4.0"):
        Pipeline("toy", engine=Rented(), commercial=True)


def test_results_carry_code_and_weights_by_registered_name() -> None:
    gtimm.register("backbones", "restricted", Restricted)
    found = licences(Pipeline({"left": "restricted", "right": "toy"}, "mean", "mean"))
    assert found["restricted"] == "CC-BY-NC-4.0; weights Ours-1.0"
    assert found["toy"] == found["mean"] == "Apache-2.0"


def test_one_strategy_with_several_weights_says_all() -> None:
    pipe = Pipeline({"image": "clip", "text": {"name": "clip", "pretrained": "metaclip_400m"}})
    assert licences(pipe)["clip"] == "Apache-2.0; weights MIT / Apache-2.0; weights CC-BY-NC-4.0"
    other = Pipeline({"name": "clip", "pretrained": "dfn2b"})
    assert licences(Pipeline("clip"), other)["clip"] == "Apache-2.0; weights MIT / Apache-2.0; weights apple-amlr"


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_commercial_is_true_or_false(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"option 'commercial'.*boolean"):
        Pipeline("toy", commercial=wrong)


class Packaged(LocalEngine):
    """A plug-in that says nothing of its licence."""


def distribution(fields: str) -> Distribution:
    return Metadata(f"Metadata-Version: 2.4\nName: theirs\nVersion: 1.0\n{fields}\n")


class Metadata(Distribution):
    def __init__(self, text: str) -> None:
        self.text = text

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("License-Expression: CC-BY-NC-4.0\nClassifier: License :: OSI Approved :: MIT License", "CC-BY-NC-4.0"),
        ("License-Expression: MIT (for research only)", ""),
        ("License-Expression: MIT; see the file", ""),
        ("License: MIT", "MIT"),
        ("License: mit license", "MIT"),
        ("License: Apache License, Version 2.0", "Apache-2.0"),
        ("License: MIT, not for commercial use", ""),
        ("License: MIT or a similar one", ""),
        ("License: BSD", ""),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: ISC License (ISCL)", "ISC"),
        ("License: Copyright us\n        Permission is granted\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: Copyright us\n        Permission is granted", ""),
        ("License: MIT\nClassifier: License :: Free for non-commercial use", ""),
        ("License: MIT\nClassifier: License :: OSI Approved", "MIT"),
        ("Classifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        (
            "Classifier: License :: OSI Approved :: MIT License\n"
            "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
            "MIT AND GPL-3.0-only",
        ),
        ("Classifier: License :: Other/Proprietary License", ""),
        ("Classifier: Typing :: Typed", ""),
        ("", ""),
    ],
)
def test_a_package_states_its_licence_by_spdx_or_by_a_spelling_that_means_one(fields: str, licence: str) -> None:
    assert package_licence(distribution(fields)) == licence


def test_damaged_metadata_states_nothing() -> None:
    class Damaged(Metadata):
        def read_text(self, filename: str) -> str | None:
            raise UnicodeDecodeError("utf-8", b"", 0, 1, "damaged")

    assert package_licence(Damaged("")) == ""


@pytest.mark.parametrize(("fields", "why"), [("License: MIT", []), ("", ["code: nobody has stated the licence"])])
def test_a_plugin_that_says_nothing_is_under_the_licence_of_its_package_or_refused(
    fields: str, why: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("packaged", f"{__name__}:Packaged", "gtimm.engines")
    vars(point).update(dist=distribution(fields))
    monkeypatch.setitem(registry("engines")._entries, "packaged", [Entry("packaged", point)])
    assert objections(Packaged) == objections(Packaged()) == why
    if why:
        with pytest.raises(LicenceError, match=r"packaged \(code: nobody has stated the licence\).*Info\(licence=\.\.\.\)"):
            Pipeline("toy", engine="packaged", commercial=True)


def test_what_derives_from_a_strategy_of_ours_is_not_ours() -> None:
    assert code_licence(LocalEngine) == "Apache-2.0"
    assert code_licence(Packaged) == UNKNOWN
