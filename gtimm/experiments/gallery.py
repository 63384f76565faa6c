"""Real and generated items of each class in a run folder, enough to look at or listen to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gtimm.core.bank.files import SUFFIX
from gtimm.core.by_modality import ByModality
from gtimm.core.dataset import Splits
from gtimm.core.registry import registry

if TYPE_CHECKING:
    from gtimm.core.backbone import Backbone
    from gtimm.core.media import Payload

EACH = 5  # items of a class, real and generated


def write_gallery(
    folder: Path, data: Splits, target: str, generator: Mapping[str, Any], backbone: Any, store: str | PathLike[str] | None
) -> list[dict[str, Any]]:
    """Write items of each class into `gallery/`, PNG or WAV, and return what they are.

    Args:
        folder: the run folder.
        data: the splits; real items are the first of each class in `train`.
        target: the modality that is generated.
        generator: spec of the generator; its items are in the bank.
        backbone: spec of the backbone, by modality too.
        store: folder of the bank.
    """
    from gtimm.core.pool import Requests
    from gtimm.core.view import DatasetView
    from gtimm.core.workspace import open_workspace

    by_modality: ByModality[Backbone] = ByModality("backbones", backbone)
    backbones = {m: by_modality.require(m) for m in data.train.modalities}
    workspace = open_workspace(store)
    made_by = registry("imputers").create(generator)
    pool = made_by.pool(DatasetView(data.train, workspace, backbones, "pooled", True), target, {})
    assert isinstance(pool.items, Requests)
    assert data.train.labels is not None
    plan = workspace.bank.plan(made_by, pool.items.values)
    kind = data.train.kind(target)
    (folder / "gallery").mkdir(exist_ok=True)
    found = []
    for index, label in enumerate(data.train.classes):
        real = []
        for place, row in enumerate(np.flatnonzero(data.train.labels == index)[:EACH]):
            real.append(f"gallery/real-{index}-{place}{SUFFIX[kind]}")
            _write(kind, data.train.payload(target, int(row)), folder / real[-1])
        made = []
        for place, item in enumerate(pool.members[pool.start[index] : pool.start[index + 1]][:EACH]):
            request, name = plan.requests[item], f"gallery/generated-{index}-{place}{SUFFIX[kind]}"
            made.append({"file": name, "prompt": request.prompt, "seed": request.seed})
            shutil.copyfile(plan.path(int(item)), folder / name)
        found.append({"class": label, "real": real, "generated": made})
    return found


def _write(kind: str, payload: Payload, path: Path) -> None:
    if kind == "image":
        from gtimm.core.media import load_image

        load_image(payload).save(path)
    else:
        import soundfile

        from gtimm.core.media import load_audio

        samples, rate = load_audio(payload)
        soundfile.write(path, samples.T, rate, format="WAV", subtype="PCM_16")
