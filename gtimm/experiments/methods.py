"""Methods by name: the paper's comparison set and our baselines, as options of a Pipeline."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gtimm.core.comparing import MECHANISMS
from gtimm.core.errors import ConfigError, did_you_mean
from gtimm.core.missing import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pipeline import Pipeline


@dataclass(frozen=True)
class Method:
    """One way to learn from data in which a target modality is missing.

    Attributes:
        name: as in results.
        says: one line for people.
        target: whether the target modality is used.
        others: whether the other modalities are used.
        complete_rows: trains only on rows that have everything used.
        complete_data: trains on data without simulated missingness (an upper reference).
        unseen: no real item of the target modality is used, only what fills (zero-shot).
        imputer: what fills training gaps; `"generator"` stands for the generator at hand.
        eval_imputer: what fills the target's gaps at test; those of other modalities are filled by `zero`.
        fusion: how embeddings become a prediction.
        dropout: modality dropout, at the rate of the test missing ratio.
    """

    name: str
    says: str
    target: bool = True
    others: bool = True
    complete_rows: bool = False
    complete_data: bool = False
    unseen: bool = False
    imputer: str | Mapping[str, Any] = "zero"
    eval_imputer: str | Mapping[str, Any] = "zero"
    fusion: str = "late"
    dropout: bool = False

    @property
    def generates(self) -> bool:
        """Whether the method needs a generator."""
        return self.imputer == "generator"

    def options(
        self,
        modalities: tuple[str, ...],
        target: str,
        generator: str | Mapping[str, Any] | None = None,
        rate: float = 0.5,
        fusion: Any = "late",
        *,
        zero: str | Mapping[str, Any] = "zero",
    ) -> dict[str, Any]:
        """Return `Pipeline` options.

        Args:
            modalities: of the data.
            target: the modality that is missing.
            generator: the generator's spec, for methods that generate.
            rate: dropout rate, for methods that drop.
            fusion: spec of the fusion of embeddings, where the method's own stands around one or is late fusion.
            zero: what `"zero"` stands for: the level at which gaps are zero.

        Raises:
            ConfigError: a generator is needed and none was given, or the data has no such modality.
        """
        if target not in modalities:
            raise ConfigError(
                f"target= names {target!r}, and the data has {', '.join(modalities)}.{did_you_mean(target, modalities)}"
            )
        if self.generates and generator is None:
            raise ConfigError(f"Method {self.name!r} needs a generator; give one, such as 'stable-diffusion'.")
        imputer: Any = generator if self.generates else zero if self.imputer == "zero" else self.imputer
        judge = zero if self.eval_imputer == "zero" else self.eval_imputer
        if judge != zero:  # the other modalities are of other kinds, perhaps without an empty payload
            judge = {m: judge if m == target else zero for m in modalities}
        options: dict[str, Any] = {"imputer": {target: imputer}, "eval_imputer": judge}
        if not (self.target and self.others):
            chosen = [m for m in modalities if (m == target) == self.target]
            if not chosen:
                raise ConfigError(f"Method {self.name!r} uses the modalities other than {target!r}, and the data has none.")
            options["modalities"] = chosen
            options["imputer"] = imputer if self.target else "zero"
        if self.complete_rows:
            options["rows"] = "complete"
        if self.unseen:
            options["unseen"] = [target]
        base = fusion if self.fusion == "late" else self.fusion if fusion == "late" else {"name": self.fusion, "base": fusion}
        if self.dropout:
            options["fusion"] = {"name": "dropout", "rate": {target: rate}, "base": base}
        elif base != "late":
            options["fusion"] = base
        return options


BLACK: Mapping[str, Any] = {"name": "zero", "level": "payload"}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("multimodal", "complete data, all modalities", complete_data=True),
        Method("visual-only", "complete data, only the target modality", others=False, complete_data=True),
        Method("audio-only", "only the modalities that are never missing", target=False),
        Method("low-resource-visual", "only the target modality, on the rows that have it", others=False, complete_rows=True),
        Method("low-resource-multimodal", "all modalities, on complete rows", complete_rows=True),
        Method("zero-fill", "gaps are zero embeddings"),
        Method("zero-fill-payload", "gaps are black images, silence, empty text", imputer=BLACK, eval_imputer=BLACK),
        Method("mean-fill", "gaps in training are the mean embedding", imputer="mean"),
        Method("class-mean", "gaps are the class's mean embedding", imputer="class-mean"),
        Method("hot-deck", "gaps are real items of the same class from those left", imputer="hot-deck"),
        Method("retrieval", "gaps are the nearest rows' by what is present", imputer="retrieval", eval_imputer="retrieval"),
        Method("regression", "gaps are predicted from what is present", imputer="regression", eval_imputer="regression"),
        Method("gti-mm", "gaps are generated from the class name (the paper)", imputer="generator"),
        Method("mm-dropout", "complete data with modality dropout", complete_data=True, dropout=True),
        Method("gti-mm-dropout", "generated fills with modality dropout (the paper)", imputer="generator", dropout=True),
        Method(
            "gti-mm-prompts",
            "generated fills with missing-aware prompts (the paper, section 8.2)",
            imputer="generator",
            eval_imputer=BLACK,
            fusion="missing-aware",
        ),
        Method(
            "gti-mm-dropout-prompts",
            "generated fills with modality dropout and missing-aware prompts (the paper, Table 6)",
            imputer="generator",
            eval_imputer=BLACK,
            fusion="missing-aware",
            dropout=True,
        ),
        Method("zs-visual", "only generated items of the target modality", others=False, unseen=True, imputer="generator"),
        Method("zs-multimodal", "all modalities, the target one generated in every row", unseen=True, imputer="generator"),
    )
}


def preset(
    name: str,
    data: MultimodalDataset,
    target: str,
    generator: str | Mapping[str, Any] | None = None,
    *,
    rate: float = 0.5,
    **options: Any,
) -> Pipeline:
    """Return the Pipeline of a method of the paper's comparison set, or of our baselines, by name.

    Holes that the data has in other modalities are filled by `zero`. The methods that learn from complete data (`multimodal`,
    `visual-only`, `mm-dropout`) do so when `fit` is given no `missing`.

    Args:
        name: of `METHODS`, such as `"zero-fill"` or `"gti-mm"`.
        data: the training data; only its modalities' names are read.
        target: the modality that is missing; `visual` in a name stands for it, and `audio` for the others.
        generator: what generates, for methods that do: `"stable-diffusion"` or a spec.
        rate: dropout rate, for methods that drop; the paper takes the missing ratio at test.
        options: further options of `Pipeline`, such as `backbone`; they win over the method's.

    Raises:
        ConfigError: an unknown method or modality, or no generator where one is needed.

    Example:
        >>> from gtimm import MultimodalDataset
        >>> data = MultimodalDataset.from_arrays({"image": [None, None], "text": ["a", "b"]}, ["x", "y"])
        >>> preset("hot-deck", data, "image", backbone="imagebind-tiny").config()["imputer"]
        {'image': {'name': 'hot-deck'}, 'text': {'name': 'zero'}}
    """
    from gtimm.core.pipeline import Pipeline

    chosen = method(name).options(data.modalities, target, generator, rate)
    return Pipeline(**{**with_other_fills(chosen, data.modalities, target), **options})


def with_other_fills(options: dict[str, Any], modalities: tuple[str, ...], target: str) -> dict[str, Any]:
    """Return a method's options with `zero` for the holes that the data has in other modalities."""
    imputer = options["imputer"]
    if not isinstance(imputer, dict) or target not in imputer:
        return options
    return {**options, "imputer": {**dict.fromkeys(modalities, "zero"), **imputer}}


