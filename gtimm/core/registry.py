"""Names to strategies, over entry points: lazy, sorted, and saying where every entry comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from gtimm.core.errors import ConfigError, PluginError, did_you_mean

if TYPE_CHECKING:
    from gtimm.core.plugin import Group

T = TypeVar("T")
OURS = "gtimm"
BASES = {
    "imputers": "gtimm.core.imputer:Imputer",
    "backbones": "gtimm.core.backbone:Backbone",
    "fusion": "gtimm.core.fusion:Fusion",
    "prompts": "gtimm.core.prompts:Prompts",
    "balance": "gtimm.core.balance:Balance",
    "datasets": "gtimm.core.dataset:DatasetLoader",
    "engines": "gtimm.core.engine:Engine",
}


@dataclass(frozen=True)
class Entry:
    """One registered name: the entry point it comes from, or the class that a notebook registered."""

    name: str
    point: EntryPoint | None = None
    cls: type[Any] | None = None

    @property
    def distribution(self) -> str:
        """Name of the distribution that declares the entry, `"session"` for one registered at run time."""
        return "session" if self.point is None else _origin(self.point.dist)[0]

    @property
    def version(self) -> str:
        """Version of that distribution, or an empty string."""
        return "" if self.point is None else _origin(self.point.dist)[1]

    @property
    def target(self) -> str:
        """`module:Class` of the implementation."""
        if self.point is not None:
            return self.point.value
        assert self.cls is not None
        return f"{self.cls.__module__}:{self.cls.__qualname__}"


@cache
def _origin(dist: Distribution | None) -> tuple[str, str]:
    """Return name and version of a distribution, whose metadata is read once: that of ours holds the whole README."""
    if dist is None:
        return "unknown", ""
    try:
        found = (dist.metadata["Name"], dist.metadata["Version"])
    except Exception:  # its metadata is damaged, and what it offers is there
        return "unknown", ""
    return found[0] or "unknown", found[1] or ""


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group; what is installed is looked through once, for all groups."""
    return tuple(_everything().select(group=group))


@cache
def _everything() -> Any:
    return entry_points()


