"""Which methods a comparison compares, by name: the user's, the baselines that honesty asks for, and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.imputer import Generator
from gtimm.core.media import empty_payload
from gtimm.core.registry import registry
from gtimm.experiments.methods import BLACK, METHODS, method

if TYPE_CHECKING:
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pipeline import Pipeline

Role = Literal["baseline", "candidate", "reference"]

BASELINES = (
    "audio-only", "low-resource-visual", "low-resource-multimodal", "zero-fill", "zero-fill-payload", "mean-fill", "class-mean", "hot-deck",
)  # fmt: skip
"""From the cheapest to the dearest; the first two are named for images missing beside sound."""
REFERENCES = ("multimodal", "visual-only")
FILLS = ("retrieval", "regression")
GENERATORS = {"image": "stable-diffusion", "audio": "audioldm2"}
WORDS = {"image": "visual", "video": "visual", "audio": "audio", "text": "text"}


@dataclass(frozen=True)
class Contender:
    """A method of a comparison.

    Attributes:
        name: in the results.
        used: a preset's name, or options of `Pipeline`.
        role: baselines are what others have to beat; references need data that are not there, and are only shown.
        added: whether the comparison added it; where it cannot run it is left out, with a note.
    """

    name: str
    used: str | Mapping[str, Any]
    role: Role
    added: bool = False

    @property
    def generates(self) -> bool:
        """Whether it is a preset that needs the generator, and so has budgets."""
        return isinstance(self.used, str) and METHODS[self.used].generates

    @property
    def whole(self) -> bool:
        """Whether it learns from complete data."""
        return isinstance(self.used, str) and METHODS[self.used].complete_data

    def check(self, data: MultimodalDataset, target: str) -> None:
        """Raise `IncompatibleError` where it fills by an empty payload and the target's kind has none."""
        if isinstance(self.used, str) and METHODS[self.used].imputer is BLACK:
            empty_payload(data.kind(target))

    def modalities(self, data: MultimodalDataset, target: str) -> tuple[str, ...]:
        """Return the modalities that it uses."""
        if not isinstance(self.used, str):
            return tuple(self.used.get("modalities") or data.modalities)
        preset = METHODS[self.used]
        return tuple(m for m in data.modalities if (preset.target if m == target else preset.others))


def contenders(
    methods: Sequence[str] | Mapping[str, Any] | None,
    data: MultimodalDataset,
    target: str,
    generator: Any,
    *,
    baselines: bool,
    holes_at_test: bool,
) -> list[Contender]:
    """Return the methods in order: baselines, the user's or the default ones, references.

    Args:
        methods: as in `compare`.
        data: the training rows; only kinds and names are read.
        target: the modality that goes missing.
        generator: its spec, or `None`.
        baselines: whether to add baselines and references.
        holes_at_test: whether something is missing at test, so that modality dropout belongs to the default methods.
    """
    if target not in data.modalities:
        raise ConfigError(
            f"target={target!r}, and the data has {', '.join(data.modalities)}.{did_you_mean(target, data.modalities)} "
            "It is the modality that missing ratios are of."
        )
    if methods is None:
        named: dict[str, Any] = dict.fromkeys(FILLS)
        if generator is not None:
            named |= dict.fromkeys(("gti-mm", "gti-mm-dropout") if holes_at_test else ("gti-mm",))
    else:
        named = dict(methods) if isinstance(methods, Mapping) else dict.fromkeys(methods)
    names = _names(data, target)
    own = [
        _own(names.get(name, name) if spec is None else name, name if spec is None else spec, target)
        for name, spec in named.items()
    ]
    if not baselines:
        return own
    taken = {one.name for one in own}
    single = len(data.modalities) == 1
    added = [Contender(names.get(name, name), name, "baseline", added=True) for name in BASELINES]
    added = [one for one in added if one.name not in taken and not (single and not METHODS[str(one.used)].target)]
    shown = (*REFERENCES, "mm-dropout") if holes_at_test and methods is None else REFERENCES
    last = [Contender(names.get(name, name), name, "reference", added=True) for name in shown]
    return [*added, *own, *(one for one in last if one.name not in taken)]


