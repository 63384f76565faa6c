"""What is varied: generated items, guidance, prompts, missing ratios in training and at test. Each is a plan; a grid runs it.

Example:
    >>> from gtimm.experiments.methods import Setting
    >>> base = Setting("digits", "gti-mm", missing_train={"image": 0.95}, budget=100)
    >>> [spot.x for spot in quantity(base, (1, 20), references=()).spots]
    [1, 20]
    >>> robustness(base, "image", p=(0, 95), q=(50,)).setting(0.95, 0.5).missing_test
    {'image': 0.5}

    Run one with `curves.sweep(by_key(grid.run(curves.settings())))`, several by joining their settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gtimm.experiments.methods import Setting, method
from gtimm.experiments.schema import Matrix
from gtimm.experiments.statistics import interval
from gtimm.experiments.sweeps.curves import Cells, Curves, Spot, by_key, distinct
from gtimm.prompts.label import PERFORMERS

__all__ = [
    "BUDGETS", "DROPOUT", "METHODS_BY_RATIO", "P", "Q", "Robustness", "by_key", "domains", "guidance", "missing_at_test",
    "missing_in_training", "performers", "prompts", "quantity", "robustness", "variants",
]  # fmt: skip

BUDGETS = (1, 5, 20, 100)
"""The paper's (section 7.1)."""
P = (0, 30, 50, 70, 80, 90, 95, 99, 100)
"""Percent missing in training."""
Q = (0, 30, 50, 70, 90, 100)
"""Percent missing at test."""
METHODS_BY_RATIO = ("low-resource-visual", "zero-fill", "hot-deck", "gti-mm")
DROPOUT: Mapping[str, str] = {"gti-mm": "gti-mm-dropout", "multimodal": "mm-dropout"}
COMPLETE: Mapping[str, str] = {"gti-mm": "multimodal", "gti-mm-dropout": "mm-dropout", "zero-fill": "multimodal"}
"""What a method is where nothing is missing in training."""


def quantity(base: Setting, budgets: Sequence[int] = BUDGETS, references: Sequence[str] = ("zero-fill", "hot-deck")) -> Curves:
    """Vary the generated items a class.

    Args:
        base: a setting whose method generates.
        budgets: items a class.
        references: methods that generate nothing, drawn as level lines.
    """
    spots = [Spot(base.method, budget, replace(base, budget=budget)) for budget in budgets]
    for name in references:
        spots += [Spot(name, budget, plain_setting(base, name)) for budget in budgets]
    title = "Generated items a class"
    return Curves("quantity", title, "generated items a class", base.dataset, spots, log=True, against=(*references, None)[0])


def variants(name: str, title: str, x: str, base: Setting, options: Mapping[str, Mapping[str, Any]]) -> Curves:
    """Vary options of the generator, all else equal.

    Args:
        name: of the sweep.
        title: for people.
        x: what is varied, for people.
        base: a setting whose method generates.
        options: label to the generator's options; an empty mapping is the generator as it is.
    """
    spots = []
    for label, changed in options.items():
        variant = {**base.variant, name: label} if changed else base.variant
        spots.append(Spot(base.method, label, replace(base, variant=variant, generator={**base.generator, **changed})))
    return Curves(name, title, x, base.dataset, spots)


def guidance(base: Setting, scales: Sequence[float | tuple[float, float]] = (1.0, 2.0, 4.0, 7.5, (1.0, 5.0))) -> Curves:
    """Vary the classifier-free guidance scale; a pair is drawn from for each item, the paper's "UGC" (section 4.3).

    Args:
        base: a setting whose method generates.
        scales: numbers and pairs.
    """
    options = {_scale(scale): {"guidance": _guidance(scale)} for scale in scales}
    return variants("guidance", "Guidance scale", "guidance scale", base, options)


def domains(base: Setting, lists: Mapping[str, Any] | None = None) -> Curves:
    """Vary the domains of prompts: photos alone against the paper's ten kinds of picture.

    Args:
        base: a setting whose method generates.
        lists: label to prompts; by default the generator's own and `domain`.
    """
    found = {"as it is": {}, "ten domains": {"prompts": "domain"}} if lists is None else _prompts(lists)
    return variants("domains", "Domains in prompts", "domains", base, found)


def performers(base: Setting, lists: Mapping[str, Any] | None = None) -> Curves:
    """Vary who acts in the prompts (Figure 11).

    Args:
        base: a setting whose method generates.
        lists: label to prompts; by default all five performers, "a man" and "a woman".
    """
    chosen = {"all five": PERFORMERS, "a man": PERFORMERS[:1], "a woman": PERFORMERS[1:2]}
    found = {label: {"name": "label", "performers": list(who)} for label, who in chosen.items()} if lists is None else lists
    return variants("performers", "Performers in prompts", "performers", base, _prompts(found))


def prompts(base: Setting, strategies: Mapping[str, Any]) -> Curves:
    """Vary the prompt strategy.

    Args:
        base: a setting whose method generates.
        strategies: label to prompts, a name or `{"name": ..., **options}`; `None` is the generator's own.
    """
    return variants("prompts", "Prompts", "prompts", base, _prompts(strategies))


def missing_in_training(
    base: Setting, target: str, ratios: Sequence[float] = P, methods: Sequence[str] = METHODS_BY_RATIO
) -> Curves:
    """Vary the missing ratio in training; what has no rows to train on at 100% is left out there.

    Args:
        base: a setting; its own ratio of `target` is replaced, its budget serves the methods that generate.
        target: the modality that goes missing.
        ratios: in percent.
        methods: to compare.
    """
    spots = [
        Spot(name, ratio, _at(plain_setting(base, name), target, ratio / 100))
        for name in methods
        for ratio in ratios
        if ratio < 100 or not method(name).complete_rows
    ]
    title = f"Missing in training: {target}"
    return Curves("missing in training", title, f"{target} missing in training (%)", base.dataset, spots)


