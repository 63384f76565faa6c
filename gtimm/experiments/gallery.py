"""Real and generated items of each class in a run folder, enough to look at or listen to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gtimm.core.bank.files import SUFFIX, encode
from gtimm.core.files import copy_file, whole_file
from gtimm.core.imputer import Generator
from gtimm.core.pool import Requests

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from gtimm.core.dataset import MultimodalDataset
    from gtimm.core.pool import Request
    from gtimm.core.targets import Labels
    from gtimm.experiments.jobs import Job

EACH = 5  # items of a class, real and generated


def write_gallery(
    folder: Path, data: MultimodalDataset, target: str, jobs: Sequence[Job], classes: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Write items of each class into `gallery/`, PNG or WAV, and return what they are. Nothing is made for it.

    Args:
        folder: the run folder.
        data: labelled rows; real items are the first of each class.
        target: the modality that is shown.
        jobs: whose generators' first items of each class are shown, one job after another, as far as they are in the bank.
        classes: those to show; all by default.
    """
    kind, labels = data.kind(target), cast("Labels", data.labels)
    made = [_in_bank(job, target) for job in jobs]
    found = []
    for index, label in enumerate(data.classes):
        if classes is not None and label not in classes:
            continue
        real, generated = [], []
        for place, row in enumerate(np.flatnonzero((labels == index) & data.present(target))[:EACH]):
            real.append(f"gallery/real-{index}-{place}{SUFFIX[kind]}")
            content = encode(kind, data.payload(target, int(row)))
            with whole_file(folder / real[-1]) as temporary:
                temporary.write_bytes(content)
        for place, (request, path) in enumerate(item for items in made for item in items[index]):
            name = f"gallery/generated-{index}-{place}{SUFFIX[kind]}"
            generated.append({"file": name, "prompt": request.prompt, "seed": request.seed})
            copy_file(path, folder / name)
        found.append({"class": label, "real": real, "generated": generated})
    return found


def largest(jobs: Sequence[Job], target: str) -> list[Job]:
    """Return the first of the jobs with the largest budget that generate a modality, as a list; empty where none does."""
    generating = [job for job in jobs if isinstance(job.pipes[0].imputers.get(target), Generator)]
    return sorted(generating, key=lambda job: -(job.setting.budget or 0))[:1]


def _in_bank(job: Job, target: str) -> list[list[tuple[Request, Path]]]:
    """Return, by class, those of the first items that a job's generator offers which are in the bank, and their files."""
    pipe, train = job.pipes[0], job.trains[0]
    generator, filler, labels = cast("Generator", pipe.imputers.require(target)), pipe.filler(), cast("Labels", train.labels)
    pool = filler.pool(generator, train, target, "train", filler.fit(generator, train, target))
    assert isinstance(pool.items, Requests)
    first = [pool.used(np.flatnonzero(labels == index))[:EACH].tolist() for index in range(len(train.classes))]
    plan = filler.workspace.bank.plan(generator, pool.items.values, [item for items in first for item in items])
    return [[(plan.requests[item], plan.path(item)) for item in items if plan.there(item)] for items in first]
