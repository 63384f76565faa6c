"""Plug-ins come by entry points: lazy, sorted, and clashes and faults say whose they are."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest
from toys import ToyBackbone

import gtimm
from gtimm.core.errors import ConfigError, PluginError
from gtimm.core.plugin import Plugin
from gtimm.core.registry import Registry, registry


class Shape(Plugin):
    size: int = 1


class Round(Shape):
    pass


class Square(Shape):
    pass


class Named(Distribution):
    """A distribution that exists in name only."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: 1.2\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


def point(name: str, value: str, owner: str = "others") -> EntryPoint:
    found = EntryPoint(name, value, "gtimm.shapes")
    vars(found).update(dist=Named(owner))
    return found


def shapes(*points: EntryPoint) -> Registry[Shape]:
    return Registry("shapes", Shape, list(points))


ROUND = f"{__name__}:Round"
SQUARE = f"{__name__}:Square"


def test_names_are_sorted_and_nothing_is_imported_by_listing() -> None:
    found = shapes(point("b", "no.such.module:B"), point("a", ROUND), point("c", "no.such.module:C"))
    assert list(found) == ["a", "b", "c"]
    assert "b" in found
    assert len(found) == 3
    assert found["b"].target == "no.such.module:B"
    assert (found["b"].distribution, found["b"].version) == ("others", "1.2")
    assert list(found.view) == ["a", "b", "c"]
    with pytest.raises(TypeError):
        found.view["d"] = found["a"]  # type: ignore[index]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'round'\? Known: round, square"):
        shapes(point("round", ROUND), point("square", SQUARE)).load("ruond")


def test_two_plugins_with_one_name_are_an_error_that_names_both() -> None:
    found = shapes(point("a", ROUND, "one-package"), point("a", SQUARE, "two-package"))
    assert list(found) == ["a"]
    with pytest.raises(PluginError, match=r"one-package \(.*Round\) and two-package \(.*Square\)"):
        found.load("a")


def test_one_class_that_is_listed_twice_is_no_clash() -> None:
    assert shapes(point("a", ROUND, "one"), point("a", ROUND, "one")).load("a") is Round


@pytest.mark.parametrize("order", [1, -1])
def test_a_built_in_wins_over_a_plugin(order: int) -> None:
    both = [point("a", ROUND, "others"), point("a", SQUARE, "gtimm")][::order]
    assert shapes(*both).load("a") is Square


def test_a_choice_of_the_session_settles_a_clash() -> None:
    found = shapes(point("a", ROUND, "one"), point("a", SQUARE, "two"))
    found.register("a", Square, replace=True)
    assert found.load("a") is Square
    assert found["a"].distribution == "session"


def test_using_a_broken_plugin_raises_from_the_cause_and_hides_no_other() -> None:
    found = shapes(point("bad", "no.such.module:X", "broken-package"), point("good", ROUND))
    with pytest.raises(PluginError, match=r"'bad' of broken-package .*ModuleNotFoundError") as caught:
        found.load("bad")
    assert found.load("good") is Round
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(PluginError, match="AttributeError"):
        shapes(point("bad", f"{__name__}:Nowhere")).load("bad")


@pytest.mark.parametrize("target", ["pathlib:Path", f"{__name__}:ROUND"])
def test_what_is_no_subclass_of_the_base_is_refused(target: str) -> None:
    with pytest.raises(PluginError, match="must be a subclass of Shape"):
        shapes(point("a", target)).load("a")
    with pytest.raises(ConfigError, match="must be a subclass of Shape"):
        shapes().register("a", Path)  # type: ignore[arg-type]


def plugin_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> str:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    return f"{name}:Round"


def test_a_module_that_ends_the_process_is_a_broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = plugin_module(tmp_path, monkeypatch, "was_a_program", "import sys\nsys.exit(3)\n")
    with pytest.raises(PluginError, match="could not be loaded: SystemExit: 3"):
        shapes(point("round", target)).load("round")


@pytest.mark.parametrize("target", ["no_such_module", "bad value !!"])
def test_an_entry_point_that_names_no_class_says_so(target: str) -> None:
    with pytest.raises(PluginError, match=f"'round' of others names {target!r}; an entry point says 'module:Class'"):
        shapes(point("round", target)).load("round")


def test_a_name_that_does_not_print_can_be_used_by_nobody() -> None:
    found = shapes(point("\x1b[31mred", ROUND), point("a/b", ROUND))
    with pytest.raises(PluginError, match=r"name '\\x1b\[31mred' of others holds blanks or characters that do not print"):
        found.load("\x1b[31mred")
    assert found.load("a/b") is Round


