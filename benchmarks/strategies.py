"""Every imputer with every fusion on digits: test accuracy by what is missing in training and at test, with intervals.

    python benchmarks/strategies.py                       # one seed, one ratio: a few minutes
    python benchmarks/strategies.py --seeds 10 --missing 0.5 0.7 0.9 0.95 0.99 --store runs/store --write docs/results.md

Nothing is chosen here: epochs and learning rate are the demo's, which were chosen on its validation split. Gaps at test are filled by
`zero` in the first tables; the last table compares what fills them. Intervals are 95%, over test rows and seeds, paired.
With a store, an interrupted run goes on where it stopped. The last line is what generation brings with late fusion and nothing
missing at test: its accuracy over zero-fill's; more than 1 is expected.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gtimm import Missing, Pipeline, load_dataset
from gtimm.core import training
from gtimm.core.files import whole_file
from gtimm.core.metrics import by_row
from gtimm.experiments.demo import TRAIN
from gtimm.experiments.statistics import interval

BLACK = {"name": "zero", "level": "payload"}
TINY = {"name": "stable-diffusion-tiny", "per_class": 100}
IMPUTERS: dict[str, Any] = {
    "none": None,
    "zero": "zero",
    "zero, payload": BLACK,
    "mean": "mean",
    "class-mean": "class-mean",
    "hot-deck": "hot-deck",
    "retrieval": "retrieval",
    "retrieval, generated": {"name": "retrieval", "bank": TINY},
    "regression": "regression",
    "generation": TINY,
}
FUSIONS = ("late", "score", "gated", "attention", "sum", "mean", "dropout", "missing-aware")
ABSENT = ("score", "gated", "attention", "sum", "mean")
"""Fusions that work without anything in the gaps."""
PAYLOADS = ("zero, payload", "hot-deck", "generation")
"""Imputers whose items pass through the encoders, as prompts need."""
AT_TEST = (0.0, 0.5, 0.7, 0.9)
TRAINED = ((0.0, "zero"), (0.95, "zero"), (0.95, "hot-deck"), (0.95, "generation"))
"""What is missing in training, and what fills it there, where fills at test are compared."""
FILLS_AT_TEST = ("zero", "mean", "retrieval", "retrieval, generated", "regression")
START, END = "<!-- strategies: written by benchmarks/strategies.py -->", "<!-- end of strategies -->"

Cell = tuple[str, str, str, float, float]
"""Imputer, fusion, imputer at test, missing in training, missing at test."""


def cells(ratios: list[float]) -> Iterator[Cell]:
    """Return every cell that means something."""
    for p in ratios:
        for imputer in IMPUTERS:
            for fusion in FUSIONS:
                if (imputer == "none" and fusion not in ABSENT) or (fusion == "missing-aware" and imputer not in PAYLOADS):
                    continue
                judge = "none" if imputer == "none" else "zero, payload" if fusion == "missing-aware" else "zero"
                yield from ((imputer, fusion, judge, p, q) for q in AT_TEST)
    for p, imputer in TRAINED:
        yield from ((imputer, "late", judge, p, q) for judge in FILLS_AT_TEST for q in AT_TEST[1:])


def trained_as(cell: Cell) -> Cell:
    """Return the cell whose training serves this one: only dropout trains one model for each ratio at test."""
    return cell if cell[1] == "dropout" and cell[4] else (*cell[:4], 0.5 if cell[1] == "dropout" else 0.0)


def pipeline(cell: Cell, seed: int, store: Path) -> Pipeline:
    imputer, fusion, judge, _, q = cell
    made: Any = {"name": "dropout", "rate": {"image": q}, "base": "late"} if fusion == "dropout" else fusion
    fills = {"image": IMPUTERS[imputer], "audio": "zero"} if imputer != "none" else {"image": None, "audio": "zero"}
    at_test = {"image": IMPUTERS[judge], "audio": BLACK if fusion == "missing-aware" else "zero"}
    return Pipeline("imagebind-tiny", fills, made, at_test, train=TRAIN, seed=seed, store=store, device="cpu", generate=True)


def measure(data: Any, wanted: list[Cell], seeds: int, store: Path) -> dict[Cell, np.ndarray]:
    """Return (seeds, test rows) right or wrong for each cell; what was measured before is read."""
    found: dict[Cell, np.ndarray] = {}
    groups: dict[Cell, list[Cell]] = {}
    for cell in wanted:
        groups.setdefault(trained_as(cell), []).append(cell)
    files = {base: _file(store, base, members, seeds) for base, members in groups.items()}
    together: dict[tuple[str, float], list[Cell]] = {}
    for base in groups:
        if not files[base].is_file():
            together.setdefault((base[1], base[3]), []).append(base)
    for number, ((fusion, missing), bases) in enumerate(together.items(), 1):  # one stack: the same heads on other fills
        for base, values in _measure(data, bases, groups, seeds, store):
            with whole_file(files[base]) as temporary:
                np.savez(temporary, values=values)
        print(f"{number}/{len(together)} {fusion}, {missing:.0%} missing: {len(bases)} fills", flush=True)
    for base, members in groups.items():
        with np.load(files[base]) as stored:
            found.update(zip(members, stored["values"], strict=True))
    return found


def _file(store: Path, base: Cell, members: list[Cell], seeds: int) -> Path:
    key = hashlib.sha256(json.dumps([base, members, seeds, TRAIN]).encode()).hexdigest()[:16]
    return store / "strategies" / f"{key}.npz"


def _measure(
    data: Any, bases: list[Cell], groups: dict[Cell, list[Cell]], seeds: int, store: Path
) -> Iterator[tuple[Cell, np.ndarray]]:
    pipes = {base: [pipeline(base, seed, store) for seed in range(seeds)] for base in bases}
    runs = {base: [pipe.prepare(data.train, data.val, Missing(image=base[3])) for pipe in pipes[base]] for base in bases}
    training.train([run for base in bases for run in runs[base]])
    for base in bases:
        values = np.zeros((len(groups[base]), seeds, len(data.test)), np.float32)
        for pipe, run in zip(pipes[base], runs[base], strict=True):
            pipe.adopt(run)
            for place, cell in enumerate(groups[base]):
                test = data.test.with_missing(Missing(image=cell[4]), pipe.seed)
                values[place, pipe.seed] = by_row(pipe.predict_proba(test), test.labels)[1]
        yield base, values


def tables(found: dict[Cell, np.ndarray], ratios: list[float], seeds: int) -> str:
    """Return the tables as Markdown."""

    def text(cell: Cell) -> str:
        if cell not in found:
            return "–"
        got = interval(found[cell])
        return f"{100 * got.mean:.1f} [{100 * got.low:.1f}, {100 * got.high:.1f}]"

    heads = " | ".join(f"{q:.0%} missing" for q in AT_TEST)
    lines = []
    for p in ratios:
        rows = dict.fromkeys((c[0], c[1], c[2]) for c in found if c[3] == p and c[4] == 0)
        lines += [
            f"\n**{p:.0%} of the training images missing**\n",
            f"| imputer | fusion | {heads} |",
            "| --- | --- |" + " --- |" * 4,
        ]
        lines += [f"| {i} | {f} | " + " | ".join(text((i, f, j, p, q)) for q in AT_TEST) + " |" for i, f, j in rows]
    heads = " | ".join(f"{q:.0%} missing" for q in AT_TEST[1:])
    lines += ["\n**What fills the gaps at test** (late fusion)\n"]
    lines += [f"| in training | at test | {heads} |", "| --- | --- |" + " --- |" * 3]
    for p, imputer in TRAINED:
        for judge in FILLS_AT_TEST:
            cells_of_row = " | ".join(text((imputer, "late", judge, p, q)) for q in AT_TEST[1:])
            lines.append(f"| {f'{p:.0%} missing, {imputer}' if p else 'complete'} | {judge} | {cells_of_row} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--missing", type=float, nargs="+", default=[0.95])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--write", type=Path, help="a Markdown file whose part between the marks is replaced")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        found = measure(load_dataset("digits"), list(cells(args.missing)), args.seeds, args.store or Path(own))
    text = tables(found, args.missing, args.seeds)
    print(text)
    if args.write:
        before, _, rest = args.write.read_text(encoding="utf-8").partition(START)
        with whole_file(args.write) as temporary:
            temporary.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    p = args.missing[0]
    ratio = found["generation", "late", "zero", p, 0.0].mean() / found["zero", "late", "zero", p, 0.0].mean()
    print(f"generation is {ratio:.3f} times as accurate as zero-fill with {p:.0%} of the images missing (more than 1 expected)")
    return 0 if ratio > 1 else 1


if __name__ == "__main__":
    sys.exit(main())
