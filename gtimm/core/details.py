"""What one strategy is: read from the class that a name stands for, which is imported for it."""

from __future__ import annotations

import inspect
import json
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic_core import to_json

from gtimm.core.errors import GtimmError
from gtimm.core.licences import code_licence, conditions, objections
from gtimm.core.plugin import Info
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from gtimm.core.plugin import Group, Plugin
    from gtimm.core.registry import Entry

ASKED = {
    "imputers": ("items", "needs_label", "stores_training_data", "depths"),
    "backbones": ("depths",),
    "fusion": ("depths", "stackable", "accepts_absent"),
}
"""Capabilities that are always said, by group; others are where they differ from what they are by default."""
APART = ("kinds", "licence", "weights_licence", "commercial")


@dataclass(frozen=True)
class Option:
    """An option of a strategy.

    Attributes:
        name: of the field.
        type: as written, with bounds.
        default: plain value; `None` too where it is required.
        required: whether it must be given.
        help: its lines in the docstring.
    """

    name: str
    type: str
    default: Any
    required: bool
    help: str


@dataclass(frozen=True)
class Details:
    """What a name stands for.

    Attributes:
        group: such as `"imputers"`.
        name: as registered.
        distribution: whose it is.
        version: of the distribution.
        target: `module:Class`.
        broken: why it cannot be loaded, with the cause; empty where it can. What follows is then unknown.
        summary: first line of the docstring.
        file: where the class is written.
        modalities: kinds that it handles; empty means any.
        capabilities: by name, with the default options where these can be had.
        options: of the constructor.
        licence: of the code.
        weights_licence: with the default options; empty where no weights are loaded.
        not_commercial: why it is not for commercial use; empty where it is.
        conditions: of the licences, for whoever uses it.
        lacks: what it needs and this machine lacks, each with the mend.
        source: data sets: where the files come from.
    """

    group: str
    name: str
    distribution: str
    version: str
    target: str
    broken: str = ""
    summary: str = ""
    file: str = ""
    modalities: tuple[str, ...] = ()
    capabilities: dict[str, Any] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    licence: str = ""
    weights_licence: str = ""
    not_commercial: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    source: str = ""

    @property
    def runs_here(self) -> bool:
        """Whether nothing is lacking."""
        return not self.broken and not self.lacks


def details(group: Group, name: str) -> Details:
    """Import a strategy and return what it is; one that cannot be imported says why, and raises nothing.

    Raises:
        ConfigError: no such name.
    """
    entry: Entry = registry(group).claims(name)[0]
    origin = (str(group), name, entry.distribution, entry.version, entry.target)
    with redirect_stdout(sys.stderr):  # what a plug-in prints is no part of what a command prints
        try:
            cls: type[Plugin] = registry(group).load(name)
        except GtimmError as error:
            return Details(*origin, broken=str(error))
        try:
            return _of(group, cls, origin)
        except (Exception, SystemExit) as error:  # a plug-in's own code, whatever it raises, is no fault of listing
            why = f"{cls.__name__} cannot say what it is: {type(error).__name__}: {error}"
            return Details(*origin, broken=why, file=_file(cls))


def _of(group: Group, cls: type[Plugin], origin: tuple[str, str, str, str, str]) -> Details:
    options = tuple(described(cls, option, info) for option, info in cls.model_fields.items())
    plugin, lacks = _made(cls, options)
    return Details(
        *origin,
        summary=(inspect.getdoc(cls) or "").split("\n")[0],
        file=_file(cls),
        modalities=cls.info.kinds,
        capabilities=_capabilities(group, cls, plugin),
        options=options,
        licence=code_licence(cls),
        weights_licence=cls.info.weights_licence if plugin is None else plugin.weights_licence(),
        not_commercial=tuple(objections(plugin or cls)),
        conditions=tuple(conditions(plugin or cls)),
        lacks=lacks,
        source=str(getattr(cls, "source", "")) if group == "datasets" else "",
    )


def _made(cls: type[Plugin], options: tuple[Option, ...]) -> tuple[Plugin | None, tuple[str, ...]]:
    """Return the strategy with default options and what it lacks; `None` where there are options that must be given."""
    if needed := [option.name for option in options if option.required]:
        return None, (f"It needs the option{'s' if needed[1:] else ''} {', '.join(needed)}.",)
    try:
        plugin = cls()
        lacks = plugin.lacks()
        return plugin, (lacks,) if isinstance(lacks, str) else tuple(map(str, lacks))
    except (Exception, SystemExit) as error:
        return None, (f"{type(error).__name__}: {error}",)


def _capabilities(group: str, cls: type[Plugin], plugin: Plugin | None) -> dict[str, Any]:
    """Return what `Info` says, and the methods that answer for the options where the strategy could be made."""
    info = cls.info
    if plugin is not None and hasattr(plugin, "capabilities"):
        info = cast("Any", plugin).capabilities()
    found = {
        one.name: getattr(info, one.name)
        for one in fields(Info)
        if one.name not in APART and (one.name in ASKED.get(group, ()) or getattr(info, one.name) != one.default)
    }
    answers = {"needs_label": "needs_label", "depths": "serves", "stores_training_data": "holds_training_data"}
    for name, method in answers.items():
        if group == "imputers" and plugin is not None and name in found:
            found[name] = getattr(plugin, method)()
    return found


def described(cls: type[BaseModel], name: str, info: FieldInfo) -> Option:
    """Return what is known of a field of a model."""
    bounds = [f"{sign} {getattr(one, key)}" for one in info.metadata for key, sign in _BOUNDS.items() if hasattr(one, key)]
    default = None if info.is_required() else _plain(info.get_default(call_default_factory=True))
    kind = written(info.annotation) + (f" ({', '.join(bounds)})" if bounds else "")
    return Option(name, kind, default, info.is_required(), _help(cls, name))


def _plain(value: Any) -> Any:
    """Return a value as plain data; what has no such form, in a plug-in that breaks this promise, as Python writes it."""
    return json.loads(to_json(value, fallback=repr, bytes_mode="base64", inf_nan_mode="strings"))


_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "length >=", "max_length": "length <="}


def written(annotation: Any) -> str:
    """Return a type as one writes it, without modules and metadata.

    Example:
        >>> from typing import Literal
        >>> written(tuple[int, ...] | None), written(Literal["a", "b"])
        ('tuple[int, ...] | None', "'a' | 'b'")
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in (None, NoneType):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if origin is Annotated:
        return written(parts[0])
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " | ".join(map(written, parts))
    name = getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(written, parts))}]" if parts else name


def _help(cls: type[BaseModel], option: str) -> str:
    """Return an option's lines of the `Attributes:` of the nearest class that has them."""
    for one in cls.__mro__:
        attributes = inspect.cleandoc(one.__doc__ or "").partition("\nAttributes:\n")[2]
        found = re.search(rf"^    {re.escape(option)}: (.*(?:\n {{8,}}.*)*)", attributes, flags=re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    return ""


def _file(cls: type[Plugin]) -> str:
    try:
        return inspect.getfile(cls)
    except (OSError, TypeError):  # made in a notebook
        return ""
