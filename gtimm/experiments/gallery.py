"""Real and generated items of each class in a run folder, enough to look at or listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.files import SUFFIX, encode
from gtimm.core.by_modality import ByModality
from gtimm.core.dataset import Splits
from gtimm.core.files import copy_file, whole_file
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone
    from gtimm.core.imputer import Generator
    from gtimm.core.pool import Pool, Request
    from gtimm.core.workspace import Workspace

EACH = 5  # items of a class, real and generated


def write_gallery(
    folder: Path, data: Splits, target: str, generator: Mapping[str, Any], backbone: Any, store: str | PathLike[str] | None
) -> list[dict[str, Any]]:
    """Write items of each class into `gallery/`, PNG or WAV, and return what they are.

    Args:
        folder: the run folder.
        data: the splits; real items are the first of each class in `train`.
        target: the modality that is generated.
        generator: spec of the generator; what its bank lacks of these items is made.
        backbone: spec of the backbone, by modality too.
        store: folder of the bank.
    """
    return write_galleries(folder, data, target, [generator], backbone, store)


def write_galleries(
    folder: Path,
    data: Splits,
    target: str,
    generators: Sequence[Mapping[str, Any]],
    backbone: Any,
    store: str | PathLike[str] | None,
    classes: Sequence[str] | None = None,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Write items of several generators, one after another; arguments as for `write_gallery`.

    Args:
        folder: the run folder.
        data: the splits.
        target: the modality that is generated.
        generators: their specs.
        backbone: spec of the backbone.
        store: folder of the bank.
        classes: those to show; all by default.
        device: where what is lacking is made.
    """
    from gtimm.core.workspace import open_workspace

    kind, labels = data.train.kind(target), data.train.labels
    assert labels is not None
    made = [_Made.of(spec, data, target, backbone, open_workspace(store, device)) for spec in generators]
    found = []
    for index, label in enumerate(data.train.classes):
        if classes is not None and label not in classes:
            continue
        real, generated = [], []
        there = (labels == index) & data.train.present(target)
        for place, row in enumerate(np.flatnonzero(there)[:EACH]):
            real.append(f"gallery/real-{index}-{place}{SUFFIX[kind]}")
            content = encode(kind, data.train.payload(target, int(row)))
            with whole_file(folder / real[-1]) as temporary:
                temporary.write_bytes(content)
        for which, one in enumerate(made):
            for place, (request, path) in enumerate(one.items(index)):
                name = f"gallery/generated-{index}-{which * EACH + place}{SUFFIX[kind]}"
                generated.append({"file": name, "prompt": request.prompt, "seed": request.seed})
                copy_file(path, folder / name)
        found.append({"class": label, "real": real, "generated": generated})
    return found


@dataclass(frozen=True)
class _Made:
    """One generator's requests by class, and where its items are or will be."""

    generator: Generator
    pool: Pool
    workspace: Workspace

    @classmethod
    def of(cls, spec: Mapping[str, Any], data: Splits, target: str, backbone: Any, workspace: Workspace) -> _Made:
        from gtimm.core.view import DatasetView

        by_modality: ByModality[Backbone] = ByModality("backbones", backbone)
        backbones = {m: by_modality.require(m) for m in data.train.modalities}
        generator = registry("imputers").create(spec)
        return cls(
            generator, generator.pool(DatasetView(data.train, workspace, backbones, "pooled", True), target, {}), workspace
        )

    def items(self, index: int) -> list[tuple[Request, Path]]:
        """Return the first items of a class; those that are not there are made."""
        from gtimm.core.pool import Requests

        assert isinstance(self.pool.items, Requests)
        requests = self.pool.items.values
        wanted = self.pool.members[self.pool.start[index] : self.pool.start[index + 1]][:EACH].tolist()
        paths = self.workspace.items(self.generator, requests, wanted, registry("engines").create("local"), True)
        return [(requests[item], path) for item, path in zip(wanted, paths, strict=True)]
