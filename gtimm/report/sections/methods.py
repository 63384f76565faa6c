"""Methods side by side for each way of training, on the main data and elsewhere."""

from __future__ import annotations

from gtimm.experiments.schema import Comparison, Results
from gtimm.report import wording
from gtimm.report.figures import difference_figures, method_figures, opponent, slug, tested
from gtimm.report.methods import GENERATION
from gtimm.report.rows import (
    interval,
    kind,
    label,
    least_test,
    main_dataset,
    main_metric,
    place,
    row_order,
    settings,
    spoken,
    trained,
)
from gtimm.report.sections.section import Section
from gtimm.report.tables import Cell, Column, Line, Table


def methods(results: Results) -> Section | None:
    """Return the methods on the main data set."""
    dataset = main_dataset(results)
    figures = method_figures(results, dataset)
    if not figures:
        return None
    budgets = {row.budget for row in results.rows if row.dataset == dataset and row.budget}
    values = {
        "heading": f"Methods, {tested(results, dataset)}",
        "metric": wording.sentence(wording.metric(main_metric(results))),
        "dataset": dataset,
        "largest": len(budgets) > 1,
        "panels": figures,
    }
    names = list(dict.fromkeys(row.dataset for row in results.rows))
    return Section("methods", "Methods", values, figures, [by_setting(results, name) for name in names])


def by_setting(results: Results, dataset: str) -> Table:
    """Return methods by way of training, as a paper prints them; generation at every budget."""
    found = settings(results, dataset)
    columns: dict[str, dict[str, Cell]] = {}
    order = {}
    for setting in found:
        for row in trained(results, setting):
            ends = (
                f" [{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]"
                if row.ci_low is not None and row.ci_high is not None
                else ""
            )
            text = "–" if row.mean is None else f"{100 * row.mean:.1f}{ends}"
            columns.setdefault(setting.title, {})[label(row)] = Cell(text, (row.mean, row.ci_low, row.ci_high))
            order[label(row)] = row_order(row)
    lines = [
        Line([Cell(name), *(cells.get(name, Cell("–", (None, None, None))) for cells in columns.values())])
        for name in sorted(order, key=lambda name: order[name])
    ]
    heads = [
        Column(wording.sentence(title), tuple(f"{slug(title)}_{part}" for part in ("mean", "ci_low", "ci_high")), number=True)
        for title in columns
    ]
    test = wording.ratios(least_test(results, dataset))
    title = f"{wording.metric(main_metric(results))} in percent on {dataset}, with its interval; missing at test: {test}"
    return Table(f"methods-{slug(dataset)}", wording.sentence(title), [Column("Method", ("method",)), *heads], lines)


def elsewhere(results: Results) -> Section | None:
    """Return what was found on data other than the main data set, whatever its sign."""
    main = main_dataset(results)
    parts, figures = [], []
    for name in dict.fromkeys(row.dataset for row in results.rows if row.dataset != main):
        panels, compared = method_figures(results, name), difference_figures(results.comparisons, name)
        sentences = [_sentence(c) for c in results.comparisons if c.dataset == name and c.difference is not None]
        parts.append({"name": name, "panels": panels, "differences": compared, "sentences": sentences})
        figures += [*panels, *compared]
    return Section("elsewhere", "Other data", {"dataset": main, "parts": parts}, figures) if parts else None


def lead(results: Results) -> str:
    """Return the page's first sentence: the recommendation, else the verdict, else the highest mean for each way of training."""
    if results.recommendation:
        return results.recommendation.sentence
    if results.verdict:
        return results.verdict.sentence
    sentences = []
    for setting in settings(results, main_dataset(results)):
        rows = [r for r in trained(results, setting) if tuple(sorted(r.missing_train.items())) == setting.missing]
        if rows:
            best = max(rows, key=lambda row: row.mean or 0.0)
            value = wording.percent(best.mean) + (f" ({wording.interval(interval(best))})" if interval(best) else "")
            metric = wording.metric(best.metric)
            what = f"the highest {metric} is {value}, of {spoken(best)}" if rows[1:] else f"{spoken(best)} has {metric} {value}"
            test = f" and {wording.ratios(best.missing_test)} at test" if best.missing_test else ""
            sentences.append(f"With {setting.title}{test}, {what}.")
    return " ".join(sentences[:3]) or "These results have no row that can be shown."


def how_to_read(results: Results) -> str:
    """Return what the marks of the figures mean."""
    parts = ["How to read: a dot is the mean over seeds, its bar the 95% interval (no bar: narrower than the dot)"]
    if any(kind(row) == GENERATION for row in results.rows):
        parts.append("generation is in blue")
    if any(row.method == "hot-deck" for row in results.rows):
        parts.append("hot-deck, which only resamples real items, in orange")
    return "; ".join(parts) + "."


def _sentence(c: Comparison) -> str:
    ends = interval(c) or (c.difference or 0.0, c.difference or 0.0)
    sign = "above" if ends[0] > 0 else "below" if ends[1] < 0 else "not distinguishable from"
    value = f"{wording.points(c.difference)} points"
    value += f" ({wording.interval(interval(c), difference=True)})" if interval(c) else ""
    return wording.sentence(f"{place(c)}: {spoken(c)} is {sign} {opponent(c)}, {value}.")
