"""`gtimm report`: a page again, or of several runs."""

from __future__ import annotations

import pytest
from report_toys import score, write_run
from typer.testing import CliRunner

from gtimm.cli.main import app
from gtimm.core.errors import ConfigError, DataError

RESULTS = {"schema_version": 1, "rows": [score("zero-fill", 0.5, missing={"image": 0.9})]}


def gtimm(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)], catch_exceptions=False)


def test_page_of_a_run_is_written_again_also_by_its_file(tmp_path):
    run = write_run(tmp_path / "run", RESULTS)
    for words in ((run,), (run / "results.json",)):
        result = gtimm(*words)
        assert result.exit_code == 0
        assert str(run / "report.html") in result.output
        page = run / "report.html"
        assert "zero-fill" in page.read_text(encoding="utf-8")
        assert (run / "figures").is_dir()
        assert (run / "tables" / "rows.csv").is_file()
        page.unlink()


def test_page_goes_elsewhere_and_may_be_written_there_again(tmp_path):
    run = write_run(tmp_path / "run", RESULTS)
    for _ in range(2):
        assert gtimm(run, "-o", tmp_path / "there").exit_code == 0
    assert (tmp_path / "there" / "report.html").is_file()
    assert not (run / "report.html").exists()


def test_several_runs_are_joined(tmp_path):
    a, b = (write_run(tmp_path / name, RESULTS) for name in "ab")
    result = gtimm(a, b, "-o", tmp_path / "both")
    assert result.exit_code == 0
    text = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    assert "2 runs: a, b" in text
    assert "is not recorded" in text


def test_mistakes_say_how_to_mend_them(tmp_path):
    a, b = (write_run(tmp_path / name, RESULTS) for name in "ab")
    with pytest.raises(ConfigError, match="name it with -o"):
        gtimm(a, b)
    with pytest.raises(ConfigError, match="holds a run of its own"):
        gtimm(a, "-o", b)
    with pytest.raises(DataError, match=r"results\.json cannot be read"):
        gtimm(tmp_path / "nowhere")


def test_help_has_examples():
    assert "gtimm report runs/first runs/second -o runs/both" in " ".join(gtimm("--help").output.split())
