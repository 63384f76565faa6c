"""Parts of pages that are written from the code when the site is built, as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gtimm.core.details import Option

GROUPS = ("imputers", "backbones", "fusion", "balance", "prompts", "datasets", "engines")


def commands() -> str:
    """Return the command line: what `--help` says of each command."""
    import typer
    from typer.cli import get_docs_for_click

    from gtimm.cli.main import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(cast("Any", command)), name="gtimm")
    text = re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", text)
    said = dict(re.findall(r"^#+ `(.*)`\n\n(.*)$", text, re.MULTILINE))
    for name, whole in said.items():  # a group lists its commands in words that are cut short
        group, _, own = name.rpartition(" ")
        at = text.index(f"# `{group}`") if group else 0
        line = re.search(rf"^\* `{own}`: .*", text[at:], re.MULTILINE)
        if group and line is not None:
            text = text[:at] + text[at:].replace(line[0], f"* `{own}`: {whole}", 1)
    return re.sub(r"^#", "##", text.partition("\n\n")[2], flags=re.MULTILINE)


def strategies(group: str) -> str:
    """Return a section for each built-in strategy of a group: what `gtimm plugins NAME` says of it, but for this machine."""
    from gtimm.core.details import details
    from gtimm.core.registry import registry

    kind = cast("Any", group)
    parts = []
    for name in (name for name, entry in registry(kind).items() if entry.distribution == "gtimm"):
        cls, found = registry(kind).load(name), details(kind, name)
        facts = {**found.capabilities, "kinds": list(found.modalities), "weights": found.weights_licence}
        said = "; ".join(f"{key.replace('_', ' ')}: {_said(value)}" for key, value in facts.items() if value not in ("", [], ()))
        parts += [f"### {name}", _prose(cls), *([f"*{said}*"] if said else []), _options(found.options)]
    return "\n\n".join(parts)


def configuration() -> str:
    """Return the fields of a configuration file, as `gtimm check config` prints them."""
    from gtimm.core.config_fields import sections

    return "\n\n".join(f"### {one.title}\n\n{one.says}\n\n{_options(one.fields)}" for one in sections())


def gate() -> str:
    """Return the options of a generator's gate."""
    from gtimm.core.bank.gate import Agreement, Duplicates, Gate

    models = {"gate": Gate, "gate.agreement": Agreement, "gate.duplicates": Duplicates}
    return "\n\n".join(f"### {title}\n\n{_prose(model)}\n\n{_fields(model)}" for title, model in models.items())


def methods() -> str:
    """Return the presets: methods by name."""
    from gtimm.experiments.methods import METHODS

    return _table(("name", "is"), [(f"`{name}`", method.says) for name, method in METHODS.items()])


def exhibits() -> str:
    """Return what is odd about the paper's tables and figures, from the file that reports read."""
    from gtimm.experiments.reproduction.paper import heading, published

    found = published()
    lines = [f"- {note}" for note in found.paper.notes]
    for name, exhibit in found.exhibits.items():
        notes = dict.fromkeys([*exhibit.notes, *(note for line in exhibit.lines for note in line.notes)])
        lines += [f"- {heading(name)}: {note}" for note in notes]
    return "\n".join(lines)


def _fields(model: type[BaseModel]) -> str:
    from gtimm.core.details import described

    return _options([described(model, name, info) for name, info in model.model_fields.items()])


def _options(options: Iterable[Option]) -> str:
    rows = [
        (
            f"`{one.name}`",
            f"`{one.type}`" if one.type else "",
            "required" if one.required else f"`{_plain(one.default)}`",
            one.help,
        )
        for one in options
    ]
    return _table(("option", "type", "default", ""), rows) if rows else "No options."


def _prose(cls: type) -> str:
    """Return a docstring up to its first section."""
    return re.split(r"\n\n(?:Attributes|Example|Raises|Args|Returns):\n", inspect.getdoc(cls) or "")[0]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _plain(value: Any) -> str:
    text = str(value)
    return "(embedded)" if "gtimm/assets/" in text else text


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
