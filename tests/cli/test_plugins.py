"""`gtimm plugins`: a list from metadata alone, and all about one strategy, broken ones with their cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

import gtimm
from gtimm.cli.main import app
from gtimm.core.details import details, written
from gtimm.core.errors import ConfigError
from gtimm.core.imputer import Imputer
from gtimm.core.plugin import Info
from gtimm.core.pool import Pool
from gtimm.core.prompts import GuidanceRange
from gtimm.core.registry import registry

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "open_clip", "sklearn", "pandas", "numpy")


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def install(folder: Path, name: str, points: dict[str, dict[str, str]], source: str, version: str = "1.2") -> None:
    """Put a package with entry points into a folder, as pip would."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    text = "".join(f"[gtimm.{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in points.items())
    (info / "entry_points.txt").write_text(text)
    (folder / f"{name}.py").write_text(source)


def outside(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run gtimm in a process that finds the packages of a folder; standard error ends with what was imported."""
    code = (
        "import sys, atexit\n"
        f"def end(): print('IMPORTED', sorted(m for m in sys.modules if m in {HEAVY!r} or m[:5] == 'their'), file=sys.stderr)\n"
        "atexit.register(end)\n"
        "from gtimm.cli.main import main\n"
        f"sys.argv = ['gtimm', *{list(arguments)!r}]\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False, timeout=120)


def test_fifty_packages_are_listed_and_none_is_imported(tmp_path: Path) -> None:
    for number in range(50):
        points = {"imputers": {f"fill-{number}": f"their_{number}:Fill"}, "engines": {f"run-{number}": f"their_{number}:Run"}}
        install(tmp_path, f"their_{number}", points, "raise SystemExit('imported')", version=f"0.{number}")
    done = outside(tmp_path, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("IMPORTED []")
    found = {row["name"]: row for row in json.loads(done.stdout) if row["distribution"].startswith("their")}
    assert len(found) == 100
    assert found["fill-7"] == {
        "group": "imputers",
        "kind": "imputer",
        "name": "fill-7",
        "distribution": "their_7",
        "version": "0.7",
        "target": "their_7:Fill",
        "note": "",
    }
    table = outside(tmp_path, "plugins")
    assert table.stderr.strip().endswith("IMPORTED []")
    assert "their_49 0.49" in table.stdout


def test_broken_plugins_are_listed_say_their_cause_and_hide_no_other(tmp_path: Path) -> None:
    install(tmp_path, "their_broken", {"imputers": {"bad": "their_broken:Bad"}}, "import no_such_module_at_all")
    install(tmp_path, "their_wrong", {"fusion": {"wrong": "their_wrong:Wrong"}}, "class Wrong: pass")
    listed = outside(tmp_path, "plugins", "--json")
    assert {"bad", "wrong"} <= {row["name"] for row in json.loads(listed.stdout)}
    bad = outside(tmp_path, "plugins", "bad")
    assert bad.returncode == 2
    assert "broken: Plug-in 'bad' of their_broken (their_broken:Bad) could not be loaded: ModuleNotFoundError" in bad.stdout
    assert "no_such_module_at_all" in bad.stdout
    wrong = outside(tmp_path, "plugins", "wrong", "--json")
    assert wrong.returncode == 2
    assert "must be a subclass of Fusion" in json.loads(wrong.stdout)[0]["broken"]
    everything = outside(tmp_path, "plugins", "--details", "--json")
    assert everything.returncode == 0, everything.stderr
    found = {row["name"]: row for row in json.loads(everything.stdout)}
    assert found["bad"]["runs_here"] is False
    assert found["hot-deck"]["runs_here"] is True


ODD = """
from gtimm.core.imputer import Imputer
print("hello from a plug-in")
class Fill(Imputer):
    def pool(self, view, target, state): raise NotImplementedError
class Quiet(Fill):
    "Fills \\x1b[31m [bold]in red."
class Silent(Fill):
    def weights_licence(self): raise RuntimeError("nobody asked \\x1b[2J")
class Ends(Fill):
    def lacks(self): raise SystemExit(4)
class Says(Fill):
    def lacks(self): return "One thing. Get it."
class Holds(Fill):
    model_config = {**Fill.model_config, "arbitrary_types_allowed": True}
    thing: object = object()
    raw: bytes = b"\\xff"
    top: float = float("inf")
"""


def test_odd_plugins_are_shown_and_steer_no_terminal(tmp_path: Path) -> None:
    names = {"\x1b[31mred": "Quiet", "a/../b": "Quiet", "[bold]c[/]": "Quiet", "\u202ed": "Quiet"}
    names |= {name.lower(): name for name in ("Silent", "Ends", "Says", "Holds")}
    install(tmp_path, "their_odd", {"imputers": {name: f"their_odd:{cls}" for name, cls in names.items()}}, ODD)
    listed = outside(tmp_path, "plugins").stdout
    assert {r"\x1b[31mred", "a/../b", "[bold]c[/]", r"\u202ed"} <= set(listed.split())
    said = [outside(tmp_path, "plugins", name) for name in ("\x1b[31mred", "a/../b", "silent", "[bold]c[/]")]
    assert [done.returncode for done in said] == [2, 0, 2, 0]
    assert "characters that do not print" in said[0].stdout
    assert r"Fills \x1b[31m [bold]in red." in said[1].stdout
    assert r"Silent cannot say what it is: RuntimeError: nobody asked \x1b[2J" in said[2].stdout
    printed = "".join([listed, *(done.stdout for done in said)])
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []
    done = outside(tmp_path, "plugins", "--details", "--json")
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row for row in json.loads(done.stdout, parse_constant=pytest.fail)}
    assert found["ends"]["lacks"] == ["SystemExit: 4"]
    assert found["says"]["lacks"] == ["One thing. Get it."]
    thing, raw, top = (option["default"] for option in found["holds"]["options"])
    assert (thing[:18], raw, top) == ("<object object at ", "_w==", "Infinity")


def test_names_that_packages_claim_together_stand_once_for_each(tmp_path: Path) -> None:
    install(
        tmp_path, "their_one", {"imputers": {"mine": "their_one:A", "mean": "their_one:Mean"}}, "raise SystemExit('imported')"
    )
    install(tmp_path, "their_two", {"imputers": {"mine": "their_two:A"}}, "raise SystemExit('imported')")
    rows = json.loads(outside(tmp_path, "plugins", "--json").stdout)
    assert [(row["distribution"], row["note"]) for row in rows if row["name"] == "mine"] == [
        ("their_one", "clash: nobody's is used"),
        ("their_two", "clash: nobody's is used"),
    ]
    mean = [(row["distribution"], row["note"]) for row in rows if (row["group"], row["name"]) == ("imputers", "mean")]
    assert mean == [("gtimm", "used"), ("their_one", "not used")]
    done = outside(tmp_path, "plugins", "mine")
    assert done.returncode == 2
    assert "claimed by their_one" in done.stdout


class Fancy(Imputer):
    """Fills in a fancy way.

    More words that nobody needs here.

    Attributes:
        size: how large, in metres;
            or in feet.
        mode: which way.
    """

    info: ClassVar[Info] = Info(
        kinds=("image",), items="feature", licence="MIT", weights_licence="CC-BY-NC-4.0", stores_training_data=True
    )

    size: int = Field(default=3, ge=1, lt=9)
    mode: Literal["a", "b"] | None = None
    bare: tuple[str, ...] = Field(default_factory=lambda: ("x",), min_length=1)

    def needs_label(self) -> bool:
        return self.mode is None

    def lacks(self) -> tuple[str, ...]:
        return ("A thing is not here. Get it.",)

    def pool(self, view: Any, target: str, state: Any) -> Pool:
        raise NotImplementedError


def test_details_say_what_a_strategy_is_takes_may_and_lacks() -> None:
    gtimm.register("imputers", "fancy", Fancy)
    found = details("imputers", "fancy")
    assert (found.summary, found.modalities, found.distribution) == ("Fills in a fancy way.", ("image",), "session")
    assert found.file == __file__
    assert found.capabilities == {"items": "feature", "needs_label": True, "stores_training_data": True, "depths": ("pooled",)}
    assert [(o.name, o.type, o.default, o.required, o.help) for o in found.options] == [
        ("size", "int (>= 1, < 9)", 3, False, "how large, in metres; or in feet."),
        ("mode", "'a' | 'b' | None", None, False, "which way."),
        ("bare", "tuple[str, ...] (length >= 1)", ["x"], False, ""),
    ]
    assert (found.licence, found.weights_licence) == ("MIT", "CC-BY-NC-4.0")
    assert found.not_commercial == ("weights: CC-BY-NC-4.0: no commercial use",)
    assert found.lacks == ("A thing is not here. Get it.",)
    assert not found.runs_here
    text = call("plugins", "fancy").output
    for part in (
        "fancy (imputer, session)",
        "needs label: yes",
        "A thing is not here",
        "size: int (>= 1, < 9) = 3",
        "no commercial use",
    ):
        assert part in text


def test_every_strategy_of_ours_explains_every_option_and_none_is_broken() -> None:
    found = json.loads(call("plugins", "--details", "--json").output)
    ours = [row for row in found if row["distribution"] == "gtimm"]
    assert {row["name"] for row in ours} >= {"imagebind", "hot-deck", "late", "label", "ogm-ge", "digits", "local"}
    for row in ours:
        assert not row["broken"], row
        assert row["summary"], row
        assert [option["name"] for option in row["options"] if not option["help"]] == [], row["name"]


@pytest.mark.parametrize(
    ("name", "lack"),
    [
        ("imagebind", "ImageBind needs its checkpoint"),
        ("clip", "is not on this machine"),
        ("stable-diffusion", "download=True fetches it"),
        ("audioldm2", "download=True fetches it"),
        ("bank", "It needs the option folder"),
        ("avmnist", "It needs the options images, speech"),
        ("descriptions", "exactly one of file, model and given"),
    ],
)
def test_what_is_missing_here_is_said(name: str, lack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (found,) = json.loads(call("plugins", name, "--json").output)
    assert lack in " ".join(found["lacks"])
    assert found["runs_here"] is False


@pytest.mark.parametrize("name", ["imagebind-tiny", "stable-diffusion-tiny", "zero", "digits", "attention"])
def test_what_is_embedded_can_run_here(name: str) -> None:
    (found,) = json.loads(call("plugins", name, "--json").output)
    assert found["runs_here"] is True


def test_a_name_of_several_kinds_shows_all_of_them() -> None:
    found = json.loads(call("plugins", "mean", "--json").output)
    assert [row["kind"] for row in found] == ["imputer", "fusion"]


def test_an_unknown_name_suggests_the_nearest() -> None:
    done = call("plugins", "hot-dekc")
    assert isinstance(done.exception, ConfigError)
    assert "Did you mean 'hot-deck'?" in str(done.exception)
    with pytest.raises(ConfigError, match="Did you mean 'hot-deck'"):
        registry("imputers").claims("hot-dekc")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (float | GuidanceRange, "float | GuidanceRange"),
        (dict[str, tuple[str, ...]], "dict[str, tuple[str, ...]]"),
        (Path | None, "Path | None"),
        (Any, "Any"),
    ],
)
def test_types_are_written_as_in_code(annotation: Any, text: str) -> None:
    assert written(annotation) == text


def test_a_group_that_nobody_reads_and_a_name_that_nobody_can_use_are_said(tmp_path: Path) -> None:
    points = {"fusions": {"mine": "their_fusion:Mine"}, "imputers": {"odd name": "their_fusion:Mine"}}
    install(tmp_path, "their_fusion", points, "raise SystemExit('imported')")
    listed, named = outside(tmp_path, "plugins", "--json"), outside(tmp_path, "plugins", "mine")
    for done in (listed, named):
        assert "'mine' of their_fusion stands in the entry-point group 'gtimm.fusions', which nobody reads." in done.stderr
        assert "Did you mean 'gtimm.fusion'?" in done.stderr
    notes = {row["name"]: row["note"] for row in json.loads(listed.stdout)}
    assert notes["odd name"] == "a name that nobody can use"
    assert "mine" not in notes
    assert "Warning" not in outside(tmp_path / "nothing", "plugins", "--json").stderr


def test_a_plugin_without_a_licence_is_not_for_commercial_use_and_its_package_may_state_one(tmp_path: Path) -> None:
    source = (
        (ROOT / "docs/how-to/plug-in.md").read_text(encoding="utf-8").split("```python\n# shrunk_mean.py\n")[1].split("```")[0]
    )
    source = source.replace(', licence="MIT"', "")
    install(tmp_path, "shrunk_mean", {"imputers": {"shrunk-mean": "shrunk_mean:ShrunkMean"}}, source)
    said = outside(tmp_path, "plugins", "shrunk-mean").stdout
    assert "licence: code unknown; weights none" in said
    assert "commercial use: code: nobody has stated the licence" in said
    with next(tmp_path.glob("*.dist-info/METADATA")).open("a") as file:
        file.write("License-Expression: MIT\n")
    said = outside(tmp_path, "plugins", "shrunk-mean").stdout
    assert "licence: code MIT; weights none" in said
    assert "commercial use: allowed" in said
