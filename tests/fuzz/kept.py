"""Readers of what gtimm itself keeps: banks, features, prepared films, results, outcomes, models, exports."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bank_program import requests
from films import film
from gate_toys import Motifs
from reader import Reader, named
from report_toys import full, write_run
from toys import ToyBackbone, ToyGenerator, pictures, vectors

from gtimm import Missing, Pipeline, impute
from gtimm.core.bank import Bank
from gtimm.core.bank.gate import Gate
from gtimm.core.bank.labelled import read_labelled
from gtimm.core.bank.plan import seconds_per_item
from gtimm.core.bank.transfer import export_bank, import_folder
from gtimm.core.bank.upkeep import facts, repair, verify
from gtimm.core.features.upkeep import list_stores
from gtimm.core.films.clips import Clip
from gtimm.core.films.prepare import prepare_clips
from gtimm.core.films.prepared import Prepared
from gtimm.core.media import FilmPart
from gtimm.core.workspace import Workspace
from gtimm.engines.local import LocalEngine
from gtimm.experiments.cells import Cell, read_cell, write_cell
from gtimm.experiments.methods import Setting
from gtimm.report.bank_page import write_bank_page
from gtimm.report.join import Run, join
from gtimm.report.page import make_sections, render_page
from gtimm.report.results import read_results


def _bank(folder: Path, generator: ToyGenerator, file: str) -> Path:
    home = Bank(folder)
    with contextlib.suppress(Exception):  # one that fails for a class, on purpose
        home.make(generator, home.plan(generator, requests(2)), LocalEngine(), "cpu", True)
    return next(folder.rglob(file))


def _read_bank(generator: ToyGenerator) -> Callable[[Path], Any]:
    def read(file: Path) -> None:
        root = file.parent.parent if file.parent.name == "rejected" else file.parent
        facts(root)
        seconds_per_item(root, "cpu")
        repair(root, verify(root))
        home = Bank(root.parent)
        home.make(generator, home.plan(generator, requests(2)), LocalEngine(), "cpu", True)
        assert verify(root) == []

    return read


def _read_labelled(file: Path) -> None:
    read_labelled(file.parent)
    home = file.parents[1] / "home"
    shutil.rmtree(home, ignore_errors=True)
    import_folder(file.parent, home, "x")
    export_bank(file.parent, home / "out")
    write_bank_page(file.parent, home / "page.html")


TOY, FAILS = ToyGenerator(), ToyGenerator(fails=("dog",))
GATED = Motifs(gate=Gate(retries=3, duplicates={"hamming": 4}))


def _banks() -> list[Reader]:
    return [
        Reader("bank metadata.jsonl", lambda f: _bank(f, TOY, "metadata.jsonl"), _read_bank(TOY)),
        Reader("bank about.json", lambda f: _bank(f, TOY, "about.json"), _read_bank(TOY)),
        Reader("bank failures.jsonl", lambda f: _bank(f, FAILS, "failures.jsonl"), _read_bank(TOY)),
        Reader("bank rejected.jsonl", lambda f: _bank(f, GATED, "rejected.jsonl"), _read_bank(GATED), share=0.5),
        Reader("bank item", lambda f: _bank(f, TOY, "*.png"), lambda p: _read_bank(TOY)(p.parent)),
        Reader("labelled folder", lambda f: _bank(f, TOY, "metadata.jsonl"), _read_labelled, share=0.5),
    ]


def _features(folder: Path, file: str) -> Path:
    Workspace(folder, "cpu").embed(ToyBackbone(), "vector", [np.full(4, n, np.float32) for n in range(5)])
    return next(folder.rglob(file))


def _read_features(file: Path) -> None:
    home = file.parents[2]
    list_stores(home)
    found = Workspace(home, "cpu").embed(ToyBackbone(), "vector", [np.full(4, n, np.float32) for n in range(5)])
    assert found[:, 0].tolist() == [0, 1, 2, 3, 4]
    for extra in file.parent.glob("*.shard"):
        if extra != file:
            extra.unlink()


def _clips(folder: Path) -> list[Clip]:
    part = FilmPart(str(folder / "film.mp4"))
    return [Clip(f"c{n}", "a", f"c{n}", part, part, f"{folder / 'about.json'} or index.jsonl, row {n}") for n in range(2)]


def _prepared(folder: Path, file: str) -> Path:
    film(folder / "film.mp4", 0.2)
    prepare_clips(_clips(folder), [], folder / "out", workers=1)
    return folder / "out" / file


def _read_prepared(file: Path) -> None:
    found = Prepared(file.parent)
    for clip in _clips(file.parents[1]):
        found.find(clip)
    found.describe()


def _results(folder: Path) -> Path:
    return write_run(folder, full()) / "results.json"


def _read_report(file: Path) -> None:
    results = read_results(file)
    render_page(results, make_sections(results, file.parent))


def _read_joined(file: Path) -> None:
    results = read_results(file)
    join([Run("a", file.parent, results), Run("b", file.parent, results)])


def _model(folder: Path, file: str) -> Path:
    Pipeline("toy", "mean", eval_imputer="regression", train={"epochs": 1}, device="cpu").fit(vectors(12)).save(folder / "model")
    return folder / "model" / file


def _cell(folder: Path) -> Path:
    cell = Cell(Setting("toys", "zero-fill"), np.ones((1, 3), np.float32), 1.0, predicted=np.zeros((1, 3), np.int32))
    write_cell(folder / "cell.npz", cell)
    return folder / "cell.npz"


def _export(folder: Path) -> Path:
    impute(pictures(6).with_missing(Missing(image=0.4)), "hot-deck", store=folder / "home", device="cpu").export(folder / "out")
    return folder / "out" / ".gtimm-export.json"


def _read_export(file: Path) -> None:
    with named(file):
        impute(pictures(6).with_missing(Missing(image=0.4)), "hot-deck", store=file.parents[1] / "home", device="cpu").export(
            file.parent
        )


KEPT = [
    *_banks(),
    Reader("feature shard", lambda f: _features(f, "*.shard"), _read_features),
    Reader("feature about.json", lambda f: _features(f, "about.json"), _read_features),
    Reader("prepared index.jsonl", lambda f: _prepared(f, "index.jsonl"), _read_prepared),
    Reader("prepared about.json", lambda f: _prepared(f, "about.json"), _read_prepared),
    Reader("results.json, report", _results, _read_report, share=0.3),
    Reader("results.json, join", _results, _read_joined, share=0.5),
    Reader("cell", _cell, lambda p: read_cell(p, Setting("toys", "zero-fill"))),
    Reader("model pipeline.json", lambda f: _model(f, "pipeline.json"), lambda p: Pipeline.load(p.parent, device="cpu")),
    Reader("model weights", lambda f: _model(f, "weights.safetensors"), lambda p: Pipeline.load(p.parent, device="cpu")),
    Reader("export mark", _export, _read_export, share=0.5),
]
