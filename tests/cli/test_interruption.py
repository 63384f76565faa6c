"""Commands that are interrupted by Ctrl-C or SIGTERM: what they say, how they end, and that what they start still just ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

HANGS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
from pathlib import Path
import gtimm
from gtimm.cli.main import main
from gtimm.core.imputer import Imputer

class Hangs(Imputer):
    def pool(self, view, target, state):
        Path("begun").touch()
        time.sleep(600)

gtimm.register("imputers", "hangs", Hangs)
gtimm.register("imputers", "hot-deck", Hangs, replace=True)
main()
"""
CONFIG = "data: digits-uci\nmissing: {image: 0.9}\npipeline: {backbone: imagebind-tiny, imputer: hangs, modalities: [image]}\nseeds: 1\n"


def interrupted(folder: Path, command: list[str], end: signal.Signals) -> tuple[int, str]:
    """Interrupt a command once the imputer hangs; returns its code and what it said."""
    (folder / "experiment.yaml").write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, *command, "-o", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=folder,
        env={**os.environ, "GTIMM_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    began = time.monotonic()
    while not (folder / "begun").exists() and process.poll() is None and time.monotonic() - began < 240:
        time.sleep(0.05)
    process.send_signal(end)
    _, complaints = process.communicate(timeout=60)
    return process.returncode, complaints


@pytest.mark.parametrize(
    ("command", "end", "code"),
    [
        (["run", "experiment.yaml"], signal.SIGTERM, 143),
        (["sweep", "training", "experiment.yaml", "--values", "90", "--methods", "zero-fill,hot-deck"], signal.SIGINT, 130),
    ],
)
def test_a_command_says_which_strategy_hung_and_what_is_kept(
    tmp_path: Path, command: list[str], end: signal.Signals, code: int
) -> None:
    returned, complaints = interrupted(tmp_path, command, end)
    assert returned == code, complaints
    assert "Imputer hangs (registered in this session) was interrupted in pool" in complaints
    assert "Interrupted. What was found so far is kept in out; the same command goes on from here." in complaints
    assert "Traceback" not in complaints


def test_other_commands_end_alike() -> None:
    code = (
        "import os, signal, sys\nimport gtimm.cli.report\n"
        "gtimm.cli.report.report_runs = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "from gtimm.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code, "report", "."], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "Interrupted.\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_a_command_forks_just_end() -> None:
    code = (
        "import os, signal, time\nfrom gtimm.cli.interruption import heed_sigterm\nheed_sigterm()\n"
        "there, ready = os.pipe()\nchild = os.fork()\n"
        "if not child:\n    os.write(ready, b'x')\n    time.sleep(60)\n    os._exit(1)\n"
        "os.read(there, 1)\nos.kill(child, signal.SIGTERM)\nprint(os.waitpid(child, 0)[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(int(signal.SIGTERM))
