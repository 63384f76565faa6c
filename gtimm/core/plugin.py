"""The base of every strategy: options as frozen pydantic fields, capabilities as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic_core import PydanticSerializationError

from gtimm.core.errors import PluginError
from gtimm.core.options import Options

Kind = Literal["image", "audio", "text", "video", "vector"]
Depth = Literal["pooled", "last_block"]
Group = Literal["imputers", "backbones", "fusion", "prompts", "balance", "datasets", "engines"]
ItemType = Literal["payload", "request", "row", "feature"]

KINDS: tuple[Kind, ...] = ("image", "audio", "text", "video", "vector")


@dataclass(frozen=True)
class Info:
    """What a strategy can do. Read by the Pipeline, printed by `gtimm plugins`; nothing here changes behaviour by itself.

    Attributes:
        kinds: kinds of modality that the strategy handles; `()` means any.
        items: imputers only: what its pool holds; `None` where that depends on the options.
        needs_label: imputers only: reads labels, so it is refused on evaluation data; `Imputer.needs_label` answers for its options.
        stores_training_data: imputers only: what `fit` returns holds rows of the training data, and a saved model says so;
            `Imputer.holds_training_data` answers for its options.
        one_space: backbones only: kinds whose pooled embeddings lie in one space, so that an image can be compared with a sound.
        depths: backbones: feature depths it can produce. Imputers and fusions: depths they can serve.
        stackable: fusions only: the head is pure, so many runs can train as one.
        accepts_absent: fusions only: works with modalities that nothing fills.
        licence: SPDX identifier of the code; `""` leaves it to the metadata of the package that brings the strategy.
        weights_licence: licence of the weights that the strategy loads by default (a data set's: of its rows), `""` where it loads none;
            several are joined by `AND`. `Plugin.weights_licence` answers for its options. See `gtimm.core.licences`.
        commercial: whether commercial use is allowed by a licence that `gtimm.core.licences` does not know.
    """

    kinds: tuple[Kind, ...] = ()
    items: ItemType | None = None
    needs_label: bool = False
    stores_training_data: bool = False
    one_space: tuple[Kind, ...] = ()
    depths: tuple[Depth, ...] = ("pooled",)
    stackable: bool = True
    accepts_absent: bool = False
    licence: str = ""
    weights_licence: str = ""
    commercial: bool | None = None


class Plugin(Options):
    """A strategy whose fields are its options; equality, schema and the YAML form come with pydantic.

    Example:
        >>> class Noise(Plugin):
        ...     scale: float = 1.0
        >>> Noise(scale=2.0).options()
        {'scale': 2.0}
    """

    info: ClassVar[Info] = Info()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class whose `info` is not one, when it is made: nobody would find out why the Pipeline fails."""
        if "info" in cls.model_fields:
            raise PluginError(f"{cls.__name__}.info would be an option: write `info: ClassVar[Info] = Info(...)`.")
        if not isinstance(cls.info, Info):
            raise PluginError(f"{cls.__name__}.info must be an Info, such as Info(kinds=('image',)); found {cls.info!r}.")

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, as plain JSON types.

        Raises:
            PluginError: an option holds what JSON cannot, so that no configuration or saved model could.
        """
        try:
            return self.model_dump(mode="json", exclude_defaults=True)
        except PydanticSerializationError as error:
            raise PluginError(f"{type(self).__name__} has an option that cannot be written as JSON: {error}") from error

    def weights_licence(self) -> str:
        """Return the licence of the weights that are loaded with these options: `""` where none are, `"unknown"` where nobody says."""
        return self.info.weights_licence

    def inside(self) -> tuple[Plugin, ...]:
        """Return the strategies that these options name, such as a fusion's base or a generator's prompts; by default none."""
        return ()

    def lacks(self) -> tuple[str, ...]:
        """Return what this strategy needs and this machine lacks, each with its mend; empty where it can run. Loads no model."""
        return ()
