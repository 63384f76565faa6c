"""Settings of a reproduction by data set: the paper's in full, and `digits`, which runs anywhere in minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gtimm.core.dataset import Splits, load_dataset
from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.experiments.demo import BACKBONE, GENERATOR, SPEECH, TRAIN
from gtimm.experiments.reproduction.choices import Choices, merged
from gtimm.experiments.reproduction.paper import published

FILMS = {"epochs": 15, "batch_size": 128, "lr": 5e-4, "weight_decay": 1e-4}  # Table 8
TEXTS = {**FILMS, "epochs": 30}  # Table 9
THINGS = {"name": "label", "performers": []}
GUIDANCE = {"low": 1.0, "high": 5.0}  # section 4.3
PERFORMERS: Mapping[str, Any] = {
    "all five": {},
    "a man": {"prompts": {"name": "label", "performers": ["a man"]}},
    "a woman": {"prompts": {"name": "label", "performers": ["a woman"]}},
}
FILM_EXHIBITS = (*(f"table{i}" for i in range(1, 9)), *(f"figure{i}" for i in range(4, 12)))
TEXT_EXHIBITS = ("table9", "table10", "table11", "figure12")

LOOKS = ("thin", "bold", "slanted left", "slanted right", "thin slanted left", "thin slanted right", "bold slanted left",
         "bold slanted right", "upright")  # fmt: skip
"""Words of thickness and slant that `stable-diffusion-tiny` was taught."""
LOOKED = {
    "name": "label",
    "performers": [],
    "templates": ["A photo of {action}", *(f"A photo of a {look} {{action}}" for look in LOOKS)],
}
WRITERS: Mapping[str, Any] = {
    label: {"prompts": {"name": "label", "performers": list(who), "templates": ["A photo of {performer} writing {action}"]}}
    for label, who in {
        "all five": ("a man", "a woman", "a child", "a person", "a group of people"),
        "a man": ("a man",),
        "a woman": ("a woman",),
    }.items()
}
SENTENCES = (
    "a handwritten digit {}", "the number {}, white ink on a black background", "a bold handwritten {}",
    "the number {}, slanted right", "a drawing of the digit {}",
)  # fmt: skip
"""In words that `stable-diffusion-tiny` knows."""


@dataclass(frozen=True)
class Preset:
    """One data set and the settings of its experiments.

    Attributes:
        name: on the command line and in results.
        paper: what the paper calls the data set; `None` for one that it does not have.
        data: the data set and its options.
        root: what `--root` must be; empty where the data set is embedded.
        classes: how many, where the data is not at hand (Table 1, and the classes of the text-visual data sets).
        exhibits: that it has a part in.
        target: the modality that goes missing.
        backbone: what embeds.
        generator: of the target.
        train: options of training.
        seeds: how many.
        ratios: percent missing in training where little is left (Tables 3, 4, 6, 7, 10).
        dropped: percent missing in training with dropout (Tables 5 and 11).
        curve: percent missing in training of Figures 4 and 12.
        sound: of missing sound (Table 7); `None` where there is none.
        domains: options of the generator for prompts of many domains.
        performers: label to options of the generator, for Figure 11; the first is as elsewhere where it is empty.
        shown: classes of the gallery; empty for all.
        named: its classes, where they are known without its files.
        sentences: stand-ins for those of a language model (Table 4), with `{}` for the class.
        metric: of scores; `f1` and `top` are as the choices of these names say.
        path_only: by exhibit, why its numbers mean nothing on this data although they can be computed.
    """

    name: str
    paper: str | None
    data: Mapping[str, Any]
    classes: int
    exhibits: tuple[str, ...]
    root: str = ""
    target: str = "image"
    backbone: Mapping[str, Any] = field(default_factory=lambda: {"name": "imagebind"})
    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "stable-diffusion"})
    train: Mapping[str, Any] = field(default_factory=lambda: FILMS)
    seeds: int = 3
    ratios: tuple[int, ...] = (95,)
    dropped: tuple[int, ...] = (90, 95)
    curve: tuple[int, ...] = (70, 80, 90, 95)
    sound: Mapping[str, Any] | None = field(default_factory=lambda: {"name": "audioldm2"})
    domains: Mapping[str, Any] = field(default_factory=lambda: {"prompts": "domain"})
    performers: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: PERFORMERS)
    shown: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    metric: str = "accuracy"
    path_only: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the data set is called in exhibits."""
        return self.paper or self.name

    def load(self, root: str | None, choices: Choices) -> Splits:
        """Load the data set.

        Args:
            root: the folder of its files.
            choices: whose `data` are further options.

        Raises:
            ConfigError: a folder is needed and was not given, or was and is not needed.
            DataError: as the data set's loader.
        """
        if self.root and root is None and "root" not in choices.data:
            raise ConfigError(f"Preset {self.name!r} needs --root: {self.root}.")
        if not self.root and root is not None:
            raise ConfigError(f"Preset {self.name!r} is embedded and takes no --root.")
        options = {**self.data, **choices.data, **({"root": root} if root is not None else {})}
        return load_dataset(options.pop("name"), **options)

    def generator_of(self, target: str, choices: Choices) -> dict[str, Any] | None:
        """Return the spec of what generates a modality; `None` for sound where the preset has no generator of it."""
        if target == self.target:
            return merged(self.generator, choices.generator)
        return None if self.sound is None else merged(self.sound, choices.sound)

    def scored_by(self, choices: Choices) -> str:
        """Return the name of the metric."""
        if self.metric == "top":
            return "accuracy" if choices.top == 1 else f"top{choices.top}_accuracy"
        return f"{choices.f1}_f1" if self.metric == "f1" else self.metric


