"""`gtimm prepare`: what it says, how it ends, and that an interrupted or killed run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from films import film
from miniatures import write_ucf101
from typer.testing import CliRunner

from gtimm import Column, MultimodalDataset, load_dataset
from gtimm.cli.main import app
from gtimm.core.config import RunConfig
from gtimm.core.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ucf101(tmp_path_factory.mktemp("ucf101"), {"train": 4, "test": 1}, clips=2, seconds=0.3)


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_help_is_light_and_shows_examples() -> None:
    code = (
        "import sys\nfrom gtimm.cli.main import app\n"
        "try:\n    app(['prepare', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'av', 'soundfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")
    assert "gtimm prepare ucf101" in done.stdout


def test_a_configuration_names_data_and_root_and_trains_from_the_folder(whole: Path, tmp_path: Path) -> None:
    config = tmp_path / "experiment.yaml"
    config.write_text(f"data: {{name: ucf101, root: {whole}, audio_only: false}}\n")
    done = call(config, "--out", tmp_path / "out", "--sound", "flac", "--workers", 2)
    assert done.exit_code == 0, done.output
    assert "70 clips: 70 prepared now" in done.output
    assert "10 have no sound track" in done.output
    assert call(config, "--out", tmp_path / "out", "--sound", "flac").output.startswith(
        "70 clips: 0 prepared now, 70 there before"
    )
    data = load_dataset("ucf101", root=str(whole), audio_only=False, prepared=str(tmp_path / "out"))
    assert int(data.train.present("audio").sum()) == 36
    assert data.train.payload("audio", 0).endswith(".flac")


def test_failures_end_with_code_2_unless_they_are_skipped(whole: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(whole, tmp_path / "copy"))
    (root / "UCF-101/Typing/v_Typing_g02_c01.avi").write_bytes(b"no film")
    done = call("ucf101", "--root", root, "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert "1 of 60 clips could not be prepared" in str(done.exception)
    assert "59 prepared now" in done.output
    assert "Typing/v_Typing_g02_c01, image: " in done.output
    done = call("ucf101", "--root", root, "--out", tmp_path / "out", "--skip-unreadable")
    assert done.exit_code == 0, done.output
    assert "1 cannot be decoded" in done.output
    code = [
        sys.executable,
        "-m",
        "gtimm.cli.main",
        "prepare",
        "ucf101",
        "--root",
        str(root / "nowhere"),
        "--out",
        str(tmp_path / "x"),
    ]
    ended = subprocess.run(code, capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("digits",), ConfigError, "'digits' is no data set of films; ucf101, activitynet and moments are"),
        (("ucf11",), ConfigError, "Did you mean 'ucf101'"),
        (("ucf101",), ConfigError, "root"),
        (("ucf101", "--root", "nowhere"), DataError, "nowhere is not a folder"),
        (("ucf101", "--root", ".", "--frames", "gif"), ConfigError, "--frames is png or jpeg"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], message: str) -> None:
    done = call(*arguments, "--out", tmp_path / "out")
    assert isinstance(done.exception, error)
    assert message in str(done.exception)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_and_a_killed_run_keep_what_is_done_and_the_next_goes_on(
    whole: Path, tmp_path: Path, end: signal.Signals
) -> None:
    out = tmp_path / "out"
    slow = (
        "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may have it ignored
        "import gtimm.core.films.taking as taking\nload = taking.load_image\n"
        "def slow(payload):\n    time.sleep(0.1)\n    return load(payload)\n"
        "taking.load_image = slow\nfrom gtimm.cli.main import main\n"
        f"sys.argv = ['gtimm', 'prepare', 'ucf101', '--root', {str(whole)!r}, '--out', {str(out)!r}, '--workers', '2']\nmain()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    began = time.monotonic()
    while len(list(out.rglob("*.wav"))) < 6 and time.monotonic() - began < 60:
        time.sleep(0.02)
    process.kill() if end is signal.SIGKILL else os.killpg(process.pid, end)  # a batch system may end the workers too
    said, complaints = process.communicate(timeout=60)
    if end is not signal.SIGKILL:
        assert process.returncode == 128 + end, said + complaints
        assert f"Interrupted. What was prepared is kept in {out}; the same command goes on from here." in complaints
    if end is signal.SIGINT:
        assert len((out / "index.jsonl").read_text().splitlines()) == len(list(out.rglob("*.wav")))
    kept = len((out / "index.jsonl").read_text().splitlines())
    assert 0 < kept < 60
    time.sleep(1.5 if end is signal.SIGKILL else 0.0)  # workers of a dead parent end within a second
    done = call("ucf101", "--root", whole, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"{kept} there before" in done.output
    assert call("ucf101", "--root", whole, "--out", tmp_path / "whole").exit_code == 0
    assert files(out) == files(tmp_path / "whole")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders")
    for number in range(6):
        place = root / "video" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        film(place / f"{number}.mp4", 0.4)
    names = [f"video/{'ab'[n % 2]}/{n}.mp4,{'ab'[n % 2]},{('train', 'val', 'test')[n // 2]}" for n in range(6)]
    (root / "rows.csv").write_text("\n".join(["clip,kind,part", *names]))
    return root


def read_with(output: str) -> dict[str, Any]:
    line = next(line for line in output.splitlines() if line.startswith("Read it with data: "))
    found: dict[str, Any] = yaml.safe_load(line.removeprefix("Read it with "))["data"]
    return found


def test_a_table_is_prepared_and_the_configuration_that_is_printed_reads_it(folders: Path, tmp_path: Path) -> None:
    done = call(folders / "rows.csv", "-m", "video=clip", "-m", "audio=clip", "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "6 files: 6 prepared now" in done.output
    splits = RunConfig.of({"data": {**read_with(done.output), "label": "kind", "split": "part"}}).load_data()
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [2, 2, 2]
    assert splits.train.kind("video") == "image"
    assert splits.train.present("video").all()
    assert splits.train.present("audio").all()


def test_a_configuration_of_tables_is_prepared_with_its_other_fields_kept(folders: Path, tmp_path: Path) -> None:
    config = tmp_path / "experiment.yaml"
    config.write_text(f"data: {{frame: {folders}/rows.csv, modalities: {{video: clip}}, label: kind, split: part}}\n")
    done = call(config, "--out", tmp_path / "out", "--frames", "jpeg", "--workers", 1)
    assert done.exit_code == 0, done.output
    data = read_with(done.output)
    assert (data["label"], data["split"]) == ("kind", "part")
    assert RunConfig.of({"data": data}).load_data().test.payload("video", 0).endswith(".jpg")


def test_class_folders_become_a_table(folders: Path, tmp_path: Path) -> None:
    done = call(folders, "--out", tmp_path / "out", "-m", "video=video", "-m", "audio=video", "--workers", 1)
    assert done.exit_code == 0, done.output
    data = MultimodalDataset.from_table(
        tmp_path / "out/table.csv", {"video": Column("video_frame", "image"), "audio": "audio_sound"}, "label"
    )
    assert (len(data), data.classes) == (6, ("a", "b"))
    assert (tmp_path / "out/frames/video/a/0.mp4.png").is_file()


def test_modalities_are_refused_where_the_data_knows_them(whole: Path, tmp_path: Path) -> None:
    done = call("ucf101", "--root", whole, "--out", tmp_path / "out", "-m", "video=clip")
    assert isinstance(done.exception, ConfigError)
    assert "--modality is for tables" in str(done.exception)
    done = call(tmp_path / "none.csv", "--out", tmp_path / "out")
    assert "does not exist" in str(done.exception)
