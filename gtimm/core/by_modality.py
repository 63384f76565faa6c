"""One strategy for every modality, or one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gtimm.core.errors import ConfigError
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from gtimm.core.plugin import Group

T = TypeVar("T")


class ByModality(Generic[T]):
    """Strategies of a group by modality; a plain spec stands for every modality.

    Args:
        group: such as `"imputers"`.
        spec: a name, `{"name": ..., **options}`, an instance or `None`; or a dict of these by modality.
    """

    def __init__(self, group: Group, spec: Any) -> None:
        self.group = group
        self._found: dict[str | None, T | None] = {}
        named = isinstance(spec, Mapping) and "name" not in spec
        for modality, one in spec.items() if named else ((None, spec),):
            self._found[modality] = None if one is None else registry(group).create(one)

    def __iter__(self) -> Iterator[T]:
        """Iterate over the strategies."""
        return (one for one in self._found.values() if one is not None)

    @property
    def named(self) -> tuple[str, ...]:
        """The modalities that the spec names."""
        return tuple(m for m in self._found if m is not None)

    @property
    def leaves_some(self) -> bool:
        """Whether some modality has `None` for a strategy."""
        return None in self._found.values()

    def get(self, modality: str) -> T | None:
        """Return a modality's strategy, or `None`."""
        return self._found.get(modality, self._found.get(None))

    def change(self, how: Callable[[T], T]) -> None:
        """Put `how(strategy)` in the place of each strategy."""
        self._found = {m: None if one is None else how(one) for m, one in self._found.items()}

    def require(self, modality: str) -> T:
        """Return a modality's strategy; raises `ConfigError` where there is none."""
        found = self.get(modality)
        if found is None:
            raise ConfigError(
                f"Nothing in {self.group!r} for {modality!r}; there is one for {', '.join(self.named) or 'no modality'}."
            )
        return found

    def spec(self) -> Any:
        """Return the plain form, which makes an equal object."""
        specs = {m: None if one is None else registry(self.group).spec(one) for m, one in self._found.items()}
        return specs.get(None) if None in specs else specs