def default_generator(methods: Sequence[str] | Mapping[str, Any] | None, kind: str) -> str | None:
    """Return what generates where nobody said it and a method that was asked for needs it."""
    asked = list(methods.values() if isinstance(methods, Mapping) else methods or ())
    names = [name for name in [*(methods or ()), *asked] if isinstance(name, str) and name in METHODS]
    return GENERATORS.get(kind) if any(METHODS[name].generates for name in names) else None


def _own(name: str, spec: Any, target: str) -> Contender:
    """Return a method of the user's: a preset, an imputer by name, or options of a Pipeline."""
    if isinstance(spec, Mapping):
        return Contender(name, dict(spec), "candidate")
    if not isinstance(spec, str):
        raise ConfigError(f"Method {name!r} is a preset's name, an imputer's, a Pipeline or its options; found {spec!r}.")
    used = spec
    imputers = registry("imputers")
    if used not in METHODS and used in imputers:
        strategy = imputers.create(used)
        judge = used if not strategy.needs_label() and not isinstance(strategy, Generator) else "zero"
        return Contender(name, {"imputer": {target: used}, "eval_imputer": {target: judge}}, "candidate")
    if used not in METHODS:
        known = [*METHODS, *imputers]
        raise ConfigError(f"Unknown method {used!r}.{did_you_mean(used, known)} Presets and imputers: {', '.join(known)}.")
    role: Role = "baseline" if used in BASELINES else "reference" if method(used).complete_data else "candidate"
    return Contender(name, used, role)


def _names(data: MultimodalDataset, target: str) -> dict[str, str]:
    """Return what presets are called that are named for images beside sound, for these modalities."""
    others = [m for m in data.modalities if m != target]
    mine = WORDS.get(data.kind(target), target)
    rest = WORDS.get(data.kind(others[0]), others[0]) if len(others) == 1 else "others"
    if mine == rest:
        mine, rest = target, others[0]
    return {"visual-only": f"{mine}-only", "audio-only": f"{rest}-only", "low-resource-visual": f"low-resource-{mine}"}


def shared_options(methods: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of all methods' Pipelines: those given, and of the others what all Pipelines among the methods agree on.

    So baselines are embedded, fused and trained as the methods that they stand beside.

    Raises:
        ConfigError: Pipelines differ in their backbone, and none is given.
    """
    from gtimm.core.fusion import Fusion

    pipes = _pipelines(methods)
    found = {name: value for name, value in given.items() if value is not None}
    configs: list[dict[str, Any]] = [{"train": {}, **pipe.config()} for pipe in pipes]
    for name in ("backbone", "fusion", "train"):
        values = [config[name] for config in configs]
        if name in found or not values:
            continue
        alike = all(value == values[0] for value in values)
        if name == "backbone" and not alike:
            raise ConfigError("The Pipelines among the methods have different backbones; say backbone= for the baselines.")
        hides = name == "fusion" and type(pipes[0].fusion).hide is not Fusion.hide
        if alike and not hides:
            found[name] = values[0]
    return found


def machine_options(methods: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return where all methods run, `store`, `device`, `engine` and `generate`: as given, else as in the Pipelines among the methods.

    Raises:
        ConfigError: Pipelines differ in one that is not given.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name in [name for name in given if name not in found]:
        values = [getattr(pipe, name) for pipe in _pipelines(methods)]
        values = [Path(value) if name == "store" and value is not None else value for value in values]
        if other := [value for value in values if value != values[0]]:
            raise ConfigError(
                f"The Pipelines among the methods have different {name}= ({values[0]!r} and {other[0]!r}), and all methods run with one: "
                f"say {name}= of compare."
            )
        if values and values[0] is not None:
            found[name] = values[0]
    return found


def _pipelines(methods: Any) -> list[Pipeline]:
    from gtimm.core.pipeline import Pipeline

    return [spec for spec in (methods.values() if isinstance(methods, Mapping) else ()) if isinstance(spec, Pipeline)]
