"""Commands on a Ray cluster that are interrupted, or lose the cluster, in the middle, and go on to what a local run gives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elsewhere import SlowEncoder
from films import film
from typer.testing import CliRunner

from gtimm import load_dataset, register
from gtimm.cli.main import app
from gtimm.core.workspace import Workspace

pytestmark = pytest.mark.slow

SCRIPT = (
    "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may have it ignored
    "import elsewhere\nfrom gtimm import register\nfrom gtimm.cli.main import main\n"
    "register('imputers', 'slow', elsewhere.SlowGenerator)\nregister('backbones', 'slow', elsewhere.SlowEncoder)\nmain()\n"
)
ENGINE = ["--engine", "{name: ray, workers: 2, cpus: 1}"]


@pytest.fixture(autouse=True)
def _slow() -> None:
    import elsewhere

    register("imputers", "slow", elsewhere.SlowGenerator)
    register("backbones", "slow", elsewhere.SlowEncoder)


def interrupted_and_gone_on(cluster: Any, arguments: list[str], begun: Any, by: signal.Signals = signal.SIGINT) -> list[str]:
    """Run a command on the cluster, interrupt it once something has begun, run it again; returns what it said."""
    address = cluster.get_runtime_context().gcs_address
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", SCRIPT, *arguments, *ENGINE, "--address", address]
    said = []
    for end in (True, False):
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        since = time.monotonic()
        while end and not begun() and process.poll() is None and time.monotonic() - since < 120:
            time.sleep(0.05)
        if end:
            os.killpg(process.pid, by)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == (128 + by if end else 0), output
        said.append(output)
    assert "Interrupted." in said[0]
    return said


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def config(folder: Path) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(
        "data: digits-uci\nmissing: {image: 0.9}\n"
        f"pipeline: {{backbone: {{name: slow, folder: {folder}}}, imputer: {{image: {{name: slow, folder: {folder}, per_class: 3, "
        "batch_size: 2}}, modalities: [image], device: cpu}\n"
    )
    return path


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_generation(cluster: Any, tmp_path: Path, by: signal.Signals) -> None:
    arguments = ["generate", str(config(tmp_path)), "--yes"]
    store = ["--store", str(tmp_path / "ray")]
    said = interrupted_and_gone_on(cluster, [*arguments, *store], lambda: len(list((tmp_path / "ray").rglob("*.png"))) >= 4, by)
    assert "30 items made" not in said[1]
    assert CliRunner().invoke(app, [*arguments, "--store", str(tmp_path / "local")]).exit_code == 0
    made = [
        {name: content for name, content in files(tmp_path / name).items() if name.endswith(".png")} for name in ("ray", "local")
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 30
    assert sorted(path.name for path in (tmp_path / "ray/bank").glob("*/.*")) == []


def test_embedding(cluster: Any, tmp_path: Path) -> None:
    arguments = ["embed", str(config(tmp_path)), "--store", str(tmp_path / "ray")]
    said = interrupted_and_gone_on(cluster, arguments, lambda: len(list(tmp_path.glob("encoded-*"))) >= 6)
    train = load_dataset("digits-uci").train
    total = len(set(train.keys("image", np.flatnonzero(train.present("image")))))
    kept = total - int(said[1].split("payloads, ")[1].split()[0].replace(",", ""))
    assert 64 <= kept < total
    tables = []
    for name in ("ray", "local"):
        workspace = Workspace(tmp_path / name, "cpu")
        tables.append(workspace.column(train, "image", SlowEncoder(folder=str(tmp_path), seconds=0.0))[0])
        assert workspace.counters["embedded"] == (0 if name == "ray" else total)
    np.testing.assert_array_equal(*tables)
    assert not [path for path in (tmp_path / "ray").rglob("*") if ".tmp" in path.name]


def test_films(cluster: Any, tmp_path: Path) -> None:
    lines = ["film"]
    first = film(tmp_path / "0.mp4", 8.0)
    for number in range(60):
        (tmp_path / f"{number}.mp4").write_bytes(first.read_bytes())
        lines.append(f"{number}.mp4")
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    arguments = ["prepare", str(tmp_path / "rows.csv"), "-m", "video=film", "-m", "audio=film"]
    out = ["--out", str(tmp_path / "ray")]
    said = interrupted_and_gone_on(cluster, [*arguments, *out], lambda: len(list((tmp_path / "ray").rglob("*.wav"))) >= 4)
    assert "60 files: 60 prepared" not in said[1]
    assert CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "local"), "--workers", "1"]).exit_code == 0
    assert files(tmp_path / "ray") == files(tmp_path / "local")


HEAD = (
    "import ray, sys, time\nray.init(address='local', num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
    "open(sys.argv[1], 'w').write(ray.get_runtime_context().gcs_address)\ntime.sleep(600)\n"
)
IMPATIENT = "import gtimm.engines.ray_workers as workers\nworkers.LOOK_SECONDS, workers.GONE_SECONDS = 1.0, 3.0\n"


def test_a_cluster_that_is_lost_in_the_middle(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra gtimm[ray] is not installed")
    place = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short, for the names of Ray's sockets
    note = place / "ray/ray_current_cluster"
    note.parent.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "RAY_TMPDIR": str(place)}
    head = subprocess.Popen([sys.executable, "-c", HEAD, str(note)], stderr=subprocess.DEVNULL, env=environment)
    try:
        while not note.exists() or not note.read_text():
            assert head.poll() is None
            time.sleep(0.1)
        arguments = ["embed", str(config(tmp_path)), "--store", str(tmp_path / "store"), *ENGINE]
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT + SCRIPT, *arguments], stderr=subprocess.PIPE, text=True, env=environment
        )
        while len(list(tmp_path.glob("encoded-*"))) < 4:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        head.kill()
        for line in subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines():
            if str(place) in line:
                os.kill(int(line.split()[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert f"Joined the Ray cluster at {note.read_text()}" in said
    assert (
        f"gtimm: The Ray cluster at {note.read_text()} is gone: nothing answers there any more. What was finished is kept."
        in said
    )
    shutil.rmtree(place)
