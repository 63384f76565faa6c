"""The filling without the classifier: for people who have a training loop of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gtimm.core.by_modality import ByModality
from gtimm.core.errors import ConfigError, DataError, IncompatibleError
from gtimm.core.filled import Fill, Filled
from gtimm.core.media import empty_payload
from gtimm.core.pool import Features, Payloads
from gtimm.core.registry import registry
from gtimm.core.workspace import open_workspace

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone
    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.engine import Engine
    from gtimm.core.filling import Filler
    from gtimm.core.imputer import Imputer
    from gtimm.core.missing import Missing


def impute(
    data: MultimodalDataset,
    imputer: Any = "stable-diffusion",
    missing: Missing | Mapping[str, float] | None = None,
    target: str | None = None,
    backbone: Any = None,
    *,
    store: str | PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    engine: Any = "local",
    generate: bool | Literal["ask"] = "ask",
) -> Filled:
    """Fill the holes of training data.

    An imputer that goes by labels reads those of `data`: never fill evaluation data with one.

    Args:
        data: rows with holes.
        imputer: what fills: a name, `{"name": ..., **options}` or an instance.
        missing: simulated missingness on top of the data's own holes; what it seals is never read.
        target: the modality to fill; by default each that has holes.
        backbone: what embeds, for imputers that work with features, by modality too; vectors come out where an imputer makes vectors.
        store: folder of bank and features; by default `GTIMM_HOME`, else the user's cache folder.
        seed: of the mask and the draws.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        engine: where generation and embedding run, such as `"ray"`.
        generate: `True`, `False`, or `"ask"`: generation above an hour is never started in silence.

    Raises:
        ConfigError: an unknown strategy, or a backbone is needed and none was given.
        DataError: the imputer goes by labels and the data has none, or a backbone is for a modality that the data lacks.
        IncompatibleError: the imputer cannot fill a modality of this kind.

    Example:
        >>> import numpy as np
        >>> from gtimm import MultimodalDataset
        >>> data = MultimodalDataset.from_arrays({"text": ["a cat", None, "a dog"]}, ["cat", "cat", "dog"])
        >>> impute(data, "hot-deck").to_frame()["text"].tolist()
        ['a cat', 'a cat', 'a dog']
    """
    from gtimm.core.filling import Filler

    if generate not in (True, False, "ask"):
        raise ConfigError(f"generate= must be True, False or 'ask'; found {generate!r}.")
    strategy: Imputer = registry("imputers").create(imputer)
    for one in (strategy, strategy.source()):
        if one is not None and one.needs_label() and data.labels is None:
            raise DataError(f"{type(one).__name__} fills by label, and {data.name!r} has no labels. Use another imputer.")
    sealed = data.with_missing(missing, seed) if missing is not None else data
    targets = [m for m in data.modalities if not sealed.present(m).all()] if target is None else [target]
    kinds = strategy.info.kinds
    for modality in targets:
        kind = sealed.kind(modality)
        if kinds and kind not in kinds:
            raise IncompatibleError(
                f"{type(strategy).__name__} fills {', '.join(kinds)}; {modality!r} ({kind}) has holes too. "
                "Pass target= with the modality to fill."
            )
    place: Engine = registry("engines").create(engine)
    given: ByModality[Backbone] = ByModality("backbones", backbone)
    for name in given.named:
        data.kind(name)  # raises for one that the data lacks
    backbones = _Backbones(given, data.modalities, type(strategy).__name__)
    filler = Filler(open_workspace(store, device, engine=place), backbones, "pooled", place, generate, accepts_absent=True)
    for modality in targets:
        filler.check(strategy, sealed, modality)
    return Filled(sealed, {m: _fill(filler, strategy, sealed, m) for m in targets}, seed)


class _Backbones(Mapping[str, "Backbone"]):
    """The backbone of each modality; where there is none, and one is asked for, the error says what to pass."""

    def __init__(self, given: ByModality[Backbone], modalities: tuple[str, ...], imputer: str) -> None:
        self._given, self._modalities, self._imputer = given, modalities, imputer

    def __iter__(self) -> Iterator[str]:
        return iter(self._modalities)

    def __len__(self) -> int:
        return len(self._modalities)

    def __getitem__(self, modality: str) -> Backbone:
        found = self._given.get(modality)
        if found is None:
            raise ConfigError(
                f"{self._imputer} works with features. Pass backbone=, such as 'imagebind-tiny' or {{{modality!r}: 'imagebind-tiny'}}, or "
                "use an imputer that fills with payloads, such as 'hot-deck' or a generator."
            )
        return found


def _fill(filler: Filler, imputer: Imputer, data: MultimodalDataset, modality: str) -> Fill:
    """Return how one modality is filled; what is not there yet is made and embedded."""
    offer = filler.offer(imputer, data, modality, "train", filler.fit(imputer, data, modality))
    pool, bare, end = offer.pool, offer.bare(), len(offer.pool.items)
    used = pool.used(np.flatnonzero(~data.present(modality)))
    vectors = isinstance(pool.items, Features)
    values = list(offer.features(used)) if vectors else offer.payloads(used)
    items = dict(zip(used.tolist(), values, strict=True))
    if len(bare):
        offer.warn_of(bare, "zeros" if vectors else "an empty payload")
        items[end] = np.zeros(offer.size, np.float32) if vectors else empty_payload(data.kind(modality))
    own = filler.view(imputer, data, "train").features(modality) if vectors else None
    return Fill(replace(pool, items=Payloads(range(end + 1))).with_default(bare, end), items, own)