def _texts(name: str, paper: str, classes: int, root: str, metric: str) -> Preset:
    return Preset(
        name,
        paper,
        {"name": name},
        classes,
        TEXT_EXHIBITS,
        root,
        backbone={"name": "clip", "model": "ViT-B-32", "pretrained": "openai"},
        generator={"name": "stable-diffusion", "prompts": THINGS},
        train=TEXTS,
        dropped=(50, 90, 95),
        sound=None,
        metric=metric,
    )


def _moments(name: str, paper: str, classes: int) -> Preset:
    root = "Moments in Time, with training/, validation/ and its two lists"
    return Preset(
        name,
        paper,
        {"name": "moments", "classes": classes},
        classes,
        (*FILM_EXHIBITS, "figure13"),
        root,
        seeds=1,  # section 5.3
        ratios=(99,),
        dropped=(90, 99),
        curve=(70, 80, 90, 95, 99),
        shown=("cooking", "hiking"),
    )


_NO_TEXT = "digits have no text: sound stands in its place"
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "digits",
                None,
                {"name": "digits"},
                10,
                tuple(published().exhibits),
                backbone={"name": BACKBONE},
                generator=GENERATOR,
                train=TRAIN,
                seeds=5,
                ratios=(95, 99),
                dropped=(50, 90, 95, 99),
                curve=(70, 80, 90, 95, 99),
                sound=SPEECH,
                domains={"prompts": LOOKED},
                performers=WRITERS,
                named=("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
                sentences=SENTENCES,
                path_only={
                    "table4": "no language model wrote the sentences: they are ours, in the few words that the generator knows",
                    "table10": _NO_TEXT,
                    "table11": _NO_TEXT,
                    "figure12": _NO_TEXT,
                    "figure11": "the generator draws the digit alone, whoever writes it",
                },
            ),
            Preset(
                "ucf101",
                "UCF101",
                {"name": "ucf101"},
                51,
                FILM_EXHIBITS,
                "the folder that holds UCF-101/ and ucfTrainTestlist/",
            ),
            Preset(
                "activitynet",
                "ActivityNet",
                {"name": "activitynet"},
                200,
                FILM_EXHIBITS,
                "the folder that holds activity_net.v1-3.min.json and videos/",
            ),
            _moments("mit10", "MiT10", 10),
            _moments("mit51", "MiT51", 51),
            _texts("crisismmd", "CrisisMMD", 6, "the folder that holds crisismmd_datasplit_all/ and data_image/", "f1"),
            _texts("food101", "Food101", 101, "the folder that holds images/ and texts/", "top"),
        )
    }
)


def preset(name: str) -> Preset:
    """Return a preset by name; raises `ConfigError` with the nearest name."""
    if name not in PRESETS:
        raise ConfigError(f"Unknown preset {name!r}.{did_you_mean(name, PRESETS)} Known: {', '.join(PRESETS)}.")
    return PRESETS[name]
