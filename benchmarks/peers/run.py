"""gtimm against what people use today, on the same incomplete data, in one run: accuracy, seconds, memory, lines of code.

Examples:
    python benchmarks/peers/run.py                     # every contender, three masks of 95% and of 99% missing images
    python benchmarks/peers/run.py --quick             # one mask of 99%, without what takes a minute or more
    python benchmarks/peers/run.py --only iMML --only KNN
    python benchmarks/peers/run.py --fresh --write     # measure everything again, and write docs/benchmarks-peers.md
    python benchmarks/peers/run.py --table             # what an interrupted run has measured so far
    python benchmarks/peers/run.py --choose            # choose hyper-parameters on validation again: chosen.json

Each contender runs in an environment of its own under build/peers/, made when it is not there; an interrupted run goes on where it
stopped. The last line is how many times the processor seconds of gtimm's first run a plain diffusers script takes that encodes in
its loop; the exit status is 1 when that is less than it should be, or when gtimm's accuracy is lower by more than a point.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from environments import NotInstalledError, python, versions
from field import FIELD, OURS, PLAIN, Contender, Options
from measuring import HERE, ROOT, ContenderError, Record, measure
from table import Found, Settings, markdown, write

BUILD = ROOT / "build" / "peers"
CHOSEN = HERE / "chosen.json"
DOCS = ROOT / "docs" / "benchmarks-peers.md"
AT_LEAST = 3.0
"""How many times the seconds of gtimm's first run the re-encoding script should take at least."""
BEHIND = 0.01
"""How much less accurate than that script gtimm may be on that mask."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="one mask of 99%%, without the re-encoding script and iMML's deep methods"
    )
    parser.add_argument("--missing", type=float, nargs="+", default=[0.95, 0.99], help="shares of training rows without an image")
    parser.add_argument("--seeds", type=int, default=3, help="masks for each share (default 3)")
    parser.add_argument("--only", action="append", help="contenders whose name holds this; may be repeated")
    parser.add_argument("--threads", type=int, default=1, help="of numerical libraries (default 1)")
    parser.add_argument("--choose", action="store_true", help="choose hyper-parameters on the validation rows of each first mask")
    parser.add_argument("--table", action="store_true", help="run nothing: the table of what has been measured so far")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCS.relative_to(ROOT)}")
    args = parser.parse_args()
    if args.quick:
        args.missing, args.seeds = [0.99], 1
    field = [c for c in FIELD if not args.only or any(word.lower() in c.name.lower() for word in args.only)]
    if args.quick:
        field = [c for c in field if c.name != PLAIN and c.script != "imml_classifier"]
    if not field:
        parser.error(f"no contender's name holds {' or '.join(args.only)}; there are: {'; '.join(c.name for c in FIELD)}")
    if args.fresh:
        for part in ("outcomes", "kept"):
            shutil.rmtree(BUILD / part, ignore_errors=True)
    export(args.missing, args.seeds)
    pythons, absent = environments(field)
    if args.choose:
        return choose([c for c in field if c.place in pythons], pythons, args.missing, args.threads)
    found = run([c for c in field if c.place in pythons], pythons, args.missing, args.seeds, args.threads, again=not args.table)
    noted = {name: versions(name, BUILD) for name in pythons}
    settings = Settings(args.missing, args.seeds, args.threads, noted, absent, command(), json.loads(CHOSEN.read_text("utf-8")))
    table = markdown(found, settings, BUILD / "data" / "seconds.json")
    results = {name: {mask: asdict(record) for mask, record in masks.items()} for name, masks in found.items()}
    (BUILD / "results.json").write_text(json.dumps(asdict(settings) | {"results": results}, indent=1), encoding="utf-8")
    print(table)
    print(f"\n{BUILD.relative_to(ROOT) / 'results.json'} has every run.")
    if args.write:
        write(DOCS, table)
    return verdict(found)


def export(missing: list[float], seeds: int) -> None:
    """Make the data in a process of its own, so that this one stays small."""
    print("Exporting digits ...", flush=True)
    shares = [f"{share:g}" for share in missing]
    command = [sys.executable, str(HERE / "exported.py"), str(BUILD / "data"), "--missing", *shares, "--seeds", str(seeds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment)


def environments(field: list[Contender]) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the interpreters of the environments that there are, and why others are not."""
    there: dict[str, Path] = {}
    absent: dict[str, str] = {}
    for name in dict.fromkeys(contender.place for contender in field):
        try:
            there[name] = python(name, BUILD)
        except NotInstalledError as error:
            absent[name] = str(error)
            print(f"{error}\n  Its contenders are left out.", file=sys.stderr)
    return there, absent


