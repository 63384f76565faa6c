"""Generation, embedding and preparing of films on a Ray cluster whose worker is killed in the middle: all that the local engine gives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import DyingClip, DyingEncoder, DyingGenerator
from films import film

from gtimm import MultimodalDataset, Pipeline
from gtimm.core.bank import Bank
from gtimm.core.errors import LostBatchError, MediaError
from gtimm.core.films.clips import Clip
from gtimm.core.films.prepare import prepare_clips
from gtimm.core.films.prepared import Form
from gtimm.core.films.tables import prepare_tables
from gtimm.core.media import FilmPart
from gtimm.core.options import EmbedOptions
from gtimm.core.pool import Request
from gtimm.core.workspace import Workspace, open_workspace
from gtimm.engines.local import LocalEngine
from gtimm.engines.ray import RayEngine
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

pytestmark = pytest.mark.usefixtures("cluster")

RAY = RayEngine(workers=2)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_bank_equals_the_local_one_byte_for_byte(tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    options: dict[str, Any] = {"batch_size": 2, "steps": 2}
    requests = [Request("image", f"a photo of the digit {word}", seed, 2.0) for seed in range(4) for word in ("one", "two")]
    made = []
    for generator, engine in (
        (StableDiffusionTiny(**options), LocalEngine()),
        (DyingGenerator(**options, folder=str(deaths)), RAY),
    ):
        bank = Bank(tmp_path / type(engine).__name__)
        plan = bank.plan(generator, requests)
        assert bank.make(generator, plan, engine, "cpu", True) == 8
        made.append([plan.path(index).read_bytes() for index in range(8)])
        (folder,) = bank.folder.iterdir()
        assert len((folder / "metadata.jsonl").read_text().splitlines()) == len(list(folder.rglob("*.png"))) == 8
        assert sorted(path.name for path in folder.iterdir() if len(path.name) != 2) == ["about.json", "metadata.jsonl"]
    assert made[0] == made[1]
    assert len(list(deaths.iterdir())) == 1


def sights_and_sounds(count: int) -> MultimodalDataset:
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (count, 28, 28, 3), np.uint8))
    sounds = [(random.normal(0, 0.1, (1, 12_000)).astype(np.float32), 16_000) for _ in range(count)]
    images[7] = images[3]
    return MultimodalDataset.from_arrays({"image": images, "audio": sounds})


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("modality", "threads"), [("image", 2), ("audio", 1)], indirect=["threads"])
def test_features_equal_the_local_ones_bit_for_bit(tmp_path: Path, modality: str) -> None:
    data, options = sights_and_sounds(70), EmbedOptions(batch_size=16)
    (tmp_path / "deaths").mkdir()
    tables = []
    for engine, deadly in ((LocalEngine(), False), (RayEngine(workers=2, cpus=1), True)):
        backbone = DyingEncoder(folder=str(tmp_path / "deaths"), deadly=deadly)
        workspace = Workspace(tmp_path / type(engine).__name__, "cpu", options, engine)
        table, index = workspace.column(sights_and_sounds(70), modality, backbone)
        tables.append(table[index])
        distinct = len(set(data.keys(modality, np.arange(70))))
        assert workspace.counters["embedded"] == len(workspace.store(backbone, modality, "pooled")) == distinct
        assert not [path for path in workspace.home.rglob("*") if ".tmp" in path.name]
    np.testing.assert_array_equal(*tables)
    assert len(list((tmp_path / "deaths").glob("died-*"))) == 1


def test_a_batch_of_payloads_that_is_given_up_names_its_rows(tmp_path: Path) -> None:
    class Deadly(DyingEncoder):
        def prepare(self, kind: str, payload: Any) -> Any:
            if payload[0, 0, 0] == 1 and os.getpid() != self.parent:
                os._exit(1)
            return super().prepare(kind, payload)

        parent: int = os.getpid()

    images = [np.full((28, 28, 3), row == 5, np.uint8) + np.uint8(10 * row * (row != 5)) for row in range(12)]
    data = MultimodalDataset.from_arrays({"image": images})
    workspace = Workspace(tmp_path, "cpu", EmbedOptions(batch_size=4), RayEngine(workers=1, retries=0))
    with pytest.raises(LostBatchError, match=r"^Row 4 to row 7: Batch 2 of 3 was given up"):
        workspace.column(data, "image", Deadly(folder=str(tmp_path), deadly=False))
    assert workspace.counters["embedded"] >= 4  # what was made is kept


def test_a_payload_that_a_worker_cannot_decode_is_named_by_its_row(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{row}.png") for row in range(3)]
    for path in paths:
        Path(path).write_bytes(b"no image")
    data = MultimodalDataset.from_arrays({"image": paths})
    with pytest.raises(MediaError, match=r"^Row 0, modality 'image': .*0\.png"):
        Workspace(tmp_path / "store", "cpu", engine=RAY).column(data, "image", DyingEncoder(folder=str(tmp_path), deadly=False))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    for number in range(8):
        film(root / f"{number}.mp4", 0.4 + 0.1 * number, sound=number != 2)
    (root / "5.mp4").write_bytes(b"no film")
    return root


def clips(films: Path, deaths: Path, deadly: dict[int, int]) -> list[Clip]:
    """Clips, of which some cost that many workers their lives."""
    found = []
    for number in range(8):
        path = str(films / f"{number}.mp4")
        kind, group = (DyingClip, f"{deaths / str(number)};{deadly[number]}") if number in deadly else (Clip, "one")
        found.append(kind(f"x/{number}", "a", group, FilmPart(path), FilmPart(path, 0.0, 0.3), f"line {number}"))
    return found


def test_a_folder_of_films_equals_the_local_one_byte_for_byte(films: Path, tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    reports = []
    for engine, deadly in ((None, {}), (RAY, {3: 1})):
        out = tmp_path / ("local" if engine is None else "ray")
        reports.append(prepare_clips(clips(films, tmp_path, deadly), [], out, Form(), workers=1, engine=engine))
    assert files(tmp_path / "local") == files(tmp_path / "ray")
    assert {"frames/x/3.png", "audio/x/3.wav", "index.jsonl", "failures.jsonl"} <= files(tmp_path / "ray").keys()
    assert reports[0].failures == reports[1].failures
    assert reports[1].made == 7
    assert len(list((tmp_path / "3").iterdir())) == 1


@pytest.mark.slow
def test_a_film_that_costs_each_worker_its_life_is_one_failure(films: Path, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    engine = RayEngine(workers=2, retries=1)
    report = prepare_clips(clips(films, tmp_path, {1: 99})[:5], [], tmp_path / "out", engine=engine)
    assert [(one["clip"], one["reason"]) for one in report.failures] == [("x/1", "the decoder took its process down")]
    assert report.made == 4
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.slow
def test_a_table_of_films_is_prepared_from_relative_paths(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    shutil.copytree(films, tmp_path / "films")
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"film": ["films/0.mp4", "films/1.mp4"]})
    made = prepare_tables({"rows": table}, {"video": "film"}, "out", engine=RAY)
    assert made.report.made == 2
    assert (tmp_path / "out/rows.csv").is_file()


@pytest.mark.slow
def test_a_pipeline_generates_embeds_and_trains_to_the_same_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = [row if number % 4 else None for number, row in enumerate(random.integers(0, 256, (40, 28, 28, 3), np.uint8))]
    rows = {"image": images, "text": [f"word {number % 3}" for number in range(40)]}
    data = MultimodalDataset.from_arrays(rows, [("one", "two")[n % 2] for n in range(40)])
    generator = {"name": "stable-diffusion-tiny", "per_class": 2, "steps": 2, "batch_size": 2}
    found = []
    for engine in ("local", {"name": "ray", "workers": 2}):
        pipe = Pipeline(
            "imagebind-tiny",
            {"image": generator, "text": "zero"},
            train={"epochs": 2},
            store=tmp_path / str(len(found)),
            device="cpu",
            engine=engine,
        )
        found.append(pipe.fit(data).predict_proba(data))
        assert pipe.counters == {"generated": 4, "embedded": 30 + 3 + 2}  # only one class has holes
        assert pipe.config() == Pipeline("imagebind-tiny", {"image": generator, "text": "zero"}, train={"epochs": 2}).config()
    np.testing.assert_array_equal(*found)
    assert open_workspace(tmp_path / "1", "cpu", engine=RayEngine(workers=2)).engine == RayEngine(workers=2)
