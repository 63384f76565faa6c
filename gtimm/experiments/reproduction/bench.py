"""What exhibits are made of: a preset with choices made, and the settings of its experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gtimm.core.dataset import Splits
from gtimm.experiments.methods import Setting, method
from gtimm.experiments.reproduction.choices import Choices
from gtimm.experiments.reproduction.paper import At
from gtimm.experiments.reproduction.presets import Preset
from gtimm.experiments.sweeps.curves import Curves, X, distinct
from gtimm.experiments.sweeps.plans import Robustness

Counted = Callable[[Splits, "Bench"], float | None]


@dataclass(frozen=True)
class Place:
    """One cell of an exhibit, and what fills it: a setting, or something that is counted without training.

    Attributes:
        at: its line, as in `paper.yaml`.
        column: its column.
        setting: whose score stands there.
        target: modality that goes missing in the setting.
        counted: what stands there where nothing is trained; `None` is no one number, and `note` says why.
        metric: of what is counted; scores have that of the bench.
        note: about it.
        spot: its series and x on the exhibit's curves.
    """

    at: At
    column: str
    setting: Setting | None = None
    target: str = "image"
    counted: Counted | None = None
    metric: str = ""
    note: str = ""
    spot: tuple[str, X] | None = None


@dataclass(frozen=True)
class Claim:
    """Something that the paper says, as differences that must be above zero.

    Attributes:
        says: the claim in words.
        pairs: where, the setting that is said to be better, and the other one.
        target: modality that goes missing in them.
        ours: not a claim of the paper, but a question beside it.
    """

    says: str
    pairs: Sequence[tuple[str, Setting, Setting]]
    target: str = "image"
    ours: bool = False


@dataclass(frozen=True)
class Plan:
    """A table or figure before it is run.

    Attributes:
        name: such as `table3`.
        places: its cells.
        claims: what the paper concludes from it.
        curves: drawn from its cells, by the modality that goes missing in them.
        matrices: computed beside it.
        shown: whose generated items it shows, with no model trained on them.
        absent: what it would show besides, and why that is left out.
    """

    name: str
    places: Sequence[Place] = ()
    claims: Sequence[Claim] = ()
    curves: Sequence[Curves] = ()
    matrices: Sequence[Robustness] = ()
    shown: Sequence[Setting] = ()
    absent: Sequence[str] = ()

    def settings(self, target: str) -> list[Setting]:
        """Return the settings in which a modality goes missing, each once."""
        found = [p.setting for p in self.places if p.setting is not None and p.target == target]
        if target == "image":
            found += [s for curves in self.curves for s in curves.settings()]
            found += [s for matrix in self.matrices for s in matrix.settings()]
        return distinct(found)

    def generating(self, target: str) -> list[Setting]:
        """Return the settings in which a modality is generated, those included whose items are only shown, each once."""
        shown = [setting for setting in self.shown if target in setting.missing_train]
        return distinct(setting for setting in (*self.settings(target), *shown) if setting.budget)

    def targets(self) -> list[str]:
        """Return the modalities that go missing in its settings."""
        shown = [modality for setting in self.shown for modality in setting.missing_train]
        return list(dict.fromkeys([*(p.target for p in self.places if p.setting is not None), *shown]))


@dataclass(frozen=True)
class Bench:
    """A preset with choices made.

    Attributes:
        preset: the data set and its settings.
        choices: what the paper leaves open.
    """

    preset: Preset
    choices: Choices = field(default_factory=Choices)

    def setting(
        self,
        name: str,
        p: float = 0,
        q: float = 0,
        *,
        budget: int | None = None,
        target: str | None = None,
        variant: Mapping[str, Any] | None = None,
        generator: Mapping[str, Any] | None = None,
    ) -> Setting:
        """Return the setting of a method.

        Args:
            name: of `METHODS`.
            p: percent missing in training.
            q: percent missing at test.
            budget: items a class, of methods that generate; the choices' by default.
            target: modality that goes missing; the preset's by default.
            variant: what else sets it apart.
            generator: options of the generator that make it.
        """
        found, modality = method(name), target or self.preset.target
        pipeline: dict[str, Any] = {}
        if found.unseen and self.choices.prior == "uniform":
            pipeline["train"] = {"class_weights": "balanced"}
        rate = None
        if found.generates and found.dropout and self.choices.dropout != "match":
            rate = float(self.choices.dropout)
        whole = found.complete_data or not p
        return Setting(
            self.preset.name,
            name,
            "random" if whole else self.choices.mechanism,
            {} if whole else {modality: p / 100},
            {modality: q / 100} if q else {},
            (budget or self.choices.per_class) if found.generates else None,
            dict(variant or {}),
            dict(generator or {}),
            pipeline,
            rate,
        )

    def at(self, p: int | None = None, **more: str | int) -> dict[str, str | int]:
        """Return a line's place; p is named only where the preset has several, since the paper's exhibits have one a data set."""
        named = {} if p is None or len(self.preset.ratios) == 1 else {"p": p}
        return {"dataset": self.preset.label, **named, **more}

    @property
    def metric(self) -> str:
        """Of scores."""
        return self.preset.scored_by(self.choices)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Items a class in Figures 6 and 10."""
        return tuple(dict.fromkeys([*(b for b in (1, 5, 20) if b < self.choices.per_class), self.choices.per_class]))