def run(
    field: list[Contender], pythons: dict[str, Path], missing: list[float], seeds: int, threads: int, *, again: bool
) -> Found:
    """Run every contender on every mask, or without `again` read what was measured; return the records by contender and mask."""
    chosen = json.loads(CHOSEN.read_text(encoding="utf-8"))
    masks = [(share, seed) for seed in range(seeds) for share in missing]
    work = [(contender, *mask) for contender in field for mask in masks[: contender.masks]]
    found: Found = {contender.name: {} for contender in field}
    for number, (contender, share, seed) in enumerate(work, 1):
        options = _chosen(chosen, share, contender)
        mask = f"{share:g}-{seed}"
        print(f"{number}/{len(work)} {contender.name}, {mask} {options} ...", end=" ", flush=True)
        record = measure(contender, pythons[contender.place], mask, options, BUILD, threads, kept="run", again=again)
        if record is not None:
            found[contender.name][mask] = record
        print("not measured" if record is None else _short(record), flush=True)
    return found


def choose(field: list[Contender], pythons: dict[str, Path], missing: list[float], threads: int) -> int:
    """Choose each contender's options by accuracy on the validation rows of the first mask, and write them with all that was tried."""
    for share in missing:
        for contender in field:
            if contender.like or len(contender.choice) == 1:
                continue
            tried: list[tuple[Options, float]] = []
            for options in contender.choice:
                record = measure(contender, pythons[contender.place], f"{share:g}-0", options, BUILD, threads, kept="choice")
                assert record is not None
                tried.append((options, record.accuracy["val"]))
                print(f"{share:g} missing, {contender.name}, {options}: {record.accuracy['val']:.3f} on validation", flush=True)
            best = max(tried, key=lambda pair: pair[1])
            entry = {"options": best[0], "validation": {json.dumps(options): accuracy for options, accuracy in tried}}
            chosen = json.loads(CHOSEN.read_text(encoding="utf-8")) if CHOSEN.is_file() else {}
            chosen.setdefault(f"{share:g}", {})[contender.name] = entry
            CHOSEN.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    return 0


def command() -> str:
    """Return how this was called."""
    return " ".join(["python", "benchmarks/peers/run.py", *sys.argv[1:]])


def _chosen(chosen: dict[str, Any], share: float, contender: Contender) -> Options:
    """Return what was chosen for a share of missing images; for one that nothing was chosen for, of the nearest."""
    if len(contender.choice) == 1:
        return contender.choice[0]
    name = contender.like or contender.name
    there = [key for key, entries in chosen.items() if name in entries]
    if not there:
        raise ContenderError(f"{CHOSEN.name} has nothing for {name!r}; choose with --choose --only {name!r}.")
    options: Options = chosen[min(there, key=lambda key: abs(float(key) - share))][name]["options"]
    return options


def _short(record: Record) -> str:
    kept = " (first run)" if record.first else ""
    return f"{record.accuracy['test']:.3f} in {record.processor:.1f} s of processor, {record.clock:.1f} s by the clock{kept}"


def verdict(found: Found) -> int:
    """Print the ratio, and return the exit status."""
    plain, ours = (next((r for r in found.get(name, {}).values() if r.first), None) for name in (PLAIN, OURS))
    if plain is None or ours is None:
        print("No ratio: this run left out one of the two that it is made of.")
        return 0
    ratio, behind = plain.processor / ours.processor, plain.accuracy["test"] - ours.accuracy["test"]
    print(
        f"the re-encoding script takes {ratio:.1f} times the processor seconds of gtimm's first run (at least {AT_LEAST:g} expected), "
        f"at {plain.accuracy['test']:.3f} against {ours.accuracy['test']:.3f} test accuracy"
    )
    return 0 if ratio >= AT_LEAST and behind <= BEHIND else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ContenderError as error:
        sys.exit(f"error: {error}")
