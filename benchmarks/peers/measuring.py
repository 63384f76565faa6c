"""One run of a contender's script: seconds, memory, predictions scored against labels that it never sees.

The runner stays small on purpose: Linux counts a parent's memory at the fork into the peak of its child.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from field import Contender, Options

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class ContenderError(Exception):
    """A contender's script failed; says how."""


@dataclass
class Record:
    """What one run took and reached.

    Attributes:
        clock: seconds from start to end of the process.
        processor: seconds of processor of it and its children.
        memory: peak resident memory in bytes, of the largest process.
        laps: phase to seconds by the clock and of the processor.
        accuracy: fraction of right rows: `val`, `test` (complete), `test_half` (half of the images missing).
        first: whether its folder of kept things was empty.
    """

    clock: float
    processor: float
    memory: int
    laps: dict[str, list[float]]
    accuracy: dict[str, float]
    first: bool


def measure(
    contender: Contender, python: Path, mask: str, chosen: Options, build: Path, threads: int, *, kept: str, again: bool = True
) -> Record | None:
    """Run a contender on a mask's folder; what was measured before, with the same script and options, is read.

    Args:
        contender: what to run.
        python: its interpreter.
        mask: name of the data folder, such as `0.95-0`.
        chosen: options chosen on validation.
        build: folder of data and outcomes.
        threads: of numerical libraries.
        kept: name of the folder that it keeps things in, shared by runs with the same name and the same seed.
        again: run what was not measured before; without it that is None.

    Raises:
        ContenderError: it failed; with the end of what it said.
    """
    script = HERE / "contenders" / f"{contender.script}.py"
    version = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    name = contender.name.replace(", ", "-").replace(" ", "-")
    about = kept if contender.keeps else "alone"
    label = "_".join([about, name, mask, *(f"{k}={v}" for k, v in chosen.items()), f"threads={threads}", version])
    outcome = build / "outcomes" / f"{label}.json"
    if outcome.is_file():
        return Record(**json.loads(outcome.read_text(encoding="utf-8")))
    if not again:
        return None
    outcome.parent.mkdir(parents=True, exist_ok=True)
    found, laps, said = (outcome.with_name(f"{label}{ending}") for ending in (".npz", ".laps", ".log"))
    seed = int(mask.rpartition("-")[2])
    arguments = contender.arguments(chosen, seed)
    store = build / "kept" / f"{name}-{kept}-{seed}"
    whole = store.with_name(f"{store.name}.whole")
    first = contender.keeps and not whole.exists()
    if contender.keeps:
        if first and store.exists():  # left by a run that was interrupted
            shutil.rmtree(store)
        store.parent.mkdir(parents=True, exist_ok=True)
        arguments += ["--store", str(store)]
    if contender.script.startswith("diffusers"):
        arguments += ["--assets", str(ROOT / "gtimm" / "assets")]
    one = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    paths = os.pathsep.join([str(HERE), *([str(ROOT)] if contender.place == "gtimm" else [])])
    environment = {**os.environ, **one, "PYTHONPATH": paths, "PEERS_LAPS": str(laps), "PEERS_STARTED": str(time.time())}
    began = time.perf_counter()
    with said.open("w", encoding="utf-8") as log:
        command = [str(python), str(script), str(build / "data" / mask), str(found), *arguments]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = said.read_text(encoding="utf-8").splitlines()[-6:]
        raise ContenderError(f"{contender.name} on {mask} ended with {process.returncode}; {said}:\n  " + "\n  ".join(lines))
    record = Record(
        time.perf_counter() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
        json.loads(laps.read_text(encoding="utf-8")),
        scores(found, build / "data" / "truth.npz"),
        first,
    )
    if first:
        whole.touch()
    outcome.write_text(json.dumps(asdict(record)), encoding="utf-8")
    return record


def scores(predictions: Path, truth: Path) -> dict[str, float]:
    """Return the accuracy of each split's predictions, class names or indices."""
    with np.load(predictions) as found, np.load(truth) as known:
        classes, result = known["classes"].astype(str), {}
        for split in found.files:
            right = known[split.partition("_")[0]]
            given = found[split]
            result[split] = float(np.mean(given == (classes[right] if given.dtype.kind in "UO" else right)))
    return result


def lines_of(script: str) -> int:
    """Count the lines of a contender's script that its user would write; see `code_lines`."""
    return code_lines((HERE / "contenders" / f"{script}.py").read_text(encoding="utf-8"))


def code_lines(text: str) -> int:
    """Count lines of code: not blank, no comment, no docstring of the file, nothing of the stopwatch."""
    code = (line.strip() for line in text.split('"""', 2)[2].splitlines())
    return sum(1 for line in code if line and not line.startswith(("#", '"""')) and "stopwatch" not in line)