def test_a_distribution_without_metadata_is_unknown() -> None:
    class Nameless(Named):
        def read_text(self, filename: str) -> str | None:
            return None

    found = point("round", ROUND)
    vars(found).update(dist=Nameless("x"))
    assert shapes(found)["round"].distribution == "unknown"


def test_a_taken_name_needs_replace() -> None:
    found = shapes(point("a", ROUND, "one"))
    with pytest.raises(ConfigError, match=r"already registered .* by one .*replace=True"):
        found.register("a", Square)
    assert found.load("a") is Round
    found.register("a", Square, replace=True)
    assert found.load("a") is Square


@pytest.mark.parametrize("name", ["", "two words", "tab\tname", "a\x1b[31m", None, 3])
def test_a_name_is_a_word(name: Any) -> None:
    with pytest.raises(ConfigError, match="word without blanks"):
        shapes().register(name, Round)


def test_strategies_are_made_of_names_mappings_and_instances() -> None:
    found = shapes(point("round", ROUND))
    assert found.create("round") == Round()
    assert found.create({"name": "round", "size": 3}) == Round(size=3)
    ready = Round(size=5)
    assert found.create(ready) is ready
    for wrong in ({"size": 3}, {"name": 3}, Path(), None, Round):
        with pytest.raises(ConfigError):
            found.create(wrong)  # type: ignore[arg-type]


def test_an_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Round has no option 'sise'. Did you mean 'size'"):
        shapes(point("round", ROUND)).create({"name": "round", "sise": 3})
    with pytest.raises(ConfigError, match=r"Round option 'size': .* \(found 'big'\)"):
        shapes(point("round", ROUND)).create({"name": "round", "size": "big"})


def test_the_plain_form_reads_back() -> None:
    found = shapes(point("round", ROUND), point("square", SQUARE))
    assert found.spec(Square(size=4)) == {"name": "square", "size": 4}
    assert found.create(found.spec(Square(size=4))) == Square(size=4)
    with pytest.raises(ConfigError, match="not registered"):
        shapes().spec(Round())


def test_groups_are_known() -> None:
    assert registry("imputers") is registry("imputers")
    with pytest.raises(ConfigError, match="Did you mean 'imputers'"):
        registry("imputres")  # type: ignore[arg-type]


def test_the_singular_of_a_group_is_understood() -> None:
    gtimm.register("backbone", "registered-here", ToyBackbone, replace=True)  # type: ignore[arg-type]
    assert registry("backbones").load("registered-here") is ToyBackbone


@pytest.mark.parametrize("group", ["imputers", "backbones", "fusion", "prompts", "datasets", "engines"])
def test_every_built_in_loads(group: Any) -> None:
    ours = {name for name, entry in registry(group).view.items() if entry.distribution == "gtimm"}
    assert ours
    for name in ours:
        registry(group).load(name)


def test_importing_the_library_imports_nothing_heavy() -> None:
    heavy = ["torch", "diffusers", "transformers", "open_clip", "sklearn", "pandas", "scipy", "matplotlib"]
    code = (
        "import sys, gtimm; from gtimm import Missing, MultimodalDataset, Pipeline, register; "
        "from gtimm.core.registry import registry; "
        "[list(registry(g)) for g in ('imputers', 'backbones', 'fusion', 'prompts', 'datasets', 'engines')]; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    for name in gtimm.__all__:
        assert getattr(gtimm, name) is not None
        assert name in dir(gtimm)
    with pytest.raises(AttributeError, match="pipline"):
        _ = gtimm.pipline


def test_of_a_name_that_is_claimed_twice_the_one_that_is_used_is_named_and_found() -> None:
    found = shapes(point("a", SQUARE, "others"), point("a", ROUND, "gtimm"))
    with pytest.raises(ConfigError, match=r"already registered in 'shapes' by gtimm \(.*Round\)"):
        found.register("a", Square)
    assert found.view["a"].distribution == "gtimm"
    assert found.spec(Round(size=2)) == {"name": "a", "size": 2}
    assert found.entry_of(Square) is None


@pytest.mark.parametrize("name", ["odd name", "a\u00a0b", "a\tb", ""])
def test_a_name_that_is_no_word_is_refused_wherever_it_comes_from(name: str) -> None:
    with pytest.raises(ConfigError, match="a word without blanks"):
        shapes().register(name, Round)
    with pytest.raises(PluginError, match="holds blanks or characters that do not print"):
        shapes(point(name, ROUND)).load(name)