class Registry(Mapping[str, Entry], Generic[T]):
    """The strategies of one group, by name; a read-only mapping. Nothing is imported before `load` or `create`.

    Built-in names win a clash with a plug-in; two plug-ins that claim one name are an error that names both, raised when
    the name is used. Names registered in the running session come before both.

    Args:
        group: the part of the entry-point group after `gtimm.`, such as `"imputers"`.
        base: class that every entry must derive from, or its `module:Class`, imported when first needed; `None` skips the check.
        points: entry points to read instead of the installed ones (tests).
    """

    def __init__(self, group: str, base: type[T] | str | None = None, points: list[EntryPoint] | None = None) -> None:
        self.group = group
        self._base = base
        self._entries: dict[str, list[Entry]] = {}
        self._loaded: dict[str, type[T]] = {}
        for point in _installed(f"gtimm.{group}") if points is None else points:
            self._entries.setdefault(point.name, []).append(Entry(point.name, point))

    @property
    def base(self) -> type[T] | None:
        """The class that every entry must derive from."""
        if isinstance(self._base, str):
            module, _, name = self._base.partition(":")
            self._base = cast("type[T]", getattr(import_module(module), name))
        return self._base

    def __getitem__(self, name: str) -> Entry:
        return self._pick(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def view(self) -> Mapping[str, Entry]:
        """Name to entry, sorted; a name claimed twice shows its first claimant."""
        return MappingProxyType({name: self._entries[name][0] for name in self})

    def claims(self, name: str) -> tuple[Entry, ...]:
        """Return all entries of a name, the one that is used first; several where packages clash.

        Raises:
            ConfigError: no such name.
        """
        found = tuple(self._entries.get(name, ()))
        if not found:
            raise ConfigError(
                f"Unknown name {name!r} in {self.group!r}.{did_you_mean(str(name), self)} Known: {', '.join(self) or 'none'}."
            )
        return tuple(sorted(found, key=lambda entry: (entry.distribution != OURS, entry.distribution)))

    def register(self, name: str, cls: type[T], *, replace: bool = False) -> None:
        """Register a class for this session.

        Raises:
            ConfigError: the class does not derive from the group's base, or the name is taken and `replace` is false.
        """
        if not isinstance(name, str) or not name.isprintable() or not name or " " in name:
            raise ConfigError(f"A name in {self.group!r} must be a word without blanks or control characters; found {name!r}.")
        self._check(name, cls)
        if name in self._entries and not replace:
            taken = self._entries[name][0]
            raise ConfigError(
                f"{name!r} is already registered in {self.group!r} by {taken.distribution} ({taken.target}). "
                "Choose another name or pass replace=True."
            )
        self._entries[name] = [Entry(name, cls=cls)]
        self._loaded[name] = cls

    def load(self, name: str) -> type[T]:
        """Import and return the class behind a name.

        Raises:
            ConfigError: no such name; the message suggests the nearest.
            PluginError: the plug-in could not be imported, is no subclass of the base, or two plug-ins claim the name.
        """
        if name not in self._loaded:
            entry = self._pick(name)
            assert entry.point is not None
            if not name.isprintable():  # it goes into pages, cards and terminals
                raise PluginError(
                    f"The name {name!r} of {entry.distribution} holds characters that do not print; nobody can use it."
                )
            if ":" not in entry.target:
                raise PluginError(
                    f"Plug-in {name!r} of {entry.distribution} names {entry.target!r}; an entry point says 'module:Class'."
                )
            try:
                cls = entry.point.load()
            except (Exception, SystemExit) as error:  # a module may end the process where it was meant to be a program
                raise PluginError(
                    f"Plug-in {name!r} of {entry.distribution} ({entry.target}) could not be loaded: "
                    f"{type(error).__name__}: {error}"
                ) from error
            try:
                self._check(name, cls)
            except ConfigError as error:
                raise PluginError(str(error)) from error
            self._loaded[name] = cast("type[T]", cls)
        return self._loaded[name]

    def create(self, spec: str | Mapping[str, Any] | T) -> T:
        """Turn a name, `{"name": ..., **options}` or an instance into an instance."""
        if isinstance(spec, str):
            return self.load(spec)()
        if isinstance(spec, Mapping):
            options = dict(spec)
            name = options.pop("name", None)
            if not isinstance(name, str):
                raise ConfigError(f"A strategy in {self.group!r} needs a 'name'; found {dict(spec)!r}.")
            return self.load(name)(**options)
        if self.base is not None and not isinstance(spec, self.base):
            raise ConfigError(f"Expected a name, a mapping with 'name', or a {self.base.__name__}; found {type(spec).__name__}.")
        return spec

    def spec(self, plugin: Any) -> dict[str, Any]:
        """Return `{"name": ..., **options}` for an instance, the form that `create` reads.

        Raises:
            ConfigError: its class is not registered, so that nobody could find it again.
        """
        entry = self.entry_of(type(plugin))
        if entry is not None:
            return {"name": entry.name, **plugin.options()}
        cls = type(plugin).__name__
        raise ConfigError(
            f"{cls} is not registered in {self.group!r}, so it cannot be named in a configuration or a saved model. "
            f"Register it: gtimm.register({self.group!r}, 'my-name', {cls})."
        )

    def entry_of(self, cls: type[Any]) -> Entry | None:
        """Return the entry of a class; `None` where it is not registered."""
        where = f"{cls.__module__}:{cls.__qualname__}"
        found = (name for name in self if self._loaded.get(name) is cls or self._entries[name][0].target == where)
        return next((self._entries[name][0] for name in found), None)

    def _pick(self, name: str) -> Entry:
        entries = self.claims(name)
        if entries[0].distribution == OURS:
            return entries[0]
        if len({entry.target for entry in entries}) > 1:
            claims = " and ".join(f"{e.distribution} ({e.target})" for e in entries)
            raise PluginError(
                f"{name!r} in {self.group!r} is claimed by {claims}. Uninstall one, or choose with "
                f"gtimm.register({self.group!r}, {name!r}, cls, replace=True)."
            )
        return entries[0]

    def _check(self, name: str, cls: Any) -> None:
        if self.base is not None and not (isinstance(cls, type) and issubclass(cls, self.base)):
            raise ConfigError(f"{name!r} in {self.group!r} must be a subclass of {self.base.__name__}; found {cls!r}.")


@cache
def registry(group: Group) -> Registry[Any]:
    """Return the registry of a group: imputers, backbones, fusion, prompts, balance, datasets or engines."""
    if group not in BASES:
        raise ConfigError(f"Unknown group {group!r}.{did_you_mean(group, BASES)} Groups: {', '.join(BASES)}.")
    return Registry(group, BASES[group])


def register(kind: Group, name: str, cls: type[Any], *, replace: bool = False) -> None:
    """Register a strategy for this session, for notebooks; a package uses an entry point instead.

    Args:
        kind: the group: `"imputers"`, `"backbones"`, `"fusion"`, `"prompts"`, `"balance"`, `"datasets"` or `"engines"`.
            The singular (`"imputer"`, `"backbone"`, ...) is understood too.
        name: the name to use in `Pipeline(...)` and in configuration files.
        cls: the class.
        replace: allow a name that is taken.
    """
    plural = {"imputer": "imputers", "backbone": "backbones", "dataset": "datasets", "engine": "engines", "prompt": "prompts"}
    registry(cast("Group", plural.get(kind, kind))).register(name, cls, replace=replace)