def method(name: str) -> Method:
    """Return a method by name; raises `ConfigError` with the nearest name."""
    if name not in METHODS:
        raise ConfigError(f"Unknown method {name!r}.{did_you_mean(name, METHODS)} Known: {', '.join(METHODS)}.")
    return METHODS[name]


@dataclass(frozen=True)
class Setting:
    """One cell of an experiment, without seed: what is missing where, the budget, and what differs from the method as it is.

    Attributes:
        dataset: name of the data set.
        method: of `METHODS`, or one that the grid knows.
        mechanism: how values go missing in training.
        missing_train: modality to missing ratio of the training rows.
        missing_test: of the test rows.
        budget: generated items a class.
        variant: what else sets it apart, for people and for `results.json`, such as `{"guidance": "1 to 5"}`.
        generator: options of the generator that make the variant; they win over the grid's.
        pipeline: options of the Pipeline that make it; they win over the method's, and those of `train` one by one.
        rate: of modality dropout; `None` takes the missing ratio at test.
        mask: what makes the holes of the training rows where mechanism and ratios do not say it all.
        test_mask: what makes those of the test rows; by default they are at random.
    """

    dataset: str
    method: str
    mechanism: str = "random"
    missing_train: Mapping[str, float] = field(default_factory=dict)
    missing_test: Mapping[str, float] = field(default_factory=dict)
    budget: int | None = None
    variant: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    generator: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None
    mask: Missing | None = None
    test_mask: Missing | None = None

    @classmethod
    def of(cls, dataset: str, method: str, train: Missing, test: Missing, budget: int | None = None, **more: Any) -> Setting:
        """Return the setting of any kind of missingness."""
        trained, tested = ({m: share for m, share in missing.shares.items() if share} for missing in (train, test))
        return cls(dataset, method, train.mechanism, trained, tested, budget, mask=train, test_mask=test, **more)

    def training(self) -> Missing:
        """Return what makes the holes of the training rows.

        Raises:
            ConfigError: the mechanism is none that a word says, and there is no `mask`.
        """
        if self.mask is not None:
            return self.mask
        if self.mechanism not in MECHANISMS:
            raise ConfigError(
                f"Mechanism {self.mechanism!r} needs a Missing that says what decides.{did_you_mean(self.mechanism, MECHANISMS)} "
                f"By name there are {', '.join(MECHANISMS)}."
            )
        return Missing(self.missing_train, **MECHANISMS[self.mechanism])

    def hidden(self) -> Missing:
        """Return what makes the holes of the test rows."""
        return Missing(self.missing_test) if self.test_mask is None else self.test_mask

    @property
    def label(self) -> str:
        """The method with its budget and variant, for people."""
        more = [f"{self.budget} a class"] if self.budget else []
        more += [f"{name} {value}" for name, value in self.variant.items()]
        return self.method + (f" ({', '.join(more)})" if more else "")

    def key(self) -> str:
        """Return a text that settings of equal content share."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, default=repr)
