"""How often the test of two methods calls equal ones different, and how often it finds a difference.

Scores of two methods are right or wrong on rows that all seeds share, and a share of the cells differs: each cell by itself, or seven of
ten with their row. Seeds favour neither method, or each favours one, with a standard deviation of half the share that differs. The results
stand in `docs/decisions/0009-comparisons.md`.

    python benchmarks/significance.py

The last line is how often equal methods are called different at p < 0.05, over the 5% that are allowed; the exit status is 1 when
that is above 1 on average over the settings, or above 1.5 in one of them.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtimm.experiments.statistics import paired_p_value

SEEDS, ROWS, SHARES = (2, 3, 5, 10), (100, 300, 3000), (0.01, 0.05, 0.2)


def difference(
    random: np.random.Generator, seeds: int, rows: int, share: float, *, apart: bool, by_row: bool, points: float = 0.0
) -> NDArray[np.float64]:
    """Return (seeds, rows) scores of one method less those of another, -1, 0 or 1.

    Args:
        random: draws.
        seeds: of both methods.
        rows: of the test.
        share: of the cells that differ.
        apart: whether seeds favour one method.
        by_row: whether rows do.
        points: true difference.
    """
    better, worse = (share + points) / 2, (share - points) / 2
    favour = np.clip(random.normal(0, worse / 2, (seeds, 1)), -worse, worse) if apart else np.zeros((seeds, 1))
    drawn = random.random((seeds, rows))
    if by_row:
        drawn = np.where(random.random((seeds, rows)) < 0.7, random.random((1, rows)), drawn)
    return (drawn < better + favour) * 1.0 - (drawn > 1 - worse + favour)


def shares_below(runs: int, *levels: float, **setting: Any) -> list[float]:
    """Return the shares of runs whose p-value is below each level."""
    random = np.random.default_rng(0)
    found = np.array([paired_p_value(difference(random, **setting)) for _ in range(runs)])
    return [float((found < level).mean()) for level in levels]


def main() -> int:
    """Print both tables as Markdown, and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each setting (default 1000)")
    runs = parser.parse_args().runs
    print("| seeds | p < 0.05, mean and worst, % | p < 0.001, mean and worst, % | settings |\n| --- | --- | --- | --- |")
    sizes: list[float] = []
    for seeds in SEEDS:
        settings = list(product(ROWS, SHARES, (False, True), (False, True)))
        found = np.array(
            [
                shares_below(runs, 0.05, 0.001, seeds=seeds, rows=rows, share=share, apart=apart, by_row=by_row)
                for rows, share, apart, by_row in settings
            ]
        )
        sizes.extend(found[:, 0])
        columns = [f"{100 * column.mean():.2f}, {100 * column.max():.2f}" for column in found.T]
        print(f"| {seeds} | {' | '.join(columns)} | {len(settings)} |", flush=True)
    print("\n| seeds | seeds favour one | 2 points found, % | 5 points found, % |\n| --- | --- | --- | --- |")
    for seeds, apart in product(SEEDS, (False, True)):
        power = [
            shares_below(runs, 0.05, seeds=seeds, rows=300, share=0.1, apart=apart, by_row=False, points=points)[0]
            for points in (0.02, 0.05)
        ]
        print(f"| {seeds} | {'yes' if apart else 'no'} | {' | '.join(f'{100 * one:.0f}' for one in power)} |", flush=True)
    mean, worst = float(np.mean(sizes)) / 0.05, max(sizes) / 0.05
    print(
        f"\nEqual methods are called different {mean:.2f} times as often as allowed on average, {worst:.2f} times in the worst setting"
    )
    return 0 if mean <= 1 and worst <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
