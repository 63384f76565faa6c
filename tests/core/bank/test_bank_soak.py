"""A bank survives kill -9: what is finished stays, what is not is made again, byte for byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import sys
from toys import pictures
from gtimm.core.registry import registry
from gtimm.core.seeding import torch_threads
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace
from gtimm import load_dataset

workspace = open_workspace(sys.argv[1], "cpu")
generator = registry("imputers").create({"name": "stable-diffusion-tiny", "per_class": 30, "steps": 2, "batch_size": 12})
data = load_dataset("digits").train.subset(range(50))
pool = generator.pool(DatasetView(data, workspace, {}, "pooled", True), "image", {})
print("ready", flush=True)
workspace.items(generator, pool.items.values, range(len(pool.items)), registry("engines").create("local"), True)
"""


def start(home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def items(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "bank").rglob("*.png") if not path.name.startswith(".")}


@pytest.mark.slow
def test_a_bank_killed_twenty_times_equals_one_that_was_not(tmp_path: Path) -> None:
    assert start(tmp_path / "whole").wait() == 0
    chance = random.Random(0)
    for _ in range(20):
        process = start(tmp_path / "broken")
        time.sleep(chance.uniform(0, 3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "broken").wait() == 0
    assert len(items(tmp_path / "whole")) == 300
    assert items(tmp_path / "broken") == items(tmp_path / "whole")
    lines = next((tmp_path / "broken" / "bank").rglob("metadata.jsonl")).read_text().splitlines()
    assert {Path(json.loads(line)["file_name"]).name for line in lines} == set(items(tmp_path / "whole"))
