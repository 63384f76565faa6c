"""Everything public, in lines that read well and differ well: names, signatures, options with their defaults, commands, configuration.

python tests/public_api.py        # writes tests/public-api.txt anew: look at the difference before you commit it
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from typer.models import ArgumentInfo

import gtimm
import gtimm.testing
from gtimm.core.details import described, details, written
from gtimm.core.registry import BASES, OURS, registry

FILE = Path(__file__).with_name("public-api.txt")
COMMAND = "python tests/public_api.py"
WIDTH = 120

INTERFACES = {
    "gtimm.core.plugin": ("Plugin", "Info"),
    "gtimm.core.imputer": ("Imputer", "Generator", "View"),
    "gtimm.core.pool": ("Pool", "Payloads", "Requests", "Rows", "Features", "Request"),
    "gtimm.core.backbone": ("Backbone", "Encoder", "PromptEncoder"),
    "gtimm.core.fusion": ("Fusion", "Head"),
    "gtimm.core.prompts": ("Prompts", "RowPrompts"),
    "gtimm.core.balance": ("Balance",),
    "gtimm.core.dataset": ("DatasetLoader",),
    "gtimm.core.films.loader": ("FilmLoader",),
    "gtimm.core.engine": ("Engine",),
    "gtimm.core.seeding": ("stream",),
    "gtimm.core.media": ("load_image", "load_audio", "load_text"),
}
"""What plug-ins derive from and use."""
RESULTS = {
    "gtimm.core.filled": ("Filled", "Draws"),
    "gtimm.experiments.comparison.results": ("CompareResults",),
    "gtimm.core.summary": ("Summary", "SplitsSummary"),
}
"""What public calls return."""
CONFIGURATION = {
    "gtimm.core.config": ("RunConfig", "Evaluation", "SplitOptions"),
    "gtimm.core.comparing": ("CompareOptions",),
    "gtimm.core.training": ("TrainOptions",),
    "gtimm.core.options": ("EmbedOptions",),
    "gtimm.core.missing": ("Missing",),
    "gtimm.core.prompts": ("GuidanceRange",),
    "gtimm.core.bank.gate": ("Gate", "Agreement", "Duplicates"),
}
"""Fields of configuration files, beside the options of strategies and of `Pipeline`."""


def public_api() -> str:
    """Return all of it."""
    lines = ["# Everything public of gtimm. Held by tests/api/test_public_api.py; renewed by: " + COMMAND]
    lines += _section("gtimm", _described(gtimm, gtimm.__all__))
    for title, modules in (("interfaces", INTERFACES), ("results", RESULTS)):
        lines += _section(title, [line for module, names in modules.items() for line in _described(import_module(module), names)])
    lines += _section("errors", _errors())
    lines += _section("gtimm.testing", _described(gtimm.testing, gtimm.testing.__all__))
    lines += _section("configuration", _configuration())
    lines += _section("strategies", _strategies())
    lines += _section("command line", _commands())
    return "\n".join(lines).replace(str(Path(gtimm.__path__[0])), "gtimm") + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"== {title}", "", *lines]


def _described(module: Any, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = getattr(module, name)
        if isinstance(value, type):
            yield from _class(value)
        elif isinstance(value, FunctionType):
            yield from _signature(f"def {name}", value)
        elif isinstance(value, tuple) and value and callable(value[0]):
            yield f"{name}:"
            yield from (f"    {check.__name__}" for check in value)
        else:
            yield f"{name} = {value!r}"


def _class(cls: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if base is not object)
    yield f"class {cls.__name__}" + (f"({bases})" if bases else "")
    if isinstance(own := vars(cls).get("__init__"), FunctionType) and not getattr(cls, "_is_protocol", False):
        yield from (f"    {line}" for line in _signature("__init__", own))
    for name, value in sorted(vars(cls).items()):
        plain = getattr(value, "__func__", value)
        kind = "classmethod " if isinstance(value, classmethod) else "static " if isinstance(value, staticmethod) else ""
        if name.startswith("_") and name not in ("__len__", "__getitem__", "__iter__"):
            continue
        if isinstance(plain, property):
            yield f"    {name} -> {inspect.signature(plain.fget).return_annotation}" if plain.fget else f"    {name}"
        elif isinstance(plain, FunctionType) and "pydantic" not in plain.__module__:
            abstract = "abstract " if getattr(plain, "__isabstractmethod__", False) else ""
            yield from (f"    {line}" for line in _signature(f"{abstract}{kind}{name}", plain))


def _signature(head: str, function: Any) -> list[str]:
    """Return a signature on a line, or with a line for each parameter where it is long."""
    found = inspect.signature(function)
    parameters = _parameters(found)
    plain = f"{head}({', '.join(parameters)}){_returns(found)}"
    if len(plain) <= WIDTH:
        return [plain]
    return [f"{head}(", *(f"    {one}," for one in parameters), f"){_returns(found)}"]


def _parameters(found: inspect.Signature) -> list[str]:
    parts, star = [], False
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        star = star or one.kind is one.VAR_POSITIONAL
        parts.append(str(one.replace(annotation=one.empty)) if one.annotation is one.empty else _parameter(one))
        if one.kind is one.POSITIONAL_ONLY and one.name != "self":
            parts.append("/")
    return parts


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    default = "" if one.default is one.empty else f" = {'<function>' if callable(one.default) else repr(one.default)}"
    return f"{stars}{one.name}: {_type(one.annotation)}{default}"


def _returns(found: inspect.Signature) -> str:
    return "" if found.return_annotation is found.empty else f" -> {_type(found.return_annotation)}"


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _errors() -> list[str]:
    module = import_module("gtimm.core.errors")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Exception)]
    return [f"class {cls.__name__}({', '.join(base.__name__ for base in cls.__bases__)})" for cls in classes]


def _configuration() -> Iterator[str]:
    for module, names in CONFIGURATION.items():
        for name in names:
            cls = getattr(import_module(module), name)
            yield f"{name}:"
            if issubclass(cls, BaseModel):
                yield from _options([described(cls, field, info) for field, info in cls.model_fields.items()])
            else:
                yield from (f"    {one.name}: {one.type} = {json.dumps(one.default)}" for one in dataclasses.fields(cls))


def _strategies() -> Iterator[str]:
    for group in BASES:
        for name, entry in registry(group).items():  # type: ignore[arg-type]
            if entry.distribution != OURS:
                continue
            found = details(group, name)  # type: ignore[arg-type]
            assert not found.broken, found.broken
            yield f"{group}: {name}"
            yield from _options(found.options)


def _options(options: Iterable[Any]) -> Iterator[str]:
    for one in options:
        default = "required" if one.required else json.dumps(one.default, ensure_ascii=False)
        yield f"    {one.name}: {one.type} = {default}"


def _commands() -> Iterator[str]:
    from gtimm.cli.main import app

    yield from _app("gtimm", app)


def _app(name: str, app: typer.Typer) -> Iterator[str]:
    """Describe commands by the functions that they call: what typer makes of them is typer's."""
    if app.registered_callback is not None:
        yield from _command(name, app.registered_callback.callback)
    for one in app.registered_commands:
        assert one.callback is not None
        yield from _command(f"{name} {one.name or one.callback.__name__.replace('_', '-')}", one.callback)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from _app(f"{name} {group.name}", group.typer_instance)


def _command(name: str, function: Any) -> Iterator[str]:
    yield name
    hints = get_type_hints(function, include_extras=True)
    for one in inspect.signature(function).parameters.values():
        if get_origin(hints[one.name]) is not Annotated:  # the context
            continue
        kind, info = get_args(hints[one.name])[:2]
        if isinstance(info, ArgumentInfo):
            words = one.name.upper()
        else:
            given = (info.default, *(info.param_decls or ()))  # what is given by place begins there
            words = " ".join(word for word in given if isinstance(word, str)) or f"--{one.name.replace('_', '-')}"
        default = "required" if one.default is one.empty else str(one.default)
        yield f"    {words}: {written(kind)} = {default}"


if __name__ == "__main__":
    FILE.write_text(public_api(), encoding="utf-8")
    print(f"Wrote {FILE.name}.")