def missing_at_test(
    base: Setting, target: str, ratios: Sequence[float] = Q, methods: Sequence[str] = ("zero-fill", "gti-mm", "gti-mm-dropout")
) -> Curves:
    """Vary the missing ratio at test. Methods with dropout are trained anew for each, at its ratio.

    Args:
        base: a setting; its own ratio of `target` at test is replaced.
        target: the modality that goes missing.
        ratios: in percent.
        methods: to compare.
    """
    spots = [Spot(name, ratio, _tested(plain_setting(base, name), target, ratio / 100)) for name in methods for ratio in ratios]
    return Curves("missing at test", f"Missing at test: {target}", f"{target} missing at test (%)", base.dataset, spots)


@dataclass(frozen=True)
class Robustness:
    """One method by what is missing in training and at test.

    Attributes:
        base: the method, budget and mechanism.
        target: the modality that goes missing.
        p: fractions missing in training.
        q: fractions missing at test.
        dropout: `matched` trains a model for each q at its rate, `fixed` one at `rate` for all, `none` without dropout.
        rate: of fixed dropout.
    """

    base: Setting
    target: str
    p: Sequence[float]
    q: Sequence[float]
    dropout: Literal["matched", "fixed", "none"] = "none"
    rate: float | None = None

    def setting(self, p: float, q: float) -> Setting:
        """Return the setting of a cell."""
        found = _at(self.base, self.target, p)
        if self.dropout == "matched":
            return _tested(found, self.target, q)
        rate = self.rate if self.dropout == "fixed" else None
        variant = {**found.variant, "dropout": rate} if rate is not None else found.variant
        return replace(_hidden(found, self.target, q), rate=rate, variant=variant)

    def settings(self) -> list[Setting]:
        """Return what must be run, each once."""
        return distinct(self.setting(p, q) for p in self.p for q in self.q)

    def matrix(self, cells: Cells) -> Matrix:
        """Return the matrix of cells, all of which must be there."""
        every = [interval(cells[self.setting(p, q).key()].values) for p in self.p for q in self.q]
        found = [every[row * len(self.q) :][: len(self.q)] for row in range(len(self.p))]
        how = {"matched": "dropout as missing at test", "fixed": f"dropout {self.rate}", "none": "no dropout"}[self.dropout]
        return Matrix(
            name=f"{self.base.method}, {how}",
            title=f"{self.base.method} by what is missing, {how}",
            dataset=self.base.dataset,
            method=self.base.method,
            target=self.target,
            dropout=self.dropout,
            rate=self.rate,
            metric=cells[self.setting(self.p[0], self.q[0]).key()].metric,
            p=list(self.p),
            q=list(self.q),
            values=[[one.mean for one in row] for row in found],
            ci_low=[[one.low for one in row] for row in found],
            ci_high=[[one.high for one in row] for row in found],
        )


def robustness(
    base: Setting,
    target: str,
    p: Sequence[float] = P,
    q: Sequence[float] = Q,
    dropout: Literal["matched", "fixed", "none"] = "none",
    rate: float = 0.5,
) -> Robustness:
    """Return the p x q matrix of a method.

    Args:
        base: the method, budget and mechanism; with dropout, of a method without it the one with it is taken.
        target: the modality that goes missing.
        p: percent missing in training.
        q: percent missing at test.
        dropout: `matched`, `fixed` or `none`.
        rate: of fixed dropout.
    """
    if dropout != "none":
        base = replace(base, method=DROPOUT.get(base.method, base.method))
    shares = [value / 100 for value in p], [value / 100 for value in q]
    return Robustness(base, target, *shares, dropout, rate if dropout == "fixed" else None)


def plain_setting(base: Setting, name: str) -> Setting:
    """Return the same setting with another method; what is of the generator stays only where it generates."""
    if method(name).generates:
        return replace(base, method=name)
    return replace(base, method=name, budget=None, generator={}, variant={}, rate=None)


def _at(setting: Setting, target: str, p: float) -> Setting:
    """Return a setting with another ratio in training; where nothing is missing the method that learns from complete data."""
    if p == 0 and setting.method in COMPLETE:
        setting = plain_setting(setting, COMPLETE[setting.method])
    shares = {**setting.missing_train, target: p}
    if p == 0 or method(setting.method).complete_data:
        del shares[target]
    mask = None if setting.mask is None else setting.mask.model_copy(update={"ratios": shares})
    return replace(setting, mechanism=setting.mechanism if shares else "random", missing_train=shares, mask=mask)


def _tested(setting: Setting, target: str, q: float) -> Setting:
    """Return a setting with another ratio at test; dropout, if any, at that ratio."""
    rate = 0.0 if q == 0 and method(setting.method).dropout else None
    return replace(_hidden(setting, target, q), rate=rate)


def _hidden(setting: Setting, target: str, q: float) -> Setting:
    shares = {**setting.missing_test, target: q}
    if q == 0:
        del shares[target]
    mask = None if setting.test_mask is None else setting.test_mask.model_copy(update={"ratios": shares})
    return replace(setting, missing_test=shares, test_mask=mask)


def _prompts(strategies: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {label: {} if spec is None else {"prompts": spec} for label, spec in strategies.items()}


def _scale(scale: float | tuple[float, float]) -> str:
    return f"{scale[0]:g} to {scale[1]:g}" if isinstance(scale, tuple) else f"{scale:g}"


def _guidance(scale: float | tuple[float, float]) -> Any:
    return {"low": scale[0], "high": scale[1]} if isinstance(scale, tuple) else scale
