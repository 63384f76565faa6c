"""What `soak.py` kills: small pieces of work that write every form of file that gtimm leaves on a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from bank_program import CLASSES, requests
from films import film
from gate_toys import Motifs
from PIL import Image
from report_toys import full, write_run
from soak import Work
from toys import ToyBackbone, ToyGenerator, pictures, vectors

import gtimm.core.workspace
import gtimm.report.page
from gtimm import Missing, Pipeline, impute
from gtimm.core.bank import Bank
from gtimm.core.bank.files import FAILURES, LOG, Log, is_sound
from gtimm.core.bank.gate import Gate
from gtimm.core.bank.transfer import export_bank, import_folder
from gtimm.core.bank.upkeep import verify
from gtimm.core.claims import BESIDE, Staging
from gtimm.core.dataset import Splits
from gtimm.core.errors import GenerationError
from gtimm.core.features import FeatureStore, shard_files
from gtimm.core.features.shards import Shard
from gtimm.core.files import LEFT
from gtimm.core.films.clips import Clip
from gtimm.core.films.prepare import prepare_clips
from gtimm.core.films.prepared import read_index
from gtimm.core.media import FilmPart, payload_key
from gtimm.core.table_files import read_table, write_table
from gtimm.core.workspace import Workspace
from gtimm.engines.local import LocalEngine
from gtimm.experiments.cells import read_cell
from gtimm.experiments.comparison.compare import compare
from gtimm.experiments.methods import Setting
from gtimm.report.join import write_joined
from gtimm.report.page import write_report
from gtimm.report.results import read_results

VARIES = {"seconds", "counters", "environment", "command", "costs"}
FINISHED = {"file_name", "label", "prompt", "seed"}


def works(folder: Path) -> list[Work]:
    """Every piece of work; what they read is made in `folder`."""
    comparison().run(folder / "imports")  # which every child would spend a second on
    return [bank(), failures(), features(), films(folder), comparison(), model(), exports(folder)]


def without_fonts(scene: Any, path: Path) -> None:
    """Stand in for what draws a PDF: nearly all the time of a report goes into cutting its fonts."""
    path.write_bytes(b"%PDF" + scene.title.encode())


quick = mock.patch.object(gtimm.report.page, "write_pdf", without_fonts)


def contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """The files of a folder by name, but what a writer is at or has left behind."""
    found = (path for path in folder.rglob(pattern) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not any(part.startswith(".") for part in name.split("/"))}


def bank(per_class: int = 6) -> Work:
    """A bank with a gate: items, rejected items, metadata.jsonl, rejected.jsonl, claims."""
    generator = Motifs(gate=Gate(retries=6, duplicates={"hamming": 10}), batch_size=3)

    def run(folder: Path) -> None:
        here = Bank(folder)
        here.make(generator, here.plan(generator, requests(per_class)), LocalEngine(), "cpu", True)

    def whole(folder: Path) -> dict[str, Any]:
        found = contents(folder, "*.png")
        assert all(is_sound(folder / name) for name in found)
        # What is a duplicate is known only when all before it is there: then it goes from the items to the rejected ones.
        return {Path(name).name: content for name, content in found.items()}

    def result(folder: Path) -> Any:
        root = next(folder.rglob(LOG)).parent
        assert verify(root) == []
        with Staging(root):
            pass  # one that was killed after its last rename leaves an empty folder; the next writer there removes it
        hidden = [path for path in folder.rglob("*") if path.name.startswith(".")]
        assert all(LEFT.fullmatch(path.name) or (path.suffix == ".lock" and not path.stat().st_size) for path in hidden)
        lines = [{k: v for k, v in line.items() if k in FINISHED} for line in Log(root / LOG).read()]
        return contents(folder, "*.png"), sorted(lines, key=lambda line: line["file_name"])

    return Work("bank", run, whole, result)


def failures() -> Work:
    """A bank whose generator fails for one class: failures.jsonl."""
    generator = ToyGenerator(fails=("dog",), batch_size=2)

    def run(folder: Path) -> None:
        here = Bank(folder)
        try:
            here.make(generator, here.plan(generator, requests(3)), LocalEngine(), "cpu", True)
        except GenerationError as error:
            assert "too hard" in str(error)  # noqa: PT017 - in a child, whose failure the parent sees

    def result(folder: Path) -> Any:
        failed = {(line["file_name"], line["reason"], line["label"]) for line in Log(next(folder.rglob(FAILURES))).read()}
        assert len(failed) == 3
        return contents(folder, "*.png"), failed

    return Work("failures", run, lambda folder: contents(folder, "*.png"), result)


def features() -> Work:
    """A feature store: shards, written and merged."""
    data = [np.full(4, number, np.float32) for number in range(150)]
    keys = [payload_key("vector", one) for one in data]

    def run(folder: Path) -> None:
        with mock.patch.object(gtimm.core.workspace, "FLUSH", 4):
            for begin in range(0, len(data), 4):
                Workspace(folder, "cpu").embed(ToyBackbone(), "vector", data[begin : begin + 4])

    def whole(folder: Path) -> dict[str, Any]:
        store = next((folder / "features").glob("*"), None) if folder.is_dir() else None
        if store is None:
            return {}
        assert not any(len(Shard(path).damaged()) for path in shard_files(store))
        opened = FeatureStore(store, 4)
        lacking = set(opened.missing(keys))
        there = [number for number in range(len(keys)) if number not in lacking]
        values = opened.get([keys[number] for number in there])
        np.testing.assert_array_equal(values[:, 0], np.array(there, np.float32))
        return dict(zip(map(str, there), values.tolist(), strict=True))

    def result(folder: Path) -> Any:
        found = whole(folder)
        assert len(found) == len(data)
        return found

    return Work("features", run, whole, result)


def films(folder: Path) -> Work:
    """A prepared folder of films: about.json, index.jsonl, frames, sounds, failures.jsonl."""
    paths = [film(folder / f"film{number}.mp4", 0.4) for number in range(4)]
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no film")
    parts = [FilmPart(str(path)) for path in [*paths, broken]]
    clips = [Clip(f"c{n}", "a", f"c{n}", part, part, f"row {n}") for n, part in enumerate(parts)]

    def run(out: Path) -> None:
        prepare_clips(clips, [], out, workers=1)

    def whole(out: Path) -> dict[str, Any]:
        records = read_index(out) if out.is_dir() else {}
        assert all(record.complete(out) for record in records.values())
        return {name: (out / name).read_bytes() for record in records.values() for name in (record.frame, record.sound) if name}

    def result(out: Path) -> Any:
        return {name: content for name, content in contents(out).items() if not name.endswith(".lock")}

    return Work("films", run, whole, result)


def comparison() -> Work:
    """A run folder: config.yaml, cells, log.jsonl, results.json, the report with its figures and tables."""
    data = Splits(vectors(30, name="toys"), vectors(30, seed=1), vectors(30, seed=2), {"name": "toys"})

    @quick
    def run(folder: Path) -> None:
        compare(
            data,
            ["zero", "mean", "hot-deck"],
            missing=[0.5],
            test_missing=[0],
            target="left",
            backbone="toy",
            train={"epochs": 2},
            baselines=False,
            seeds=2,
            store=folder / "store",
            device="cpu",
            out=folder / "run",
        )

    def whole(folder: Path) -> dict[str, Any]:
        out = folder / "run"
        found = contents(out, "*.npz") | contents(out, "*.yaml")
        setting = Setting("toys", "zero-fill")
        assert all(read_cell(out / name, setting) is not None for name in found if name.endswith(".npz"))
        if (out / "results.json").is_file():
            read_results(out / "results.json")
        if (out / "report.html").is_file():
            assert (out / "report.html").read_text().rstrip().endswith("</html>")
        return found

    def result(folder: Path) -> Any:
        results = json.loads((folder / "run" / "results.json").read_text())
        for row in results["rows"]:
            row.pop("seconds")
        return {name: value for name, value in results.items() if name not in VARIES}, sorted(contents(folder / "run", "*.svg"))

    return Work("compare", run, whole, result)


def model() -> Work:
    """A saved model that another one replaces: there is always one of the two, whole."""
    test = vectors(6, seed=2)
    pipes = [
        Pipeline("toy", "mean", train={"epochs": 2}, device="cpu", seed=s).fit(vectors(30), missing={"left": 0.5}) for s in (0, 1)
    ]
    expected = [pipe.predict_proba(test).tolist() for pipe in pipes]

    def run(folder: Path) -> None:
        for pipe in pipes:
            pipe.save(folder / "model")

    def whole(folder: Path) -> dict[str, Any]:
        if not any((folder / name).exists() for name in ("model", ".model.replaced")):
            return {}
        assert Pipeline.load(folder / "model", device="cpu").predict_proba(test).tolist() in expected
        return {"a model": True}

    def result(folder: Path) -> Any:
        assert [path.name for path in folder.iterdir()] == ["model"]
        return contents(folder / "model")

    return Work("model", run, whole, result)


def exports(folder: Path) -> Work:
    """An imported bank, an exported one, a filled data set, a table, the report of joined runs."""
    source = folder / "pictures"
    for number, label in enumerate(CLASSES):
        (source / label).mkdir(parents=True)
        for which in range(3):
            Image.fromarray(np.full((8, 8, 3), 60 * number + which, np.uint8)).save(source / label / f"{which}.png")
    data = pictures(9).with_missing(Missing(image=0.4))
    frame = pd.DataFrame({"path": [f"{n}.png" for n in range(200)], "label": "x"})
    runs = [write_run(folder / name, full(("one", "two"))) for name in ("first", "second")]

    @quick
    def run(out: Path) -> None:
        import_folder(source, out, "soak")
        if not (out / "exported").exists():
            export_bank(out / "bank" / "imported-soak", out / "exported")
        impute(data, "hot-deck", store=out / "store", device="cpu").export(out / "filled")
        write_table(frame, out / "table.csv")
        write_report(write_joined(runs, out / "both"))

    def whole(out: Path) -> dict[str, Any]:
        found = {f"bank/{name}": content for name, content in contents(out / "bank", "*.png").items()}
        if (out / "exported").exists():
            found |= {f"exported/{name}": content for name, content in contents(out / "exported").items()}
            assert len(contents(out / "exported", "*.png")) == 9
        if (out / "filled" / LOG).is_file():
            lines = [json.loads(line) for line in (out / "filled" / LOG).read_text().splitlines()]
            assert len(lines) == 9
            assert all(np.asarray(Image.open(out / "filled" / line["file_name"])).shape == (4, 4, 3) for line in lines)
        if (out / "table.csv").is_file():
            assert len(read_table(out / "table.csv")) == 200
        if (out / "both" / "results.json").is_file():
            assert read_results(out / "both" / "results.json").kind == "joined"
        return found

    def result(out: Path) -> Any:
        found = contents(out)
        lines = [line for line in found.pop(f"bank/imported-soak/{LOG}").split(b"\n") if line]
        assert len(lines) == 9
        with Staging(out, BESIDE):
            pass  # a writer that was killed after its rename leaves an empty folder; the next writer there removes it
        assert not list(out.glob(BESIDE))
        found.pop("both/report.html")
        found.pop("both/results.json")  # they name the folder
        return sorted(lines), found

    return Work("exports", run, whole, result)
