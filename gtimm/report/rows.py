"""Which rows of the results stand together, in which order, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from gtimm.experiments.schema import Results, Row, Trained
from gtimm.report import wording
from gtimm.report.methods import GENERATION, REFERENCES, ROBUST, family, method_order

_MECHANISMS = ("random", "stratified", "classes", "mar", "mnar", "patterns")


class Setting(NamedTuple):
    """One way of training: a data set, a mechanism and the missing ratios by modality."""

    dataset: str
    mechanism: str
    missing: tuple[tuple[str, float], ...]

    @property
    def title(self) -> str:
        """The way of training in words."""
        return wording.setting(dict(self.missing), self.mechanism)


class WithInterval(Protocol):
    """What has an interval."""

    @property
    def ci_low(self) -> float | None:
        """Its lower end."""

    @property
    def ci_high(self) -> float | None:
        """Its upper end."""


class WithBudget(Protocol):
    """What was made by a method at a budget."""

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def budget(self) -> int | None:
        """Generated items a class."""

    @property
    def variant(self) -> Mapping[str, str | int | float | bool]:
        """What else sets it apart."""


def interval(part: WithInterval) -> tuple[float, float] | None:
    """Return the interval, where both ends are there."""
    return None if part.ci_low is None or part.ci_high is None else (part.ci_low, part.ci_high)


def label(part: WithBudget) -> str:
    """Return a method with its budget and variant, as in `gti-mm, 100/class, guidance 2`."""
    return ", ".join([part.method, *([f"{part.budget:,}/class"] if part.budget else []), *variants(part)])


def spoken(part: WithBudget) -> str:
    """Return a method in a sentence, as in `gti-mm with 100 per class (guidance 2)`."""
    text = part.method if part.budget is None else f"{part.method} with {part.budget:,} per class"
    return f"{text} ({', '.join(found)})" if (found := variants(part)) else text


def variants(part: WithBudget) -> list[str]:
    """Return what sets a row apart, each in words; a run's name stands alone."""
    return [str(v) if k == "run" else f"{k.replace('_', ' ')} {wording.plain(v)}" for k, v in part.variant.items()]


def kind(part: WithBudget) -> str:
    """Return the family of methods that a row belongs to; what has a budget was generated."""
    return GENERATION if part.budget is not None else family(part.method)


def setting_of(part: Trained) -> Setting:
    """Return how a row was trained."""
    return Setting(part.dataset, part.mechanism, tuple(sorted(part.missing_train.items())))


def place(part: Trained) -> str:
    """Return training, and test if anything was missing there, in words."""
    text = wording.setting(part.missing_train, part.mechanism)
    return f"{text}; {wording.ratios(part.missing_test)} at test" if part.missing_test else text


def main_dataset(results: Results) -> str:
    """Return the main data set: the one that the run names, else the first."""
    names = [row.dataset for row in results.rows]
    return str(results.data["name"]) if results.data.get("name") in names else next(iter(names), "")


def main_metric(results: Results) -> str:
    """Return the metric of the figures: accuracy if it is there, else the first."""
    names = [row.metric for row in results.rows]
    return "accuracy" if "accuracy" in names else next(iter(names), "")


def settings(results: Results, dataset: str) -> list[Setting]:
    """Return the ways of training on a data set, in order; those with nothing missing only if there are no others.

    Modalities that most rows lack come first.
    """
    metric = main_metric(results)
    found = [setting_of(row) for row in results.rows if row.dataset == dataset and row.metric == metric]
    often = Counter(tuple(name for name, _ in setting.missing) for setting in found)
    return sorted(
        {s for s in found if s.missing} or {Setting(dataset, "", ()) for _ in found},
        key=lambda s: (*_setting_order(s)[:3], -often[tuple(name for name, _ in s.missing)], s.missing),
    )


def least_test(results: Results, dataset: str) -> dict[str, float]:
    """Return the test with least missing among the rows of a data set: nothing, where any row was tested so."""
    metric = main_metric(results)
    tests = [r.missing_test for r in results.rows if r.dataset == dataset and r.metric == metric]
    return min(tests, key=lambda test: (sum(test.values()), sorted(test.items())), default={})


