"""What a reproduction will run, make and take, before anything of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gtimm.core.pool import Requests
from gtimm.core.registry import registry
from gtimm.core.view import DatasetView
from gtimm.core.workspace import open_workspace

if TYPE_CHECKING:
    from gtimm.core.dataset import Splits
    from gtimm.core.imputer import Generator
    from gtimm.experiments.methods import Setting
    from gtimm.experiments.reproduction.reproduce import Reproduction

PAPER_SECONDS = 12.0
"""An image of Stable Diffusion on an A40 (section 7.1)."""


@dataclass(frozen=True)
class Items:
    """The items of one generator and its options.

    Attributes:
        generator: its name.
        variant: what sets its requests apart, such as `tricks: both`; empty for those of most cells.
        modality: that it fills.
        items: that the cells use.
        there: those of them in the bank; `None` where the data set is not at hand, which would tell.
        seconds: that the others take on one worker; `None` where nobody knows.
        measured: whether that was measured on this device, rather than published.
    """

    generator: str
    variant: str
    modality: str
    items: int
    there: int | None
    seconds: float | None
    measured: bool


@dataclass(frozen=True)
class Ahead:
    """What is ahead of a reproduction.

    Attributes:
        cells: by exhibit, how many settings it has.
        distinct: settings in all; those that exhibits share are run once.
        heads: that are trained: a setting and seed each.
        payloads: rows and modalities to embed at most; `None` without the data set.
        items: by generator.
    """

    cells: dict[str, int]
    distinct: int
    heads: int
    payloads: int | None
    items: list[Items]

    @property
    def seconds(self) -> float | None:
        """Of generation in all, where it is known."""
        known = [one.seconds for one in self.items]
        return None if None in known else sum(cast("list[float]", known))


def ahead(work: Reproduction, data: Splits | None) -> Ahead:
    """Return what is ahead; nothing is generated, embedded or trained.

    Args:
        work: the exhibits.
        data: the splits; without them the items are counted by the number of classes that the preset knows.
    """
    cells = {one.name: sum(len(one.settings(target)) for target in one.targets()) for one in work.plans}
    settings = {target: work.settings(target) for target in work.targets}
    count = sum(len(found) for found in settings.values())
    rows = None if data is None else sum(len(part) * len(part.modalities) for part in (data.train, data.val, data.test))
    items = [one for target, found in settings.items() for one in _items(work, data, target, found)]
    return Ahead(cells, count, count * work.seeds, rows, items)


def _items(work: Reproduction, data: Splits | None, target: str, settings: list[Setting]) -> list[Items]:
    """Return one entry for each different request of the generator, of the largest budget that asks for it."""
    largest: dict[str, Setting] = {}
    for setting in settings:
        if setting.budget:
            key = repr(sorted(setting.generator.items()))
            if key not in largest or setting.budget > (largest[key].budget or 0):
                largest[key] = setting
    return [_of(work, data, target, setting) for setting in largest.values()]


def _of(work: Reproduction, data: Splits | None, target: str, setting: Setting) -> Items:
    preset, choices = work.bench.preset, work.bench.choices
    spec: dict[str, Any] = {**(preset.generator_of(target, choices) or {}), **setting.generator, "per_class": setting.budget}
    variant = ", ".join(f"{name}: {value}" for name, value in setting.variant.items())
    published = PAPER_SECONDS if spec["name"] == "stable-diffusion" else None
    if data is None:
        count = preset.classes * (setting.budget or 0)
        return Items(spec["name"], variant, target, count, None, None if published is None else published * count, measured=False)
    workspace = open_workspace(work.store, work.device or "auto")
    generator = cast("Generator", registry("imputers").create(spec))
    backbone = registry("backbones").create(work.grid(data, target).options["backbone"])
    view = DatasetView(data.train, workspace, dict.fromkeys(data.train.modalities, backbone), "pooled", True)
    pool = generator.pool(view, target, {})
    assert isinstance(pool.items, Requests)
    plan = workspace.bank.plan(generator, pool.items.values, list(range(len(pool.items))))
    speed = workspace.bank.speed(plan, workspace.device)
    lacking = len(pool.items) - sum(plan.there(i) for i in plan.wanted)
    each = published if speed is None else speed
    seconds = 0.0 if not lacking else None if each is None else each * lacking
    return Items(spec["name"], variant, target, len(pool.items), len(pool.items) - lacking, seconds, speed is not None)
