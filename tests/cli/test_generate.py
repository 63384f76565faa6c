"""`gtimm generate`: what it prints, what it makes, how it ends; with the embedded diffusion pipeline at two steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import ToyGenerator, calls
from typer.testing import CliRunner

import gtimm
import gtimm.core.bank.generation as generation
from gtimm.cli.main import app, main
from gtimm.core.errors import ConfigError, GenerationError
from gtimm.experiments.run import run_config
from gtimm.imputers.stable_diffusion import StableDiffusionTiny

TINY = "{name: stable-diffusion-tiny, per_class: 3, steps: 2, batch_size: 10}"
REAL = "{name: stable-diffusion-tiny, per_class: 1, steps: 4, batch_size: 10, init: real}"
TOY = "{name: toy-generator}"


def write(folder: Path, imputer: str, more: str = "", seeds: int = 2) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(
        "data: digits-uci\nmissing: {image: 0.9}\n"
        f"pipeline: {{backbone: {{audio: imagebind-tiny, image: toy}}, imputer: {{image: {imputer}}}, device: cpu, "
        f"modalities: [image], train: {{epochs: 1}}}}\nseeds: {seeds}\n{more}"
    )
    return path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["generate", *map(str, arguments)])


def plain(*arguments: object) -> Any:
    done = CliRunner().invoke(app, ["generate", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def items(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def test_help_is_light_and_shows_examples() -> None:
    code = (
        "import sys\nfrom gtimm.cli.main import app\n"
        "try:\n    app(['generate', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'diffusers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []")
    assert "--shard 2/8" in done.stdout.replace("\n", "")


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, home: Path) -> None:
    config = write(tmp_path, TINY, seeds=3)
    done = call(config, "--dry-run")
    assert done.exit_code == 0, done.output
    for text in ("generator", "classes", "to make", "image", "30", "? unknown", "Add --measure", "size assumed"):
        assert text in done.output
    (job,) = plain(config, "--dry-run")["jobs"]
    assert (job["generator"], job["modalities"], job["classes"]) == ("StableDiffusionTiny", ["image"], 10)
    assert (job["wanted"], job["there"], job["to_make"], job["batches"], job["seconds"]) == (30, 0, 30, 3, None)
    assert not home.exists()


def test_measuring_makes_one_batch_and_keeps_it(tmp_path: Path) -> None:
    config = write(tmp_path, TOY)
    done = call(config, "--dry-run", "--measure")
    assert done.exit_code == 0, done.output
    assert "4 items made" in done.output
    assert "26 are left" in done.output
    (job,) = plain(config, "--dry-run")["jobs"]
    assert (job["there"], job["to_make"], job["bytes_measured"]) == (4, 26, True)
    assert job["seconds"] > 0
    assert len(items(Path(job["folder"]))) == 4
    assert calls["made"] == 4
    assert isinstance(call(config, "--measure").exception, ConfigError)


@pytest.mark.parametrize("imputer", [TINY, REAL])
def test_a_run_uses_what_was_generated_and_shards_together_equal_one_run(tmp_path: Path, imputer: str) -> None:
    config = write(tmp_path, imputer)
    for shard in ("2/2", "1/2"):
        assert call(config, "--shard", shard, "--store", tmp_path / "shards").exit_code == 0
    assert run_config(config, tmp_path / "alone", store=tmp_path / "run")["counters"]["generated"] > 10
    assert items(tmp_path / "shards") == items(tmp_path / "run")
    assert run_config(config, tmp_path / "out", store=tmp_path / "shards")["counters"]["generated"] == 0


def test_it_goes_on_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, opened = write(tmp_path, TINY), StableDiffusionTiny.open
    batches: list[int] = []

    def stopping(self: StableDiffusionTiny, device: str) -> Any:
        make = opened(self, device)

        def one(batch: Any) -> Any:
            if len(batches) == 1:
                raise KeyboardInterrupt
            batches.append(len(batch))
            return make(batch)

        return one

    with monkeypatch.context() as patch:
        patch.setattr(StableDiffusionTiny, "open", stopping)
        done = call(config, "--yes", "--store", tmp_path / "store")
    assert done.exit_code == 130
    assert "10 items were made and are kept" in done.output
    done = call(config, "--yes", "--store", tmp_path / "store")
    assert done.exit_code == 0
    assert "20 items made" in done.output
    assert call(config, "--store", tmp_path / "whole").exit_code == 0
    assert items(tmp_path / "store") == items(tmp_path / "whole")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, shard: str) -> None:
    done = call(write(tmp_path, TOY), f"--shard={shard}")
    assert isinstance(done.exception, ConfigError)
    assert repr(shard) in str(done.exception)


def test_above_an_hour_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "ASK_ABOVE_SECONDS", 0.0)
    config = write(tmp_path, TOY)
    done = call(config)
    assert isinstance(done.exception, GenerationError)
    assert "--yes" in str(done.exception)
    assert "4 items were made and are kept" in str(done.exception)
    assert calls["made"] == 4
    assert call(config, "--yes").exit_code == 0
    assert plain(config)["made"] == 0
    assert "Everything is there" in call(config).output
    assert calls["made"] >= 30


def test_a_limit_and_what_is_left(tmp_path: Path) -> None:
    done = call(write(tmp_path, TOY), "--limit", 2)
    assert "8 items made" in done.output
    assert "22 are left" in done.output


def test_what_fails_is_printed_and_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path, "{name: toy-generator, fails: [seven]}")
    monkeypatch.setattr(sys, "argv", ["gtimm", "generate", str(config)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    found = capsys.readouterr()
    assert "27 items made" in found.out
    assert "3 of 30 items could not be made" in found.err
    assert "too hard (3)" in found.err


def test_no_generator_is_an_error_that_says_so(tmp_path: Path) -> None:
    done = call(write(tmp_path, "hot-deck"), "--dry-run")
    assert isinstance(done.exception, ConfigError)
    assert "neither is a generator" in str(done.exception)


def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    done = call(write(tmp_path, TOY), "--engine", "locla")
    assert isinstance(done.exception, ConfigError)
    assert "'local'" in str(done.exception)


def test_a_generator_that_hangs_is_interrupted_and_the_command_says_at_which_items(tmp_path: Path) -> None:
    class Hangs(ToyGenerator):
        def open(self, device: str) -> Any:
            def make(batch: Any) -> Any:
                raise KeyboardInterrupt  # what the user's Ctrl-C does to a batch that does not return

            return make

    gtimm.register("imputers", "hangs", Hangs)
    done = call(write(tmp_path, "{name: hangs}"), "--yes")
    assert done.exit_code == 130
    said = " ".join(done.output.split())
    assert "Imputer hangs (registered in this session) was interrupted as it made 4 items, the first " in said
    assert "the same command goes on from here" in said