def trained(results: Results, setting: Setting, *, tested_whole: bool = True) -> list[Row]:
    """Return the rows to show for a setting, in the order of methods.

    References that were trained with nothing missing belong to every setting that has no row of its own for them. With
    `tested_whole`, only rows of `least_test`.
    """
    metric = main_metric(results)
    rows = [r for r in results.rows if r.dataset == setting.dataset and r.metric == metric and r.mean is not None]
    if tested_whole:
        least = least_test(results, setting.dataset)
        rows = [r for r in rows if r.missing_test == least]
    if not setting.missing:
        own = [r for r in rows if not r.missing_train]
    else:
        own = [r for r in rows if setting_of(r) == setting]
        names = {r.method for r in own}
        families = (REFERENCES,) if tested_whole else (REFERENCES, ROBUST)
        whole = [r for r in rows if not r.missing_train and kind(r) in families and r.method not in names]
        nearest = {r.method: r.mechanism for r in sorted(whole, key=lambda r: r.mechanism == setting.mechanism)}
        own += [r for r in whole if r.mechanism == nearest[r.method]]
    return sorted(_unique(own), key=row_order)


def ordered(results: Results) -> list[tuple[int, Row]]:
    """Return all rows with their place in the results: main data set first, then by training, method, budget and test."""
    metric = main_metric(results)
    names = list(dict.fromkeys([main_dataset(results), *(row.dataset for row in results.rows)]))

    def key(numbered: tuple[int, Row]) -> tuple[Any, ...]:
        row = numbered[1]
        return (names.index(row.dataset), row.metric != metric, _setting_order(setting_of(row)), row_order(row))

    return sorted(enumerate(results.rows), key=key)


def row_order(row: Row) -> tuple[Any, ...]:
    """Return the sort key of a row within its setting."""
    return (method_order(row.method, kind(row)), row.budget or 0, variants(row), sorted(row.missing_test.items()))


def largest_budget(rows: Iterable[Row]) -> list[Row]:
    """Keep, of each method and variant, the rows with its largest budget."""
    found = list(rows)
    top: dict[tuple[str, ...], int] = {}
    for row in found:
        key = (row.method, *variants(row))
        top[key] = max(top.get(key, 0), row.budget or 0)
    return [row for row in found if row.budget is None or row.budget == top[(row.method, *variants(row))]]


def _unique(rows: list[Row]) -> list[Row]:
    return list({row.model_dump_json(exclude={"mechanism", "seconds"}): row for row in rows}.values())


def _setting_order(setting: Setting) -> tuple[Any, ...]:
    known = setting.mechanism in _MECHANISMS
    rank = _MECHANISMS.index(setting.mechanism) if known else len(_MECHANISMS)
    return (not setting.missing, rank, setting.mechanism, setting.missing)


def without_needless_runs(results: Results) -> Results:
    """Return joined results for the figures: a part says its run only where another run has other numbers for the same.

    What two runs have alike stands once. The joined results themselves keep the run of every part.
    """
    if results.kind != "joined":
        return results
    found: dict[tuple[Any, ...], set[Any]] = {}
    for row in results.rows:
        found.setdefault((*_without_run(row), setting_of(row), _test(row), row.metric), set()).add(row.mean)
    several = {key[:3] for key, means in found.items() if len(means) > 1}
    differences: dict[tuple[Any, ...], set[Any]] = {}
    for c in results.comparisons:
        key = (*_without_run(c), setting_of(c), _test(c), c.metric, c.against, c.against_budget)
        differences.setdefault(key, set()).add((c.difference, c.ci_low, c.ci_high, c.p_adjusted))
    several_compared = {key[:3] for key, numbers in differences.items() if len(numbers) > 1}

    def told(part: Any, kept: set[tuple[Any, ...]]) -> Any:
        if _without_run(part) in kept:
            return part
        return part.model_copy(update={"variant": {k: v for k, v in part.variant.items() if k != "run"}})

    compared = [told(c, several_compared) for c in results.comparisons]
    others = {name: [told(part, several) for part in getattr(results, name)] for name in ("rows", "details", "costs")}
    alike = list({c.model_dump_json(): c for c in compared}.values())
    return results.model_copy(update={**others, "comparisons": alike})


def _without_run(part: Any) -> tuple[Any, ...]:
    variant = tuple(sorted((k, str(v)) for k, v in part.variant.items() if k != "run"))
    return part.dataset, (part.method, part.budget), variant


def _test(part: Trained) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(part.missing_test.items()))
